/** `heartbeat`: say that the work goes on. */

import { type HeartbeatResult, heartbeatTask } from '../domain/task/operations.ts';
import { instantOf, ttlOf } from '../engine/env.ts';
import { requireUuid } from '../lib/ids.ts';
import { changeKnown } from './shared/reads.ts';
import { type Call, openSession } from './shared/session.ts';

export interface HeartbeatOptions {
  task: string;
  attempt: string;
}

/** Renews the lease of the attempt. Throws LEASE_STOLEN, STALE_ATTEMPT, STATE_NOT_FOUND, TASK_NOT_FOUND. */
export async function heartbeat(call: Call, options: HeartbeatOptions): Promise<HeartbeatResult> {
  const session = openSession(call);
  const attemptId = requireUuid(options.attempt, '--attempt');
  const { result } = await changeKnown(session, options.task, (record) =>
    heartbeatTask(record, { attemptId, ttlMs: ttlOf(session, record), instant: instantOf(session) }),
  );
  return result;
}
