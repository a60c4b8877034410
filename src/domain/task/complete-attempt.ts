/** How an attempt ends: forward by its verdict, back for another attempt, or failed. */

import { crc32 } from '../../lib/checksum.ts';
import { oneLine } from '../../lib/text.ts';
import { fromIso, isoTime } from '../../lib/time.ts';
import { passesByItself } from '../agents/events.ts';
import type { ClassifiedError } from '../retry/classify.ts';
import { nextRetryState, withLimit } from '../retry/next-try.ts';
import type { CompositeRetryPolicy, RetryPolicy } from '../retry/retry.ts';
import { journalAfterCharge } from '../steps/journal.ts';
import type { Finding } from '../verify/evidence.ts';
import { type Holder, pendingVerification, workFor } from '../verify/verification.ts';
import { failureMessage, failuresOf, withFailure } from './attempts.ts';
import { deadlineIn, type Instant } from './deadlines.ts';
import type { FailureReason, TaskRecord, TaskState, TaskStateRecord, Verdict } from './records.ts';
import type { Move } from './states.ts';
import { type Decision, moved, refusal, repeated, starting } from './transition.ts';

/** How an attempt ended, by its worker's verdict or by its exit. */
export type Outcome =
  /** `written`: the worker wrote the verdict, which is kept; otherwise a clean exit stands for it. */
  | { kind: 'verdict'; verdict: Verdict; written: boolean }
  /** `until`: no other attempt is worth its while before that, milliseconds since the epoch. Default: not known. */
  | { kind: 'failed'; error: ClassifiedError; until?: number };

export interface CompleteRequest extends Holder, Omit<Charge, 'notBeforeMs'> {
  outcome: Outcome;
  /** The result of verification. Default: null, nothing was to be verified. */
  verified?: Pick<Finding, 'failure'> | null;
  /** The verdict that is being verified cannot be read any more, so another outcome may replace it. Default: false. */
  unreadable?: boolean;
  /** What the attempt fails with instead of its own failure. Default: null. */
  fault?: ClassifiedError | null;
  /** Why a good verdict does not count. Default: null, it does. */
  unfit?: ClassifiedError | null;
  /** How far a verified task goes without a person. */
  route: { reviewed: boolean; shipped: boolean };
  /** The caller has seen the worker's process group end. */
  workerGone: boolean;
}

export interface CompleteResult {
  task_id: string;
  attempt_id: string;
  state: TaskState;
  next_eligible_at: string | null;
  failure_reason: FailureReason | null;
}

/** Identifies an outcome, to tell a repeat from another outcome. A time that was told as a delay is another at every repeat, so it is left out. */
export function outcomeKey(outcome: Outcome): string {
  return `${outcome.kind}:${crc32(JSON.stringify({ ...outcome, until: undefined }))}`;
}

/**
 * Ends an attempt: forward by its verdict, or by the retry policy. A repeat with the same outcome gets the first answer.
 * Throws STALE_ATTEMPT (another attempt, or another outcome for this one, also while that is being verified) or LEASE_STOLEN.
 */
export function completeTask(record: TaskRecord, request: CompleteRequest): Decision<CompleteResult> {
  const { attemptId, outcome } = request;
  const before = record.memo.completion;
  if (before?.attempt_id === attemptId) {
    if (before.outcome === outcomeKey(outcome)) return repeated(resultOf(record.state.task_id, before));
    const message = `attempt ${attemptId} has already completed with another outcome`;
    throw refusal('STALE_ATTEMPT', record, message, { attempt_id: attemptId, state: before.state });
  }
  const lease = workFor(record, request);
  const pending = pendingVerification(record);
  const other = pending?.attempt_id === attemptId && pending.outcome !== outcomeKey(outcome);
  if (other && request.unreadable !== true) {
    const message = `attempt ${attemptId} has handed in a verdict, which is being verified`;
    throw refusal('STALE_ATTEMPT', record, message, { attempt_id: attemptId });
  }
  const ending =
    outcome.kind === 'failed'
      ? failing(record, { ...request, notBeforeMs: outcome.until }, request.fault ?? outcome.error)
      : judging(record, request, outcome.verdict);
  const error = ending.state.last_error;
  const next = moved(record, {
    moves: [...starting(record), ...ending.moves],
    lease: null,
    state: ending.state,
    memo: { abandons: 0, ...ending.memo },
    ...(request.workerGone ? { worker: null } : {}),
    ends: { how: 'completed', outcome: error ? { outcome: 'failed', class: error.class } : { outcome: 'passed' } },
    by: lease,
    nowMs: request.instant.nowMs,
  });
  const completion = {
    attempt_id: attemptId,
    outcome: outcomeKey(outcome),
    state: next.record.state.state,
    next_eligible_at: ending.state.next_eligible_at ?? null,
    failure_reason: ending.state.failure_reason ?? null,
  };
  next.record.memo.completion = completion;
  return { ...next, result: resultOf(record.state.task_id, completion) };
}

/** What a completion has been answered, of which a record may keep more. */
export function resultOf(task_id: string, completion: Omit<CompleteResult, 'task_id'>): CompleteResult {
  const { attempt_id, state, next_eligible_at, failure_reason } = completion;
  return { task_id, attempt_id, state, next_eligible_at, failure_reason };
}

/** Limit of a worker's own words in the last error, characters. */
const MESSAGE_MAX_CHARS = 2000;

/** How a task goes on: its moves, and the fields of its record after them. */
export interface Ending {
  moves: Move[];
  state: Partial<TaskStateRecord>;
  memo?: Partial<TaskRecord['memo']>;
}

function judging(record: TaskRecord, request: CompleteRequest, verdict: Verdict): Ending {
  if (verdict.verdict !== 'ready_for_review') {
    // A file of its own keeps the whole verdict; a record has no room for a summary of any length.
    const summary = oneLine(verdict.summary, MESSAGE_MAX_CHARS);
    const message = summary === '' ? `the worker's verdict is ${verdict.verdict}` : summary;
    return failing(record, request, request.fault ?? { class: `verdict.${verdict.verdict}`, message });
  }
  const failure = request.verified?.failure ?? request.unfit ?? null;
  if (failure !== null) return failing(record, request, failure);
  const moves: Move[] = ['verify'];
  if (request.route.reviewed) moves.push('pass_review');
  if (request.route.reviewed && request.route.shipped) moves.push('ship');
  const state = { next_eligible_at: null, failure_reason: null, ...withoutWaited(record) };
  return { moves, state, memo: summaryOf(record, verdict) };
}

/** Limit of what a record keeps of a worker's own words about its result, characters. */
const SUMMARY_MAX_CHARS = 300;

function summaryOf({ memo }: TaskRecord, verdict: Verdict): Pick<TaskRecord['memo'], 'summary'> {
  const summary = oneLine(verdict.summary, SUMMARY_MAX_CHARS);
  if (summary !== '') return { summary };
  return memo.summary ? { summary: null } : {};
}

export interface Charge {
  attemptId: string;
  policy: RetryPolicy | CompositeRetryPolicy;
  instant: Instant;
  random: () => number;
  /**
   * The commit that the attempt has left its branch at. Given, a failure like the one before it at the same commit ends the task, unless it
   * passes by itself or a policy names its class. Default: it does not.
   */
  commit?: string | undefined;
  /** The failure says when to try again, milliseconds since the epoch: `retryAfterMs` of `nextRetryState`. Default: it does not say. */
  notBeforeMs?: number | undefined;
}

/** Whether the last attempt failed as this one does, with nothing done in between. */
function isFailedAlike(record: TaskRecord, { policy, commit }: Charge, error: ClassifiedError): boolean {
  const last = failuresOf(record).at(-1);
  if (commit === undefined || last === undefined || passesByItself(error.class)) return false;
  const isNamed = (policy.policyFor(error)?.retryOn ?? null) !== null;
  const isAlike = last.class === error.class && last.message === failureMessage(error);
  return !isNamed && isAlike && last.commit === commit;
}

const ALIKE = 'the attempt before failed in the same way';

/** The class of a limit. */
const LIMIT = 'rate_limit';

/** A limit that is met again so soon after the last one, milliseconds, has not ended when it was told to. */
const SOON_MS = 60_000;

/** Whether a limit is met again at once, so that it has not ended when it was told to. */
function isMetAgain({ state }: TaskRecord, { nowMs }: Instant, error: ClassifiedError): boolean {
  const { last_error: last, last_failed_at: at } = state;
  return error.class === LIMIT && last?.class === LIMIT && at != null && nowMs - fromIso(at) < SOON_MS;
}

/** None wait any more: a failure is charged, or there is none. */
function withoutWaited({ state }: Pick<TaskRecord, 'state'>): Pick<TaskStateRecord, 'waited'> {
  return state.waited ? { waited: null } : {};
}

/**
 * What follows a failure: another attempt by the policy, or failed. A limit whose end is known is waited for and not charged, as is a failure
 * whose policy charges nothing.
 */
export function failing(record: TaskRecord, request: Charge, error: ClassifiedError): Ending {
  const { policy, instant, random, notBeforeMs } = request;
  const { nowMs } = instant;
  const { failure_count: failureCount, retry_counts: retryCounts, waited } = record.state;
  const isAgainAtOnce = isMetAgain(record, instant, error);
  const decided = nextRetryState({
    policy,
    error,
    failureCount,
    retryCounts,
    waited,
    retryAfterMs: notBeforeMs,
    atLeast: isAgainAtOnce,
    uncharged: error.class === LIMIT && notBeforeMs !== undefined && !isAgainAtOnce,
    nowMs,
    random,
  });
  const failed = { last_failed_at: isoTime(nowMs) };
  if (decided.outcome === 'retry' && decided.waited !== undefined) {
    const state = { last_error: { ...error }, waited: decided.waited, ...failed };
    return again(request, decided.delay_ms, { state });
  }
  const isAlike = decided.outcome === 'retry' && isFailedAlike(record, request, error);
  const decision = isAlike
    ? ({ ...decided, outcome: 'failed', failure_reason: 'retries_exhausted', limit: ALIKE } as const)
    : decided;
  const limit = decision.outcome === 'failed' ? decision.limit : undefined;
  const state: Partial<TaskStateRecord> = {
    failure_count: decision.failure_count,
    ...(decision.retry_counts === undefined ? {} : { retry_counts: decision.retry_counts }),
    ...withoutWaited(record),
    last_error: withLimit(error, limit),
    ...failed,
  };
  const { commit } = request;
  const failures = withFailure(record, request.attemptId, error, { at: isoTime(nowMs), ...(commit ? { commit } : {}) });
  const memo = { ...failures, ...journalAfterCharge(record) };
  if (decision.outcome === 'retry') return again(request, decision.delay_ms, { state, memo });
  return {
    moves: ['fail'],
    memo,
    state: { ...state, next_eligible_at: null, failure_reason: decision.failure_reason },
  };
}

function again({ instant }: Charge, delayMs: number, { state, memo }: Omit<Ending, 'moves'>): Ending {
  const { at, clock } = deadlineIn(delayMs, instant);
  return {
    moves: ['retry_later'],
    memo: { ...memo, backoff: clock },
    state: { ...state, next_eligible_at: at, failure_reason: null },
  };
}
