/** What the checks of `doctor` look at, and what they find. */

import type { Context } from '../../domain/context.ts';
import type { Plan } from '../../domain/plan/plan.ts';
import type { ProjectPaths } from '../../domain/project-paths.ts';
import type { Settings } from '../../domain/settings/settings.ts';
import type { HealthCheck, Snapshot, TaskStore } from '../../store/port.ts';

export interface Facts {
  ctx: Context;
  paths: ProjectPaths;
  /** The defaults where they can't be read, and no plan. */
  settings: Settings;
  plan: Plan | null;
  store: TaskStore;
  /** Made once, for all checks. */
  snapshot(): Promise<Snapshot>;
}

export type Finding = Omit<HealthCheck, 'name'>;

/** Null where there is nothing to look at. */
export type Check = (facts: Facts) => Finding | null | Promise<Finding | null>;

export const ok = (message: string): Finding => ({ status: 'ok', message, fix: null });
export const warn = (message: string, fix: string): Finding => ({ status: 'warn', message, fix });
export const fail = (message: string, fix: string): Finding => ({ status: 'fail', message, fix });
