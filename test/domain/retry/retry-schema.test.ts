import { describe, expect, test } from 'vitest';
import * as z from 'zod/mini';
import { type CompositeRetryPolicy, coercePolicy, type PolicyDeclaration } from '../../../src/domain/retry/retry.ts';
import { retryProblems, retrySchema } from '../../../src/domain/retry/schema.ts';
import fc from '../../support/properties.ts';

describe('accepted retry policies', () => {
  const accepted: unknown[] = [
    {},
    {
      retry_on: ['network', 'signal.SIGKILL'],
      max_attempts: 5,
      base: '500ms',
      cap: 60_000,
      factor: 1.5,
      jitter: 'full',
    },
    { retry_on: null, max_attempts: null, jitter: true },
    { retry_on: [], max_attempts: 'unlimited', base: 0, name: 'none' },
    [{ retry_on: ['network'] }, { max_attempts: 2 }],
    [{}],
    { policies: [{ retry_on: ['network.dns'] }, { retry_on: ['network'] }], max_total_attempts: 20 },
    [{ retry_on: ['network', 'exit.1'] }, { retry_on: ['exit.1', 'exit.2'] }],
    [{ retry_on: ['exit.1'] }, { retry_on: ['exit.10'] }],
    [{ name: 'a', retry_on: ['fatal'] }, {}],
  ];
  test.each(accepted.map((value) => [JSON.stringify(value), value]))('retry %s is accepted', (_text, value) => {
    expect(retryProblems(value)).toEqual([]);
    const parsed = z.parse(retrySchema(), value);
    expect(parsed).toEqual(value);
    expect(coercePolicy(parsed).policyFor('fatal')).toBeNull();
  });

  test('retry has a JSON Schema of three alternatives', () => {
    const schema = z.toJSONSchema(retrySchema());
    expect(schema.anyOf?.map((form) => (form as { type?: string }).type)).toEqual(['object', 'array', 'object']);
    expect(schema.anyOf?.[0]).toMatchObject({
      additionalProperties: false,
      properties: { base: { description: 'Delay after the first failed attempt.' } },
    });
  });
});

describe('refused retry policies', () => {
  const DURATION = 'a duration is a whole number of milliseconds or has units: 500ms, 30s, 5m, 2h, 1d, 1h30m';
  const shapes: [unknown, (string | number)[], string][] = [
    [[], [], 'a composite retry policy needs at least one policy'],
    [{ policies: [] }, ['policies'], 'a composite retry policy needs at least one policy'],
    [{ policies: {} }, ['policies'], 'policies is a list of retry policies'],
    [{ max_total_attempts: 3 }, ['policies'], 'policies is a list of retry policies'],
    ['often', [], 'a retry policy is a mapping such as {max_attempts: 3}, or a list of mappings'],
    [null, [], 'a retry policy is a mapping such as {max_attempts: 3}, or a list of mappings'],
    [[3], [0], 'a retry policy is a mapping such as {max_attempts: 3}, or a list of mappings'],
    [{ base: '1.5s' }, ['base'], DURATION],
    [{ base: -1 }, ['base'], DURATION],
    [{ base: null }, ['base'], DURATION],
    [{ cap: '5 m' }, ['cap'], DURATION],
    [{ cap: '999999999999d' }, ['cap'], DURATION],
    [[{}, { cap: 0.5 }], [1, 'cap'], DURATION],
    [{ max_attempts: 0 }, ['max_attempts'], 'a number of attempts is 1 or more, or "unlimited"'],
    [{ max_attempts: 1.5 }, ['max_attempts'], 'a number of attempts is 1 or more, or "unlimited"'],
    [
      { policies: [{}], max_total_attempts: 0 },
      ['max_total_attempts'],
      'a number of attempts is 1 or more, or "unlimited"',
    ],
    [{ factor: 0.5 }, ['factor'], 'factor is a number from 1 up'],
    [{ factor: Number.POSITIVE_INFINITY }, ['factor'], 'factor is a number from 1 up'],
    [{ jitter: 'some' }, ['jitter'], 'jitter is none, equal or full'],
    [{ retry_on: 'network' }, ['retry_on'], 'retry_on is a list of error classes, or null for any'],
    [
      { name: '' },
      ['name'],
      'a name has at most 64 letters, digits, dots, dashes and underscores, and starts with a letter or digit',
    ],
    [
      { policies: [{}], base: '1s' },
      ['base'],
      'write one policy or a list under policies, not both: base belongs to a policy',
    ],
  ];
  test.each(shapes.map(([value, ...rest]) => [JSON.stringify(value), value, ...rest] as const))(
    'retry %s is refused for its shape',
    (_text, value, path, message) => {
      expect(retryProblems(value)).toEqual([{ path, message }]);
      expect(z.safeParse(retrySchema(), value).success).toBe(false);
    },
  );

  test('an invalid class name in retry_on is reported at its place', () => {
    expect(retryProblems([{ retry_on: ['network', 'Time out'] }])).toEqual([
      { path: [0, 'retry_on', 1], message: expect.stringContaining('words joined by dots') },
    ]);
  });

  test('unknown keys of retry are all reported, with suggestions', () => {
    expect(retryProblems({ max_attemps: 3, bsae: 1, colour: 'red' })).toEqual([
      {
        path: ['max_attemps'],
        at: 'key',
        message: 'unknown key "max_attemps"',
        suggestion: 'Did you mean "max_attempts"?',
      },
      { path: ['bsae'], at: 'key', message: 'unknown key "bsae"', suggestion: 'Did you mean "base"?' },
      { path: ['colour'], at: 'key', message: 'unknown key "colour"' },
    ]);
    expect(retryProblems({ policies: [{ retryon: [] }], max_total_attempt: 1 })).toEqual([
      {
        path: ['policies', 0, 'retryon'],
        at: 'key',
        message: 'unknown key "retryon"',
        suggestion: 'Did you mean "retry_on"?',
      },
      {
        path: ['max_total_attempt'],
        at: 'key',
        message: 'unknown key "max_total_attempt"',
        suggestion: 'Did you mean "max_total_attempts"?',
      },
    ]);
  });

  const network = { retry_on: ['network'] };
  const meanings: [string, PolicyDeclaration[], number, RegExp][] = [
    ['the same classes', [network, { retry_on: ['network'], base: '1s' }], 1, /1 and 2 count .* "network"/],
    ['the same classes in another order', [{ retry_on: ['b', 'a'] }, { retry_on: ['a', 'b'] }], 1, /"a,b"/],
    ['two catch-alls', [{}, { retry_on: null }], 1, /"\*"/],
    [
      'the same name',
      [
        { name: 'x', ...network },
        { name: 'x', retry_on: ['exit'] },
      ],
      1,
      /"x"/,
    ],
    ['a name that is the key of another', [network, { name: 'network', retry_on: ['exit'] }], 1, /"network"/],
    ['behind a catch-all', [{}, network], 1, /policy 2 can never decide: policy 1 takes every error/],
    ['behind a named catch-all', [{ name: 'x' }, {}], 1, /policy 1 takes every error/],
    ['behind its parent', [network, { retry_on: ['network.dns'] }], 1, /policy 1 takes "network.dns"/],
    ['behind itself under another name', [network, { ...network, name: 'x' }], 1, /policy 1 takes "network"/],
    [
      'behind several together',
      [{ retry_on: ['exit'] }, network, { retry_on: ['network.dns', 'exit.1'] }],
      2,
      /policy 3 can never decide: policy 2 takes "network.dns"/,
    ],
  ];
  test.each(meanings)('a retry list is refused for: %s', (_name, list, index, message) => {
    expect(retryProblems(list)).toEqual([{ path: [index], message: expect.stringMatching(message) }]);
    expect(retryProblems({ policies: list })).toEqual([
      { path: ['policies', index], message: expect.stringMatching(message) },
    ]);
    expect(coercePolicy(list)).toMatchObject({ policies: { length: list.length } });
  });

  test('a policy is refused as unreachable only when none of its classes reaches it', () => {
    const classes = fc.subarray(['a', 'a.b', 'a.b.c', 'd', 'd.e'], { minLength: 1 });
    const lists = fc.array(fc.record({ retry_on: fc.option(classes, { nil: null }) }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(lists, (list) => {
        const named = list.map((policy, index) => ({ ...policy, name: `p${index}` }));
        const composite = coercePolicy(named) as CompositeRetryPolicy;
        const dead = composite.policies.flatMap((policy, index) => {
          const own = policy.retryOn ?? ['a.b.c', 'd.e', 'anything.else'];
          return own.some((name) => composite.policyFor(name as string) === policy) ? [] : [index];
        });
        expect(retryProblems(named).map((problem) => problem.path[0])).toEqual(dead);
      }),
    );
  });
});
