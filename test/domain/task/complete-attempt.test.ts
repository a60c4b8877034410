import { describe, expect, test } from 'vitest';
import type { ClassifiedError } from '../../../src/domain/retry/classify.ts';
import { coercePolicy, type RetryDeclaration, RetryPolicy } from '../../../src/domain/retry/retry.ts';
import type { Outcome } from '../../../src/domain/task/complete-attempt.ts';
import { type Instant, msUntil } from '../../../src/domain/task/deadlines.ts';
import type { TaskState } from '../../../src/domain/task/records.ts';
import { isoTime } from '../../../src/lib/time.ts';
import {
  ATTEMPT,
  CLAIM,
  chain,
  claim,
  complete,
  dispatch,
  failure,
  GOOD,
  next,
  OTHER_ATTEMPT,
  OTHER_CLAIM,
  OTHER_RUN,
  READY,
  RUN,
  STALE_MS,
  WORKER,
} from '../../support/domain/requests.ts';
import { instant, lease, record, refusal, T0 } from '../../support/domain/tasks.ts';

const ERROR: ClassifiedError = { class: 'exit.1', message: 'no' };

describe('complete', () => {
  const routes: [reviewed: boolean, shipped: boolean, moves: string[], state: TaskState][] = [
    [true, true, ['verify', 'pass_review', 'ship'], 'shipped'],
    [true, false, ['verify', 'pass_review'], 'reviewed'],
    [false, true, ['verify'], 'ready_for_review'],
    [false, false, ['verify'], 'ready_for_review'],
  ];
  test.each(routes)('a good verdict (reviewed: %s, shipped: %s) takes %j to %s', (reviewed, shipped, moves, state) => {
    const decision = complete(record('running'), GOOD, { route: { reviewed, shipped } });
    expect(chain(decision)).toEqual(moves);
    expect(decision.result).toEqual({
      task_id: 'build',
      attempt_id: ATTEMPT,
      state,
      next_eligible_at: null,
      failure_reason: null,
    });
    expect(decision.history).toEqual([
      { event: 'released', claim_id: CLAIM, run_id: RUN, generation: 1, outcome: 'passed' },
    ]);
    expect(next(decision)).toMatchObject({ state: { state, failure_count: 0 }, lease: null, memo: { generation: 1 } });
  });

  test('complete from dispatched implies the first heartbeat', () => {
    expect(chain(complete(record('dispatched'), GOOD))).toEqual(['start', 'verify', 'pass_review', 'ship']);
    expect(chain(complete(record('dispatched'), failure('exit.1')))).toEqual(['start', 'retry_later']);
  });

  test.each(['changes_needed', 'blocked'] as const)('the verdict %s is a failure of its own class', (verdict) => {
    const outcome: Outcome = { kind: 'verdict', verdict: { version: 1, verdict, summary: 'no luck' }, written: true };
    const { state } = next(complete(record('running'), outcome));
    expect(state).toMatchObject({
      state: 'awaiting_respawn',
      failure_count: 1,
      last_error: { class: `verdict.${verdict}`, message: 'no luck' },
    });
  });

  test.each([
    ['', "the worker's verdict is blocked"],
    ['line one\nline two \u001b[31mred', 'line one line two red'],
    ['x'.repeat(60_000), `${'x'.repeat(1999)}\u2026`],
  ])('the summary of a bad verdict becomes one short line', (summary, message) => {
    const outcome: Outcome = {
      kind: 'verdict',
      verdict: { version: 1, verdict: 'blocked', summary },
      written: true,
    };
    expect(next(complete(record('running'), outcome)).state.last_error?.message).toBe(message);
  });

  test('complete with a failure sets the backoff and keeps the error', () => {
    const error: ClassifiedError = { class: 'exit.2', message: 'tests failed', exit_code: 2 };
    const decision = complete(record('running'), { kind: 'failed', error });
    expect(chain(decision)).toEqual(['retry_later']);
    expect(decision.result).toEqual({
      task_id: 'build',
      attempt_id: ATTEMPT,
      state: 'awaiting_respawn',
      next_eligible_at: isoTime(T0 + 20 + 1000),
      failure_reason: null,
    });
    const { state } = next(decision);
    expect(state).toMatchObject({
      failure_count: 1,
      last_error: error,
      last_failed_at: isoTime(T0 + 20),
      next_eligible_at: isoTime(T0 + 1020),
    });
    expect(state).not.toHaveProperty('retry_counts');
  });

  const failedBefore = (count: number, retry_counts?: Record<string, number>) => {
    const before = record('running');
    before.state.failure_count = count;
    if (retry_counts !== undefined) before.state.retry_counts = retry_counts;
    return before;
  };

  test.each<[what: string, name: string, last: number | null, attempts: number, charged: boolean]>([
    ['is waited for, uncharged', 'rate_limit', null, 3, false],
    ['that is met again later is waited for again', 'rate_limit', 60_000, 3, false],
    ['that is met again within a minute is charged', 'rate_limit', 59_999, 3, true],
    ['of a server that is overloaded is charged', 'overloaded', null, 3, true],
    ['ends a task that has one attempt', 'rate_limit', null, 1, true],
  ])('a limit that says when it ends %s', (_what, name, last, attempts, charged) => {
    const before = failedBefore(2);
    if (last !== null) {
      before.state.last_error = { class: name, message: 'as before' };
      before.state.last_failed_at = isoTime(T0 + 20 - last);
    }
    const outcome: Outcome = { kind: 'failed', error: { class: name, message: 'used up' }, until: T0 + 3_600_020 };
    const policy = new RetryPolicy({ max_attempts: attempts, base: 1 });
    const { state } = next(complete(before, outcome, { policy }));
    expect(state).toMatchObject({
      last_error: { class: name },
      ...(charged
        ? { state: 'failed', failure_count: 3, next_eligible_at: null }
        : { state: 'awaiting_respawn', failure_count: 2, next_eligible_at: isoTime(T0 + 3_600_020) }),
    });
  });

  test.each<[what: string, name: string, declaration: RetryDeclaration, afterMs: number, delayMs: number]>([
    ['sooner than its policy', 'network', { base: '1h', cap: '1h' }, 1000, 1000],
    ['later than its policy', 'network', { base: 1 }, 60_000, 60_000],
    [
      'of a limit that has not ended as it was told: its policy decides too',
      'rate_limit',
      { base: '30s' },
      1000,
      30_000,
    ],
    ['of such a limit, later than its policy', 'rate_limit', { base: 1 }, 60_000, 60_000],
    ['of such a limit that is not charged', 'rate_limit', { charge: false, base: '30s' }, 60_000, 60_000],
  ])('a failure that says when to try again waits for it: %s', (_what, name, declaration, afterMs, delayMs) => {
    const before = failedBefore(0);
    before.state.last_error = { class: name, message: 'as before' };
    before.state.last_failed_at = isoTime(T0);
    const error = { class: name, message: 'no' };
    const outcome: Outcome = { kind: 'failed', error, until: T0 + 20 + afterMs };
    const { state } = next(complete(before, outcome, { policy: coercePolicy(declaration) }));
    expect(state.next_eligible_at).toBe(isoTime(T0 + 20 + delayMs));
  });

  test('a failure that is not charged keeps the budgets of steps and the failures told, and a success ends the waits', () => {
    const before = failedBefore(2, { '*': 2 });
    before.memo.journal = { key: 'k', epoch: 3, chunks: [], tail: [] };
    const policy = coercePolicy([{ retry_on: ['busy'], charge: false, base: 50 }, { max_attempts: 3 }]);
    const waiting = next(complete(before, failure('busy'), { policy }));
    expect(waiting).toMatchObject({
      state: {
        state: 'awaiting_respawn',
        failure_count: 2,
        retry_counts: { '*': 2 },
        waited: { busy: { count: 1, since: isoTime(T0 + 20) } },
        next_eligible_at: isoTime(T0 + 70),
        last_error: { class: 'busy' },
      },
      memo: { journal: { epoch: 3 } },
    });
    expect(waiting.memo.failures).toBeUndefined();
    const again = { ...before, state: { ...before.state, waited: waiting.state.waited } };
    expect(next(complete(again, GOOD)).state.waited).toBeNull();
    const charged = next(complete(again, failure('exit.1'), { policy }));
    expect(charged).toMatchObject({ state: { failure_count: 3, waited: null }, memo: { journal: { epoch: 4 } } });
  });

  test.each<[what: string, count: number, errorClass: string, reason: string]>([
    ['an error on its last attempt', 2, 'exit.1', 'retries_exhausted'],
    ['a fatal error', 0, 'fatal', 'fatal'],
    ['a question asked too often', 0, 'question.exhausted', 'decision_key_budget'],
  ])('complete fails the task for %s', (_what, count, errorClass, reason) => {
    const decision = complete(failedBefore(count), failure(errorClass));
    expect(chain(decision)).toEqual(['fail']);
    expect(decision.result).toMatchObject({ state: 'failed', failure_reason: reason, next_eligible_at: null });
    expect(next(decision).state).toMatchObject({
      state: 'failed',
      failure_reason: reason,
      failure_count: count + 1,
      next_eligible_at: null,
    });
  });

  test('a composite policy counts each of its policies separately', () => {
    const policy = coercePolicy([
      { retry_on: ['network'], max_attempts: 2, base: 100, jitter: 'none' },
      { max_attempts: 4, base: 7, jitter: 'none' },
    ]);
    const first = complete(failedBefore(0), failure('network.timeout'), { policy });
    expect(next(first).state).toMatchObject({ failure_count: 1, retry_counts: { network: 1 } });
    expect(first.result.next_eligible_at).toBe(isoTime(T0 + 20 + 100));
    const crash = complete(failedBefore(1, { network: 1 }), failure('exit.1'), { policy });
    expect(next(crash).state.retry_counts).toEqual({ network: 1, '*': 1 });
    expect(crash.result.next_eligible_at).toBe(isoTime(T0 + 20 + 7));
    const spent = complete(failedBefore(2, { network: 1, '*': 1 }), failure('network'), { policy });
    expect(spent.result).toMatchObject({ state: 'failed', failure_reason: 'retries_exhausted' });
    expect(next(spent).state.retry_counts).toEqual({ network: 2, '*': 1 });
  });

  test('an error that no policy of a list matches fails the task', () => {
    const policy = coercePolicy([{ retry_on: ['network'], max_attempts: 9 }]);
    expect(complete(failedBefore(0), failure('exit.1'), { policy }).result).toMatchObject({
      state: 'failed',
      failure_reason: 'fatal',
    });
  });

  test('a success after failures keeps their count and clears the backoff', () => {
    const before = failedBefore(2);
    before.state.last_error = { class: 'exit.1', message: 'earlier' };
    const { state } = next(complete(before, GOOD));
    expect(state).toMatchObject({ state: 'shipped', failure_count: 2, last_error: { class: 'exit.1' } });
    expect(state.next_eligible_at).toBeNull();
  });

  test.each([
    [true, null],
    [false, WORKER],
  ])('complete forgets the worker only when its end is known (%s)', (workerGone, worker) => {
    expect(next(complete({ ...record('running'), worker: WORKER }, GOOD, { workerGone })).worker).toEqual(worker);
  });

  describe('repeated complete', () => {
    const outcomes: [what: string, outcome: Outcome][] = [
      ['a good verdict', GOOD],
      ['a failure', failure('exit.1')],
      ['a fatal failure', failure('fatal')],
    ];
    test.each(outcomes)('a repeated complete with the same outcome (%s) returns the first result', (_what, outcome) => {
      const first = complete(record('running'), outcome);
      const again = complete(next(first), outcome, {
        instant: instant(99_999),
        policy: new RetryPolicy({ retry_on: [] }),
      });
      expect(again).toEqual({ record: null, moves: [], history: [], result: first.result });
    });

    test.each(outcomes)(
      'a repeated complete (%s) returns the first result even after the next claim',
      (_what, outcome) => {
        const first = complete(record('running'), outcome);
        const later = next(first).state.state === 'awaiting_respawn' ? next(claim(next(first), STALE_MS)) : next(first);
        expect(complete(later, outcome)).toMatchObject({ record: null, result: first.result });
      },
    );

    test.each<[what: string, first: Outcome, other: Outcome]>([
      ['a failure after a success', GOOD, failure('exit.1')],
      ['a success after a failure', failure('exit.1'), GOOD],
      ['another class', failure('exit.1'), failure('exit.2')],
      ['another message', failure('exit.1'), failure('exit.1', 'went otherwise')],
      ['another summary', GOOD, { ...GOOD, verdict: { ...READY, summary: 'else' } } as Outcome],
    ])('a repeated complete with another outcome is refused: %s', (_what, first, other) => {
      const after = next(complete(record('running'), first));
      expect(refusal(() => complete(after, other))).toBe('STALE_ATTEMPT');
    });

    test('a complete by an earlier attempt is refused once another one has completed', () => {
      const second = record('running');
      second.state.current_attempt_id = OTHER_ATTEMPT;
      const after = next(
        complete({ ...second, lease: lease({ attempt_id: OTHER_ATTEMPT }) }, GOOD, { attemptId: OTHER_ATTEMPT }),
      );
      expect(refusal(() => complete(after, failure('exit.1')))).toBe('STALE_ATTEMPT');
    });
  });

  test('a complete by an attempt that has lost its lease is refused', () => {
    const stolen = next(claim(record('running'), STALE_MS));
    expect(refusal(() => complete(stolen, GOOD))).toBe('LEASE_STOLEN');
    const working = next(dispatch(stolen, { claimId: OTHER_CLAIM, runId: OTHER_RUN, attemptId: OTHER_ATTEMPT }));
    expect(refusal(() => complete(working, GOOD))).toBe('STALE_ATTEMPT');
    expect(refusal(() => complete(record('claimed'), GOOD))).toBe('STALE_ATTEMPT');
  });

  test('a backoff lasts as long as it was set for, whatever the wall clock is set to meanwhile', () => {
    const { state, memo } = next(complete(record('running'), failure('exit.1')));
    const { next_eligible_at: until } = state;
    if (!until) throw new Error('it is not in backoff');
    const left = (at: Instant) => msUntil(until, memo.backoff, at);
    expect([left(instant(20)), left({ ...instant(520), nowMs: T0 - 172_800_000 })]).toEqual([1000, 500]);
    // A person has edited the time, or this is another boot.
    expect(msUntil(isoTime(T0 + 5000), memo.backoff, instant(20))).toBe(4980);
    expect(left(instant(20, 'another'))).toBe(1000);
  });

  test('a complete after expiry counts until another claim takes the task', () => {
    expect(complete(record('running'), GOOD, { instant: instant(STALE_MS * 5) }).result.state).toBe('shipped');
  });

  test.each<
    [
      what: string,
      state: TaskState,
      policy: RetryPolicy | undefined,
      first: ClassifiedError,
      commits: (string | undefined)[],
    ]
  >([
    ['at the same commit', 'failed', undefined, ERROR, ['c1', 'c1']],
    ['at another commit', 'awaiting_respawn', undefined, ERROR, ['c1', 'c2']],
    ['where the commits are not known', 'awaiting_respawn', undefined, ERROR, [undefined, undefined]],
    ['with other words', 'awaiting_respawn', undefined, { ...ERROR, message: 'other' }, ['c1', 'c1']],
    ['as another class', 'awaiting_respawn', undefined, { ...ERROR, class: 'exit.2' }, ['c1', 'c1']],
    ['that a policy names', 'awaiting_respawn', new RetryPolicy({ retry_on: ['exit'] }), ERROR, ['c1', 'c1']],
  ])('a failure like the one before it %s leaves the task %s', (_what, state, policy, first, [one, two]) => {
    const more = policy === undefined ? {} : { policy };
    const begun = next(complete(record('running'), { kind: 'failed', error: first }, { ...more, commit: one }));
    const again = next(
      dispatch(next(claim(begun, 60_000, { claimId: OTHER_CLAIM })), {
        claimId: OTHER_CLAIM,
        runId: OTHER_RUN,
        attemptId: OTHER_ATTEMPT,
      }),
    );
    const ended = next(
      complete(again, { kind: 'failed', error: ERROR }, { ...more, commit: two, attemptId: OTHER_ATTEMPT }),
    );
    expect(ended.state.state).toBe(state);
    if (state === 'failed')
      expect(ended.state).toMatchObject({
        failure_reason: 'retries_exhausted',
        last_error: { class: 'exit.1', message: 'no; the attempt before failed in the same way' },
      });
  });

  test('what passes by itself may fail in the same way again', () => {
    const error = { class: 'network', message: 'no' };
    const begun = next(complete(record('running'), { kind: 'failed', error }, { commit: 'c1' }));
    const again = next(
      dispatch(next(claim(begun, 60_000, { claimId: OTHER_CLAIM })), {
        claimId: OTHER_CLAIM,
        runId: OTHER_RUN,
        attemptId: OTHER_ATTEMPT,
      }),
    );
    const ended = complete(again, { kind: 'failed', error }, { commit: 'c1', attemptId: OTHER_ATTEMPT });
    expect(next(ended).state.state).toBe('awaiting_respawn');
  });
});
