/** The tries of a step: by which policy, how long, and how the step stands after one. Pure. */

import { isoTime } from '../../lib/time.ts';
import type { PlanTask } from '../plan/plan.ts';
import type { ClassifiedError } from '../retry/classify.ts';
import { nextRetryState, withLimit } from '../retry/next-try.ts';
import { type CompositeRetryPolicy, type RetryDeclaration, type RetryPolicy, resolveRetry } from '../retry/retry.ts';
import { STEP_RETRY_DEFAULT, WAIT_RETRY_DEFAULT } from '../retry/schema.ts';
import type { Settings } from '../settings/settings.ts';
import { deadlineIn, type Instant } from '../task/deadlines.ts';
import { budgetOf, type Counted, countedOf } from './budget.ts';
import { type ReadJournal, requireKind, type Step, stepRepeated } from './journal.ts';

export type StepPolicy = RetryPolicy | CompositeRetryPolicy;

/** The policy of a step: its own, else the task's, else the settings', else that of steps. */
export function stepPolicy(
  own: RetryDeclaration | undefined,
  task: Pick<PlanTask, 'retry'> | null,
  settings: Pick<Settings, 'retry'>,
): StepPolicy {
  const inherited = { task: task?.retry ?? undefined, settings: settings.retry ?? undefined };
  return resolveRetry({ site: own, ...inherited, default: STEP_RETRY_DEFAULT });
}

/** The policy of looks: neither the task's nor the settings' counts for them. */
export function waitPolicy(own: RetryDeclaration | undefined): StepPolicy {
  return resolveRetry({ site: own, default: WAIT_RETRY_DEFAULT });
}

/** `error`: what the policy matches. `told`: what is kept of it. `final`: no policy tries it again. `retryAfterMs`: as `nextRetryState` has it. */
export interface Failed {
  error: unknown;
  told: ClassifiedError;
  final?: boolean;
  retryAfterMs?: number | undefined;
}

/** A budget after a failure, the delay until the next try, milliseconds, and the error to keep; null: no policy tries again. */
export function afterFailure(
  before: Counted,
  failed: Failed,
  { policy, instant, random }: { policy: StepPolicy; instant: Instant; random: () => number },
): { counted: Counted; delayMs: number | null; error: ClassifiedError } {
  const decision = nextRetryState({
    policy,
    // A policy of code matches whatever was thrown.
    error: failed.error as ClassifiedError,
    failureCount: before.tries,
    retryCounts: before.retry_counts,
    waited: before.waited,
    retryAfterMs: failed.retryAfterMs,
    nowMs: instant.nowMs,
    random,
  });
  const again = decision.outcome === 'retry' && failed.final !== true ? decision : null;
  const { retry_counts } = decision;
  const waited = again?.waited;
  const { tries, uncharged = 0 } = before;
  const used = waited === undefined ? { tries: tries + 1, uncharged } : { tries, uncharged: uncharged + 1 };
  return {
    counted: countedOf({ ...used, retry_counts, waited }),
    delayMs: again === null ? null : again.delay_ms,
    error: withLimit(failed.told, decision.outcome === 'failed' ? decision.limit : undefined),
  };
}

export interface StepTry {
  name: string;
  attemptId: string;
  generation: number;
  /** Of this try, as ISO 8601. */
  startedAt: string;
  policy: StepPolicy;
  end: { value: unknown } | Failed;
  instant: Instant;
  random: () => number;
}

/**
 * How the step stands after a try, in the journal as it is at the commit, and after how many milliseconds it is tried again; null: it is not.
 * Throws INVALID_ID for a name of another kind, STEP_REPEATED where it is done by now: the first one that did it counts.
 */
export function afterTry(now: ReadJournal, made: StepTry): { step: Step; delayMs: number | null } {
  const { name, attemptId, generation, startedAt, policy, end, instant, random } = made;
  const { nowMs } = instant;
  const before = now.steps.get(name);
  requireKind(before, 'step');
  if (before?.status === 'completed') throw stepRepeated(name);
  const counted = budgetOf(before, now.journal);
  const at = { instant, random, policy };
  const failure = 'value' in end ? null : { ...afterFailure(counted, end, at), told: end.retryAfterMs };
  const done = countedOf({ ...counted, tries: counted.tries + 1, waited: null });
  const delayMs = failure === null ? null : failure.delayMs;
  const step: Step = {
    name,
    kind: 'step',
    status: failure === null ? 'completed' : 'failed',
    ...(failure?.counted ?? done),
    started_at: counted.started_at ?? startedAt,
    ended_at: isoTime(nowMs),
    ...(delayMs === null ? {} : { wake: deadlineIn(delayMs, instant) }),
    result: 'value' in end ? end.value : null,
    last_error: failure === null ? null : failure.error,
    ...(failure?.told === undefined ? {} : { retry_after: isoTime(failure.told) }),
    attempt_id: attemptId,
    generation,
    epoch: now.journal.epoch,
  };
  return { step, delayMs };
}
