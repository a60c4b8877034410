/** What every decision about a task's record is made of: the owner of the task, and the change from a record to the next. */

import { type ErrorCode, ForgeError } from '../../lib/errors.ts';
import { isoTime } from '../../lib/time.ts';
import type { WorkerIdentity } from './identity.ts';
import type { Lease, NewDocument, TaskRecord, TaskState, TaskStateRecord } from './records.ts';
import { isInFlight, type Move, phaseDue, type Transition, transitions } from './states.ts';

/** A line of `claim-history.jsonl`, without its time. */
export type HistoryEntry = ClaimEntry | PersonEntry;

/** What a person has made of the task while none held it. */
interface PersonEntry {
  event: 'rerun' | 'done_by_hand';
  /** The largest fencing generation until then. */
  generation: number;
  reason?: string;
}

/** The outcome of an attempt at the work. */
interface WorkOutcome {
  outcome: 'passed' | 'failed';
  /** Of its failure. */
  class?: string;
}

interface ClaimEntry extends Partial<WorkOutcome> {
  event: 'acquired' | 'stolen' | 'released' | 'admin_released';
  claim_id: string;
  run_id: string;
  generation: number;
  from_generation?: number;
  /** The row of gc by which it was released. */
  row?: number;
  reason?: string;
}

export interface Decision<R> {
  /** The record to commit; null when the request repeats an earlier one and nothing changes. */
  record: TaskRecord | null;
  /** What is created with the record, or without one where that stays as it is. Default: nothing. */
  documents?: readonly NewDocument[];
  /** The entries of its journal that are all by which the record differs; nothing is created then. Absent: it differs in more. */
  added?: readonly object[];
  /** The moves taken, one log line each. */
  moves: Transition[];
  history: HistoryEntry[];
  result: R;
}

export interface MoveResult {
  task_id: string;
  state: TaskState;
}

export function moveResultOf({ state }: TaskRecord): MoveResult {
  return { task_id: state.task_id, state: state.state };
}

/** The first answer again, for a repeated request. */
export function repeated<R>(result: R): Decision<R> {
  return { record: null, moves: [], history: [], result };
}

/** Two decisions as one commit: `next` decides on the result of `first`. */
export function andThen<A, B>(
  record: TaskRecord,
  first: Decision<A>,
  next: (record: TaskRecord) => Decision<B>,
): Decision<B> {
  const second = next(first.record ?? record);
  return {
    record: second.record ?? first.record,
    documents: [...(first.documents ?? []), ...(second.documents ?? [])],
    moves: [...first.moves, ...second.moves],
    history: [...first.history, ...second.history],
    result: second.result,
  };
}

export interface Change {
  moves: readonly Move[];
  lease: Lease | null;
  state?: Partial<TaskStateRecord>;
  memo?: Partial<TaskRecord['memo']>;
  worker?: WorkerIdentity | null;
  /** How and why the claim ends that holds the task, and the outcome of its attempt. `state`: default: the new one. Default: it does not end, or none holds it. */
  ends?: { how: string; state?: TaskState; reason?: string | undefined; outcome?: WorkOutcome };
  /** The claim that makes the change; null for a person's request. */
  by: Lease | null;
  nowMs: number;
}

/** A verification survives these moves. Any other move ends it. */
const KEEPS_VERIFICATION: readonly Move[] = ['start', 'unclaim', 'interrupt', 'abandon', 'claim'];

/** What held a task holds it still after these moves. */
const KEEPS_HELD: readonly Move[] = ['claim', 'unclaim'];

/** Makes the next record: applies the moves by the table, and sets who changed it, when, and which claim has ended. */
export function changed<R>(record: TaskRecord, result: R, change: Change): Decision<R> & { record: TaskRecord } {
  const { lease, by, ends } = change;
  const moves = transitions(record.state.task_id, record.state.state, change.moves);
  const generation = Math.max(record.memo.generation, lease?.generation ?? 0);
  const state: TaskStateRecord = {
    ...record.state,
    ...change.state,
    state: moves.at(-1)?.to ?? record.state.state,
    updated_at: isoTime(change.nowMs),
    updated_by: {
      run_id: by?.owner_run_id ?? null,
      claim_id: by?.claim_id ?? null,
      generation: by?.generation ?? generation,
    },
  };
  const worker = change.worker === undefined ? record.worker : change.worker;
  const memo = { ...record.memo, ...change.memo, generation };
  if (record.lease !== null && ends !== undefined) {
    memo.ended_claim = { claim_id: record.lease.claim_id, how: ends.how, state: ends.state ?? state.state };
  }
  if (!change.moves.every((move) => KEEPS_VERIFICATION.includes(move))) delete memo.verification;
  if (!change.moves.every((move) => KEEPS_HELD.includes(move))) delete memo.held;
  // A review that begins, or is given up, is no move.
  if (change.moves.length > 0) delete memo.review_hold;
  if (change.moves.length > 0 && state.state !== 'waiting') {
    delete state.wake_at;
    delete state.waits_for;
  }
  return { record: { ...record, state, lease, worker, memo }, moves, history: historyOf(record.lease, change), result };
}

/** `changed`, whose result is where the task stands after it. */
export function moved(record: TaskRecord, change: Change): Decision<MoveResult> & { record: TaskRecord } {
  const next = changed(record, null, change);
  return { ...next, result: moveResultOf(next.record) };
}

/** `moved` for a task that a person has begin anew: no failure of before counts, and none holds it. */
export function movedAnew(record: TaskRecord, change: Omit<Change, 'lease' | 'by'>): ReturnType<typeof moved> {
  const none = {
    failure_count: 0,
    failure_reason: null,
    last_error: null,
    last_failed_at: null,
    next_eligible_at: null,
  };
  const memo = { abandons: 0, ...change.memo };
  const next = moved(record, { ...change, lease: null, by: null, state: { ...none, ...change.state }, memo });
  delete next.record.state.retry_counts;
  delete next.record.state.waited;
  return next;
}

/** What the history says of a change: that a claim has taken the task, or that the one that had it has ended. */
function historyOf(held: Lease | null, { lease, by, ends }: Change): HistoryEntry[] {
  const entry = ({ claim_id, owner_run_id: run_id, generation }: Lease) => ({ claim_id, run_id, generation });
  if (by !== null && by === lease && by.claim_id !== held?.claim_id) {
    if (held === null) return [{ event: 'acquired', ...entry(by) }];
    return [{ event: 'stolen', ...entry(by), from_generation: held.generation }];
  }
  if (held === null || ends === undefined) return [];
  const { reason, outcome } = ends;
  const event = by === null ? 'admin_released' : 'released';
  return [{ event, ...entry(held), ...outcome, ...(reason === undefined ? {} : { reason }) }];
}

/** What begins the work of a task that is only dispatched. */
export function starting({ state }: TaskRecord): Move[] {
  return state.state === 'dispatched' ? ['start'] : [];
}

/** An error about a task, whose id and state are among the details. */
export function refusal(code: ErrorCode, { state }: TaskRecord, message: string, details: object = {}, hint?: string) {
  return new ForgeError(code, message, {
    details: { task_id: state.task_id, state: state.state, ...details },
    hint,
  });
}

/** The lease, when `claimId` holds it. Throws LEASE_STOLEN. */
export function heldBy(record: TaskRecord, claimId: string): Lease {
  const { lease, state } = record;
  if (lease?.claim_id === claimId) return lease;
  const now =
    lease === null ? `it is ${state.state}` : `run ${lease.owner_run_id} has it (generation ${lease.generation})`;
  const message = `claim ${claimId} no longer holds task ${state.task_id}: ${now}`;
  throw refusal('LEASE_STOLEN', record, message, { claim_id: claimId });
}

/** The lease, when `attemptId` works under it, on the task, its review or its merge. Throws STALE_ATTEMPT (another attempt is current) or LEASE_STOLEN. */
export function workedBy(record: TaskRecord, attemptId: string): Lease {
  const { state, lease } = record;
  if (lease?.attempt_id === attemptId && (isInFlight(state.state) || phaseDue(state.state) !== null)) return lease;
  const details = { attempt_id: attemptId };
  if (state.current_attempt_id !== attemptId) {
    const message = `attempt ${attemptId} is not the current attempt of task ${state.task_id}`;
    throw refusal('STALE_ATTEMPT', record, message, details);
  }
  const now = lease === null ? `the task is ${state.state}` : `run ${lease.owner_run_id} has claimed the task`;
  throw refusal(
    'LEASE_STOLEN',
    record,
    `attempt ${attemptId} of task ${state.task_id} has lost its lease: ${now}`,
    details,
  );
}
