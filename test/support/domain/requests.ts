/** Requests by claimant 1 and by its rival, with defaults for most fields. */

import { RetryPolicy } from '../../../src/domain/retry/retry.ts';
import { type CompleteRequest, completeTask, type Outcome } from '../../../src/domain/task/complete-attempt.ts';
import type { WorkerIdentity } from '../../../src/domain/task/identity.ts';
import {
  type ClaimRequest,
  claimTask,
  type DispatchRequest,
  dispatchTask,
  heartbeatTask,
  releaseTask,
} from '../../../src/domain/task/operations.ts';
import type { TaskRecord, Verdict } from '../../../src/domain/task/records.ts';
import type { Decision } from '../../../src/domain/task/transition.ts';
import { frozen, GRACE_MS, id, instant, OWNER, observer, T0, TTL_MS } from './tasks.ts';

export const CLAIM = id(1);
export const RUN = id(100);
export const ATTEMPT = id(11);
export const OTHER_CLAIM = id(2);
export const OTHER_RUN = id(200);
export const OTHER_ATTEMPT = id(22);
export const STALE_MS = TTL_MS + GRACE_MS;

export function claim(before: TaskRecord, ms = 0, fields: Partial<ClaimRequest> = {}) {
  const who = { claimId: OTHER_CLAIM, runId: OTHER_RUN, ttlMs: TTL_MS, owner: null, abandonLimit: 10 };
  return claimTask(frozen(before), { ...who, instant: instant(ms), observer: observer(ms), ...fields });
}

export function dispatch(before: TaskRecord, fields: Partial<DispatchRequest> = {}) {
  const request = { claimId: CLAIM, runId: RUN, attemptId: ATTEMPT, worker: null, ttlMs: TTL_MS, instant: instant(10) };
  return dispatchTask(frozen(before), { ...request, ...fields });
}

export function heartbeat(before: TaskRecord, ms: number, attemptId = ATTEMPT) {
  return heartbeatTask(frozen(before), { attemptId, ttlMs: TTL_MS, instant: instant(ms) });
}

export const READY: Verdict = { version: 1, verdict: 'ready_for_review', summary: 'done' };
export const GOOD: Outcome = { kind: 'verdict', verdict: READY, written: true };
export const failure = (name: string, message = 'went wrong'): Outcome => ({
  kind: 'failed',
  error: { class: name, message },
});
export const THREE_TRIES = new RetryPolicy({ max_attempts: 3, base: 1000, jitter: 'none' });

export function complete(before: TaskRecord, outcome: Outcome, fields: Partial<CompleteRequest> = {}) {
  return completeTask(frozen(before), {
    attemptId: ATTEMPT,
    outcome,
    policy: THREE_TRIES,
    route: { reviewed: true, shipped: true },
    workerGone: true,
    instant: instant(20),
    random: () => 0.5,
    ...fields,
  });
}

export function release(before: TaskRecord, claimId = CLAIM, fields: { reason?: string; workerGone?: boolean } = {}) {
  return releaseTask(frozen(before), { claimId, workerGone: true, nowMs: T0 + 20, ...fields });
}

/** The record after a decision. Fails when it changes nothing. */
export function next(decision: Decision<unknown>): TaskRecord {
  if (decision.record === null) throw new Error('nothing was changed');
  return decision.record;
}

export const chain = (decision: Decision<unknown>) => decision.moves.map(({ move }) => move);

export const WORKER: WorkerIdentity = { ...OWNER, pgid: 4242, claim_id: CLAIM, attempt_id: ATTEMPT };
