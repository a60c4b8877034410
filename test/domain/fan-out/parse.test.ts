/** The lines that the children of a fan-out are read from. */

import { describe, expect, test } from 'vitest';
import { parseChildren } from '../../../src/domain/fan-out/parse.ts';
import { thrownBy } from '../../support/refused.ts';

const parse = (...lines: string[]) => parseChildren(lines.join('\n'), 'c.jsonl', { parent: 'a', fanOut: 'f' });

const refused = (...lines: string[]) => thrownBy(() => parse(...lines));

const X = '{"name":"x","run":"true"}';

test('a child has what its line says, and null for the rest', () => {
  const all = {
    name: 'y:1',
    run: 'make y',
    title: 'Make y',
    env: { A: 'b', N: 1.5, ON: true },
    retry: [{ retry_on: ['network'], max_attempts: 4 }],
    timeout: '2m',
    input: { file: 'y', parts: [1, { deep: null }] },
  };
  expect(parse(`\uFEFF${X}\r`, '', JSON.stringify(all), '  ')).toEqual([
    { name: 'x', run: 'true', title: null, env: {}, retry: null, timeout_ms: null, input: null },
    {
      name: 'y:1',
      run: 'make y',
      title: 'Make y',
      env: { A: 'b', N: '1.5', ON: 'true' },
      retry: all.retry,
      timeout_ms: 120_000,
      input: all.input,
    },
  ]);
});

test('the input of a child is any JSON, and one that is empty is no other than that', () => {
  const inputOf = (text: string) => parse(`{"name":"x","run":"true","input":${text}}`)[0]?.input;
  for (const value of ['', 0, false, [], {}, null, 'x']) expect(inputOf(JSON.stringify(value))).toEqual(value);
});

test('the keys of a child are listed where one is unknown, with that of its input', () => {
  const [problem] = refused('{"name":"y","run":"true","zzz":1}').problems;
  expect(problem?.suggestion).toBe('It has the keys name, run, title, env, retry, timeout, input.');
});

test('a fan-out may have no children', () => {
  expect(parse('')).toEqual([]);
});

describe('a line is refused with its place', () => {
  test.each([
    ['no JSON', '{"name":', 'INVALID_ARGS', /^expected a JSON object, found "\{\\"name\\":"$/],
    ['two objects', `${X},${X}`, 'INVALID_ARGS', /^expected a JSON object/],
    ['an object and what closes the list around it', `${X}],[`, 'INVALID_ARGS', /^expected a JSON object/],
    ['the like of a mapping', `${X}], "x":[`, 'INVALID_ARGS', /^expected a JSON object/],
    ['a list', '[]', 'INVALID_ARGS', /^expected a mapping, found a list$/],
    ['no run', '{"name":"y"}', 'INVALID_ARGS', /^child "y": "run" is missing$/],
    ['an empty run', '{"name":"y","run":""}', 'INVALID_ARGS', /^child "y": run: may not be empty$/],
    ['no name', '{"run":"true"}', 'INVALID_ARGS', /^"name" is missing$/],
    ['an unknown key', '{"name":"y","run":"true","timout":"1s"}', 'INVALID_ARGS', /^child "y": unknown key "timout"$/],
    [
      'a wrong duration',
      '{"name":"y","run":"true","timeout":"soon"}',
      'INVALID_ARGS',
      /^child "y": timeout: expected a duration/,
    ],
    ['a time limit of nothing', '{"name":"y","run":"true","timeout":0}', 'INVALID_ARGS', /must be more than 0/],
    [
      'a wrong policy',
      '{"name":"y","run":"true","retry":{"max_attempts":0}}',
      'INVALID_ARGS',
      /^child "y": retry.max_attempts: a number of attempts/,
    ],
    [
      'policies out of reach',
      '{"name":"y","run":"true","retry":[{},{"retry_on":["a"]}]}',
      'INVALID_ARGS',
      /can never decide/,
    ],
    ["a variable of forge's", '{"name":"y","run":"true","env":{"FORGE_X":"1"}}', 'INVALID_ARGS', /set by forge itself/],
    ['a name that is none', '{"name":"a/b","run":"true"}', 'INVALID_ID', /can't name a child/],
    ['a reserved name', '{"name":"forge.x","run":"true"}', 'INVALID_ID', /forge's own/],
    [
      "a key of forge's in the input",
      '{"name":"y","run":"true","input":{"forge.x":1}}',
      'INVALID_ID',
      /^child "y": input: "forge\.x"/,
    ],
    ['a name that comes twice', X, 'INVALID_ARGS', /^child "x" comes twice \(first in line 1\)$/],
    [
      'a name that comes twice in another case',
      '{"name":"X","run":"true"}',
      'INVALID_ARGS',
      /^child "X" comes twice \(first in line 1, in another case\)$/,
    ],
    [
      'an input that is nested too deep',
      `{"name":"y","run":"true","input":${'['.repeat(98)}${']'.repeat(98)}}`,
      'INVALID_ARGS',
      /^expected a JSON object/,
    ],
  ])('%s', (_what, line, code, message) => {
    const error = refused(X, '', line);
    expect(error.code).toBe(code);
    expect(error.problems).toMatchObject([
      { place: { file: 'c.jsonl', line: 3 }, message: expect.stringMatching(message) },
    ]);
    expect(error.message).toContain('c.jsonl:3 ');
  });

  test('an id that is too long', () => {
    const line = (chars: number) => `{"name":"${'y'.repeat(chars)}","run":"true"}`;
    const parent = `a/f/${'x'.repeat(96)}`;
    const parsed = (chars: number) => parseChildren(line(chars), 'c', { parent, fanOut: 'g' });
    expect(parsed(97)).toHaveLength(1);
    expect(() => parsed(98)).toThrow('more than 200 characters');
  });
});

test('all problems are told at once, in the order of the lines', () => {
  const { problems, message } = refused('nothing', X, '{"name":"y","rum":"true"}', X);
  expect(problems.map(({ place, suggestion }) => [place.line, suggestion])).toEqual([
    [1, undefined],
    [3, undefined],
    [3, 'Did you mean "run"?'],
    [4, undefined],
  ]);
  expect(message).toMatch(/^4 problems in the children of f: c\.jsonl:1 /);
});

test('ten thousand children are read in time that grows with their number', () => {
  const lines = (count: number) =>
    Array.from({ length: count }, (_, i) => `{"name":"n${i}","run":"./one.sh ${i}","input":{"i":${i}}}`);
  expect(parse(...lines(10_000))).toHaveLength(10_000);
});
