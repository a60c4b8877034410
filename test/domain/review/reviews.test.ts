import { describe, expect, test } from 'vitest';
import { findingText } from '../../../src/domain/review/findings.ts';
import {
  asksForChanges,
  changesError,
  conflictError,
  mergeVerifyError,
  movedError,
  type Review,
  ReviewSchema,
} from '../../../src/domain/review/reviews.ts';
import { parseRecord } from '../../../src/domain/task/records.ts';

const review = (fields: object = {}): Review => {
  const parsed = parseRecord(ReviewSchema, { verdict: 'pass', ...fields });
  if (!parsed.ok) throw new Error(parsed.why);
  return parsed.value;
};
const block = { severity: 'block', path: 'a.ts', line: 3, message: 'wrong' };
const improvement = { severity: 'improvement', message: 'long' };

describe('review file', () => {
  test('a review needs only a verdict', () => {
    expect(review()).toEqual({ verdict: 'pass', summary: '', findings: [] });
    expect(review({ findings: [improvement] }).findings).toEqual([{ ...improvement, path: null, line: null }]);
  });

  test.each([
    ['another verdict', { verdict: 'maybe' }],
    ['no message', { findings: [{ severity: 'block' }] }],
    ['another severity', { findings: [{ ...block, severity: 'high' }] }],
    ['a line before the first', { findings: [{ ...block, line: 0 }] }],
    ['too many findings', { findings: Array.from({ length: 201 }, () => block) }],
    ['findings that are no list', { findings: block }],
  ])('a review is refused for %s', (_what, fields) => {
    expect(parseRecord(ReviewSchema, { verdict: 'pass', ...fields }).ok).toBe(false);
  });

  test.each([
    [{ verdict: 'pass' }, false],
    [{ verdict: 'pass', findings: [improvement] }, false],
    [{ verdict: 'pass', findings: [improvement, block] }, true],
    [{ verdict: 'changes_requested' }, true],
  ])('findings %j request changes: %s', (fields, asks) => {
    expect(asksForChanges(review(fields))).toBe(asks);
  });
});

describe('failures of reviews and merges', () => {
  test.each([
    ['that says nothing', {}, 'the review asks for changes, and does not say which'],
    ['that says why', { summary: 'too\nshort' }, 'too short'],
    ['with findings, those that block first', { findings: [improvement, block] }, 'a.ts:3: wrong; and 1 more'],
    ['with findings that block nothing', { findings: [improvement] }, 'long'],
  ])('the failure of a review %s names the reason', (_what, fields, message) => {
    expect(changesError(review({ verdict: 'changes_requested', ...fields }))).toEqual({
      class: 'review.changes',
      message,
    });
  });

  test('the failure of a conflict says what to do', () => {
    const files = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
    expect(conflictError('forge/x', 'main', files)).toEqual({
      class: 'ship.conflict',
      message:
        'forge/x conflicts with main in a, b, c, d, e and 2 more; merge main into forge/x, resolve that, and commit',
    });
  });

  test('the failure of a merge verification keeps how the command failed', () => {
    const failed = { class: 'verify.npm-test', message: 'npm test exited with code 2', exit_code: 2 };
    expect(mergeVerifyError('main', failed)).toEqual({
      class: 'ship.verify',
      message: 'merged with main, npm test exited with code 2',
      exit_code: 2,
    });
  });

  test.each([
    ['b2', 'is at b2'],
    [null, 'is gone'],
  ])('the failure of a branch that moved to %s names the verified commit', (found, now) => {
    const error = movedError('ship', { branch: 'forge/x', expected: 'a1', found });
    expect(error.class).toBe('ship.moved');
    expect(error.message).toBe(`forge/x ${now}, and what was verified is a1; it has to be verified again`);
  });
});

test.each([
  [{ path: 'a.ts', line: 3 }, 'a.ts:3: m'],
  [{ path: 'a.ts', line: null }, 'a.ts: m'],
  [{ path: null, line: null }, 'm'],
  [{ path: 'a\u001b[31m.ts', line: 1 }, 'a.ts:1: m'],
])('a finding at %j is shown as %s', (where, text) => {
  expect(findingText({ severity: 'block', message: 'm', ...where })).toBe(text);
});
