import { describe, expect, test } from 'vitest';
import { newId } from '../../src/domain/context.ts';
import {
  fileNameOf,
  isTaskId,
  isUuid,
  parentOf,
  requireAttemptId,
  requireTaskId,
  requireUuid,
  taskOfFileName,
  uuidv7,
} from '../../src/lib/ids.ts';
import { refusal } from '../support/domain/tasks.ts';
import fc, { runs } from '../support/properties.ts';
import { thrownBy } from '../support/refused.ts';

const UUID = '0195ed82-cc8e-76c6-b8fa-36b8c95209dd';

describe('task ids', () => {
  test.each(['a', '7', 'build', 'Build.web_2-a', 'a'.repeat(64), 'a..b', 'x-', 'a/f/x', 'a/f/x:1/g.2/y'])(
    '%j is a valid task id',
    (id) => {
      expect(isTaskId(id)).toBe(true);
      expect(requireTaskId(id)).toBe(id);
    },
  );

  test.each([
    '',
    '.',
    '..',
    '.hidden',
    '-flag',
    '_x',
    'a/b',
    '../up',
    'a\\b',
    'a b',
    'a\nb',
    'a\n',
    'a\0',
    'é',
    'a'.repeat(65),
    '$HOME',
  ])('%j is not a valid task id', (id) => {
    expect(isTaskId(id)).toBe(false);
    expect(refusal(() => requireTaskId(id))).toBe('INVALID_ID');
  });

  test.each([
    'a/f',
    'a/f/x/g',
    '/f/x',
    'a//x',
    'a/f/',
    'a/../x',
    'a/f/.x',
    'a/f/x/..',
    'a:b/f/x',
    'a+f+x',
    `a/f/${'x'.repeat(129)}`,
  ])('%j is not the id of a child', (id) => {
    expect(isTaskId(id)).toBe(false);
    expect(refusal(() => requireTaskId(id))).toBe('INVALID_ID');
  });

  test('a child id has at most 200 characters, of which a colon counts as three, and the refusal says so', () => {
    const long = `a/f/${'x'.repeat(96)}/g/`;
    expect(isTaskId(`${long}${'y'.repeat(97)}`)).toBe(true);
    expect(isTaskId(`${long}${'y'.repeat(98)}`)).toBe(false);
    expect(isTaskId(`${long}y${':'.repeat(32)}`)).toBe(true);
    expect(isTaskId(`${long}y${':'.repeat(33)}`)).toBe(false);
    expect(() => requireTaskId(`${long}${'y'.repeat(98)}`)).toThrow('it has more than 200 characters');
  });

  test.each([
    ['a', null],
    ['a/f/x', 'a'],
    ['a/f/x/g/y', 'a/f/x'],
  ])('the parent of task %s is %s', (id, parent) => {
    expect(parentOf(id)).toBe(parent);
  });

  test.each([
    ['build', 'build'],
    ['a..b.', 'a..b.'],
    ['a/f/x', 'a+f+x'],
    ['a/f.1/x:y/g/z', 'a+f.1+x%3Ay+g+z'],
    ['a..b/f/x', 'a%2E.b+f+x'],
    ['a/f/x.lock', 'a+f+x%2Elock'],
  ])('the folder of task %s is named %s', (id, name) => {
    expect(fileNameOf(id)).toBe(name);
    expect(taskOfFileName(name)).toBe(id);
  });

  const part = fc.stringMatching(/^[a9]([a.:_-]|\.lock){0,6}$/);
  const child = fc
    .array(part, { minLength: 3, maxLength: 7 })
    .map((parts) => parts.join('/'))
    .filter(isTaskId);

  test("the name of a task's folder stays in its folder, fits into a file system and stands for that task alone", () => {
    fc.assert(
      fc.property(child, (id) => {
        const name = fileNameOf(id);
        expect(name).toMatch(/^[A-Za-z0-9][^/\\:\s]{0,199}$/);
        expect(taskOfFileName(name)).toBe(id);
      }),
    );
    const names = fc.stringMatching(/^([a+.:/]|%3A|%3a|%2E|%2F|\.\.|-|~){0,8}$/);
    fc.assert(
      fc.property(names, (name) => {
        const id = taskOfFileName(name);
        if (id !== null) expect(fileNameOf(id)).toBe(name);
      }),
    );
  });

  test('a child id names no attempt', () => {
    expect(requireAttemptId('first')).toBe('first');
    expect(refusal(() => requireAttemptId('a/f/x'))).toBe('INVALID_ID');
  });

  const nearId = fc
    .array(
      fc.oneof({ weight: 20, arbitrary: fc.constantFrom(...'aZ9._-') }, fc.string({ unit: 'binary', maxLength: 1 })),
    )
    .map((letters) => letters.join(''));

  test('the folder of a valid task id is a single file name that stays where it belongs', () => {
    fc.assert(
      fc.property(nearId, (text) => {
        if (!isTaskId(text)) return;
        expect(fileNameOf(text)).not.toMatch(/[/\\\0\s]/);
        expect(['.', '..']).not.toContain(fileNameOf(text));
        expect(text.startsWith('-')).toBe(false);
      }),
      runs(2000),
    );
  });

  test('the refusal of a task id shows control characters escaped', () => {
    expect(() => requireTaskId('a\u001b[31m')).toThrow('"a\\u001b[31m" is not a task id');
  });
});

describe('UUIDs', () => {
  test('requireUuid reads UUIDs in any case and returns lower case', () => {
    expect(requireUuid(UUID.toUpperCase(), '--claim')).toBe(UUID);
    expect(isUuid(UUID)).toBe(true);
    expect(isUuid(UUID.toUpperCase())).toBe(false);
  });

  test.each([
    '',
    'x',
    `${UUID}\n`,
    ` ${UUID}`,
    `{${UUID}}`,
    UUID.replaceAll('-', ''),
    `../${UUID}`,
    UUID.replace('0', 'g'),
  ])('%j is not a UUID', (id) => {
    expect(refusal(() => requireUuid(id, '--claim'))).toBe('INVALID_ID');
  });

  test('the refusal of a UUID names the kind of id', () => {
    const thrown = thrownBy(() => requireUuid('1', '--attempt'));
    expect(thrown.message).toBe('"1" is not a UUID (--attempt)');
  });
});

describe('uuidv7', () => {
  test('uuidv7 reproduces the example of RFC 9562, appendix A.6', () => {
    // unix_ts_ms 0x017F22E279B0, rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F
    const random = Uint8Array.of(0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f);
    expect(uuidv7(0x017f22e279b0, random)).toBe('017f22e2-79b0-7cc3-98c4-dc0c0c07398f');
  });

  const moment = fc.integer({ min: 0, max: 2 ** 48 - 1 });
  const bytes = fc.uint8Array({ minLength: 10, maxLength: 10 });

  test('uuidv7 has version 7, the RFC variant and the whole time', () => {
    fc.assert(
      fc.property(moment, bytes, (ms, random) => {
        const made = uuidv7(ms, random);
        expect(isUuid(made)).toBe(true);
        expect(made[14]).toBe('7');
        expect('89ab').toContain(made[19]);
        expect(Number.parseInt(made.slice(0, 8) + made.slice(9, 13), 16)).toBe(ms);
      }),
    );
  });

  test('uuidv7 sorts by time, whatever the random bits', () => {
    fc.assert(
      fc.property(moment, moment, bytes, bytes, (a, b, chanceA, chanceB) => {
        fc.pre(a < b);
        expect(uuidv7(a, chanceA) < uuidv7(b, chanceB)).toBe(true);
      }),
    );
  });

  test('uuidv7 uses each of its 74 random bits', () => {
    const none = uuidv7(0, new Uint8Array(10));
    const seen = new Set<string>();
    for (let bit = 0; bit < 80; bit++) {
      const random = new Uint8Array(10);
      random[bit >> 3] = 1 << (bit & 7);
      const made = uuidv7(0, random);
      if (made !== none) seen.add(made);
    }
    expect(seen.size).toBe(74);
  });

  test('uuidv7 rounds a fractional millisecond down', () => {
    expect(uuidv7(1.9, new Uint8Array(10))).toBe(uuidv7(1, new Uint8Array(10)));
  });

  test('newId takes time and random bytes from its context', () => {
    const asked: number[] = [];
    const randomBytes = (count: number) => {
      asked.push(count);
      return new Uint8Array(count).fill(0xff);
    };
    expect(newId({ now: () => 0x017f22e279b0, randomBytes })).toBe('017f22e2-79b0-7fff-bfff-ffffffffffff');
    expect(asked).toEqual([10]);
  });
});
