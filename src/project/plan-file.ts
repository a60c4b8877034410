/**
 * The plan of a project as it lies on disk. Parsing it takes longer than anything else that most commands do, so what came
 * of it is kept, with the text that it came of: any other text is parsed.
 */

import path from 'node:path';
import { parsePlan } from '../domain/parsers.ts';
import { type Plan, type PlannedTask, packPlan, unpackPlan, unpackPlanned } from '../domain/plan/plan.ts';
import type { ProjectPaths } from '../domain/project-paths.ts';
import type { Settings } from '../domain/settings/settings.ts';
import { ForgeError } from '../lib/errors.ts';
import { type Cache, NO_CACHE } from '../lib/fs/cache.ts';
import { countProblems, isFile, lookAt, PLAN_PLACES, readOptional, shown } from './find-project.ts';
import { keepLines, keptLines } from './parse-cache.ts';

/** What is needed to find a plan. */
export interface PlanEnv {
  paths: ProjectPaths;
  settings: Pick<Settings, 'plan'>;
  /** Where what came of parsing it is kept. Default: nowhere. */
  cache?: Cache;
}

export interface LoadedPlan {
  plan: Plan;
  /** As a person would write it. */
  file: string;
  /** The text that it was read from, to notice an edit. */
  text: string;
  warnings: string[];
}

/** The plan; null when the project has none. Throws PHASES_PARSE_ERROR with all problems, PHASES_NOT_FOUND when settings name a file that is not there. */
export function loadPlan(env: PlanEnv): LoadedPlan | null {
  const source = readPlanText(env);
  return source === null ? null : parsePlanText(source, env.cache);
}

/** The tasks of the plan by name alone, which takes less where there are many; null and what it throws as of `loadPlan`. */
export function loadPlanned(env: PlanEnv): readonly PlannedTask[] | null {
  const source = readPlanText(env);
  if (source === null) return null;
  const kept = keptPlan(env.cache ?? NO_CACHE, source.text, unpackPlanned);
  return kept?.plan ?? parsePlanText(source, env.cache).plan.tasks;
}

/** Text of a plan, and its file as a person would write it. */
export interface PlanText {
  file: string;
  text: string;
}

/** Throws PHASES_PARSE_ERROR with all problems. */
export function parsePlanText({ file, text }: PlanText, cache: Cache = NO_CACHE): LoadedPlan {
  const kept = keptPlan(cache, text, unpackPlan);
  if (kept !== null) return { file, text, ...kept };
  const parsed = parsePlan(text, file);
  if (!parsed.ok) {
    throw new ForgeError('PHASES_PARSE_ERROR', countProblems(parsed.problems.length, file), {
      problems: parsed.problems,
    });
  }
  const { plan, warnings } = parsed;
  keepLines(cache, 'plan', text, [packPlan(plan), JSON.stringify(warnings)]);
  return { plan, file, text, warnings };
}

/** What `unpack` makes of the plan that was kept, and its warnings; null when none was kept of that text. */
function keptPlan<T>(cache: Cache, text: string, unpack: (json: string) => T): { plan: T; warnings: string[] } | null {
  return keptLines(cache, 'plan', text, 2, ([plan = '', warnings = '']) => ({
    plan: unpack(plan),
    warnings: JSON.parse(warnings) as string[],
  }));
}

export function readPlanText({ paths, settings }: Omit<PlanEnv, 'cache'>): PlanText | null {
  const places = settings.plan === null ? PLAN_PLACES : [settings.plan];
  for (const place of places) {
    const file = path.resolve(paths.project, place);
    const text = readOptional(file);
    if (text !== null) return { file: shown(paths, file), text };
  }
  if (settings.plan === null) return null;
  throw new ForgeError(
    'PHASES_NOT_FOUND',
    `there is no plan at ${settings.plan}, where .forge/settings.yaml says it is`,
    {
      hint: 'Write the plan there, or mend `plan:` in .forge/settings.yaml.',
    },
  );
}

/** Differs from an earlier one when the plan in `file` (as a person would write it) may have been edited since. */
export function planStamp(paths: ProjectPaths, file: string): string {
  const stat = lookAt(path.resolve(paths.project, file));
  // The time of the last change of any kind tells a change of permissions too.
  return stat === undefined ? 'gone' : `${stat.ino}:${stat.size}:${stat.mtimeMs}:${stat.ctimeMs}`;
}

/** Where the project's plan is, or belongs when it has none yet, as seen from the project's folder. */
export function planPlaceOf(paths: ProjectPaths): string {
  return PLAN_PLACES.find((place) => isFile(`${paths.project}/${place}`)) ?? PLAN_PLACES[0];
}

/** `loadPlan`, for commands that need one. Throws PHASES_NOT_FOUND when there is none. */
export function requirePlan(env: PlanEnv): LoadedPlan {
  const loaded = loadPlan(env);
  if (loaded !== null) return loaded;
  throw new ForgeError(
    'PHASES_NOT_FOUND',
    `there is no plan in ${env.paths.project} (looked for ${PLAN_PLACES.join(', ')})`,
  );
}
