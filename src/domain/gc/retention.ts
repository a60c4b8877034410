/**
 * What `gc --prune` removes: of which tasks the files that only serve to look back, and which runs. Records and documents stay.
 *
 * Pure: the same look at the tree leads to the same plan. What a task may also leave behind one day (ticks of repeats, children) has its
 * place here: it goes with the task that is due.
 */

import { fromIso } from '../../lib/time.ts';
import type { RunManifest, TaskState, TaskSummary } from '../task/records.ts';
import { isTerminal } from '../task/states.ts';

export interface RetentionPolicy {
  /** How long shipped and cancelled tasks keep everything after they have ended, and ended runs; milliseconds. */
  olderThanMs: number;
  /** The same of failed tasks; null: for good. */
  failedOlderThanMs: number | null;
}

export const DEFAULT_RETENTION: RetentionPolicy = { olderThanMs: 90 * 86_400_000, failedOlderThanMs: null };

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

export interface RetentionPlan<T extends RetentionTask = RetentionTask> {
  /** Tasks that ended long ago. */
  due: T[];
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
  return {
    due: looked.flatMap(({ task, why }) => (why === null ? [task] : [])),
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
