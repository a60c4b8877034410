import { describe, expect, test } from 'vitest';
import { bumpRetryCount, nextRetryState, type RetryDecision } from '../../../src/domain/retry/next-try.ts';
import { type CompositeRetryPolicy, coercePolicy, RetryPolicy, resolveRetry } from '../../../src/domain/retry/retry.ts';
import { STEP_RETRY_DEFAULT, TASK_RETRY_DEFAULT } from '../../../src/domain/retry/schema.ts';
import fc from '../../support/properties.ts';

const NOW = Date.parse('2030-01-01T00:00:00.000Z');
const half = () => 0.5;

/** Feeds failures one after another to `nextRetryState` and gives every decision, as a task's record would see them. */
function failures(policy: RetryPolicy | CompositeRetryPolicy, classes: readonly string[]): RetryDecision[] {
  const decisions: RetryDecision[] = [];
  for (const name of classes) {
    const last = decisions.at(-1);
    const error = { class: name, message: 'went wrong' };
    const counts = { failureCount: last?.failure_count ?? 0, retryCounts: last?.retry_counts };
    decisions.push(nextRetryState({ policy, error, ...counts, nowMs: NOW, random: half }));
  }
  return decisions;
}

/** A decision as one word: the delay in ms, or the reason of the failure. */
const told = (decision: RetryDecision): number | string =>
  decision.outcome === 'retry' ? decision.delay_ms : decision.failure_reason;

describe('bumpRetryCount', () => {
  test('bumpRetryCount counts in a copy', () => {
    const before = { network: 1 };
    expect(bumpRetryCount(before, 'network')).toEqual({ network: 2 });
    expect(bumpRetryCount(before, '*')).toEqual({ network: 1, '*': 1 });
    expect(bumpRetryCount(undefined, '*')).toEqual({ '*': 1 });
    expect(before).toEqual({ network: 1 });
  });

  test.each(['__proto__', 'constructor', 'toString'])('bumpRetryCount treats %s like any other key', (key) => {
    const once = bumpRetryCount({}, key);
    const twice = bumpRetryCount(JSON.parse(JSON.stringify(once)), key);
    expect(Object.entries(twice)).toEqual([[key, 2]]);
    expect(Object.getPrototypeOf(twice)).toBe(Object.prototype);
  });

  test.each([Number.NaN, -3, 1.5, 'many' as unknown as number])(
    'bumpRetryCount treats a count of %s as none',
    (count) => {
      expect(bumpRetryCount({ network: count }, 'network')).toEqual({ network: 1 });
    },
  );
});

describe('nextRetryState', () => {
  test('the default policy of task attempts is ten attempts with doubling delays up to five minutes', () => {
    const decisions = failures(resolveRetry({ default: TASK_RETRY_DEFAULT }), Array(10).fill('exit.1'));
    expect(decisions.map(told)).toEqual([
      1000,
      2000,
      4000,
      8000,
      16_000,
      32_000,
      64_000,
      128_000,
      256_000,
      'retries_exhausted',
    ]);
  });

  test('agents settings replace numbers of the default policy', () => {
    const site = { ...TASK_RETRY_DEFAULT, maxAttempts: 4, capMs: 2000 };
    expect(failures(resolveRetry({ default: site }), Array(4).fill('exit.1')).map(told)).toEqual([
      1000,
      2000,
      2000,
      'retries_exhausted',
    ]);
  });

  test('a single policy counts failures of every class and keeps no counts per budget', () => {
    const decisions = failures(new RetryPolicy({ max_attempts: 3 }), ['exit.1', 'timeout', 'network']);
    expect(decisions).toEqual([
      { outcome: 'retry', failure_count: 1, delay_ms: 1000, next_eligible_at: '2030-01-01T00:00:01.000Z' },
      { outcome: 'retry', failure_count: 2, delay_ms: 2000, next_eligible_at: '2030-01-01T00:00:02.000Z' },
      { outcome: 'failed', failure_count: 3, failure_reason: 'retries_exhausted' },
    ]);
  });

  test('a single policy removes counts that a list has left', () => {
    const error = { class: 'exit.1', message: '' };
    const decision = nextRetryState({
      policy: new RetryPolicy({}),
      error,
      failureCount: 2,
      retryCounts: { network: 2 },
      nowMs: NOW,
      random: half,
    });
    expect(decision).toEqual({
      outcome: 'retry',
      failure_count: 3,
      delay_ms: 4000,
      next_eligible_at: '2030-01-01T00:00:04.000Z',
    });
  });

  const list = [
    { retry_on: ['rate_limit'], max_attempts: 'unlimited', base: '30s', cap: '1m' },
    { retry_on: ['network', 'timeout'], max_attempts: 3, base: '2s' },
    { retry_on: ['exit.75'], max_attempts: 2, base: 0 },
  ] as const;

  test('a list gives every error class its own attempts and delays', () => {
    const steps: [string, number | string, Record<string, number>][] = [
      ['network.dns', 2000, { 'network,timeout': 1 }],
      ['rate_limit', 30_000, { 'network,timeout': 1, rate_limit: 1 }],
      ['exit.75', 0, { 'network,timeout': 1, rate_limit: 1, 'exit.75': 1 }],
      ['timeout', 4000, { 'network,timeout': 2, rate_limit: 1, 'exit.75': 1 }],
      ['rate_limit', 60_000, { 'network,timeout': 2, rate_limit: 2, 'exit.75': 1 }],
      ['rate_limit', 60_000, { 'network,timeout': 2, rate_limit: 3, 'exit.75': 1 }],
      ['network', 'retries_exhausted', { 'network,timeout': 3, rate_limit: 3, 'exit.75': 1 }],
    ];
    const decisions = failures(
      coercePolicy(list),
      steps.map(([name]) => name),
    );
    expect(decisions.map((decision) => [told(decision), decision.retry_counts])).toEqual(
      steps.map(([, result, counts]) => [result, counts]),
    );
    expect(decisions.map((decision) => decision.failure_count)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  test('nextRetryState reproduces the worked example of spec/RETRY.md', () => {
    const policy = coercePolicy([
      { retry_on: ['rate_limit'], max_attempts: 'unlimited', base: '30s', cap: '10m' },
      { retry_on: ['network', 'timeout'], max_attempts: 4, base: '2s' },
      { max_attempts: 2, base: '1s' },
    ]);
    const seen = ['network.dns', 'rate_limit', 'timeout', 'rate_limit', 'exit.1', 'network', 'exit.2'];
    expect(failures(policy, seen).map(told)).toEqual([2000, 30_000, 4000, 60_000, 1000, 8000, 'retries_exhausted']);
  });

  test.each([
    ['exit.1', 'fatal'],
    ['fatal', 'fatal'],
    ['fatal.config', 'fatal'],
    ['question.exhausted', 'decision_key_budget'],
  ])('an error of class %s ends a list as %s and is charged to no budget', (name, failure_reason) => {
    expect(failures(coercePolicy(list), ['timeout', name]).at(-1)).toEqual({
      outcome: 'failed',
      failure_reason,
      failure_count: 2,
      retry_counts: { 'network,timeout': 1 },
    });
    expect(failures(coercePolicy(list), [name])).toEqual([{ outcome: 'failed', failure_reason, failure_count: 1 }]);
  });

  test.each([
    ['fatal', ['fatal'], 'fatal'],
    ['question.exhausted', ['question'], 'decision_key_budget'],
    ['exit.1', ['network'], 'fatal'],
    ['exit.1', [], 'fatal'],
  ])('an error of class %s under retry_on %j ends as %s', (name, retry_on, expected) => {
    expect(failures(new RetryPolicy({ retry_on }), [name]).map(told)).toEqual([expected]);
  });

  test('an error with a budget of one attempt is exhausted by its first failure', () => {
    const policy = coercePolicy([{ retry_on: ['auth'], max_attempts: 1 }, {}]);
    expect(failures(policy, ['auth']).map(told)).toEqual(['retries_exhausted']);
  });

  test('max_total_attempts ends a list whose budgets are not exhausted', () => {
    const policy = coercePolicy({ policies: [...list], max_total_attempts: 4 });
    const decisions = failures(policy, ['rate_limit', 'network', 'rate_limit', 'rate_limit']);
    expect(decisions.map(told)).toEqual([30_000, 2000, 60_000, 'retries_exhausted']);
    expect(decisions.at(-1)?.retry_counts).toEqual({ rate_limit: 3, 'network,timeout': 1 });
  });

  test('a budget named like a property of Object is only a name', () => {
    const policy = RetryPolicy.compose(Object.assign(new RetryPolicy({ max_attempts: 3 }), { budgetKey: '__proto__' }));
    expect(failures(policy, ['exit.1', 'exit.1', 'exit.1']).map(told)).toEqual([1000, 2000, 'retries_exhausted']);
  });

  test('jitter draws from the given random source', () => {
    expect(failures(coercePolicy(undefined, STEP_RETRY_DEFAULT), ['exit.1', 'exit.1']).map(told)).toEqual([750, 1500]);
  });
});

describe('properties of a policy list', () => {
  const CLASSES = ['network', 'network.dns', 'network.timeout', 'exit', 'exit.1', 'exit.75', 'timeout', 'rate_limit'];
  const errors = fc.array(fc.constantFrom(...CLASSES, 'verify.lint'), { maxLength: 30 });
  const caps = fc.option(fc.integer({ min: 1, max: 6 }), { nil: null });
  const policies = fc.uniqueArray(
    fc.record({
      retry_on: fc.subarray(CLASSES, { minLength: 1, maxLength: 3 }),
      max_attempts: caps,
      base: fc.nat(5000),
      cap: fc.nat(60_000),
      jitter: fc.constantFrom('none' as const, 'equal' as const, 'full' as const),
    }),
    { selector: (policy) => policy.retry_on.toSorted().join(), minLength: 1, maxLength: 5 },
  );
  const disjoint = fc
    .uniqueArray(fc.record({ retry_on: fc.constantFrom(['network'], ['exit'], ['timeout']), max_attempts: caps }), {
      selector: (policy) => policy.retry_on[0],
      minLength: 1,
    })
    .chain((list) =>
      fc.record({ list: fc.constant(list), other: fc.shuffledSubarray(list, { minLength: list.length }) }),
    );

  test('reordering policies that do not overlap changes no decision', () => {
    fc.assert(
      fc.property(disjoint, errors, ({ list, other }, seen) => {
        expect(failures(coercePolicy(other), seen)).toEqual(failures(coercePolicy(list), seen));
      }),
    );
  });

  test('reordering a list during a run keeps every count', () => {
    const shuffled = policies.chain((list) =>
      fc.record({ list: fc.constant(list), other: fc.shuffledSubarray(list, { minLength: list.length }) }),
    );
    fc.assert(
      fc.property(shuffled, errors, fc.constantFrom(...CLASSES), ({ list, other }, seen, next) => {
        const before = failures(coercePolicy(list), seen).at(-1);
        const policy = coercePolicy(other);
        const counts = { failureCount: before?.failure_count ?? 0, retryCounts: before?.retry_counts };
        const error = { class: next, message: '' };
        const after = nextRetryState({ policy, error, ...counts, nowMs: NOW, random: half });
        const key = policy.policyFor(next)?.budgetKey;
        const expected = { ...before?.retry_counts };
        if (key !== undefined) expected[key] = (expected[key] ?? 0) + 1;
        expect(after.retry_counts ?? {}).toEqual(expected);
      }),
    );
  });

  test('a budget is not charged for errors that other policies match', () => {
    fc.assert(
      fc.property(policies, errors, fc.constantFrom(...CLASSES), (list, seen, watched) => {
        const policy = coercePolicy(list);
        const key = policy.policyFor(watched)?.budgetKey;
        const own = seen.filter((name) => policy.policyFor(name)?.budgetKey === key);
        const mixed = failures(policy, seen).filter(
          (_, index) => policy.policyFor(seen[index] ?? '')?.budgetKey === key,
        );
        expect(mixed.map(told)).toEqual(failures(policy, own).map(told));
      }),
    );
  });

  test('a subclass is charged to the budget of the policy that matches its parent', () => {
    const family = fc.array(fc.constantFrom('network', 'network.dns', 'network.timeout.read'), { maxLength: 8 });
    fc.assert(
      fc.property(family, caps, (seen, max_attempts) => {
        const policy = coercePolicy([{ retry_on: ['network'], max_attempts }, {}]);
        const expected = failures(
          policy,
          seen.map(() => 'network'),
        );
        expect(failures(policy, seen)).toEqual(expected);
        expect(expected.at(-1)?.retry_counts?.['network'] ?? 0).toBe(seen.length);
      }),
    );
  });

  test('a list of one decides like its policy alone, as long as that policy matches the errors', () => {
    fc.assert(
      fc.property(policies, fc.nat(20), (list, count) => {
        const declaration = list[0] as (typeof list)[number];
        const seen = Array<string>(count).fill(declaration.retry_on[0] as string);
        expect(failures(coercePolicy([declaration]), seen).map(told)).toEqual(
          failures(coercePolicy(declaration), seen).map(told),
        );
      }),
    );
  });

  test('no task exceeds max_total_attempts, and nothing else changes before it', () => {
    fc.assert(
      fc.property(policies, errors, fc.integer({ min: 1, max: 12 }), (list, seen, max_total_attempts) => {
        const capped = failures(coercePolicy({ policies: list, max_total_attempts }), seen).map(told);
        const free = failures(coercePolicy(list), seen).map(told);
        expect(capped.slice(0, max_total_attempts - 1)).toEqual(free.slice(0, max_total_attempts - 1));
        expect(capped.slice(max_total_attempts - 1).every((result) => typeof result === 'string')).toBe(true);
      }),
    );
  });

  test('the coarse bound never stops a list: budgets with a larger sum are used to the end', () => {
    const bounded = fc.array(fc.integer({ min: 2, max: 6 }), { minLength: 2, maxLength: 3 });
    fc.assert(
      fc.property(bounded, (limits) => {
        const roots = ['network', 'exit', 'timeout'];
        const list = limits.map((max_attempts, index) => ({ retry_on: [roots[index] as string], max_attempts }));
        const seen = limits.flatMap((limit, index) => Array<string>(limit - 1).fill(roots[index] as string));
        const policy = coercePolicy(list);
        expect(failures(policy, seen).every((decision) => decision.outcome === 'retry')).toBe(true);
        expect(policy.maxAttempts).toBe(Math.max(...limits));
      }),
    );
  });
});
