/**
 * What a request makes of a task's record. Every function here is pure: record and request in, decision out. The store
 * commits a decision only on the version that it was made on, so a decision never meets a record it did not see.
 *
 * A refusal is a thrown ForgeError and changes nothing.
 */

import { crc32 } from './checksum.ts';
import type { ClassifiedError } from './classify.ts';
import { ForgeError } from './errors.ts';
import type { OwnerIdentity, WorkerIdentity } from './identity.ts';
import { type Instant, type LeaseObserver, leaseStanding, newLease, renewed } from './leases.ts';
import type { FailureReason, Lease, TaskRecord, TaskState, TaskStateRecord, Verdict } from './records.ts';
import { type CompositeRetryPolicy, nextRetryState, type RetryPolicy } from './retry.ts';
import { isInFlight, isTerminal, type Move, type Transition, transitions } from './task-state.ts';
import { isoTime } from './time.ts';

/** A line of `claim-history.jsonl`, without its time. */
export interface HistoryEntry {
  event: 'acquired' | 'stolen' | 'released' | 'admin_released';
  claim_id: string;
  run_id: string;
  generation: number;
  from_generation?: number;
  reason?: string;
}

export interface Decision<R> {
  /** The record to commit; null when nothing is to change because the request repeats one that was done before. */
  record: TaskRecord | null;
  /** The moves taken, one log line each. */
  moves: Transition[];
  history: HistoryEntry[];
  result: R;
}

/** The same answer as before, to a request that is repeated. */
function repeated<R>(result: R): Decision<R> {
  return { record: null, moves: [], history: [], result };
}

/** Two decisions as one commit: `next` decides on what `first` leaves. */
export function andThen<A, B>(
  record: TaskRecord,
  first: Decision<A>,
  next: (record: TaskRecord) => Decision<B>,
): Decision<B> {
  const second = next(first.record ?? record);
  return {
    record: second.record ?? first.record,
    moves: [...first.moves, ...second.moves],
    history: [...first.history, ...second.history],
    result: second.result,
  };
}

interface Change {
  moves: readonly Move[];
  lease: Lease | null;
  state?: Partial<TaskStateRecord>;
  memo?: Partial<TaskRecord['memo']>;
  worker?: WorkerIdentity | null;
  /** The claim that makes the change; null for an operator's word. */
  by: Lease | null;
  nowMs: number;
}

/** The one way from a record to the next. Takes the moves by the table, and stamps who and when. */
function changed(record: TaskRecord, change: Change): { record: TaskRecord; moves: Transition[] } {
  const taken = transitions(record.state.task_id, record.state.state, change.moves);
  const generation = Math.max(record.memo.generation, change.lease?.generation ?? 0);
  const state: TaskStateRecord = {
    ...record.state,
    ...change.state,
    state: taken.at(-1)?.to ?? record.state.state,
    updated_at: isoTime(change.nowMs),
    updated_by: {
      run_id: change.by?.owner_run_id ?? null,
      claim_id: change.by?.claim_id ?? null,
      generation: change.by?.generation ?? generation,
    },
  };
  const worker = change.worker === undefined ? record.worker : change.worker;
  const memo = { ...record.memo, ...change.memo, generation };
  return { record: { ...record, state, lease: change.lease, worker, memo }, moves: taken };
}

function endedClaim(lease: Lease, how: string, state: TaskState): TaskRecord['memo']['ended_claim'] {
  return { claim_id: lease.claim_id, how, state };
}

function historyOf(lease: Lease, event: HistoryEntry['event'], reason?: string): HistoryEntry {
  const { claim_id, owner_run_id: run_id, generation } = lease;
  return { event, claim_id, run_id, generation, ...(reason === undefined ? {} : { reason }) };
}

// --- claim -----------------------------------------------------------------------------------------------------------

export interface ClaimRequest {
  claimId: string;
  runId: string;
  /** Milliseconds until the lease runs out without a heartbeat. */
  ttlMs: number;
  /** Who heartbeats the lease from a process of its own; null when nobody can be watched. */
  owner: OwnerIdentity | null;
  instant: Instant;
  observer: LeaseObserver;
  /** A task that was abandoned this often in a row fails instead of being given out again. */
  abandonLimit: number;
}

export interface ClaimResult {
  task_id: string;
  claim_id: string;
  generation: number;
  run_id: string;
  expires_at: string;
}

/**
 * Takes the lease of a task that is free, or whose lease is stale (then abandon and claim are one commit). The result is
 * null when the task was abandoned once too often: then the decision fails it instead.
 * Throws LEASE_EXISTS, LEASE_NOT_EXPIRED (past expiry, within grace), LEASE_STOLEN (this claim has ended already),
 * ILLEGAL_TRANSITION.
 */
export function claimTask(record: TaskRecord, request: ClaimRequest): Decision<ClaimResult | null> {
  const { claimId, runId, instant } = request;
  const { task_id, state } = record.state;
  const held = record.lease;
  if (held?.claim_id === claimId) return repeated(claimResult(task_id, held));
  if (record.memo.ended_claim?.claim_id === claimId) {
    throw new ForgeError(
      'LEASE_STOLEN',
      `claim ${claimId} of task ${task_id} has ended (${record.memo.ended_claim.how})`,
    );
  }
  refuseHeld(record, request.observer);
  const abandoning = isInFlight(state);
  const abandons = record.memo.abandons + (abandoning ? 1 : 0);
  const history: HistoryEntry[] = [];
  if (abandoning && abandons >= request.abandonLimit) return giveUp(record, abandons, instant.nowMs);

  const generation = record.memo.generation + 1;
  const lease = newLease(
    { taskId: task_id, claimId, runId, generation, ttlMs: request.ttlMs, owner: request.owner },
    instant,
  );
  const acquired = historyOf(lease, 'acquired');
  history.push(held === null ? acquired : { ...acquired, event: 'stolen', from_generation: held.generation });
  const next = changed(record, {
    moves: abandoning ? ['abandon', 'claim'] : ['claim'],
    lease,
    state: { next_eligible_at: null },
    memo: { abandons, ...(held === null ? {} : { ended_claim: endedClaim(held, 'stolen', 'abandoned') }) },
    by: lease,
    nowMs: instant.nowMs,
  });
  return { ...next, history, result: claimResult(task_id, lease) };
}

function claimResult(task_id: string, lease: Lease): ClaimResult {
  const { claim_id, generation, owner_run_id: run_id, expires_at } = lease;
  return { task_id, claim_id, generation, run_id, expires_at };
}

/** Throws LEASE_EXISTS or LEASE_NOT_EXPIRED while somebody's lease on the task still counts. */
export function refuseHeld(record: TaskRecord, observer: LeaseObserver): void {
  if (record.lease === null) return;
  const { claim_id, owner_run_id, expires_at, task_id } = record.lease;
  const standing = leaseStanding(record.lease, observer);
  const details = { task_id, claim_id, run_id: owner_run_id, expires_at };
  if (standing.kind === 'live') {
    throw new ForgeError('LEASE_EXISTS', `task ${task_id} is claimed by run ${owner_run_id} until ${standing.until}`, {
      details,
    });
  }
  if (standing.kind === 'grace') {
    const message = `the lease of task ${task_id} ran out at ${expires_at}; it may be taken from ${standing.until} on`;
    throw new ForgeError('LEASE_NOT_EXPIRED', message, { details });
  }
}

/** Ends the loop of a task that no owner survives. */
function giveUp(record: TaskRecord, abandons: number, nowMs: number): Decision<null> {
  const held = record.lease;
  const message = `abandoned ${abandons} times in a row: whoever claims it vanishes`;
  const next = changed(record, {
    moves: ['fail'],
    lease: null,
    state: {
      failure_reason: 'retries_exhausted',
      last_error: { class: 'worker.lost', message },
      last_failed_at: isoTime(nowMs),
      next_eligible_at: null,
    },
    memo: { abandons, ...(held === null ? {} : { ended_claim: endedClaim(held, 'abandoned', 'failed') }) },
    by: null,
    nowMs,
  });
  const history = held === null ? [] : [historyOf(held, 'admin_released', message)];
  return { ...next, history, result: null };
}

// --- dispatch and heartbeat ------------------------------------------------------------------------------------------

export interface DispatchRequest {
  claimId: string;
  runId: string;
  attemptId: string;
  /** The process group that works, gated; null for a worker that forge does not start. An older group must be gone. */
  worker: WorkerIdentity | null;
  ttlMs: number;
  instant: Instant;
}

export interface DispatchResult {
  attempt_id: string;
  attempt_number: number;
}

/**
 * Opens the one attempt of a claim; a repeat returns it.
 * Throws LEASE_STOLEN when the claim does not hold, LEASE_IDENTITY_MISMATCH when it belongs to another run.
 */
export function dispatchTask(record: TaskRecord, request: DispatchRequest): Decision<DispatchResult> {
  const { task_id } = record.state;
  const lease = heldBy(record, request.claimId);
  if (lease.owner_run_id !== request.runId) {
    throw new ForgeError(
      'LEASE_IDENTITY_MISMATCH',
      `claim ${request.claimId} of task ${task_id} belongs to run ${lease.owner_run_id}`,
    );
  }
  if (lease.attempt_id !== null) {
    return repeated({ attempt_id: lease.attempt_id, attempt_number: record.state.attempt_count });
  }
  const attempt_number = record.state.attempt_count + 1;
  const next = changed(record, {
    moves: ['dispatch'],
    lease: { ...renewed(lease, request.ttlMs, request.instant), attempt_id: request.attemptId },
    state: { attempt_count: attempt_number, current_attempt_id: request.attemptId },
    worker: request.worker,
    by: lease,
    nowMs: request.instant.nowMs,
  });
  return { ...next, history: [], result: { attempt_id: request.attemptId, attempt_number } };
}

/** The lease, when `claimId` holds it. Throws LEASE_STOLEN otherwise. */
function heldBy(record: TaskRecord, claimId: string): Lease {
  const { lease } = record;
  if (lease?.claim_id === claimId) return lease;
  const now =
    lease === null
      ? `it is ${record.state.state}`
      : `run ${lease.owner_run_id} has it (generation ${lease.generation})`;
  throw new ForgeError('LEASE_STOLEN', `claim ${claimId} no longer holds task ${record.state.task_id}: ${now}`, {
    details: { task_id: record.state.task_id, claim_id: claimId, state: record.state.state },
  });
}

/** The lease, when `attemptId` works under it. Throws STALE_ATTEMPT (another attempt is current) or LEASE_STOLEN. */
export function workedBy(record: TaskRecord, attemptId: string): Lease {
  const { state, lease } = record;
  if (lease?.attempt_id === attemptId && isInFlight(state.state)) return lease;
  const details = { task_id: state.task_id, attempt_id: attemptId, state: state.state };
  if (state.current_attempt_id !== attemptId) {
    throw new ForgeError('STALE_ATTEMPT', `attempt ${attemptId} is not the current attempt of task ${state.task_id}`, {
      details,
    });
  }
  const now = lease === null ? `the task is ${state.state}` : `run ${lease.owner_run_id} has claimed the task`;
  throw new ForgeError('LEASE_STOLEN', `attempt ${attemptId} of task ${state.task_id} has lost its lease: ${now}`, {
    details,
  });
}

export interface HeartbeatResult {
  task_id: string;
  attempt_id: string;
  generation: number;
  expires_at: string;
}

/** Renews the lease, also after expiry while nobody has taken it. The first heartbeat makes the task running. */
export function heartbeatTask(
  record: TaskRecord,
  { attemptId, ttlMs, instant }: { attemptId: string; ttlMs: number; instant: Instant },
): Decision<HeartbeatResult> {
  const held = workedBy(record, attemptId);
  const lease = renewed(held, ttlMs, instant);
  const moves: Move[] = record.state.state === 'dispatched' ? ['start'] : [];
  const next = changed(record, { moves, lease, by: held, nowMs: instant.nowMs });
  const { generation, expires_at } = lease;
  return {
    ...next,
    history: [],
    result: { task_id: record.state.task_id, attempt_id: attemptId, generation, expires_at },
  };
}

// --- complete --------------------------------------------------------------------------------------------------------

/** How an attempt ended, in its worker's words or by its exit. */
export type Outcome =
  /** `written`: the worker handed in a verdict of its own, which is kept; otherwise it is what a clean exit means. */
  { kind: 'verdict'; verdict: Verdict; written: boolean } | { kind: 'failed'; error: ClassifiedError };

export interface CompleteRequest {
  attemptId: string;
  outcome: Outcome;
  policy: RetryPolicy | CompositeRetryPolicy;
  /** How far a verified task goes without a person. */
  route: { reviewed: boolean; shipped: boolean };
  /** The caller has seen the worker's process group end. */
  workerGone: boolean;
  nowMs: number;
  random: () => number;
}

export interface CompleteResult {
  task_id: string;
  attempt_id: string;
  state: TaskState;
  next_eligible_at: string | null;
  failure_reason: FailureReason | null;
}

/** Names an outcome, so that a repeat of it is told from another one. */
export function outcomeKey(outcome: Outcome): string {
  return `${outcome.kind}:${crc32(JSON.stringify(outcome))}`;
}

/**
 * Ends an attempt: forward by its verdict, or back or out by the policy. A repeat with the same outcome gets the first
 * answer. Throws STALE_ATTEMPT (another attempt, or another outcome for this one) or LEASE_STOLEN.
 */
export function completeTask(record: TaskRecord, request: CompleteRequest): Decision<CompleteResult> {
  const { attemptId, outcome } = request;
  const before = record.memo.completion;
  if (before?.attempt_id === attemptId) {
    if (before.outcome === outcomeKey(outcome)) return repeated(resultOf(record.state.task_id, before));
    throw new ForgeError('STALE_ATTEMPT', `attempt ${attemptId} has already completed with another outcome`, {
      details: { task_id: record.state.task_id, attempt_id: attemptId, state: before.state },
    });
  }
  const lease = workedBy(record, attemptId);
  const ending =
    outcome.kind === 'failed' ? failing(record, request, outcome.error) : judging(record, request, outcome.verdict);
  const start: Move[] = record.state.state === 'dispatched' ? ['start'] : [];
  const next = changed(record, {
    moves: [...start, ...ending.moves],
    lease: null,
    state: ending.state,
    memo: { abandons: 0 },
    ...(request.workerGone ? { worker: null } : {}),
    by: lease,
    nowMs: request.nowMs,
  });
  const completion = {
    attempt_id: attemptId,
    outcome: outcomeKey(outcome),
    state: next.record.state.state,
    next_eligible_at: ending.state.next_eligible_at ?? null,
    failure_reason: ending.state.failure_reason ?? null,
  };
  next.record.memo.completion = completion;
  next.record.memo.ended_claim = endedClaim(lease, 'completed', completion.state);
  return { ...next, history: [historyOf(lease, 'released')], result: resultOf(record.state.task_id, completion) };
}

function resultOf(task_id: string, completion: Omit<CompleteResult, 'task_id'>): CompleteResult {
  const { attempt_id, state, next_eligible_at, failure_reason } = completion;
  return { task_id, attempt_id, state, next_eligible_at, failure_reason };
}

interface Ending {
  moves: Move[];
  state: Partial<TaskStateRecord>;
}

function judging(record: TaskRecord, request: CompleteRequest, verdict: Verdict): Ending {
  if (verdict.verdict !== 'ready_for_review') {
    const message = verdict.summary === '' ? `the worker's verdict is ${verdict.verdict}` : verdict.summary;
    return failing(record, request, { class: `verdict.${verdict.verdict}`, message });
  }
  const moves: Move[] = ['verify'];
  if (request.route.reviewed) moves.push('pass_review');
  if (request.route.reviewed && request.route.shipped) moves.push('ship');
  return { moves, state: { next_eligible_at: null, failure_reason: null } };
}

function failing(record: TaskRecord, request: CompleteRequest, error: ClassifiedError): Ending {
  const { policy, nowMs, random } = request;
  const { failure_count: failureCount, retry_counts: retryCounts } = record.state;
  const decision = nextRetryState({ policy, error, failureCount, retryCounts, nowMs, random });
  const state: Partial<TaskStateRecord> = {
    failure_count: decision.failure_count,
    ...(decision.retry_counts === undefined ? {} : { retry_counts: decision.retry_counts }),
    last_error: { ...error },
    last_failed_at: isoTime(nowMs),
  };
  if (decision.outcome === 'retry') {
    return {
      moves: ['retry_later'],
      state: { ...state, next_eligible_at: decision.next_eligible_at, failure_reason: null },
    };
  }
  return { moves: ['fail'], state: { ...state, next_eligible_at: null, failure_reason: decision.failure_reason } };
}

// --- release, cancel, retry ------------------------------------------------------------------------------------------

export interface MoveResult {
  task_id: string;
  state: TaskState;
}

function here(record: TaskRecord): MoveResult {
  return { task_id: record.state.task_id, state: record.state.state };
}

/**
 * Gives a claim back, uncharged: a claimed task is unclaimed again, a started one awaits its next attempt. A repeat by the
 * claim that was released last gets the same answer. Throws LEASE_STOLEN.
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
  const move: Move = record.state.state === 'claimed' ? 'unclaim' : 'interrupt';
  const next = changed(record, {
    moves: [move],
    lease: null,
    ...(request.workerGone ? { worker: null } : {}),
    by: lease,
    nowMs: request.nowMs,
  });
  next.record.memo.ended_claim = endedClaim(lease, 'released', next.record.state.state);
  return { ...next, history: [historyOf(lease, 'released', request.reason)], result: here(next.record) };
}

/** Takes a task out of the plan's way for good, whoever works on it. Cancelling a cancelled task changes nothing. */
export function cancelTask(
  record: TaskRecord,
  { reason, nowMs }: { reason: string | null; nowMs: number },
): Decision<MoveResult> {
  if (record.state.state === 'cancelled') return repeated(here(record));
  const held = record.lease;
  const next = changed(record, { moves: ['cancel'], lease: null, by: null, nowMs, state: { next_eligible_at: null } });
  const history = held === null ? [] : [historyOf(held, 'admin_released', reason ?? 'cancelled')];
  if (held !== null) next.record.memo.ended_claim = endedClaim(held, 'cancelled', 'cancelled');
  return { ...next, history, result: here(next.record) };
}

/**
 * An operator's word that a task is to be tried again: a failed or cancelled one from the start, one that waits out a
 * backoff now. Throws ILLEGAL_TRANSITION in any other state.
 */
export function retryTask(record: TaskRecord, nowMs: number): Decision<MoveResult> {
  const { state, next_eligible_at } = record.state;
  if (state === 'unclaimed') return repeated(here(record));
  if (state === 'awaiting_respawn') {
    if ((next_eligible_at ?? null) === null) return repeated(here(record));
    const next = changed(record, { moves: [], lease: null, by: null, nowMs, state: { next_eligible_at: null } });
    return { ...next, history: [], result: here(next.record) };
  }
  const next = changed(record, {
    moves: ['reopen'],
    lease: null,
    state: { failure_count: 0, failure_reason: null, last_error: null, last_failed_at: null, next_eligible_at: null },
    memo: { abandons: 0 },
    by: null,
    nowMs,
  });
  delete next.record.state.retry_counts;
  return { ...next, history: [], result: here(next.record) };
}

/** Whether nothing more will happen to the task by itself. */
export function isOver(record: TaskRecord | null): boolean {
  return record !== null && isTerminal(record.state.state);
}
