/** Reads the plan of a project. Parsing takes longer than anything else in most commands, so the result is cached. */

import fs from 'node:fs';
import path from 'node:path';
import type { PlanResult } from '../domain/plan/parse.ts';
import type { ReadPlan } from '../domain/plan/parts.ts';
import { filledTask, indexed, type Plan, type PlanData, type SparseTask, sparseTask } from '../domain/plan/plan.ts';
import type { ProjectPaths } from '../domain/project-paths.ts';
import type { Settings } from '../domain/settings/settings.ts';
import { ForgeError } from '../lib/errors.ts';
import { type Cache, NO_CACHE } from '../lib/fs/cache.ts';
import { ifThere, NO_PATH } from '../lib/fs/io-errors.ts';
import { type FanOutStore, withFanOuts } from './fan-outs.ts';
import { PLAN_PLACES, readOptional, shown } from './find-project.ts';
import { isFile, lookAt } from './look.ts';
import { cacheParsed, parsedText, type SourceText } from './parse-cache.ts';

/** What is needed to find a plan. */
export interface PlanEnv {
  paths: ProjectPaths;
  settings: Pick<Settings, 'plan'>;
  /** Cache of parsed plans. Default: none. */
  cache?: Cache;
}

/** A plan with the text that was read, to notice an edit. */
export interface LoadedPlan extends SourceText {
  plan: Plan;
  warnings: string[];
  /** The files that it includes, as they were read. */
  included: readonly SourceText[];
}

/**
 * The plan, with the children that its tasks have made; null when the project has none. Throws PHASES_PARSE_ERROR with all problems,
 * PHASES_NOT_FOUND when the settings name a missing file, IO_ERROR.
 */
export async function loadPlan(env: PlanEnv & { store: FanOutStore }): Promise<LoadedPlan | null> {
  const loaded = await loadPlanned(env);
  return loaded && withChildrenOf(env.store, loaded);
}

/** All files that a plan was read from. */
export function filesOf({ file, included }: LoadedPlan): string[] {
  return [file, ...included.map((other) => other.file)];
}

/** A plan as it is cached. */
interface ParsedPlan extends Pick<LoadedPlan, 'warnings' | 'included'> {
  plan: Omit<PlanData, 'tasks'> & { tasks: readonly SparseTask[] };
}

/** `loadPlan` without children: what the file says. */
export async function loadPlanned(env: PlanEnv): Promise<LoadedPlan | null> {
  const source = readPlanText(env);
  return source === null ? null : parsePlanText(source, env.cache, includedBy(env));
}

/** The plan that is in the file, with children. Throws IO_ERROR. */
export async function withChildrenOf(store: FanOutStore, loaded: LoadedPlan): Promise<LoadedPlan> {
  const { plan, warnings } = await withFanOuts(store, loaded.plan);
  return { ...loaded, plan, warnings: [...loaded.warnings, ...warnings] };
}

/** What this process has parsed last, by the cache of the project: a command whose id was shortened needs the plan twice. */
const LAST = new WeakMap<Cache, LoadedPlan>();

/** `read`: reads what it includes; default: there is nothing. Throws PHASES_PARSE_ERROR with all problems, and what `read` throws. */
export async function parsePlanText(
  source: SourceText,
  cache: Cache = NO_CACHE,
  read: ReadPlan = () => null,
): Promise<LoadedPlan> {
  const { file, text } = source;
  const isCurrent = ({ included }: Pick<LoadedPlan, 'included'>) => {
    try {
      return included.every((other) => read(other.file) === other.text);
    } catch (error) {
      if (error instanceof ForgeError) return false;
      throw error;
    }
  };
  const last = LAST.get(cache);
  if (last?.text === text && last.file === file && isCurrent(last)) return last;
  // With the YAML parser it is loaded only for a text that is not cached.
  const parse = async () => {
    const parsed = (await import('../domain/plan/parse.ts')).parsePlan(text, file, read);
    return parsed.ok ? sparsePlan(parsed) : parsed;
  };
  const names = ['plan', 'PHASES_PARSE_ERROR'] as const;
  const { plan, warnings, included } = await parsedText<ParsedPlan>(source, cache, names, parse, { isCurrent });
  const loaded = { plan: indexed({ ...plan, tasks: plan.tasks.map(filledTask) }), file, text, warnings, included };
  if (cache !== NO_CACHE) LAST.set(cache, loaded);
  return loaded;
}

type ParseResult = Extract<PlanResult, { ok: true }>;

function sparsePlan(parsed: ParseResult) {
  return { ...parsed, plan: { ...parsed.plan, tasks: parsed.plan.tasks.map(sparseTask) } };
}

/** Keeps a plan that was parsed elsewhere for the next command, which will find `text` in its file. */
export function cachePlan(cache: Cache, parsed: ParseResult, text: string): void {
  cacheParsed(cache, 'plan', sparsePlan(parsed), text);
}

/** Reads files of the project that a plan includes. Throws PHASES_PARSE_ERROR for a symlink out of it, FOREIGN_PROJECT, IO_ERROR. */
export function includedBy({ paths: { project } }: Pick<PlanEnv, 'paths'>): ReadPlan {
  return (file) => {
    const place = path.resolve(project, file);
    const real = ifThere(`reading ${place}`, () => fs.realpathSync.native(place), NO_PATH);
    if (real === null) return null;
    const top = fs.realpathSync.native(project);
    if (!real.startsWith(`${top}${path.sep}`)) {
      throw new ForgeError('PHASES_PARSE_ERROR', `${file} is a link that leads out of the project`);
    }
    const owners = [process.geteuid?.(), lookAt(top)?.uid];
    const owner = lookAt(real)?.uid;
    if (owner !== undefined && !owners.includes(owner)) {
      throw new ForgeError(
        'FOREIGN_PROJECT',
        `${file}, which the plan includes, belongs to another user (uid ${owner})`,
        { hint: 'It says what is run. Take it over with chown, or leave it out.' },
      );
    }
    return readOptional(place);
  };
}

export function readPlanText({ paths, settings }: Omit<PlanEnv, 'cache'>): SourceText | null {
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
      hint: 'Write the plan there, or fix `plan:` in .forge/settings.yaml.',
    },
  );
}

/** Differs from an earlier value when the plan in `file` (as a person writes it) may have been edited since. */
export function planStamp(paths: ProjectPaths, file: string): string {
  const stat = lookAt(path.resolve(paths.project, file));
  // The ctime also shows a change of permissions.
  return stat === undefined ? 'gone' : `${stat.ino}:${stat.size}:${stat.mtimeMs}:${stat.ctimeMs}`;
}

/** Where the plan is, or belongs when there is none yet, relative to the project folder. */
export function planPlaceOf(paths: ProjectPaths): string {
  return PLAN_PLACES.find((place) => isFile(`${paths.project}/${place}`)) ?? PLAN_PLACES[0];
}

/** `loadPlan`, for commands that need one. Throws PHASES_NOT_FOUND when there is none. */
export async function requirePlan(env: PlanEnv & { store: FanOutStore }): Promise<LoadedPlan> {
  const loaded = await loadPlan(env);
  if (loaded !== null) return loaded;
  throw new ForgeError(
    'PHASES_NOT_FOUND',
    `there is no plan in ${env.paths.project} (looked for ${PLAN_PLACES.join(', ')})`,
  );
}
