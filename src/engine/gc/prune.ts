/**
 * Removes what tasks that ended long ago have no use for any more. A plan is made of a look at the tree; each task of it loses its files only
 * if its record still is what the plan has seen. Killed anywhere, it can be run again.
 */

import type { TaskIdentity } from '../../domain/gc/gc-plan.ts';
import {
  type DueChildren,
  type PrunedEntry,
  type PrunedTask,
  planRetention,
  type RetentionPolicy,
  type RetentionView,
} from '../../domain/gc/retention.ts';
import { allBut, inUseBy, trimmed, withoutOldTicks } from '../../domain/gc/surplus.ts';
import type { TaskRecord } from '../../domain/task/records.ts';
import { isTerminal } from '../../domain/task/states.ts';
import { type Decision, repeated } from '../../domain/task/transition.ts';
import { type ErrorCode, ForgeError } from '../../lib/errors.ts';
import { type Room, sumOf } from '../../lib/fs/folders.ts';
import { sizeText } from '../../lib/size.ts';
import { isoTime } from '../../lib/time.ts';
import { changeTask } from '../../store/change.ts';
import type { Leftovers, TaskSummaryRead } from '../../store/port.ts';
import type { Env } from '../env.ts';
import { identityOf, isStill } from './snapshot.ts';

interface DueTask {
  task: PrunedTask;
  identity: TaskIdentity;
  attempts: readonly Leftovers[];
  children: DueChildren;
  /** Ticks from before go, and nothing else, milliseconds since the epoch; null: it is over. */
  ticksBeforeMs: number | null;
}

/** `task_id` null: it is about the runs, or what a killed call has left. */
interface Failure {
  task_id: string | null;
  code: ErrorCode;
  message: string;
}

export interface PrunePlan {
  due: DueTask[];
  kept: { task_id: string; why: string }[];
  runs: string[];
  /** Tasks whose files can't be looked at. */
  failed: Failure[];
}

export interface PruneResult {
  tasks: PrunedTask[];
  runs: string[];
  skipped: { task_id: string; why: string }[];
  failed: Failure[];
}

const NO_CHILDREN: DueChildren = { sets: [], ids: [] };
const CHANGED = 'it has changed since it was looked at';

/** Tasks that have nothing to lose are left out. */
export async function planPrune(
  env: Env,
  view: RetentionView<TaskSummaryRead>,
  policy: RetentionPolicy,
): Promise<PrunePlan> {
  const { due, children, kept, runs } = planRetention(view, policy);
  const plan: PrunePlan = { due: [], kept: [], runs, failed: [] };
  const add = (task_id: string, planned: () => Promise<DueTask | null>) =>
    collecting(plan.failed, task_id, async () => {
      const task = await planned();
      if (task !== null) plan.due.push(task);
    });
  for (const read of due) await add(read.task_id, () => planTask(env, read, children.get(read.task_id) ?? NO_CHILDREN));
  for (const read of view.tasks.filter(isGoingOn))
    await add(read.task_id, () => planTicks(env, read, view.nowMs - policy.olderThanMs));
  for (const { task, why } of kept)
    await collecting(plan.failed, task.task_id, () => {
      if (env.artifacts.leftovers(task.task_id).length > 0) plan.kept.push({ task_id: task.task_id, why });
    });
  return plan;
}

async function planTask(
  { store, artifacts }: Env,
  read: TaskSummaryRead,
  children: DueChildren,
): Promise<DueTask | null> {
  const { task_id } = read;
  const { record, version, origin } = await store.read(task_id);
  if (record === null) return null;
  const attempts = artifacts.leftovers(task_id);
  const next = origin === 'record' ? trimmed(record, children.sets) : null;
  const surplus = store.gc.surplus(task_id, inUseBy(next ?? record, next === null ? version : version + 1));
  const rooms = [...attempts, surplus, store.gc.roomOf(children.ids)];
  if (next === null && attempts.length + surplus.files + surplus.bytes + surplus.attempts + children.ids.length === 0)
    return null;
  const { state, updated_at: ended_at } = record.state;
  const counts = { attempts: Math.max(attempts.length, surplus.attempts), children: children.ids.length };
  return {
    task: { task_id, state, ended_at, ...counts, ...sumOf(rooms) },
    identity: identityOf(read),
    attempts,
    children,
    ticksBeforeMs: null,
  };
}

function isGoingOn({ record, problem }: TaskSummaryRead): boolean {
  return record !== null && problem === null && !isTerminal(record.state.state);
}

/** Null: the task has no repeat with ticks that are old. */
async function planTicks({ store }: Env, read: TaskSummaryRead, ticksBeforeMs: number): Promise<DueTask | null> {
  const { task_id } = read;
  const { record } = await store.read(task_id);
  const without = record && withoutOldTicks(record, ticksBeforeMs);
  if (record === null || without === null) return null;
  const room = store.gc.surplus(task_id, allBut(without.dropped));
  const { state } = record.state;
  const task = { task_id, state, ended_at: null, children: 0, ...room };
  return { task, identity: identityOf(read), attempts: [], children: NO_CHILDREN, ticksBeforeMs };
}

/** One task after the other, the runs at the end. */
export async function applyPrune(env: Env, plan: PrunePlan): Promise<PruneResult> {
  const result: PruneResult = { tasks: [], runs: [], skipped: [], failed: [...plan.failed] };
  for (const due of plan.due) {
    const { task_id } = due.task;
    await collecting(result.failed, task_id, async () => {
      const why = due.ticksBeforeMs === null ? await whyNot(env, due) : null;
      const done =
        why !== null ? null : due.ticksBeforeMs === null ? await pruneTask(env, due) : await pruneTicks(env, due);
      if (done === null) result.skipped.push({ task_id, why: why ?? CHANGED });
      else result.tasks.push(done);
    });
  }
  await collecting(result.failed, null, () => env.store.gc.emptyTrash());
  await collecting(result.failed, null, async () => {
    result.runs.push(...(await env.store.gc.removeRuns(plan.runs)));
  });
  return result;
}

/** A task that fails does not keep the others. */
async function collecting(failed: Failure[], task_id: string | null, work: () => unknown): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof ForgeError)) throw error;
    failed.push({ task_id, code: error.code, message: error.message });
  }
}

/** Why a task keeps its files after all; null: nothing keeps them. */
async function whyNot({ store, ctx }: Env, { task: { task_id }, identity }: DueTask): Promise<string | null> {
  const read = await store.read(task_id, { thorough: true });
  if (read.problem !== null || !isStill(identity, read)) return CHANGED;
  const worker = read.record?.worker ?? null;
  return worker !== null && ctx.liveness(worker) === 'alive' ? 'its worker still runs' : null;
}

/**
 * The history says it first: where files are missing it is always known why. Then the record names no more what is to go, and says what the
 * children came to: from then on they are no tasks of the plan, whatever of them is still there. Null: the task has changed.
 */
async function pruneTask(env: Env, { task, identity, attempts, children }: DueTask): Promise<PrunedTask | null> {
  const { task_id: taskId, files, bytes } = task;
  const reason = `${task.attempts === 1 ? 'an attempt' : `${task.attempts} attempts`}, ${sizeText(bytes)}`;
  const entry: PrunedEntry = { event: 'pruned', attempts: task.attempts, files, bytes, reason };
  await env.eventLog.append({ log: 'claim-history', taskId }, { ts: isoTime(env.now()), ...entry });
  const committed = await commitTrimmed(env, taskId, identity, children);
  if (committed === null) return null;
  const removed: Room[] = attempts.map(({ attempt_id: attemptId }) =>
    env.artifacts.removeLeftovers({ taskId, attemptId }),
  );
  const { record, version } = committed;
  removed.push(await env.store.gc.removeSurplus(taskId, inUseBy(record, version), env.newOp()));
  if (children.ids.length > 0) removed.push(env.store.gc.removeTasks(children.ids, env.newOp()));
  const done = { ...task, ...sumOf(removed) };
  await env.publish([
    { type: 'pruned', task_id: taskId, attempts: done.attempts, files: done.files, bytes: done.bytes },
  ]);
  return done;
}

async function commitTrimmed(
  env: Env,
  taskId: string,
  identity: TaskIdentity,
  { sets }: DueChildren,
): Promise<{ record: TaskRecord; version: number } | null> {
  const { result, record, version } = await changeTask(env, taskId, (current, read): Decision<boolean> => {
    if (!isStill(identity, read)) return repeated(false);
    const next = read.origin === 'record' ? trimmed(current, sets) : null;
    return { record: next, moves: [], history: [], result: true };
  });
  return result ? { record, version } : null;
}

/**
 * The task may be at work meanwhile: it is decided on its record as it is at the commit. Only parts of the journal go that the version before
 * has named, since one that none names yet may be about to be. Those that a killed call leaves go once the task is over.
 */
async function pruneTicks(env: Env, { task, ticksBeforeMs }: DueTask): Promise<PrunedTask | null> {
  const { task_id: taskId } = task;
  const { result } = await changeTask(env, taskId, (current): Decision<readonly string[]> => {
    const without = withoutOldTicks(current, ticksBeforeMs ?? 0);
    if (without === null) return repeated([]);
    return { record: without.record, moves: [], history: [], result: without.dropped };
  });
  if (result.length === 0) return null;
  const room = await env.store.gc.removeSurplus(taskId, allBut(result), env.newOp());
  return { ...task, ...room };
}
