/** `cancel` and `retry`: an operator's word about a task. */

import { cancelTask, type MoveResult, retryTask } from '../domain/task/operations.ts';
import type { TaskRecord } from '../domain/task/records.ts';
import { loadPlan } from '../project/plan-file.ts';
import { changeTask } from '../store/change.ts';
import { requireRecord } from './shared/reads.ts';
import { type Call, openSession, type Session } from './shared/session.ts';

export interface CancelOptions {
  task: string;
  reason?: string | undefined;
}

/** Ends a task for good, whoever works on it; a runner stops its worker within a second. Throws ILLEGAL_TRANSITION, TASK_NOT_FOUND. */
export async function cancel(call: Call, options: CancelOptions): Promise<MoveResult> {
  const session = openSession(call);
  await requireKnown(session, options.task);
  const reason = options.reason ?? null;
  let merging = false;
  const { result, record } = await changeTask(session, options.task, (seen) => {
    merging = seen.state.state === 'merge_pending' && seen.lease !== null;
    return cancelTask(seen, { reason, nowMs: session.now() });
  });
  if (merging) await endMerge(session, record);
  return result;
}

/**
 * Whoever merges the task sees the cancel at his next look; but one who is about to move the base does not look any more, and
 * one who was killed clears nothing away. The task is cancelled whatever comes of this.
 */
async function endMerge(session: Session, record: TaskRecord): Promise<void> {
  const { callOff } = await import('../git/base-branch.ts');
  const { clearScratches } = await import('../git/scratch.ts');
  const { stopFormerWorker } = await import('../engine/attempt/takeover.ts');
  await callOff(session, record.state.task_id);
  try {
    await stopFormerWorker(session, record);
    await clearScratches(session);
  } catch (error) {
    session.warn(error instanceof Error ? error.message : String(error));
  }
}

/** Tries a failed or cancelled task again from the start, or one in backoff now. Throws ILLEGAL_TRANSITION, TASK_NOT_FOUND. */
export async function retry(call: Call, options: { task: string }): Promise<MoveResult> {
  const session = openSession(call);
  await requireKnown(session, options.task);
  const { result } = await changeTask(session, options.task, (record) => retryTask(record, session.now()));
  return result;
}

/** A planned task that nothing has happened to is known too. */
async function requireKnown(session: Session, taskId: string): Promise<void> {
  if (loadPlan(session)?.plan.byId.has(taskId) === true) return;
  await requireRecord(session, taskId);
}
