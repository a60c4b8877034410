/** Ids that a person has shortened. */

import { describe, expect, test } from 'vitest';
import { attemptNumbered, mayBeginUuid, wholeId } from '../../src/domain/short-ids.ts';
import type { AttemptManifest } from '../../src/domain/task/records.ts';
import fc from '../support/properties.ts';

describe('wholeId', () => {
  test.each([
    ['bui', ['build', 'docs'], 'build'],
    ['build', ['build', 'build-docs'], 'build'],
    ['build', ['build-docs', 'build'], 'build'],
    ['x', ['build'], 'x'],
    ['b', ['build', 'build'], 'build'],
  ])('of %s among %j is %s', (given, known, whole) => {
    expect(wholeId(given, known, 'tasks')).toBe(whole);
  });

  test('wholeId refuses the beginning of several ids, and lists them', () => {
    expect(() => wholeId('b', ['bundle', 'build', 'docs'], 'tasks')).toThrow(
      'b is the beginning of several tasks: build, bundle',
    );
  });

  test('an id that is known is never taken for another', () => {
    const ids = fc.uniqueArray(fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1 }), { minLength: 1 });
    fc.assert(
      fc.property(ids, fc.nat(), (known, n) => {
        const given = known[n % known.length] ?? '';
        expect(wholeId(given, known, 'tasks')).toBe(given);
      }),
    );
  });
});

test.each([
  ['0199', true],
  ['01997b62-6f7', true],
  ['0199zz', false],
  ['12', false],
  ['build', false],
])('whether %s may begin a UUID: %s', (text, is) => {
  expect(mayBeginUuid(text)).toBe(is);
});

describe('attemptNumbered', () => {
  const attempts = [
    { attempt_id: 'a', attempt_number: 1 },
    { attempt_id: 'b', attempt_number: 2 },
    { attempt_id: 'review' },
    { attempt_id: 'c', attempt_number: 1 },
  ] as AttemptManifest[];

  test('attemptNumbered finds the last attempt of a number', () => {
    expect([attemptNumbered(2, 'build', attempts), attemptNumbered(1, 'build', attempts)]).toEqual(['b', 'c']);
  });

  test('attemptNumbered refuses a number that no attempt has', () => {
    expect(() => attemptNumbered(3, 'build', attempts)).toThrow('task build has had no attempt 3');
  });
});
