/** `cancel` and `retry`: an operator's word about a task. */

import { cancelTask, type MoveResult, retryTask } from '../core/task-ops.ts';
import { changeTask } from '../store/change.ts';
import { loadPlan } from '../store/project.ts';
import { type Call, openSession, requireRecord, type Session } from './session.ts';

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
  const { result } = await changeTask(session, options.task, (record) => {
    merging = record.state.state === 'merge_pending' && record.lease !== null;
    return cancelTask(record, { reason, nowMs: session.now() });
  });
  // Whoever merges it sees the cancel at his next look; one who is about to move the base does not look any more.
  if (merging) await (await import('../runner/base-branch.ts')).callOff(session, options.task);
  return result;
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
  if (loadPlan(session.layout, session.settings)?.plan.byId.has(taskId) === true) return;
  await requireRecord(session, taskId);
}
