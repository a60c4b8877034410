/** `release`: give a claim back, uncharged. */

import { requireUuid } from '../core/ids.ts';
import { type MoveResult, releaseTask } from '../core/task-ops.ts';
import { type Call, changeKnown, openSession } from './session.ts';

export interface ReleaseOptions {
  task: string;
  claim: string;
}

/** Throws LEASE_STOLEN, STATE_NOT_FOUND, TASK_NOT_FOUND. */
export async function release(call: Call, options: ReleaseOptions): Promise<MoveResult> {
  const session = openSession(call);
  const claimId = requireUuid(options.claim, '--claim');
  const { result } = await changeKnown(session, options.task, (record) =>
    releaseTask(record, { claimId, workerGone: false, nowMs: session.now() }),
  );
  return result;
}
