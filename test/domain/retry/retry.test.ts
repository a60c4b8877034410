import { describe, expect, test } from 'vitest';
import {
  CompositeRetryPolicy,
  coercePolicy,
  type PolicyDeclaration,
  type RetryDeclaration,
  type RetryError,
  RetryPolicy,
  resolveRetry,
} from '../../../src/domain/retry/retry.ts';
import { STEP_RETRY_DEFAULT, TASK_RETRY_DEFAULT, WAIT_RETRY_DEFAULT } from '../../../src/domain/retry/schema.ts';

describe('retry_on', () => {
  class HttpError extends Error {}
  class RateLimited extends HttpError {}
  class Coded extends Error {
    readonly class = 'network.dns';
  }
  class Fatal extends Error {
    readonly class = 'fatal';
  }

  const cases: [string, PolicyDeclaration['retry_on'], RetryError, boolean][] = [
    ['a class matches itself', ['network'], 'network', true],
    ['a parent matches its children', ['network'], 'network.timeout', true],
    ['a parent matches descendants at any depth', ['network'], 'network.timeout.read', true],
    ['a child does not match its parent', ['network.timeout'], 'network', false],
    ['a shared prefix is not a match', ['exit.1'], 'exit.10', false],
    ['any of the listed classes matches', ['network', 'timeout'], 'timeout', true],
    ['none of the listed classes matches', ['network', 'timeout'], 'exit.1', false],
    ['an object that carries a class', ['network'], { class: 'network.dns' }, true],
    ['absent matches any class', undefined, 'exit.1', true],
    ['null matches any class', null, 'exit.1', true],
    ['an empty list matches none', [], 'exit.1', false],
    ['fatal is never retried', null, 'fatal', false],
    ['a child of fatal is never retried', null, 'fatal.config', false],
    ['fatal is not retried when it is named', ['fatal'], 'fatal', false],
    ['a question asked too often is never retried', null, 'question.exhausted', false],
    ['question.exhausted is not retried when its parent is named', ['question'], 'question.exhausted', false],
    ['a sibling of question.exhausted is retried', ['question'], 'question.unclear', true],
    ['a class that only begins like fatal is retried', null, 'fatality', true],
    ['a command that is not found is not retried by a catch-all', null, 'exit.127', false],
    ['a command that may not be executed is not retried by a catch-all', null, { class: 'exit.126' }, false],
    ['a command that is too long is not retried by a catch-all', null, 'spawn.E2BIG', false],
    ['a command that is not found is retried where it is named', ['exit.127'], 'exit.127', true],
    ['a command that is not found is retried where its parent is named', ['exit'], 'exit.127', true],
    ['a worker that could not be started is retried', null, 'spawn', true],
    ['another exit code is retried', null, 'exit.128', true],
    ['an Error class matches itself', [HttpError], new HttpError(), true],
    ['an Error class matches its subclasses', [HttpError], new RateLimited(), true],
    ['a subclass does not match its parent', [RateLimited], new HttpError(), false],
    ['Error matches every Error', [Error], new RateLimited(), true],
    ['an Error class does not match a class name', [HttpError], 'network', false],
    ['a class name does not match an Error without one', ['network'], new HttpError(), false],
    ['a class name matches an Error that carries one', ['network'], new Coded(), true],
    ['a catch-all matches an Error', null, new HttpError(), true],
    ['an Error that carries fatal is never retried', [Fatal], new Fatal(), false],
  ];
  test.each(cases)('retry_on: %s', (_name, retry_on, error, expected) => {
    const policy = new RetryPolicy({ retry_on });
    expect(policy.matches(error)).toBe(expected);
    expect(policy.policyFor(error)).toBe(expected ? policy : null);
    expect(policy.retryable(error, 1)).toBe(expected);
    expect(policy.retryBackoff(error, { attempts: 1 })).toBe(expected ? 1000 : null);
  });
});

describe.each([undefined, null, 5, true, {}, { class: 7 }])('a thrown %j', (thrown) => {
  const policies: [string, PolicyDeclaration['retry_on']][] = [
    ['a catch-all', null],
    ['Error', [Error]],
    ['a subclass of Error', [TypeError]],
    ['a class name', ['network']],
    ['nothing', []],
  ];
  test.each(policies)('a thrown non-error is retried by %s like an Error without a class', (_name, retry_on) => {
    const single = new RetryPolicy({ retry_on, max_attempts: 2 });
    for (const policy of [single, RetryPolicy.compose(single)]) {
      for (const attempts of [1, 2]) {
        expect(policy.retryBackoff(thrown, { attempts })).toBe(policy.retryBackoff(new Error('x'), { attempts }));
      }
    }
  });
});

describe('single policy', () => {
  test('max_attempts of a policy includes the attempt that just failed', () => {
    const policy = new RetryPolicy({ max_attempts: 3, base: '1s' });
    expect([1, 2, 3, 4].map((attempts) => policy.retryable('exit.1', attempts))).toEqual([true, true, false, false]);
    expect([1, 2, 3].map((attempts) => policy.retryBackoff('exit.1', { attempts }))).toEqual([1000, 2000, null]);
  });

  test('max_attempts of 1 never retries', () => {
    expect(new RetryPolicy({ max_attempts: 1 }).retryBackoff('exit.1', { attempts: 1 })).toBeNull();
  });

  test.each<[string, PolicyDeclaration, number[]]>([
    ['no base', { base: 0 }, [1000, 1000, 1000]],
    ['a cap below a second', { base: 10, cap: '500ms' }, [1000, 1000, 1000]],
    ['a base that never grows', { base: '1ms', factor: 1 }, [1000, 1000, 1000]],
    ['a short base that grows', { base: '10ms' }, [10, 20, 40]],
  ])('a policy without a cap on attempts and with %s does not spin', (_name, declaration, delays) => {
    const policy = new RetryPolicy({ max_attempts: 'unlimited', ...declaration });
    expect([1, 2, 3].map((attempts) => policy.retryBackoff('exit.1', { attempts }))).toEqual(delays);
  });

  test('a policy with a cap on attempts may retry at once', () => {
    expect(new RetryPolicy({ max_attempts: 3, base: 0 }).retryBackoff('exit.1', { attempts: 1 })).toBe(0);
  });

  test.each([null, 'unlimited'] as const)('max_attempts %s has no cap', (max_attempts) => {
    expect(new RetryPolicy({ max_attempts, cap: '5m' }).retryBackoff('exit.1', { attempts: 1_000_000 })).toBe(300_000);
  });

  test('a single policy never asks for a count of its own', () => {
    const asked: string[] = [];
    const policy = new RetryPolicy({ name: 'mine', base: '1s' });
    const delay = policy.retryBackoff('exit.1', { attempts: 2 }, (key) => asked.push(key));
    expect([delay, asked]).toEqual([2000, []]);
  });

  const keys: [PolicyDeclaration, string][] = [
    [{}, '*'],
    [{ retry_on: null }, '*'],
    [{ retry_on: [] }, ''],
    [{ retry_on: ['timeout', 'network'] }, 'network,timeout'],
    [{ retry_on: ['network', 'timeout'] }, 'network,timeout'],
    [{ retry_on: [TypeError, 'network'] }, 'TypeError,network'],
    [{ name: 'flaky', retry_on: ['network'] }, 'flaky'],
    [{ name: 'rest' }, 'rest'],
  ];
  test.each(keys)('the budget key of %j is %j', (declaration, expected) => {
    expect(new RetryPolicy(declaration).budgetKey).toBe(expected);
  });

  test.each([
    [true, 'equal'],
    [false, 'none'],
    ['full', 'full'],
  ] as const)('jitter %s is read as %s', (jitter, expected) => {
    expect(new RetryPolicy({ jitter }).jitter).toBe(expected);
  });

  test('a duration of a policy is an integer in ms or a string with a unit', () => {
    expect(new RetryPolicy({ base: 250, cap: '2m' })).toMatchObject({ baseMs: 250, capMs: 120_000 });
  });

  const sites = [
    ['task', TASK_RETRY_DEFAULT, { maxAttempts: 10, baseMs: 1000, capMs: 300_000, factor: 2, jitter: 'none' }],
    ['step', STEP_RETRY_DEFAULT, { maxAttempts: 3, baseMs: 1000, capMs: 30_000, factor: 2, jitter: 'equal' }],
    ['wait', WAIT_RETRY_DEFAULT, { maxAttempts: null, baseMs: 1000, capMs: 30_000, factor: 2, jitter: 'equal' }],
  ] as const;
  test.each(sites)('omitted fields of a policy come from the default of the site: %s', (_name, site, expected) => {
    expect(new RetryPolicy({}, site)).toMatchObject(expected);
    expect(new RetryPolicy({ factor: 3 }, site)).toMatchObject({ ...expected, factor: 3 });
  });

  test('a policy without retry_on retries any class, also for a wait', () => {
    expect(new RetryPolicy({ max_attempts: 2 }, WAIT_RETRY_DEFAULT).matches('exit.1')).toBe(true);
  });

  test('changing a declaration afterwards does not change its policy', () => {
    const retry_on = ['network'];
    const policy = new RetryPolicy({ retry_on });
    retry_on.push('timeout');
    expect(policy.matches('timeout')).toBe(false);
  });
});

describe('composite policy', () => {
  const dns = new RetryPolicy({ retry_on: ['network.dns'], max_attempts: 2, base: '5s' });
  const network = new RetryPolicy({ retry_on: ['network'], max_attempts: 4, base: '1s' });
  const rest = new RetryPolicy({ max_attempts: 3, base: '100ms' });
  const all = RetryPolicy.compose(dns, network, rest);

  test.each([
    ['network.dns', dns],
    ['network.timeout', network],
    ['network', network],
    ['exit.1', rest],
    ['fatal', null],
    ['question.exhausted', null],
  ])('a composite gives %s to the first policy that matches', (error, expected) => {
    expect(all.policyFor(error)).toBe(expected);
  });

  test('a composite without a match does not retry', () => {
    const composite = RetryPolicy.compose(dns, network);
    expect(composite.policyFor('exit.1')).toBeNull();
    expect(composite.retryBackoff('exit.1', { attempts: 1 })).toBeNull();
  });

  test('a composite uses the count of the deciding budget, and attempts without one', () => {
    const asked: string[] = [];
    const countFor = (key: string) => {
      asked.push(key);
      return 2;
    };
    expect(all.retryBackoff('network.timeout', { attempts: 9 }, countFor)).toBe(2000);
    expect(asked).toEqual(['network']);
    expect(all.retryBackoff('network.timeout', { attempts: 3 })).toBe(4000);
    expect(all.retryBackoff('network.timeout', { attempts: 4 })).toBeNull();
  });

  test('a composite passes the random source to the deciding policy', () => {
    const composite = RetryPolicy.compose(new RetryPolicy({ base: '1s', jitter: 'full' }));
    expect(composite.retryBackoff('exit.1', { attempts: 1, random: () => 0.25 })).toBe(250);
  });

  test('compose accepts what plans refuse, and the first match wins', () => {
    const second = new RetryPolicy({ max_attempts: 9 });
    expect(RetryPolicy.compose(rest, second).policyFor('exit.1')).toBe(rest);
  });

  test('compose needs at least one policy', () => {
    expect(() => RetryPolicy.compose()).toThrow('a composite retry policy needs at least one policy');
  });

  test.each([
    [[2, 7, 3], 7],
    [[2, null, 3], null],
    [[4], 4],
  ])('the coarse bound of %j is %j', (caps, expected) => {
    const policies = caps.map((max_attempts) => new RetryPolicy({ max_attempts }));
    expect(RetryPolicy.compose(...policies).maxAttempts).toBe(expected);
  });
});

describe('coercePolicy', () => {
  test('coercePolicy makes a single policy of one mapping', () => {
    const policy = coercePolicy({ retry_on: ['network'], base: '2s' }, STEP_RETRY_DEFAULT);
    expect(policy).toBeInstanceOf(RetryPolicy);
    expect(policy).toMatchObject({
      retryOn: ['network'],
      baseMs: 2000,
      maxAttempts: 3,
      capMs: 30_000,
      jitter: 'equal',
    });
  });

  const lists: [string, RetryDeclaration, number | null][] = [
    ['a list', [{ retry_on: ['network'] }, {}], null],
    ['a list of one', [{}], null],
    ['policies', { policies: [{}] }, null],
    ['policies with a cap on the sum', { policies: [{}], max_total_attempts: 4 }, 4],
    ['an unlimited sum', { policies: [{}], max_total_attempts: 'unlimited' }, null],
    ['policy objects', [new RetryPolicy({}), { retry_on: ['network'] }], null],
  ];
  test.each(lists)('coercePolicy makes a composite of %s', (_name, value, maxTotalAttempts) => {
    const composite = coercePolicy(value, STEP_RETRY_DEFAULT);
    expect(composite).toBeInstanceOf(CompositeRetryPolicy);
    expect(composite).toMatchObject({ maxTotalAttempts });
  });

  test('coercePolicy fills in every policy of a list from the site', () => {
    const composite = coercePolicy([{ retry_on: ['network'], base: '9s' }, { cap: '1m' }], STEP_RETRY_DEFAULT);
    expect(composite).toMatchObject({
      policies: [
        { baseMs: 9000, capMs: 30_000, maxAttempts: 3, jitter: 'equal' },
        { baseMs: 1000, capMs: 60_000, maxAttempts: 3, jitter: 'equal' },
      ],
    });
  });

  test('coercePolicy keeps policy objects', () => {
    const single = new RetryPolicy({ name: 'mine' });
    const composite = RetryPolicy.compose(single);
    expect(coercePolicy(single)).toBe(single);
    expect(coercePolicy(composite)).toBe(composite);
    expect(coercePolicy([single])).toMatchObject({ policies: [single] });
  });

  test('coercePolicy accepts Error classes in code', () => {
    const composite = coercePolicy({ policies: [{ retry_on: [RangeError, 'network'] }] });
    expect([new RangeError('x'), new TypeError('x')].map((error) => composite.policyFor(error) !== null)).toEqual([
      true,
      false,
    ]);
  });

  test("coercePolicy returns the site's default for nothing", () => {
    expect(coercePolicy(undefined, WAIT_RETRY_DEFAULT)).toMatchObject({ retryOn: [], maxAttempts: null });
    expect(coercePolicy(undefined)).toMatchObject({ retryOn: null, maxAttempts: 10, capMs: 300_000 });
  });

  const refused: [string, unknown, string][] = [
    ['an empty list', [], 'a composite retry policy needs at least one policy'],
    ['empty policies', { policies: [] }, 'a composite retry policy needs at least one policy'],
    ['both forms', { policies: [{}], base: '1s' }, 'not both'],
    ['a sum without a list', { max_total_attempts: 3 }, 'policies'],
    ['a sum with one policy', { max_total_attempts: 3, base: '1s' }, 'not both'],
    ['a list in a list', [[{}]], 'a retry policy is a mapping'],
    ['null', null, 'a retry policy is a mapping'],
    ['a number', 3, 'a retry policy is a mapping'],
    ['an unknown key', [{}, { bsae: '1s' }], '1: bsae: unknown key "bsae"'],
    ['a function that is no Error class', { retry_on: [Map] }, 'an error class is words joined by dots'],
  ];
  test.each(refused)('coercePolicy refuses %s', (_name, value, message) => {
    expect(() => coercePolicy(value as RetryDeclaration)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGS', message: expect.stringContaining(message) }),
    );
  });

  test('a policy cannot be made of a policy or of a list', () => {
    expect(() => new RetryPolicy(new RetryPolicy({}) as unknown as PolicyDeclaration)).toThrow('unknown key');
    expect(() => new RetryPolicy({ policies: [{}] } as PolicyDeclaration)).toThrow('unknown key "policies"');
  });
});

describe('resolveRetry', () => {
  const site = { name: 'site' };
  const task = { name: 'task' };
  const settings = { name: 'settings' };
  const cases: [string, Omit<Parameters<typeof resolveRetry>[0], 'default'>, string | null][] = [
    ['its own first', { site, task, settings }, 'site'],
    ['then the task', { task, settings }, 'task'],
    ['then settings', { settings }, 'settings'],
    ['then the default', {}, null],
  ];
  test.each(cases)('resolveRetry: %s', (_name, levels, expected) => {
    expect(resolveRetry({ ...levels, default: STEP_RETRY_DEFAULT })).toMatchObject({ name: expected, maxAttempts: 3 });
  });

  test('resolveRetry uses the first policy as a whole and merges nothing', () => {
    const resolved = resolveRetry({ task: { base: '7s' }, settings: { factor: 5 }, default: TASK_RETRY_DEFAULT });
    expect(resolved).toMatchObject({ baseMs: 7000, factor: 2 });
  });

  test('resolveRetry gives a wait its own policy or none', () => {
    const bare = resolveRetry({ task, settings, default: WAIT_RETRY_DEFAULT });
    expect(bare.policyFor('network')).toBeNull();
    const own = resolveRetry({ site: { retry_on: ['network'] }, task, settings, default: WAIT_RETRY_DEFAULT });
    expect(own.policyFor('network')).not.toBeNull();
  });
});

test('the package exports what programs choose a policy with', async () => {
  const { resolveRetry: resolve, STEP_RETRY_DEFAULT: site } = await import('../../../src/index.ts');
  expect(resolve({ task: { max_attempts: 2 }, settings: { max_attempts: 9 }, default: site }).maxAttempts).toBe(2);
});
