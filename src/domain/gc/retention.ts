/**
 * What `gc --prune` removes: of which tasks what only serves to look back (`surplus.ts` says what that is), which children, and which runs.
 * Pure: the same look at the tree leads to the same plan.
 */

import * as z from 'zod/mini';
import { ForgeError } from '../../lib/errors.ts';
import { ancestorsOf, parentOf } from '../../lib/ids.ts';
import { madeIn } from '../../lib/once.ts';
import { DAY_MS, fromIso, isoTime } from '../../lib/time.ts';
import { fanOutsOf, type Sealed } from '../fan-out/fan-outs.ts';
import { type RunManifest, TASK_STATES, type TaskState, type TaskSummary } from '../task/records.ts';
import { isTerminal } from '../task/states.ts';
import type { RemovedSet } from './surplus.ts';

export interface RetentionPolicy {
  /** How long shipped and cancelled tasks keep everything after they have ended, and ended runs; milliseconds. */
  olderThanMs: number;
  /** The same of failed tasks; null: for good. */
  failedOlderThanMs: number | null;
}

export const DEFAULT_RETENTION: RetentionPolicy = { olderThanMs: 90 * DAY_MS, failedOlderThanMs: null };

/** What is wrong with how long things are kept; null: nothing. What is removed does not come back, so a warning would come too late. */
export function keptFault(ms: number): string | null {
  return ms > 0 && ms < 1000 ? `that is ${ms} ms, and another unit was probably meant` : null;
}

/** A task as it was read. */
export interface RetentionTask {
  task_id: string;
  /** Null: nothing has happened to it, or its record can't be read. */
  record: TaskSummary | null;
  /** Why the record can't be read or changed; null when it can. */
  problem: string | null;
}

export interface RetentionView<T extends RetentionTask = RetentionTask> {
  nowMs: number;
  tasks: readonly T[];
  runs: readonly RunManifest[];
  /** Tasks of which git has a branch, and tasks that have a worktree, or a folder in the place of one. */
  branches: ReadonlySet<string>;
  worktrees: ReadonlySet<string>;
  /** Runs that issues of the tracker are claimed by; null: that is not known, so all runs stay. */
  claimants: ReadonlySet<string> | null;
}

/** The children that go with their parent. */
export interface DueChildren {
  /** Sets that are still to be marked in the record of the parent, before the first child goes. */
  sets: RemovedSet[];
  /** Of these sets, and of those that are marked already. */
  ids: string[];
}

export interface RetentionPlan<T extends RetentionTask = RetentionTask> {
  /** Tasks that ended long ago, without those that go with their parents. */
  due: T[];
  /** By parents, which are among `due`; none of a parent without. */
  children: ReadonlyMap<string, DueChildren>;
  /** Tasks that did so too, but are still in use, or may be; `why` is a clause for a person. */
  kept: { task: T; why: string }[];
  /** Ids of runs that ended long ago and that no record names. */
  runs: string[];
}

export function planRetention<T extends RetentionTask>(
  view: RetentionView<T>,
  policy: RetentionPolicy,
): RetentionPlan<T> {
  const old = view.tasks.filter(({ record }) => record !== null && isOld(record, policy, view.nowMs));
  const looked = old.map((task) => ({ task, why: whyKept(task, view) }));
  const due = looked.flatMap(({ task, why }) => (why === null ? [task] : []));
  const children = childrenOf(due, view);
  const gone = new Set([...children.values()].flatMap(({ ids }) => ids));
  return {
    due: due.filter(({ task_id }) => !gone.has(task_id)),
    children: new Map([...children].filter(([parent]) => !gone.has(parent))),
    kept: looked.flatMap(({ task, why }) => (why === null ? [] : [{ task, why }])),
    runs: runsToRemove(view, policy),
  };
}

/** How long a task in this state keeps everything, milliseconds; null: for good. */
function keptForMs(state: TaskState, { olderThanMs, failedOlderThanMs }: RetentionPolicy): number | null {
  if (!isTerminal(state)) return null;
  return state === 'failed' ? failedOlderThanMs : olderThanMs;
}

/** A task ended when its record last changed; what a person changes there later only makes it younger. */
function isOld({ state: { state, updated_at } }: TaskSummary, policy: RetentionPolicy, nowMs: number): boolean {
  const keptMs = keptForMs(state, policy);
  return keptMs !== null && nowMs - fromIso(updated_at) >= keptMs;
}

/** Null: nothing keeps it. */
function whyKept({ task_id, record, problem }: RetentionTask, view: RetentionView): string | null {
  if (problem !== null) return problem;
  if (view.worktrees.has(task_id)) return 'it has a worktree';
  if (view.branches.has(task_id)) return 'it has a branch';
  if (record?.lease) return 'it has a lease';
  // What a record without a time reads as.
  return fromIso(record?.state.updated_at ?? '') === 0 ? 'its record does not say when it ended' : null;
}

/** Most children that were not shipped and that the record of their parent has room for. */
const NOT_SHIPPED_MAX = 100;

/** Of shipped parents among `due`, whose children are all due as well, with those that these have made. */
function childrenOf(due: readonly RetentionTask[], view: RetentionView): Map<string, DueChildren> {
  const found = new Map<string, DueChildren>();
  const isDue = new Set(due.map(({ task_id }) => task_id));
  const below = descendantsBySet(view.tasks);
  for (const { task_id, record } of due) {
    if (record?.state.state !== 'shipped') continue;
    const children: DueChildren = { sets: [], ids: [] };
    let room = NOT_SHIPPED_MAX;
    for (const set of sealedBy(record)) {
      const members = below.get(`${task_id}/${set.name}`) ?? [];
      if (set.removed === undefined) {
        const not_shipped = members.every((each) => isDue.has(each.task_id)) ? notShipped(task_id, set, members) : null;
        room -= not_shipped === null ? 0 : Object.keys(not_shipped).length;
        if (not_shipped === null || room < 0) continue;
        children.sets.push({ name: set.name, at: isoTime(view.nowMs), not_shipped });
      } else if (!members.every(isOver)) continue;
      for (const each of members) children.ids.push(each.task_id);
    }
    if (children.ids.length > 0) found.set(task_id, children);
  }
  return found;
}

/** Of what a killed call has left of a set, which may be without a record. */
function isOver({ record }: RetentionTask): boolean {
  return record === null || isTerminal(record.state.state);
}

/** The states of the children of a set that were not shipped, by name; null where not all of them are there, or there are none. */
function notShipped(parent: string, set: Sealed, members: readonly RetentionTask[]): RemovedSet['not_shipped'] | null {
  const own = members.filter((each) => parentOf(each.task_id) === parent);
  if (own.length !== set.children || own.length === 0) return null;
  const states: RemovedSet['not_shipped'] = {};
  for (const { task_id, record } of own)
    if (record !== null && record.state.state !== 'shipped')
      states[task_id.slice(`${parent}/${set.name}/`.length)] = record.state.state;
  return states;
}

/** The tasks below each fan-out, by `<parent>/<fan-out>`. */
function descendantsBySet(tasks: readonly RetentionTask[]): Map<string, RetentionTask[]> {
  const found = new Map<string, RetentionTask[]>();
  for (const task of tasks) {
    for (const ancestor of ancestorsOf(task.task_id)) {
      const [name] = task.task_id.slice(ancestor.length + 1).split('/');
      madeIn(found, `${ancestor}/${name}`, () => []).push(task);
    }
  }
  return found;
}

/** None where the record does not say it in a way that can be read. */
function sealedBy(record: TaskSummary): readonly Sealed[] {
  try {
    return fanOutsOf(record);
  } catch (error) {
    if (error instanceof ForgeError) return [];
    throw error;
  }
}

function runsToRemove({ runs, tasks, claimants, nowMs }: RetentionView, { olderThanMs }: RetentionPolicy): string[] {
  // A record that can't be read may name any run.
  if (claimants === null || tasks.some(({ record, problem }) => record === null && problem !== null)) return [];
  const named = new Set<string | null>(claimants);
  for (const { record } of tasks) {
    named.add(record?.state.updated_by.run_id ?? null);
    named.add(record?.lease?.owner_run_id ?? null);
  }
  const isOver = ({ ended_at }: RunManifest) => ended_at != null && nowMs - fromIso(ended_at) >= olderThanMs;
  return runs.flatMap((run) => (isOver(run) && !named.has(run.run_id) ? [run.run_id] : []));
}

// --- what is kept of a removal ---------------------------------------------------------------------------------------

/** What a task has lost, or is to lose. */
export const PrunedTaskSchema = () => {
  const count = z.int().check(z.gte(0));
  return z.strictObject({
    task_id: z.string(),
    state: z.enum(TASK_STATES),
    /** ISO 8601; null: it goes on, and only loses ticks of its repeats. */
    ended_at: z.nullable(z.string()),
    /** Of which something goes. */
    attempts: count,
    /** Tasks that it has made, which go with all that they have. */
    children: count,
    files: count,
    /** Room on the disk. */
    bytes: count,
  });
};
export type PrunedTask = z.infer<ReturnType<typeof PrunedTaskSchema>>;

/** A line of `claim-history.jsonl`, without its time: it is written before the files go. */
export interface PrunedEntry {
  event: 'pruned';
  attempts: number;
  files: number;
  /** Room on the disk. */
  bytes: number;
  reason: string;
}

export const LOGS_PRUNED = 'its logs were removed by gc --prune';

/** When the files of an attempt were removed, by the history of its task; null: never. ISO 8601. */
export function prunedAt(history: readonly Record<string, unknown>[], dispatchedAt: string): string | null {
  const times = history.flatMap(({ event, ts }) => (event === 'pruned' && typeof ts === 'string' ? [ts] : []));
  return times.find((ts) => fromIso(ts) >= fromIso(dispatchedAt)) ?? null;
}
