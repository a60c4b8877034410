/** Failures that are not charged, and failures that say when to try again. */

import { describe, expect, test } from 'vitest';
import { nextRetryState, type RetryDecision, type Waited } from '../../../src/domain/retry/next-try.ts';
import { coercePolicy, type RetryDeclaration } from '../../../src/domain/retry/retry.ts';
import { retryProblems } from '../../../src/domain/retry/schema.ts';
import fc from '../../support/properties.ts';

const T0 = Date.parse('2030-01-01T00:00:00.000Z');
const SECOND = 1000;
const HOUR = 3_600_000;

/** A failure: its class, and how long after the decision it is told to try again, milliseconds. */
type Failure = string | [name: string, retryAfter: number];

/** Feeds failures to `nextRetryState`, each as soon as the decision before allows, and keeps what a record would. */
function failures(declaration: RetryDeclaration, seen: readonly Failure[]): (RetryDecision & { at: number })[] {
  const policy = coercePolicy(declaration);
  const decisions: (RetryDecision & { at: number })[] = [];
  let nowMs = T0;
  let waited: Waited | undefined;
  for (const failure of seen) {
    const last = decisions.at(-1);
    const [name, after] = typeof failure === 'string' ? [failure] : failure;
    const decision = nextRetryState({
      policy,
      error: { class: name, message: 'went wrong' },
      failureCount: last?.failure_count ?? 0,
      retryCounts: last?.retry_counts,
      waited,
      ...(after === undefined ? {} : { retryAfterMs: nowMs + after }),
      nowMs,
      random: () => 0.5,
    });
    decisions.push({ ...decision, at: nowMs - T0 });
    waited = decision.outcome === 'retry' ? decision.waited : undefined;
    if (decision.outcome === 'retry') nowMs += decision.delay_ms;
  }
  return decisions;
}

/** A decision as one word: the delay in seconds, or the reason of the failure. */
const told = (decision: RetryDecision): number | string =>
  decision.outcome === 'retry' ? decision.delay_ms / SECOND : decision.failure_reason;

describe('charge: false', () => {
  const limit = { retry_on: ['rate_limit'], charge: false, max_wait: '2h', base: '30s', cap: '10m' };
  const list = [limit, { retry_on: ['network'], max_attempts: 3, base: '1s' }];

  test('a failure that is not charged spends no budget, and its delays still grow', () => {
    const decisions = failures(list, ['network', 'rate_limit', 'rate_limit', 'rate_limit', 'network', 'rate_limit']);
    expect(decisions.map(told)).toEqual([1, 30, 60, 120, 2, 30]);
    expect(decisions.map(({ failure_count }) => failure_count)).toEqual([1, 1, 1, 1, 2, 2]);
    expect(decisions.map(({ retry_counts }) => retry_counts)).toEqual(
      [1, 1, 1, 1, 2, 2].map((network) => ({ network })),
    );
    expect(decisions.map((decision) => 'waited' in decision && decision.waited?.['rate_limit']?.count)).toEqual([
      false,
      1,
      2,
      3,
      false,
      1,
    ]);
  });

  test('waited that are not charged end at max_wait, with a last try at that time, and the failure then is charged', () => {
    const decisions = failures([{ ...limit, max_wait: '5m' }], Array(5).fill('rate_limit'));
    expect(decisions.map(told)).toEqual([30, 60, 120, 90, 'retries_exhausted']);
    expect(decisions.at(-1)).toMatchObject({
      at: 300 * SECOND,
      failure_count: 1,
      retry_counts: { rate_limit: 1 },
      limit: 'it has waited for 5m 00s, and its max_wait is 5m',
    });
  });

  test('max_wait is a day where it is left out', () => {
    const hourly = { charge: false, base: '1h', cap: '1h' };
    const decisions = failures(hourly, Array(25).fill('exit.1'));
    expect(decisions.map(told)).toEqual([...Array(24).fill(3600), 'retries_exhausted']);
  });

  test('a charged failure begins the waited anew', () => {
    const decisions = failures(
      [{ ...limit, max_wait: '1m' }, {}],
      ['rate_limit', 'rate_limit', 'exit.1', 'rate_limit', 'rate_limit', 'rate_limit'],
    );
    expect(decisions.map(told)).toEqual([30, 30, 1, 30, 30, 'retries_exhausted']);
  });

  test('each policy that charges nothing has its own delays and its own max_wait', () => {
    const two = [limit, { retry_on: ['network'], charge: false, max_wait: '10s', base: '4s', factor: 1 }];
    const decisions = failures(two, ['rate_limit', 'network', 'rate_limit', 'network', 'network']);
    // The first wait for the network began 64 seconds before its second failure.
    expect(decisions.map(told)).toEqual([30, 4, 60, 'retries_exhausted', 4]);
  });

  test('the cap on the sum does not count failures that are not charged', () => {
    const decisions = failures({ policies: list, max_total_attempts: 2 }, [
      'rate_limit',
      'network',
      'rate_limit',
      'rate_limit',
      'network',
    ]);
    expect(decisions.map(told)).toEqual([30, 1, 30, 60, 'retries_exhausted']);
  });

  test('a policy alone may charge nothing, and what is never retried still ends it', () => {
    const decisions = failures({ charge: false, base: '1s' }, ['exit.1', 'timeout', 'fatal']);
    expect(decisions.map(told)).toEqual([1, 2, 'fatal']);
    expect(decisions.map(({ failure_count }) => failure_count)).toEqual([0, 0, 1]);
    expect(decisions.every((decision) => !('retry_counts' in decision))).toBe(true);
  });

  test('waited that are not charged never spin', () => {
    expect(failures({ charge: false, base: 0 }, ['exit.1', ['exit.1', 0]]).map(told)).toEqual([1, 1]);
  });

  test('for other failures a list decides as if there had been no waited', () => {
    const names = fc.array(fc.constantFrom('network', 'rate_limit', 'exit.1'), { maxLength: 12 });
    fc.assert(
      fc.property(names, (seen) => {
        const policy = [limit, { retry_on: ['network'], max_attempts: 3 }, { max_attempts: 2 }];
        const charged = (name: string) => name !== 'rate_limit';
        const all = failures(policy, seen);
        const mixed = all.filter((_, index) => charged(seen[index] ?? ''));
        expect(mixed.map(told)).toEqual(failures(policy, seen.filter(charged)).map(told));
      }),
    );
  });

  test.each<[string, unknown, string | null]>([
    ['charge that is no truth value', { charge: 'no' }, 'charge is true or false'],
    ['max_wait without charge: false', { max_wait: '2h' }, 'it needs charge: false'],
    ['max_wait with charge: true', { charge: true, max_wait: '2h' }, 'it needs charge: false'],
    ['attempts that are not counted', [{ charge: false, max_attempts: 3 }], 'say max_wait instead of max_attempts'],
    ['max_wait that is not a duration', { charge: false, max_wait: 'long' }, 'a duration is'],
    ['nothing about unlimited attempts', [{ charge: false, max_attempts: 'unlimited', max_wait: '2h' }], null],
  ])('a policy is refused for %s', (_what, declaration, message) => {
    const problems = retryProblems(declaration).map((problem) => problem.message);
    expect(problems).toEqual(message === null ? [] : [expect.stringContaining(message)]);
  });
});

describe('a failure that says when to try again', () => {
  const policy = [{ retry_on: ['network'], max_attempts: 3, base: '10s' }];
  test.each<[what: string, after: number, seconds: number]>([
    ['later than its policy', HOUR, 3600],
    ['earlier than its policy', 2 * SECOND, 2],
    ['at a time that has passed', -HOUR, 0],
    ['in a year: a week is the most', 365 * 24 * HOUR, 7 * 86_400],
  ])('is tried again then: %s', (_what, after, seconds) => {
    expect(failures(policy, [['network', after]]).map(told)).toEqual([seconds]);
  });

  test('spends its budget like any, and the delays of the next failures are those of its policy', () => {
    const decisions = failures(policy, [['network', HOUR], 'network', ['network', HOUR]]);
    expect(decisions.map(told)).toEqual([3600, 20, 'retries_exhausted']);
  });

  test('a failure that says when to try again is not tried again where no policy matches', () => {
    expect(failures(policy, [['exit.1', HOUR]]).map(told)).toEqual(['fatal']);
  });

  test('a failure that says when to try again at once does not spin where attempts have no cap', () => {
    expect(failures({ max_attempts: 'unlimited' }, [['network', 0]]).map(told)).toEqual([1]);
  });

  test('later than max_wait allows ends the waiting at once', () => {
    const waiting = { charge: false, max_wait: '2h' };
    const decisions = failures(waiting, [
      ['rate_limit', HOUR],
      ['rate_limit', 2 * HOUR],
    ]);
    expect(decisions.map(told)).toEqual([3600, 'retries_exhausted']);
    expect(decisions.at(-1)).toMatchObject({ limit: 'it may be tried again in 2h 00m, and its max_wait is 2h' });
  });
});

test('a list never ends before the failure that uses up a budget, however its errors take turns', () => {
  const budgets = fc.record({ a: fc.integer({ min: 1, max: 6 }), b: fc.integer({ min: 1, max: 6 }) });
  const turns = fc.array(fc.constantFrom('a', 'b'), { minLength: 12, maxLength: 20 });
  const policy = ({ a, b }: { a: number; b: number }) => [
    { retry_on: ['a'], max_attempts: a },
    { retry_on: ['b'], max_attempts: b },
  ];
  const endsAt = (limits: { a: number; b: number }, seen: readonly string[]) =>
    failures(policy(limits), seen).findIndex(({ outcome }) => outcome === 'failed') + 1;
  expect(endsAt({ a: 5, b: 5 }, Array(20).fill(['a', 'b']).flat())).toBe(9);
  fc.assert(
    fc.property(budgets, turns, (limits, seen) => {
      const left: Record<string, number> = { ...limits };
      const expected = seen.findIndex((name) => {
        left[name] = (left[name] ?? 0) - 1;
        return left[name] === 0;
      });
      expect(endsAt(limits, seen)).toBe(expected + 1);
    }),
  );
});
