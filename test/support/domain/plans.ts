/** Plans and scheduling contexts in a line or two. */

import { parsePlan } from '../../../src/domain/plan/parse.ts';
import type { Plan } from '../../../src/domain/plan/plan.ts';
import { type PRESETS, type WorkerSettings, workerCommand } from '../../../src/domain/plan/task-command.ts';
import type { SchedulingContext } from '../../../src/domain/schedule/readiness.ts';
import { DEFAULT_SETTINGS } from '../../../src/domain/settings/settings.ts';
import type { TaskRecord } from '../../../src/domain/task/records.ts';
import { observer } from './tasks.ts';

/** A task as a plan file has it; the title may be left out. */
export type TaskEntry = { id: string } & Record<string, unknown>;

export interface PhaseEntry {
  id: string;
  status?: string;
  blocked_by?: string;
  tasks: TaskEntry[];
}

/** The plan with these phases, read the way that every plan is read. */
export function plan(phases: readonly PhaseEntry[]): Plan {
  const named = phases.map((phase) => ({
    name: phase.id,
    ...phase,
    tasks: phase.tasks.map((task) => ({ title: task.id, ...task })),
  }));
  const parsed = parsePlan(JSON.stringify({ project: 'mill', phases: named }), 'plan.yaml');
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.plan;
}

/** The command line of a preset, without model or arguments. */
export function commandLine(worker: keyof typeof PRESETS): string {
  return workerCommand({ worker, model: null, args: null }, DEFAULT_SETTINGS.agents)?.command ?? '';
}

/** A plan of one phase. */
export function onePhase(...tasks: TaskEntry[]): Plan {
  return plan([{ id: 'phase-1', tasks }]);
}

/** The context in which the tasks of `made` have these records, looked at `ms` after T0; the others are untouched. */
export function scheduling(
  made: Plan,
  records: Record<string, TaskRecord | 'unreadable'> = {},
  ms = 0,
  workers: WorkerSettings = { worker: null, worker_command: null, model: null, args: [] },
): SchedulingContext {
  return {
    plan: made,
    recordOf: (id) => records[id] ?? null,
    observer: observer(ms),
    does: { review: false, ship: false },
    workers,
    reviewer: null,
    rules: DEFAULT_SETTINGS.agents,
    limits: {},
    budget: DEFAULT_SETTINGS.budget,
  };
}
