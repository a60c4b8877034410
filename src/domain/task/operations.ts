/**
 * Decides what a request does to a task's record. Pure: record and request in, decision out. The store commits a decision only on
 * the version that it was made on, so a decision never applies to a record it did not see.
 *
 * A refusal is a thrown ForgeError and changes nothing.
 */

import * as z from 'zod/mini';
import { ForgeError } from '../../lib/errors.ts';
import { isoTime } from '../../lib/time.ts';
import { clearedLedger, closedLedger } from '../question/questions.ts';
import { journalAfterCharge } from '../steps/journal.ts';
import { parkedText } from '../steps/parking.ts';
import { NO_WORKTREE, startEvidence, type Work } from '../verify/evidence.ts';
import { rerunBegun } from './by-hand.ts';
import type { Instant } from './deadlines.ts';
import type { OwnerIdentity, WorkerIdentity } from './identity.ts';
import { type LeaseObserver, leaseStanding, newLease, renewed, unseenOwner } from './leases.ts';
import type { Lease, TaskRecord, TaskSummary } from './records.ts';
import { spendingAfterRetry } from './spending.ts';
import { isClaimable, isInFlight, isTerminal, type Move, phaseDue } from './states.ts';
import {
  changed,
  type Decision,
  heldBy,
  type MoveResult,
  moved,
  movedAnew,
  moveResultOf,
  refusal,
  repeated,
  starting,
  workedBy,
} from './transition.ts';

// --- claim -----------------------------------------------------------------------------------------------------------

export interface ClaimRequest {
  claimId: string;
  runId: string;
  /** Milliseconds until the lease expires without a heartbeat. */
  ttlMs: number;
  /** The process that renews the lease by itself; null when there is none to watch. */
  owner: OwnerIdentity | null;
  instant: Instant;
  observer: LeaseObserver;
  /** A task that was abandoned this often in a row fails instead of being given out again. */
  abandonLimit: number;
  /** Whether the claim may not be dispatched before its overlap check. Default: false. */
  unchecked?: boolean;
  /** The task's `definitionOf`, for a claim whose owner is to do the work. Default: as it was. */
  definition?: string;
  /** The coding agent that a run starts for it, for a claim with a definition; absent: another worker. */
  agent?: string | null;
}

export const ClaimResultSchema = () =>
  z.strictObject({
    task_id: z.string(),
    claim_id: z.string(),
    generation: z.int().check(z.gte(0)),
    run_id: z.string(),
    expires_at: z.string(),
  });
type ClaimResult = z.infer<ReturnType<typeof ClaimResultSchema>>;

/**
 * Takes the lease of a task that is free, or whose lease is stale (abandon and claim are one commit then). The result is null
 * when the task reached its limit of abandonments: then the decision fails it instead.
 * Throws LEASE_EXISTS, LEASE_NOT_EXPIRED (past expiry, within grace), LEASE_STOLEN (this claim has ended already),
 * ILLEGAL_TRANSITION.
 */
export function claimTask(record: TaskRecord, request: ClaimRequest): Decision<ClaimResult | null> {
  const { claimId, runId, instant } = request;
  const { task_id, state } = record.state;
  const held = record.lease;
  if (held?.claim_id === claimId) return repeated(claimResult(task_id, held));
  const ended = record.memo.ended_claim;
  // A claim that yielded was refused, and a refused request may be repeated.
  if (ended?.claim_id === claimId && ended.how !== 'yielded') {
    throw new ForgeError('LEASE_STOLEN', `claim ${claimId} of task ${task_id} has ended (${ended.how})`);
  }
  refuseHeld(record, request.observer);
  const abandoning = isInFlight(state);
  const abandons = record.memo.abandons + (abandoning ? 1 : 0);
  if (abandoning && abandons >= request.abandonLimit) return giveUp(record, abandons, instant.nowMs);

  const generation = record.memo.generation + 1;
  const { ttlMs, owner, definition, agent = null, unchecked = false } = request;
  const worker =
    definition === undefined ? {} : { definition, ...(agent === (record.memo.agent ?? null) ? {} : { agent }) };
  const lease = newLease({ taskId: task_id, claimId, runId, generation, ttlMs, owner, unchecked }, instant);
  return changed(record, claimResult(task_id, lease), {
    moves: abandoning ? ['abandon', 'claim'] : ['claim'],
    lease,
    state: { next_eligible_at: null },
    memo: { abandons, ...worker },
    ends: { how: 'stolen', state: 'abandoned' },
    by: lease,
    nowMs: instant.nowMs,
  });
}

function claimResult(task_id: string, lease: Lease): ClaimResult {
  const { claim_id, generation, owner_run_id: run_id, expires_at } = lease;
  return { task_id, claim_id, generation, run_id, expires_at };
}

/** Throws LEASE_EXISTS or LEASE_NOT_EXPIRED while the task's lease still counts. */
export function refuseHeld(record: TaskSummary, observer: LeaseObserver): void {
  if (record.lease === null) return;
  const { claim_id, owner_run_id, expires_at, task_id } = record.lease;
  const standing = leaseStanding(record.lease, observer);
  const details = { task_id, claim_id, run_id: owner_run_id, expires_at };
  if (standing.kind === 'stale') return;
  const unseen = unseenOwner(record.lease, observer);
  if (standing.kind === 'live') {
    const message = `task ${task_id} is claimed by run ${owner_run_id} until ${standing.until}${unseen}`;
    throw new ForgeError('LEASE_EXISTS', message, { details });
  }
  const message = `the lease of task ${task_id} ran out at ${expires_at}; it may be taken from ${standing.until} on`;
  throw new ForgeError('LEASE_NOT_EXPIRED', message + unseen, { details });
}

/**
 * Takes an in-flight task from an owner that is gone, without giving it to another; at the limit of abandonments it fails. Null
 * when it is not in flight, or when its lease still counts.
 */
export function abandonTask(
  record: TaskRecord,
  { observer, abandonLimit, reason }: { observer: LeaseObserver; abandonLimit: number; reason: string },
): Decision<null> | null {
  const held = record.lease;
  if (!isInFlight(record.state.state)) return null;
  if (held !== null && leaseStanding(held, observer).kind !== 'stale') return null;
  const abandons = record.memo.abandons + 1;
  if (abandons >= abandonLimit) return giveUp(record, abandons, observer.nowMs);
  return changed(record, null, {
    moves: ['abandon'],
    lease: null,
    memo: { abandons },
    ends: { how: 'abandoned', reason },
    by: null,
    nowMs: observer.nowMs,
  });
}

/** Fails a task whose every owner vanishes. */
function giveUp(record: TaskRecord, abandons: number, nowMs: number): Decision<null> {
  const message = `abandoned ${abandons} times in a row: its owners vanish`;
  return changed(record, null, {
    moves: ['fail'],
    lease: null,
    state: {
      failure_reason: 'retries_exhausted',
      last_error: { class: 'worker.lost', message },
      last_failed_at: isoTime(nowMs),
      next_eligible_at: null,
    },
    memo: { abandons },
    ends: { how: 'abandoned', reason: message },
    by: null,
    nowMs,
  });
}

// --- dispatch and heartbeat ------------------------------------------------------------------------------------------

export interface DispatchRequest {
  claimId: string;
  runId: string;
  attemptId: string;
  /** The worker's process group, behind its gate; null for a worker that forge does not start. An older group must be gone. */
  worker: WorkerIdentity | null;
  ttlMs: number;
  instant: Instant;
  /** Whether the overlap check of an unchecked claim has passed. Default: false. */
  looked?: boolean;
  /** Where the work is done, and for which branch. Default: in the project, for none. */
  work?: Work;
}

export interface DispatchResult {
  attempt_id: string;
  attempt_number: number;
}

/**
 * Opens the one attempt of a claim; a repeat returns it.
 * Throws LEASE_STOLEN when the claim does not hold, LEASE_IDENTITY_MISMATCH when it belongs to another run, OVERLAP_CONFLICT
 * before the overlap check.
 */
export function dispatchTask(record: TaskRecord, request: DispatchRequest): Decision<DispatchResult> {
  const { task_id } = record.state;
  const lease = heldBy(record, request.claimId);
  if (lease.owner_run_id !== request.runId) {
    throw new ForgeError(
      'LEASE_IDENTITY_MISMATCH',
      `claim ${request.claimId} of task ${task_id} belongs to run ${lease.owner_run_id}, not to run ${request.runId}`,
      {
        details: { task_id, claim_id: request.claimId, run_id: lease.owner_run_id },
        hint: `Name the run that the claim was made under: --run ${lease.owner_run_id}.`,
      },
    );
  }
  if (lease.attempt_id !== null) {
    return repeated({ attempt_id: lease.attempt_id, attempt_number: record.state.attempt_count });
  }
  const { overlap_unchecked: unchecked, ...checked } = lease;
  if (unchecked === true && request.looked !== true) {
    throw new ForgeError('OVERLAP_CONFLICT', `it is not known yet who else writes the files of task ${task_id}`, {
      details: { task_id },
    });
  }
  const attempt_number = record.state.attempt_count + 1;
  const result = { attempt_id: request.attemptId, attempt_number };
  return changed(record, result, {
    moves: ['dispatch'],
    lease: { ...renewed(checked, request.ttlMs, request.instant), attempt_id: request.attemptId },
    state: { attempt_count: attempt_number, current_attempt_id: request.attemptId },
    memo: { ...startEvidence(request.attemptId, request.work ?? NO_WORKTREE), ...rerunBegun(record) },
    worker: request.worker,
    by: lease,
    nowMs: request.instant.nowMs,
  });
}

export interface HeartbeatResult {
  task_id: string;
  attempt_id: string;
  generation: number;
  expires_at: string;
}

/**
 * Renews the lease, also after expiry until another claim has taken it. The first heartbeat makes the task running. With `claimId`
 * the claim renews it: before its attempt is open, or while it finishes the verification of an earlier one.
 */
export function heartbeatTask(
  record: TaskRecord,
  request: { attemptId: string; claimId?: string | undefined; ttlMs: number; instant: Instant },
): Decision<HeartbeatResult> {
  const { attemptId, claimId, ttlMs, instant } = request;
  const held = claimId === undefined ? workedBy(record, attemptId) : heldBy(record, claimId);
  const lease = renewed(held, ttlMs, instant);
  const { generation, expires_at } = lease;
  const result = { task_id: record.state.task_id, attempt_id: attemptId, generation, expires_at };
  return changed(record, result, { moves: starting(record), lease, by: held, nowMs: instant.nowMs });
}

// --- release, cancel, retry ------------------------------------------------------------------------------------------

/**
 * Gives a task back, uncharged: a claimed one becomes unclaimed, a started one awaits its next attempt, and one under review or
 * merge waits for that again. A repeat by the claim that was released last gets the same answer. Throws LEASE_STOLEN.
 */
export function releaseTask(
  record: TaskRecord,
  request: { claimId: string; reason?: string; workerGone: boolean; nowMs: number },
): Decision<MoveResult> {
  const ended = record.memo.ended_claim;
  if (ended?.claim_id === request.claimId && ended.how === 'released') {
    return repeated({ task_id: record.state.task_id, state: ended.state });
  }
  const lease = heldBy(record, request.claimId);
  const { state } = record.state;
  const move: Move = state === 'claimed' ? 'unclaim' : 'interrupt';
  return moved(record, {
    // A review or a merge that is given up leaves the state unchanged.
    moves: phaseDue(state) !== null ? [] : [move],
    lease: null,
    ...(request.workerGone ? { worker: null } : {}),
    ends: { how: 'released', reason: request.reason },
    by: lease,
    nowMs: request.nowMs,
  });
}

/** Ends a task for good, also one in flight. Cancelling a cancelled task changes nothing. */
export function cancelTask(
  record: TaskRecord,
  { reason, nowMs, above }: { reason: string | null; nowMs: number; above?: string | undefined },
): Decision<MoveResult> {
  const { task_id, state } = record.state;
  if (state === 'cancelled') return repeated(moveResultOf(record));
  if (isTerminal(state)) {
    const message = `task ${task_id} is ${state} already: there is nothing to cancel`;
    const hint = 'See where it stands with `forge orchestrate show <task>`.';
    throw refusal('ILLEGAL_TRANSITION', record, message, { move: 'cancel' }, hint);
  }
  return moved(record, {
    moves: ['cancel'],
    lease: null,
    state: { next_eligible_at: null },
    memo: { ...closedLedger(record), ...(above === undefined ? {} : { cancelled_with: above }) },
    ends: { how: 'cancelled', reason: reason ?? 'cancelled' },
    by: null,
    nowMs,
  });
}

/**
 * Retries a task on a person's request: a failed or cancelled one from the start, one in backoff now. Its budget begins anew. Throws
 * ILLEGAL_TRANSITION in any other state.
 */
export function retryTask(record: TaskRecord, nowMs: number): Decision<MoveResult> {
  const { task_id, state, next_eligible_at } = record.state;
  if (state === 'waiting') {
    const message = `task ${task_id} is waiting: ${parkedText(record.state)}`;
    const tried = record.state.waits_for?.find(({ kind }) => kind === 'step');
    const now = tried && `; \`forge orchestrate steps ${task_id} --reset ${tried.name}\` has that step tried now`;
    const hint = `It goes on by itself${now ?? ''}; to start again, end it first with \`forge orchestrate cancel ${task_id}\`.`;
    throw refusal('ILLEGAL_TRANSITION', record, message, { move: 'reopen' }, hint);
  }
  if (isClaimable(state)) {
    const memo = spendingAfterRetry(record);
    if ((next_eligible_at ?? null) === null && memo.spending === undefined) return repeated(moveResultOf(record));
    return moved(record, { moves: [], lease: null, by: null, nowMs, state: { next_eligible_at: null }, memo });
  }
  if (state !== 'failed' && state !== 'cancelled') {
    const message = `task ${task_id} is ${state}: only one that has failed, was cancelled or waits out a backoff can be tried again`;
    const hint = isTerminal(state)
      ? `Do it again from the start with \`forge orchestrate rerun ${task_id}\`.`
      : 'To start again, end it first with `forge orchestrate cancel <task>`.';
    throw refusal('ILLEGAL_TRANSITION', record, message, { move: 'reopen' }, hint);
  }
  const memo = { ...clearedLedger(record), ...spendingAfterRetry(record), ...journalAfterCharge(record) };
  const next = movedAnew(record, { moves: ['reopen'], memo, nowMs });
  delete next.record.memo.cancelled_with;
  return next;
}
