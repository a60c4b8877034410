/** Which tasks need not be done again, because their command, their environment and what they read are what they were. Pure. */

import * as z from 'zod/mini';
import { sha256 } from '../../lib/digest.ts';
import { globOf, globsOf, matches } from '../../lib/globs/globs.ts';
import { once } from '../../lib/once.ts';
import { oneLine } from '../../lib/text.ts';
import type { PlanTask } from '../plan/plan.ts';
import { overlapOf } from '../schedule/overlap.ts';
import type { Settings } from '../settings/settings.ts';
import { memoPart, type TaskRecord, type TaskSummary } from '../task/records.ts';
import { isTerminal } from '../task/states.ts';

const ReuseSchema = once(() =>
  z.looseObject({
    /** What it was done for, see `reuseKey`; null: what it reads had changed while it worked. */
    key: z.nullable(z.string()),
    /** It was not done, since what an earlier attempt had made for the same was there. */
    unchanged: z.boolean(),
    /** How its outputs looked then, see `lookOf`: where nothing is kept of them, nothing else says which those were. Null: that is not known. */
    made: z._default(z.nullable(z.string()), null),
  }),
);
export type Reuse = z.infer<ReturnType<typeof ReuseSchema>>;

/** How a task shipped whose plan says `cache`; null for any other, and for one that has not. */
export function reuseOf({ memo, state }: Pick<TaskSummary, 'state'> & { memo: { reuse?: unknown } }): Reuse | null {
  return state.state === 'shipped' ? memoPart(ReuseSchema, memo.reuse) : null;
}

/** The record of a task that has shipped, with what it was done for. */
export function withReuse(record: TaskRecord, reuse: () => Reuse): TaskRecord {
  if (record.state.state !== 'shipped') return record;
  return { ...record, memo: { ...record.memo, reuse: reuse() } };
}

/** Hexadecimal SHA-256 of what a look at files tells: which they are, of what kind, how large, and what is in them, where they were read. */
export function lookOf(files: readonly { path: string; kind: string; bytes: number; digest: string | null }[]): string {
  return sha256(JSON.stringify(files.map(({ path, kind, bytes, digest }) => [path, kind, bytes, digest])));
}

/** Whether the task's outputs are kept: in a worktree they are commits, and what is reviewed or merged is looked at anew. */
export function isReusable(task: PlanTask, { workspace, review, ship }: Settings): boolean {
  const isLookedAt = review.command !== null || review.worker !== null || ship.policy === 'merge';
  return task.cache && task.run !== null && workspace === 'none' && !isLookedAt;
}

/** Says where `cache` has no effect, or not the one that is meant. */
export function reuseWarnings(tasks: readonly PlanTask[], settings: Settings): string[] {
  const first = tasks.find((task) => task.cache && !isReusable(task, settings));
  if (first === undefined) return sharedOutputs(tasks.filter(({ cache }) => cache));
  return [
    `\`cache\` of task ${first.id} has no effect: with worktrees, reviews or merges every result is made and looked at anew`,
  ];
}

/** Most pairs of tasks that are compared: a plan of thousands is not to be felt. */
const PAIRS_MAX = 100_000;

/** Of the first two tasks that make the same file: each is found changed whenever the other was made or put back, so every run does both again. */
function sharedOutputs(tasks: readonly PlanTask[]): string[] {
  let left = PAIRS_MAX;
  for (const [i, one] of tasks.entries())
    for (const other of tasks.slice(0, i)) {
      const file = left-- > 0 ? sharedFile(one.outputs, other.outputs) : null;
      if (file === null) continue;
      const text = `tasks ${other.id} and ${one.id} both have ${file} among their outputs, so each run may do them again`;
      return [oneLine(`${text}; take it away from one of them: "!${file}"`, 600)];
    }
  return [];
}

function sharedFile(outputs: readonly string[], others: readonly string[]): string | null {
  const isAway = (source: string) => source.startsWith('!');
  const without = globsOf([...outputs, ...others].filter(isAway).map((source) => source.slice(1)));
  for (const mine of outputs.filter((source) => !isAway(source)))
    for (const theirs of others.filter((source) => !isAway(source))) {
      const path = overlapOf({ write_globs: [mine] }, { write_globs: [theirs] })?.path;
      // One of the two globs may be for that file alone, and is better to read than a file that both match.
      if (path !== undefined && !without.some((glob) => matches(glob, path)))
        return matches(globOf(theirs), mine) ? mine : theirs;
    }
  return null;
}

/** A file that the task reads. */
export interface InputFile {
  /** From the project folder, with `/`. */
  path: string;
  /** Hexadecimal SHA-256 of its content, or of where a symbolic link points. */
  digest: string;
  kind: 'file' | 'executable' | 'link';
}

export interface ReuseFacts {
  /** In order of their paths. */
  inputs: readonly InputFile[];
  /** Of the settings: they check every result. */
  verify: readonly string[];
  /** What each task was done by that it depends on, see `doneBy`. */
  dependencies: readonly (readonly [taskId: string, doneBy: string | null])[];
  /** Such as `linux-x64`. */
  platform: string;
}

/** Hexadecimal SHA-256 of all that decides what the task makes, in whatever checkout. Its worker is told its id, and its values of a matrix. */
export function reuseKey(task: PlanTask, { inputs, verify, dependencies, platform }: ReuseFacts): string {
  const { id, run, cwd, shell, env, matrix, outputs, verify: own } = task;
  const sorted = (values: Readonly<Record<string, string>>) =>
    Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1));
  const variables = [sorted(env), sorted(matrix?.values ?? {})];
  const files = inputs.map(({ path, digest, kind }) => [path, digest, kind]);
  const before = [...dependencies].sort(([a], [b]) => (a < b ? -1 : 1));
  return sha256(JSON.stringify([1, id, run, cwd, shell, variables, outputs, own, verify, platform, before, files]));
}

/** What a dependency was done by: its key where it has one, else the attempt that did it; null: neither is known, or it is to be done again. */
export function doneBy(record: TaskSummary | null): string | null {
  if (record === null || !isTerminal(record.state.state)) return null;
  return reuseOf(record)?.key ?? record.memo.completion?.attempt_id ?? null;
}

/**
 * The shipped tasks that are no longer what they were done for, with all that depend on them and may be reused themselves; in the order of
 * `order`. `standing`: of each, whether it is what it was done for, and its outputs are there.
 */
export function changedTasks(order: readonly PlanTask[], standing: ReadonlyMap<string, boolean>): PlanTask[] {
  const changed = new Set<string>();
  return order.filter((task) => {
    const stands = standing.get(task.id);
    if (stands === undefined || (stands && !task.depends_on.some((id) => changed.has(id)))) return false;
    changed.add(task.id);
    return true;
  });
}
