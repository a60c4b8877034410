/**
 * Removes what tasks that ended long ago have no use for any more. A plan is made of a look at the tree; each task of it loses its files only
 * if its record still is what the plan has seen. Killed anywhere, it can be run again.
 */

import type { TaskIdentity } from '../../domain/gc/gc-plan.ts';
import {
  type PrunedEntry,
  planRetention,
  type RetentionPolicy,
  type RetentionView,
} from '../../domain/gc/retention.ts';
import type { TaskState } from '../../domain/task/records.ts';
import { type ErrorCode, ForgeError } from '../../lib/errors.ts';
import { type Room, sumOf } from '../../lib/fs/folders.ts';
import { sizeText } from '../../lib/size.ts';
import { isoTime } from '../../lib/time.ts';
import type { Leftovers, TaskSummaryRead } from '../../store/port.ts';
import type { Env } from '../env.ts';
import { identityOf } from './snapshot.ts';

/** What a task has lost, or is to lose. */
export interface PrunedTask extends Room {
  task_id: string;
  state: TaskState;
  /** ISO 8601. */
  ended_at: string;
  attempts: number;
}

interface DueTask {
  task: PrunedTask;
  identity: TaskIdentity;
  attempts: readonly Leftovers[];
}

/** `task_id` null: it is about the runs. */
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

/** Tasks that have nothing to lose are left out. */
export async function planPrune(
  { artifacts }: Env,
  view: RetentionView<TaskSummaryRead>,
  policy: RetentionPolicy,
): Promise<PrunePlan> {
  const { due, kept, runs } = planRetention(view, policy);
  const plan: PrunePlan = { due: [], kept: [], runs, failed: [] };
  for (const read of due) {
    const { task_id, record } = read;
    await collecting(plan.failed, task_id, () => {
      const attempts = artifacts.leftovers(task_id);
      if (attempts.length === 0 || record === null) return;
      const { state, updated_at: ended_at } = record.state;
      const task = { task_id, state, ended_at, attempts: attempts.length, ...sumOf(attempts) };
      plan.due.push({ task, identity: identityOf(read), attempts });
    });
  }
  for (const { task, why } of kept)
    await collecting(plan.failed, task.task_id, () => {
      if (artifacts.leftovers(task.task_id).length > 0) plan.kept.push({ task_id: task.task_id, why });
    });
  return plan;
}

/** One task after the other, the runs at the end. */
export async function applyPrune(env: Env, plan: PrunePlan): Promise<PruneResult> {
  const result: PruneResult = { tasks: [], runs: [], skipped: [], failed: [...plan.failed] };
  for (const due of plan.due) {
    const { task_id } = due.task;
    await collecting(result.failed, task_id, async () => {
      const why = await whyNot(env, due);
      if (why === null) result.tasks.push(await pruneTask(env, due));
      else result.skipped.push({ task_id, why });
    });
  }
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
  const now = identityOf(read);
  if (read.problem !== null || now.version !== identity.version || now.digest !== identity.digest)
    return 'it has changed since it was looked at';
  const worker = read.record?.worker ?? null;
  return worker !== null && ctx.liveness(worker) === 'alive' ? 'its worker still runs' : null;
}

/** The history says it first: where files are missing it is always known why. */
async function pruneTask(env: Env, { task, attempts }: DueTask): Promise<PrunedTask> {
  const { task_id: taskId } = task;
  const { files, bytes } = task;
  const reason = `${attempts.length === 1 ? 'an attempt' : `${attempts.length} attempts`}, ${sizeText(bytes)}`;
  const entry: PrunedEntry = { event: 'pruned', attempts: attempts.length, files, bytes, reason };
  await env.eventLog.append({ log: 'claim-history', taskId }, { ts: isoTime(env.now()), ...entry });
  const removed = attempts.map(({ attempt_id: attemptId }) => env.artifacts.removeLeftovers({ taskId, attemptId }));
  const done = { ...task, ...sumOf(removed) };
  await env.publish([
    { type: 'pruned', task_id: taskId, attempts: done.attempts, files: done.files, bytes: done.bytes },
  ]);
  return done;
}
