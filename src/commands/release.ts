/** `release`: give a claim back, uncharged. */

import { type MoveResult, releaseTask } from '../domain/task/operations.ts';
import { requireUuid } from '../lib/ids.ts';
import { changeKnown } from './shared/reads.ts';
import { type Call, openSession } from './shared/session.ts';

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
