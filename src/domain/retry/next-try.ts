/** What follows a failure: whether it is charged, and when the next try starts. Pure: time and randomness are passed in. */

import { own } from '../../lib/own.ts';
import { DAY_MS, durationText, formatDuration, fromIso, isoTime } from '../../lib/time.ts';
import type { ClassifiedError } from './classify.ts';
import { type CompositeRetryPolicy, neverRetried, type Random, RetryPolicy, UNLIMITED_LEAST_MS } from './retry.ts';

/** No failure puts the next try further off, milliseconds. */
const LONGEST_WAIT_MS = 7 * DAY_MS;

/** When the next attempt may start, as ISO 8601 UTC with ms; never later than the end of the year 9999. */
export function nextEligibleAt(nowMs: number, delayMs: number): string {
  return isoTime(nowMs + delayMs);
}

/** A copy of `counts` with one more under `key`. A count that is not a whole number from 0 up counts as 0. */
export function bumpRetryCount(
  counts: Readonly<Record<string, number>> | undefined,
  key: string,
): Record<string, number> {
  // A computed key defines an own property, so even `__proto__` is only a name here.
  return { ...counts, [key]: countOf(counts, key) + 1 };
}

/** Failures by budget key that were not charged, since the last one that was; `since`: the first of them, ISO 8601. */
export type Waited = Record<string, { count: number; since: string }>;

/** A try that has just failed, and what the record held before it. */
export interface FailedAttempt {
  policy: RetryPolicy | CompositeRetryPolicy;
  error: ClassifiedError;
  /** Charged failures before this one. */
  failureCount: number;
  /** A composite's counts before this one. */
  retryCounts: Readonly<Record<string, number>> | undefined;
  /** Default: none. */
  waited?: Readonly<Waited> | null | undefined;
  /** The failure says when to try again, milliseconds since the epoch: then the policy's delay does not count. Default: it does not say. */
  retryAfterMs?: number | undefined;
  /** It said so before, and was wrong: the policy's delay counts too, where it is longer. Default: false. */
  atLeast?: boolean;
  /** Not charged, unless its policy tries nothing again. Default: the policy decides. */
  uncharged?: boolean | undefined;
  nowMs: number;
  random: Random;
}

/** How the task goes on. The counts include this failure where it is charged; `retry_counts` is absent for a single policy. */
export type RetryDecision = { failure_count: number; retry_counts?: Record<string, number> } & (
  | {
      outcome: 'retry';
      delay_ms: number;
      next_eligible_at: string;
      /** Only where the failure is not charged. A charged failure begins them anew. */
      waited?: Waited;
    }
  | {
      outcome: 'failed';
      /** A question was asked too often | the budget or the sum is used up | never retried, or no policy matches. */
      failure_reason: 'decision_key_budget' | 'retries_exhausted' | 'fatal';
      /** Which limit ended it, in words, where no count did. */
      limit?: string;
    }
);

/** Decides what follows a failed try. A failure that no policy matches is charged to no budget of a composite. */
export function nextRetryState(attempt: FailedAttempt): RetryDecision {
  const { policy, error, nowMs, random } = attempt;
  const decider = policy.policyFor(error);
  const failure_count = attempt.failureCount + 1;
  const counts = countsAfter(attempt, decider);
  const charged = { failure_count, ...(counts === undefined ? {} : { retry_counts: counts }) };
  if (decider === null) {
    return { outcome: 'failed', failure_reason: neverRetried(error) ?? 'fatal', ...charged };
  }
  if (!decider.charge || (attempt.uncharged === true && decider.maxAttempts !== 1)) {
    const wait = waitFor(attempt, decider);
    if ('limit' in wait) return { outcome: 'failed', failure_reason: 'retries_exhausted', ...charged, ...wait };
    const kept = counts === undefined ? undefined : attempt.retryCounts;
    return {
      outcome: 'retry',
      failure_count: attempt.failureCount,
      ...(kept === undefined ? {} : { retry_counts: { ...kept } }),
      ...wait,
      next_eligible_at: nextEligibleAt(nowMs, wait.delay_ms),
    };
  }
  const backoff = policy.retryBackoff(error, { attempts: failure_count, random }, (key) => countOf(counts, key));
  if (backoff === null) return { outcome: 'failed', failure_reason: 'retries_exhausted', ...charged };
  const delay_ms = delayAfter(attempt, toldDelay(attempt, decider), backoff);
  return { outcome: 'retry', ...charged, delay_ms, next_eligible_at: nextEligibleAt(nowMs, delay_ms) };
}

/** An error, and the limit that has left it no other try. */
export function withLimit<E extends ClassifiedError>(error: E, limit: string | undefined): E {
  return limit === undefined ? { ...error } : { ...error, message: `${error.message}; ${limit}` };
}

/** A failure that is not charged: the delay after it, or the limit on waiting that leaves no other try. The last try is made at the limit. */
function waitFor(
  attempt: FailedAttempt,
  decider: RetryPolicy,
): { delay_ms: number; waited: Waited } | { limit: string } {
  const { waited, nowMs, random } = attempt;
  const key = decider.budgetKey;
  const before = own(waited ?? {}, key);
  const sinceMs = Math.min(nowMs, before === undefined ? nowMs : fromIso(before.since));
  const count = (before?.count ?? 0) + 1;
  const told = toldDelay(attempt, decider);
  const delayMs = delayAfter(attempt, told, decider.backoffFor(count, random));
  const next = { ...waited, [key]: { count, since: isoTime(sinceMs) } };
  if (decider.maxWaitMs === null) return { delay_ms: delayMs, waited: next };
  const leftMs = sinceMs + decider.maxWaitMs - nowMs;
  const limit = `its max_wait is ${durationText(decider.maxWaitMs)}`;
  if (leftMs <= 0) return { limit: `it has waited for ${formatDuration(nowMs - sinceMs)}, and ${limit}` };
  // An earlier try than the failure asks for would fail again.
  if (told !== null && told > leftMs)
    return { limit: `it may be tried again in ${formatDuration(told)}, and ${limit}` };
  return { delay_ms: Math.min(delayMs, leftMs), waited: next };
}

/** The delay that the failure itself asks for; null where it asks for none. */
function toldDelay({ retryAfterMs, nowMs }: FailedAttempt, decider: RetryPolicy): number | null {
  if (retryAfterMs === undefined) return null;
  const delayMs = Math.min(Math.max(0, retryAfterMs - nowMs), LONGEST_WAIT_MS);
  return Math.max(delayMs, decider.maxAttempts === null ? UNLIMITED_LEAST_MS : 0);
}

function delayAfter({ atLeast }: FailedAttempt, told: number | null, backoff: number): number {
  return told === null ? backoff : Math.max(told, atLeast === true ? backoff : 0);
}

function countsAfter(attempt: FailedAttempt, decider: RetryPolicy | null): Record<string, number> | undefined {
  if (attempt.policy instanceof RetryPolicy) return undefined;
  if (decider !== null) return bumpRetryCount(attempt.retryCounts, decider.budgetKey);
  return attempt.retryCounts === undefined ? undefined : { ...attempt.retryCounts };
}

function countOf(counts: Readonly<Record<string, number>> | undefined, key: string): number {
  const count = own(counts ?? {}, key);
  return count !== undefined && Number.isSafeInteger(count) && count > 0 ? count : 0;
}
