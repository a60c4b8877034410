/** Changes the plan that a person has written, in place: checked as a whole, whole or not at all, one process at a time. */

import fs from 'node:fs';
import path from 'node:path';
import type { PlanText } from '../domain/plan/places.ts';
import type { Plan } from '../domain/plan/plan.ts';
import { overLimit } from '../domain/schedule/resources.ts';
import type { Settings } from '../domain/settings/settings.ts';
import { ForgeError, invalidArgs, type Problem } from '../lib/errors.ts';
import { NO_CACHE } from '../lib/fs/cache.ts';
import { asIoError } from '../lib/fs/io-errors.ts';
import type { LockOwner } from '../lib/fs/locks.ts';
import { replaceIfSame } from '../lib/fs/new-file.ts';
import type { YamlPath } from '../lib/yaml.ts';
import type { YamlEdit } from '../lib/yaml-edit.ts';
import type { TaskStore } from '../store/port.ts';
import type { FanOutStore } from './fan-outs.ts';
import { type LimitedPlan, OVER_LIMIT_HINT, overLimitProblems } from './over-limit.ts';
import { problemsText } from './parse-cache.ts';
import { cachePlan, filesOf, includedBy, type LoadedPlan, type PlanEnv, planStamp, requirePlan } from './plan-file.ts';

export type PlanEditEnv = PlanEnv & {
  settings: Pick<Settings, 'limits'>;
  store: FanOutStore & Pick<TaskStore, 'planTurn'>;
  newOp(): string;
  warn(message: string): void;
};

/** The plan, with its children, and the texts that it was read from. */
export interface PlanToEdit {
  plan: Plan;
  texts: readonly PlanText[];
}

export interface PlanChange<T> {
  /** Of this file. */
  file: string;
  edits: readonly YamlEdit[];
  /** Where in it the task stands after that. */
  at: YamlPath;
  result: T;
}

/** How often it begins again where a program without a lock, such as an editor, was faster. */
const TRIES = 10;

/**
 * Lets `decide` say what is to be changed, checks the plan that comes out, and puts it in place. Where it decides on no edits nothing is
 * written. Returns what it decided, and the text of that file. Throws what `decide` throws, PHASES_NOT_FOUND, PHASES_PARSE_ERROR also for what
 * would be wrong after it, INVALID_ARGS for a part that cannot be changed in place, IO_ERROR.
 */
export async function editPlan<T>(
  env: PlanEditEnv,
  owner: LockOwner,
  decide: (seen: PlanToEdit) => PlanChange<T> | Promise<PlanChange<T>>,
): Promise<PlanChange<T> & { text: string }> {
  // What is wrong already is told without waiting for the turn.
  await requirePlan(env);
  return env.store.planTurn(owner, async () => {
    for (let tries = 0; tries < TRIES; tries++) {
      const before = await requirePlan(env);
      const stamps = new Map(filesOf(before).map((file) => [file, planStamp(env.paths, file)]));
      const seen = await requirePlan(env);
      const texts = [seen, ...seen.included].map(({ file, text }) => ({ file, text }));
      const change = await decide({ plan: seen.plan, texts });
      const { file, edits } = change;
      const source = texts.find((each) => each.file === file);
      // A file that is new in it has no stamp yet.
      if (source === undefined || !stamps.has(file)) continue;
      if (edits.length === 0) return { ...change, text: source.text };
      const text = await checked(env, seen, source, edits);
      const place = path.resolve(env.paths.project, file);
      const isSame = () => planStamp(env.paths, file) === stamps.get(file);
      if (await replaced(place, text, env.newOp(), isSame)) return { ...change, text };
    }
    throw new ForgeError('IO_ERROR', `the plan was changed by others ${TRIES} times in a row`, {
      hint: 'Nothing was changed. Close what writes to it, then repeat the command.',
    });
  });
}

async function checked(
  env: PlanEditEnv,
  seen: LoadedPlan,
  source: PlanText,
  edits: readonly YamlEdit[],
): Promise<string> {
  const { editYaml } = await import('../lib/yaml-edit.ts');
  const isUtf8 = !source.text.includes('\ufffd');
  const text = isUtf8 ? await editYaml(source.text, edits) : null;
  if (text === null) {
    const { positionsOf } = await import('../lib/yaml.ts');
    const { line = 1 } = positionsOf(source.text).place(edits[0]?.path ?? []) ?? {};
    throw invalidArgs(
      `${source.file}:${line}: this part cannot be changed in place`,
      isUtf8
        ? 'An anchor or an alias shares it, or it is an item that the list does not have. Edit the file.'
        : 'The file is not UTF-8. Save it as UTF-8.',
    );
  }
  const { parsePlan } = await import('../domain/plan/parse.ts');
  const read = includedBy(env);
  const first = source.file === seen.file ? text : seen.text;
  const parsed = parsePlan(first, seen.file, (file) => (file === source.file ? text : read(file)));
  const planned = { file: seen.file, text: first };
  const problems = parsed.ok ? await newlyOver(env, seen, { ...parsed, ...planned }) : parsed.problems;
  if (parsed.ok && problems.length === 0) {
    cachePlan(env.cache ?? NO_CACHE, parsed, first);
    for (const warning of newIn(parsed.warnings, seen.warnings)) env.warn(warning);
    return text;
  }
  const lines = text.split('\n');
  throw new ForgeError('PHASES_PARSE_ERROR', `with that change there would be ${problemsText(problems, source.file)}`, {
    problems: problems.map((problem) =>
      problem.place.file === source.file ? { ...problem, source: lines[(problem.place.line ?? 0) - 1] ?? '' } : problem,
    ),
    hint: 'Nothing was changed. The places are those that the lines would have.',
  });
}

/** What tasks use that could not start any more. One that can't start already is in the way of no other edit, such as the one that mends it. */
async function newlyOver(
  { settings: { limits } }: PlanEditEnv,
  before: LimitedPlan,
  after: LimitedPlan,
): Promise<Problem[]> {
  const known = new Set(overLimit(before.plan.tasks, limits).map(({ task_id }) => task_id));
  const over = (await overLimitProblems(after, limits)).filter(({ task_id }) => !known.has(task_id));
  return over.map(({ problem }) => ({ ...problem, suggestion: OVER_LIMIT_HINT }));
}

/** Those that were not there before, whatever line they name. */
function newIn(now: readonly string[], before: readonly string[]): string[] {
  const bare = (text: string) => text.replace(/:\d+:\d+ /, ' ');
  const known = new Set(before.map(bare));
  return now.filter((text) => !known.has(bare(text)));
}

/** False where the file has changed meanwhile. A symlink stays. */
async function replaced(file: string, text: string, op: string, isSame: () => boolean): Promise<boolean> {
  try {
    return await replaceIfSame(fs.realpathSync.native(file), text, op, isSame);
  } catch (error) {
    throw asIoError(error, `writing ${file}`);
  }
}
