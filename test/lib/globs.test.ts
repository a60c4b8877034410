import { describe, expect, test } from 'vitest';
import { commonPath, globOf, globOfFolder, matches } from '../../src/lib/globs/globs.ts';
import { GLOB_MAX_CHARS, GLOB_MAX_EXPANDED, globFault, readGlob } from '../../src/lib/globs/syntax.ts';
import fc, { runs } from '../support/properties.ts';

const meet = (...globs: string[]) => commonPath(globs.map(globOf));

describe('globs', () => {
  const cases: [glob: string, means: string[], not: string[]][] = [
    ['package.json', ['package.json'], ['a/package.json', 'package.jsonx', 'packageXjson', 'package.json/a']],
    ['.github', ['.github', '.github/a.yml'], ['.githubs']],
    ['v1.2/', ['v1.2/a'], ['v1.2', 'v1x2/a']],
    ['src', ['src', 'src/a', 'src/a/b.ts', 'src/.env'], ['srcs', 'a/src', 'sr']],
    ['src/', ['src/a', 'src/a/b'], ['src', 'srcs/a']],
    ['./src/', ['src/a'], ['src']],
    ['src/*', ['src/a', 'src/.env'], ['src', 'src/a/b']],
    ['src/*.ts', ['src/a.ts', 'src/.ts'], ['src/a/b.ts', 'src/a.tsx', 'a.ts']],
    ['*', ['a', '.env'], ['a/b']],
    ['*/', ['a/b', 'a/b/c'], ['a']],
    ['**', ['a', 'a/b', '.git/x'], []],
    ['src/**', ['src/a', 'src/a/b'], ['src', 'srcs/a']],
    ['**/a', ['a', 'x/a', 'x/y/a', 'x/a/b'], ['ba', 'x/ba']],
    ['**/*.md', ['a.md', 'x/a.md', 'x/y/.md'], ['a.mdx', 'x/a.md/b']],
    ['a/**/b', ['a/b', 'a/x/b', 'a/x/y/b', 'a/b/c'], ['ab', 'a/xb', 'b']],
    ['**/**', ['a', 'a/b'], []],
    ['a**b', ['ab', 'axb'], ['a/b']],
    ['a?c', ['abc', 'a.c', 'a💧c'], ['ac', 'a/c', 'abbc']],
    ['[ab]x', ['ax', 'bx'], ['cx', 'abx', 'ax/y']],
    ['[a-c]', ['a', 'b', 'c'], ['d', '-', 'a/b']],
    ['[!a-c]', ['d', '-'], ['a', 'b', '/']],
    ['[^a]', ['b'], ['a']],
    ['[]a]', [']', 'a'], ['b']],
    ['[a-]', ['a', '-'], ['b']],
    ['[\\]]', [']'], ['\\']],
    ['{a,b}.ts', ['a.ts', 'b.ts'], ['c.ts', '{a,b}.ts']],
    ['{src,test/{a,b}}/x', ['src/x', 'test/a/x', 'test/b/x'], ['test/x', 'a/x']],
    ['src{,/**}', ['src', 'src/a'], ['srcs']],
    ['a\\*', ['a*', 'a*/b'], ['ab']],
    ['\\{a,b\\}', ['{a,b}'], ['a']],
    ['\\!a', ['!a'], ['a']],
    ['app/(group)/\\[id\\]/*', ['app/(group)/[id]/page.tsx'], ['app/(group)/i/page.tsx']],
    ['}]', ['}]'], []],
    ['ä/💧*', ['ä/💧x'], ['a/x']],
  ];
  test.each(cases)('glob %s matches the paths it should and no others', (glob, means, not) => {
    expect(globFault(glob)).toBeNull();
    expect(means.filter((path) => !matches(globOf(glob), path))).toEqual([]);
    expect(not.filter((path) => matches(globOf(glob), path))).toEqual([]);
  });
});

describe('glob faults', () => {
  const cases: [glob: string, message: string, suggestion?: string][] = [
    ['', 'is empty'],
    ['  ', 'is empty'],
    [' a', 'begins or ends with a space'],
    ['a\u0007', 'may not hold control characters'],
    ['/etc/passwd', 'must name files below the project', 'Leave out / at the start.'],
    ['/', 'must name files below the project'],
    ['../a', 'must name files below the project', 'Leave out every `..`.'],
    ['a/../b', 'must name files below the project'],
    ['{a,..}/b', 'must name files below the project'],
    ['[.]./a', 'must name files below the project'],
    ['a/./b', 'has a part that is only a dot'],
    ['.', 'has a part that is only a dot'],
    ['a//b', 'has two / in a row'],
    ['!a', 'cannot be negated'],
    ['[ab', 'has a [ that is not closed', 'For the character itself, write \\[.'],
    ['[]', 'has a [ that is not closed'],
    ['[a-', 'has a [ that is not closed'],
    ['[b-a]', 'has a range in [...] that goes backwards'],
    ['[a/b]', 'has a / in [...], which never matches'],
    ['[[:alpha:]]', 'has [: in [...], which is not supported'],
    ['{a,b', 'has a { that is not closed', 'For the character itself, write \\{.'],
    ['{a}', 'has braces without a comma'],
    ['{1..3}', 'has braces without a comma'],
    ['{,a}', 'has braces that may expand to nothing'],
    ['@(a|b)', 'has @(...), which is not supported'],
    ['*(a)', 'has *(...), which is not supported'],
    ['a\\', 'ends with a backslash'],
    ['src\\api', 'has a backslash before a'],
    ['{a,b}'.repeat(7), 'has braces that expand to more than 1000 characters'],
    ['{a,b}'.repeat(30), 'has braces that expand to more than 1000 characters'],
    ['a'.repeat(GLOB_MAX_CHARS + 1), 'has more than 200 characters'],
  ];
  test.each(cases)('glob %j is refused with the reason', (glob, message, suggestion) => {
    const fault = globFault(glob);
    expect(fault?.message).toBe(message);
    if (suggestion !== undefined) expect(fault?.suggestion).toBe(suggestion);
  });

  test('a glob is refused only beyond the limits of length and expansion', () => {
    expect(globFault('a'.repeat(GLOB_MAX_CHARS))).toBeNull();
    const plain = readGlob('{a,b}'.repeat(6));
    expect(plain).toHaveLength(2 ** 6);
    expect(plain.length * 7).toBeLessThanOrEqual(GLOB_MAX_EXPANDED);
  });

  test('every text is either a valid glob or has a reported fault', () => {
    const odd = fc.string({ unit: fc.constantFrom(...'ab./*?[]{}!-,\\^( ') });
    fc.assert(
      fc.property(odd, (text) => {
        if (globFault(text) === null) expect(readGlob(text).length).toBeGreaterThan(0);
        else expect(() => readGlob(text)).toThrow();
      }),
      runs(3000),
    );
  });
});

describe('commonPath', () => {
  const cases: [globs: string[], path: string | null][] = [
    [['src/**', 'src/api'], 'src/api'],
    [['src/api/**', 'src/*/x.ts'], 'src/api/x.ts'],
    [['src/**', 'test/**'], null],
    [['src', 'src/a/b'], 'src/a/b'],
    // `a.ts` is a file: a folder of that name is too unlikely to count.
    [['src/a.ts', '**/*.md'], null],
    [['src/a.ts', 'src/a.ts', '**/package.json'], null],
    [['src/', 'src'], 'src/a'],
    [['src/*', 'src/a/b'], null],
    [['*.ts', 'a*'], 'a.ts'],
    [['*a', '*b'], null],
    [['**/a', 'b/**'], 'b/a'],
    [['**/a/*', '**/b/*'], null],
    [['**/a/**', '**/b/**', '*/b/*'], 'a/b/a'],
    [['{a,b}/x', '{b,c}/*'], 'b/x'],
    // The only name that both have would be `.` or `..`, which no file has.
    [['.*', '?'], null],
    [['.?', '?.'], null],
    [['.[a-z]?', '??.'], '.a.'],
    [['[!a]', '[!b]'], 'c'],
    [['*.json', 'package*', '**'], 'package.json'],
    [['src/**', 'src/**', 'package.json'], null],
  ];
  test.each(cases)('the shortest path that globs %j have in common is %j', (globs, path) => {
    expect(meet(...globs)).toBe(path);
    expect(meet(...globs.toReversed())).toBe(path);
  });

  test("a folder's glob matches what is in it, whatever characters its name has", () => {
    expect(commonPath([globOfFolder('a/[b]*'), globOf('a/**')])).toBe('a/[b]*/a');
    expect(commonPath([globOfFolder('a/[b]*'), globOf('a/bc/d')])).toBeNull();
    expect(commonPath([globOfFolder('a.b'), globOf('a.b')])).toBeNull();
    expect(commonPath([globOfFolder('a.b'), globOf('a.b/c/**')])).toBe('a.b/c/a');
  });
});

// ---------------------------------------------------------------------------------------------- against enumeration

/** `c` stands for every character that no glob below names. */
const LETTERS = ['a', 'b', 'c', '.', '/'];
const LONGEST = 5;

const isPath = (text: string) => text.split('/').every((name) => !['', '.', '..'].includes(name));

const PATHS: string[] = Array.from({ length: LONGEST })
  .reduce<string[][]>(
    (lengths) => [...lengths, (lengths.at(-1) ?? []).flatMap((path) => LETTERS.map((letter) => path + letter))],
    [['']],
  )
  .flat()
  .filter(isPath);

/** The dialect once more, by other means: an expression for each choice from the braces. */
function expressionOf(glob: string): RegExp {
  const braces = /^(.*?)\{([^{}]*),([^{},]*)\}(.*)$/.exec(glob);
  if (braces !== null) {
    const [, before = '', first = '', second = '', after = ''] = braces;
    const choices = [...first.split(','), second].map((choice) => expressionOf(before + choice + after).source);
    return new RegExp(choices.map((choice) => `(?:${choice})`).join('|'));
  }
  const parts = glob.replace(/^(?:\.\/)+(?=.)/, '').split('/');
  const folder = parts.at(-1) === '';
  if (folder) parts.pop();
  const last = parts.at(-1) ?? '';
  const inner = parts.map((part, i) => {
    const ends = i === parts.length - 1;
    if (/^\*{2,}$/.test(part)) return ends ? '.+' : '(?:[^/]+/)*';
    const text = part.replaceAll('.', '\\.').replaceAll('[!', '[^/').replace(/\*+/g, '[^/]*').replaceAll('?', '[^/]');
    return text + (ends ? '' : '/');
  });
  const tail = folder && !/^\*{2,}$/.test(last) ? '/.+' : /[*?[]|.\./.test(last) ? '' : '(?:/.+)?';
  return new RegExp(`^${inner.join('')}${tail}$`);
}

const token = fc.constantFrom('a', 'b', '.', '*', '?', '[ab]', '[!a]', '[a-b]', '{a,b*}', '{.,?}');
const part = fc.oneof(
  { weight: 3, arbitrary: fc.array(token, { minLength: 1, maxLength: 3 }).map((tokens) => tokens.join('')) },
  { weight: 1, arbitrary: fc.constant('**') },
  { weight: 1, arbitrary: fc.constantFrom('{a,b/*}', '{a/b,**}') },
);
const glob = fc
  .tuple(fc.array(part, { minLength: 1, maxLength: 3 }), fc.constantFrom('', '', '/'))
  .map(([parts, end]) => parts.join('/') + end)
  .filter((text) => globFault(text) === null);

const inEnumeration = (globs: readonly string[]) => {
  const expressions = globs.map(expressionOf);
  return PATHS.filter((path) => expressions.every((expression) => expression.test(path)));
};

describe('globs compared with all paths over a small alphabet', () => {
  test('the sample of paths is not empty', () => {
    expect(PATHS).toEqual(expect.arrayContaining(['a', 'a/b', 'a/b/c', '..a', 'a/.b']));
    expect(PATHS.filter((path) => /^\/|\/$|\/\/|^\.\.?$/.test(path))).toEqual([]);
  });

  test('a glob matches the paths that the dialect defines', () => {
    fc.assert(
      fc.property(glob, (text) => {
        const read = globOf(text);
        expect(PATHS.filter((path) => matches(read, path))).toEqual(inEnumeration([text]));
      }),
      runs(400),
    );
  });

  test.each([2, 3])('%i globs have a path in common exactly when one exists, and it is the shortest', (count) => {
    let met = 0;
    fc.assert(
      fc.property(fc.array(glob, { minLength: count, maxLength: count }), (globs) => {
        const path = meet(...globs);
        const [first] = inEnumeration(globs);
        if (path === null) expect(first).toBeUndefined();
        else {
          met += 1;
          expect(isPath(path)).toBe(true);
          expect(globs.filter((each) => !expressionOf(each).test(path))).toEqual([]);
          if (path.length <= LONGEST || first !== undefined) expect(path).toHaveLength(first?.length ?? -1);
        }
      }),
      runs(1500),
    );
    expect(met).toBeGreaterThan(100);
    expect(met).toBeLessThan(1400);
  });

  test('globs overlap symmetrically, and every glob that matches a path overlaps with itself', () => {
    fc.assert(
      fc.property(glob, glob, (a, b) => {
        expect(meet(a, b)?.length).toBe(meet(b, a)?.length);
        const own = meet(a, a);
        expect(own).toBe(meet(a));
        if (own === null) expect(inEnumeration([a])).toEqual([]);
        else expect(matches(globOf(a), own)).toBe(true);
      }),
      runs(500),
    );
  });
});

describe('pathological globs', () => {
  const stars = (end: string) => `${'*a'.repeat((GLOB_MAX_CHARS - 2) / 2)}${end}`;
  test.each([
    [[stars('b'), stars('c')]],
    [[`${stars('b')}?`, `**/${'?'.repeat(150)}c?`]],
    [[`${'*/'.repeat(60)}**/*a`, `${'**/'.repeat(60)}*b`]],
  ])('pathological globs without a common path are decided quickly: %j', (globs) => {
    expect(meet(...globs)).toBeNull();
  });

  const braces = '{*a,*b}'.repeat(6);
  const deep = (name: string) => `src/${`**/${name}/`.repeat(32)}x`;
  test.each([
    [[`${braces}c`, `${braces}d`], '…'],
    [[deep('a'), deep('b'), deep('c')], 'src/…'],
  ])('pathological globs that are too complex to be decided count as meeting: %j', (globs, path) => {
    expect(meet(...globs)).toBe(path);
  });
});
