import { describe, expect, test } from 'vitest';
import { parseYaml, positionsOf, type YamlPath } from '../../src/lib/yaml.ts';
import fc, { runs } from '../support/properties.ts';

function read(text: string): unknown {
  const result = parseYaml(text, 'a.yaml');
  if (!result.ok) throw new Error(`not read: ${JSON.stringify(result.problems)}`);
  return result.value;
}

describe('YAML values', () => {
  test.each<[string, string, unknown]>([
    ['an empty text is null', '', null],
    ['comments alone are null', '# nothing\n', null],
    [
      'scalars of the core schema',
      'a: 1\nb: 1.5\nc: true\nd: ~\ne: text\nf:',
      { a: 1, b: 1.5, c: true, d: null, e: 'text', f: null },
    ],
    ['words that YAML 1.1 took for booleans stay text', 'a: yes\nb: off', { a: 'yes', b: 'off' }],
    ['a time stays text', 'a: 2026-01-01T00:00:00Z', { a: '2026-01-01T00:00:00Z' }],
    ['block scalars', 'a: |\n  one\n  two\nb: >\n  one\n  two\n', { a: 'one\ntwo\n', b: 'one two\n' }],
    ['a byte order mark is not part of the text', '\ufeffa: 1', { a: 1 }],
    ['lines may end in CR LF', 'a: 1\r\nb:\r\n  - x\r\n', { a: 1, b: ['x'] }],
    ['an alias is what it stands for', 'a: &x [1]\nb: *x', { a: [1], b: [1] }],
    [
      'a merge fills in what is not there',
      'a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3',
      { a: { p: 1, q: 2 }, b: { p: 1, q: 3 } },
    ],
    [
      'names of Object.prototype are keys like any other',
      'constructor: 1\ntoString: 2',
      { constructor: 1, toString: 2 },
    ],
  ])('YAML value: %s', (_, text, value) => {
    expect(read(text)).toEqual(value);
  });
});

describe('invalid YAML', () => {
  test.each<[string, string, string]>([
    ['a key given twice', 'a: 1\nb: 2\na: 3', '3:1 the key "a" is given twice in one mapping'],
    [
      'a quoted key given twice, deep down',
      'l:\n  - {"k": 1, "k": 2}',
      '2:14 the key "k" is given twice in one mapping',
    ],
    ['a second document', 'a: 1\n---\nb: 2', '3:1 a second YAML document starts here'],
    [
      'an unknown alias',
      'a:\n  - *.md',
      '2:5 *.md is read as an alias, because it starts with "*", and there is no anchor of that name',
    ],
    ['a tag that is none', 'a: [src/**, !src/x]', '1:13 !src/x is read as a tag, because it starts with "!"'],
    ['an alias inside of what it names', 'a: &x\n  b: *x', '2:6 this alias stands for a part that contains itself'],
    ['a key that would reach the prototype', 'a:\n  __proto__: {x: 1}', '2:3 the key "__proto__" is not allowed'],
    ['the same key, quoted', '"__proto__": 1', '1:1 the key "__proto__" is not allowed'],
    [
      'a tab in the indentation',
      'a:\n  b: 1\n\tc: 2',
      '3:1 not valid YAML: tab characters must not be used in indentation',
    ],
    ['a colon in a value', 'title: a: b', '1:9 not valid YAML: bad indentation of a mapping entry'],
    [
      'a tag for types that are not plain data',
      'a: !!binary aGk=',
      '1:4 not valid YAML: unknown scalar tag !<tag:yaml.org,2002:binary>',
    ],
    ['a list as a key', '? [a]\n: 1', '1:1 not valid YAML: object-based map does not support complex keys'],
    ['too much nesting', '['.repeat(200), '1:100 not valid YAML: nesting exceeded maxDepth (100)'],
  ])('YAML is refused with place and reason: %s', (_, text, expected) => {
    const result = parseYaml(text, 'dir/a.yaml');
    if (result.ok) throw new Error('was read');
    expect(result.problems).toHaveLength(1);
    const [problem] = result.problems;
    expect(problem?.place.file).toBe('dir/a.yaml');
    expect(`${problem?.place.line}:${problem?.place.column} ${problem?.message}`).toBe(expected);
  });

  test('an unclosed quote is reported at its start with a hint', () => {
    const result = parseYaml('a: "x\nb: 3\n', 'f');
    expect(result).toMatchObject({
      ok: false,
      problems: [{ suggestion: expect.stringContaining('may not be closed') }],
    });
  });

  test('aliases that expand to billions of values are refused before they are traversed', () => {
    const levels = Array.from({ length: 12 }, (_, i) => {
      const what = i === 0 ? 'x' : `*a${i - 1}`;
      return `- &a${i} [${Array(10).fill(what).join(', ')}]`;
    });
    const result = parseYaml(levels.join('\n'), 'f');
    expect(result).toMatchObject({ ok: false, problems: [{ message: expect.stringContaining('aliases') }] });
  });

  test('ten thousand mappings may share one block of keys', () => {
    const shared = 'shared: &s {a: 1, b: 2, c: 3}\nlist:\n';
    const text = shared + '  - {<<: *s, d: 4}\n'.repeat(10_000);
    const { list } = read(text) as { list: unknown[] };
    expect(list).toHaveLength(10_000);
    expect(list[9_999]).toEqual({ a: 1, b: 2, c: 3, d: 4 });
  });
});

describe('YAML places', () => {
  const text = [
    'name: x', // 1
    'list:', // 2
    '  - one', // 3
    '  - "two"', // 4
    '  - {k: v, "q": [1, 2]}', // 5
    'empty:', // 6
    'block: |', // 7
    '  text', // 8
    'base: &base', // 9
    '  shared: 1', // 10
    'user:', // 11
    '  <<: *base', // 12
    '  own: 2', // 13
    'again: *base', // 14
  ].join('\n');

  test.each<[string, YamlPath, 'key' | 'value', string]>([
    ['a value', ['name'], 'value', '1:7'],
    ['a key', ['name'], 'key', '1:1'],
    ['an item', ['list', 0], 'value', '3:5'],
    ['a quoted item, at its quote', ['list', 1], 'value', '4:5'],
    ['a flow mapping', ['list', 2], 'value', '5:5'],
    ['a key in it', ['list', 2, 'q'], 'key', '5:12'],
    ['an item in that', ['list', 2, 'q', 1], 'value', '5:21'],
    ['a value that is not spelled out, at its key', ['empty'], 'value', '6:1'],
    ['what came by a merge, where it is spelled out', ['user', 'shared'], 'value', '10:11'],
    ['what stands beside a merge', ['user', 'own'], 'key', '13:3'],
    ['the inside of an alias, where it is spelled out', ['again', 'shared'], 'key', '10:3'],
    ['a missing key, at the mapping that lacks it', ['list', 2, 'nope'], 'value', '5:5'],
    ['a missing item, at its list', ['list', 7, 'a'], 'value', '3:3'],
    ['the root', [], 'value', '1:1'],
  ])('locate finds %s', (_, path, target, expected) => {
    const place = positionsOf(text).place(path, target);
    expect(`${place?.line}:${place?.column}`).toBe(expected);
  });

  test('line numbers do not depend on the kind of line ends, and a byte order mark takes no column', () => {
    for (const end of ['\n', '\r\n', '\r']) {
      expect(positionsOf(`\ufeffa: 1${end}bb: 2${end}`).place(['bb'])).toEqual({ line: 2, column: 5 });
    }
    expect(positionsOf('\ufeffa: 1').place(['a'], 'key')).toEqual({ line: 1, column: 1 });
  });

  test('a text without content, or that is not YAML, has no places', () => {
    expect(positionsOf('# nothing').place(['a'])).toBeNull();
    expect(positionsOf('a: [').place(['a'])).toBeNull();
  });

  test('a scalar keeps its spelling', () => {
    const positions = positionsOf('a: 1.10\nb: 0x1F\nc: "q\\tq"\nd: [x]');
    expect(['a', 'b', 'c', 'd', 'e'].map((key) => positions.spelling([key]))).toEqual([
      '1.10',
      '0x1F',
      'q\tq',
      null,
      null,
    ]);
  });
});

/** Every path of a value with what is there. */
function leaves(value: unknown, path: (string | number)[] = []): [YamlPath, unknown][] {
  if (typeof value !== 'object' || value === null) return [[path, value]];
  const entries: [string | number, unknown][] = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return entries.flatMap(([key, part]) => leaves(part, [...path, key]));
}

describe('YAML of any value', () => {
  const json = fc.jsonValue().filter((value) => !JSON.stringify(value).includes('__proto__'));

  test('the JSON of a value is YAML of the same value, with every part at its place', () => {
    fc.assert(
      fc.property(json, fc.constantFrom(undefined, 1, 3), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        expect(read(text)).toEqual(JSON.parse(text));
        const positions = positionsOf(text);
        const lines = text.split('\n');
        for (const [path, leaf] of leaves(value)) {
          const place = positions.place(path);
          expect(lines[(place?.line ?? 0) - 1]?.slice((place?.column ?? 0) - 1)).toMatch(
            startingWith(JSON.stringify(leaf)),
          );
          const key = path.at(-1);
          if (typeof key !== 'string') continue;
          const keyPlace = positions.place(path, 'key');
          expect(lines[(keyPlace?.line ?? 0) - 1]?.slice((keyPlace?.column ?? 0) - 1)).toMatch(
            startingWith(JSON.stringify(key)),
          );
        }
      }),
    );
  });

  test('any text is read or refused with one problem, and never throws another error', () => {
    const fragment = fc.constantFrom(
      'a',
      ': ',
      '- ',
      '\n',
      '  ',
      '"',
      "'",
      '[',
      ']',
      '{',
      '}',
      '&x ',
      '*x',
      '<<: ',
      '|',
      '>',
      '#',
      '---\n',
      '!!',
      '\t',
      '?',
      ',',
      '\r',
      '\ufeff',
      '\u0000',
    );
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(fragment, { maxLength: 30 }).map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(text, (any) => {
        const result = parseYaml(any, 'f');
        expect(result.ok || result.problems.length === 1).toBe(true);
        expect(() => JSON.stringify(result)).not.toThrow();
        positionsOf(any).place(['a', 0, 'b']);
      }),
      runs(2000),
    );
  });
});

function startingWith(text: string): RegExp {
  return new RegExp(`^${text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')}`);
}
