/**
 * Review and merge of a task whose own work is done, each under a lease like any other. Pure, like
 * `domain/task/operations.ts`.
 */

import type { ForgeError } from '../../lib/errors.ts';
import type { ClassifiedError } from '../retry/classify.ts';
import { type Charge, type Ending, failing } from '../task/complete-attempt.ts';
import type { Instant } from '../task/deadlines.ts';
import type { OwnerIdentity, WorkerIdentity } from '../task/identity.ts';
import { type LeaseObserver, newLease, renewed } from '../task/leases.ts';
import { refuseHeld } from '../task/operations.ts';
import type { FailureReason, Lease, TaskRecord, TaskState } from '../task/records.ts';
import { type IntegrationPhase, type Move, phaseDue } from '../task/states.ts';
import { changed, type Decision, heldBy, moved, refusal } from '../task/transition.ts';

export interface TakeUpRequest {
  phase: IntegrationPhase;
  claimId: string;
  /** Of the attempt that the review or the merge is. */
  attemptId: string;
  runId: string;
  /** Milliseconds. */
  ttlMs: number;
  owner: OwnerIdentity;
  instant: Instant;
  observer: LeaseObserver;
}

/**
 * Takes the lease of a task that waits for a review or a merge, and opens the attempt that does it.
 * Throws ILLEGAL_TRANSITION (it does not wait for that), LEASE_EXISTS, LEASE_NOT_EXPIRED.
 */
export function takeUp(record: TaskRecord, request: TakeUpRequest): Decision<Lease> {
  const { phase, claimId, attemptId, runId, ttlMs, owner, instant } = request;
  const { task_id, state } = record.state;
  if (phaseDue(state) !== phase) throw notDue(record, phase);
  refuseHeld(record, request.observer);
  const generation = record.memo.generation + 1;
  const claimed = newLease({ taskId: task_id, claimId, runId, generation, ttlMs, owner }, instant);
  const lease = { ...claimed, attempt_id: attemptId };
  return changed(record, lease, {
    moves: state === 'reviewed' ? ['queue_merge'] : [],
    lease,
    ends: { how: 'stolen', state },
    by: lease,
    nowMs: instant.nowMs,
  });
}

function notDue(record: TaskRecord, phase: IntegrationPhase): ForgeError {
  const { task_id, state } = record.state;
  const what = phase === 'review' ? 'reviewed' : 'merged';
  const hint = `See what waits with \`forge orchestrate phases --ready --phase ${phase}\`.`;
  return refusal(
    'ILLEGAL_TRANSITION',
    record,
    `task ${task_id} is ${state}, so there is nothing to be ${what}`,
    {},
    hint,
  );
}

/** Records the process group that is about to work under `claimId`, and renews the lease. Throws LEASE_STOLEN. */
export function noteWorker(
  record: TaskRecord,
  noted: { claimId: string; worker: WorkerIdentity | null; ttlMs: number; instant: Instant },
): Decision<null> {
  const { worker, instant } = noted;
  const held = heldBy(record, noted.claimId);
  const lease = renewed(held, noted.ttlMs, instant);
  return changed(record, null, { moves: [], lease, worker, by: held, nowMs: instant.nowMs });
}

export interface Finished {
  task_id: string;
  state: TaskState;
  next_eligible_at: string | null;
  failure_reason: FailureReason | null;
  /** Attempts at the task's own work so far. */
  attempts: number;
}

/** The review passed. `shipped`: there is nothing to merge, so the task is done. Throws LEASE_STOLEN. */
export function passReview(
  record: TaskRecord,
  { claimId, shipped, nowMs }: { claimId: string; shipped: boolean; nowMs: number },
): Decision<Finished> {
  return putDown(record, claimId, {
    moves: shipped ? ['pass_review', 'ship'] : ['pass_review'],
    how: 'reviewed',
    nowMs,
  });
}

/** The base has the work. Throws LEASE_STOLEN. */
export function shipTask(
  record: TaskRecord,
  { claimId, nowMs }: { claimId: string; nowMs: number },
): Decision<Finished> {
  return putDown(record, claimId, { moves: ['ship'], how: 'shipped', nowMs });
}

/** The task needs another attempt, or has failed, by the policy; charged once. Throws LEASE_STOLEN. */
export function sendBack(
  record: TaskRecord,
  request: Charge & { claimId: string; error: ClassifiedError },
): Decision<Finished> {
  const ending = failing(record, request, request.error);
  const moves = ending.moves.map((move): Move => (move === 'retry_later' ? 'send_back' : move));
  return putDown(record, request.claimId, { ...ending, moves, how: 'sent back', nowMs: request.instant.nowMs });
}

function putDown(
  record: TaskRecord,
  claimId: string,
  { moves, how, nowMs, state, memo }: { moves: readonly Move[]; how: string; nowMs: number } & Partial<Ending>,
): Decision<Finished> {
  const lease = heldBy(record, claimId);
  const next = moved(record, {
    moves,
    lease: null,
    worker: null,
    state: { next_eligible_at: null, ...state },
    memo: { ...memo },
    ends: { how },
    by: lease,
    nowMs,
  });
  const { next_eligible_at = null, failure_reason = null, attempt_count: attempts } = next.record.state;
  return { ...next, result: { ...next.result, next_eligible_at, failure_reason, attempts } };
}
