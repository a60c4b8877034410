/** Decisions on protected files, and reports of changed files. */

import { describe, expect, test } from 'vitest';
import type { TaskRecord } from '../../../src/domain/task/records.ts';
import {
  checkedIn,
  decisionOn,
  guardrailFindings,
  guardrailKey,
  outsideGlobs,
  protectingGlob,
  type WorkWritten,
  writtenTexts,
} from '../../../src/domain/verify/guardrails.ts';
import { id, record } from '../../support/domain/tasks.ts';

/** A task with these answers to its questions, oldest first; null: expired. */
function decided(...answers: [key: string, option: string | null][]): TaskRecord {
  const settled = answers.map(([decision_key, option_id], i) => ({
    question_id: id(i),
    attempt_id: id(50),
    decision_key,
    option_id,
    answered_by: 'ann',
  }));
  const made = record('running');
  return { ...made, memo: { ...made.memo, questions: { open: null, settled, asked: [] } } };
}

describe('decisions on protected files', () => {
  const cases: [answers: [string, string | null][], option: string | null][] = [
    [[], null],
    [[['guardrail:db/1.sql', 'allow']], 'allow'],
    [[['guardrail:db', 'allow']], 'allow'],
    [[['guardrail:db/**', 'carefully']], 'carefully'],
    [[['guardrail:d', 'allow']], null],
    [[['guardrail:db/1', 'allow']], null],
    [[['db/1.sql', 'allow']], null],
    [[['guardrail:db/1.sql', null]], null],
    [
      [
        ['guardrail:db/1.sql', 'deny'],
        ['guardrail:db/1.sql', 'allow'],
      ],
      'allow',
    ],
    [
      [
        ['guardrail:db/1.sql', 'allow'],
        ['guardrail:db/1.sql', null],
      ],
      'allow',
    ],
    [
      [
        ['guardrail:db/1.sql', 'deny'],
        ['guardrail:db', 'allow'],
        ['guardrail:db/**', 'allow'],
      ],
      'deny',
    ],
    [
      [
        ['guardrail:db/**', 'deny'],
        ['guardrail:db', 'allow'],
      ],
      'allow',
    ],
  ];
  test.each(cases)('the answers %j decide db/1.sql as %j', (answers, option) => {
    expect(decisionOn('db/1.sql', 'db/**', decided(...answers))?.option_id ?? null).toBe(option);
  });

  test('there is no decision without questions', () => {
    expect(decisionOn('db/1.sql', 'db/**', null)).toBeNull();
  });

  test("the decision key is the file, or its glob when the file's name is too long", () => {
    expect(guardrailKey('db/1.sql', 'db/**', 20)).toBe('guardrail:db/1.sql');
    expect(guardrailKey('db/1234567890.sql', 'db/**', 20)).toBe('guardrail:db/**');
  });
});

test.each([
  ['db/1.sql', false, 'db/**'],
  ['db', false, null],
  ['db', true, 'db/**'],
  ['dbs', false, null],
  ['src/key.pem', false, '**/*.pem'],
  ['src', false, null],
  ['src', true, '**/*.pem'],
  ['src/a.ts', false, null],
])('%s (a folder: %j) is protected by %j', (path, isFolder, glob) => {
  expect(protectingGlob(path, isFolder, ['db/**', '**/*.pem'])).toBe(glob);
});

describe('changed files', () => {
  const work = (fields: Partial<WorkWritten>): WorkWritten => ({
    files: ['src/a.ts', 'db/1.sql', 'db/2.sql', 'README.md'],
    prefix: '',
    writeGlobs: ['src'],
    preflight: ['db/**'],
    checked: [],
    record: null,
    ...fields,
  });
  const paths = (fields: Partial<WorkWritten>) => guardrailFindings(work(fields)).map(({ path }) => path);

  test('changed files outside the globs are listed', () => {
    expect(outsideGlobs(work({}))).toEqual(['db/1.sql', 'db/2.sql', 'README.md']);
    expect(outsideGlobs(work({ writeGlobs: ['**'] }))).toEqual([]);
    expect(outsideGlobs(work({ writeGlobs: [] }))).toBeNull();
    expect(outsideGlobs(work({ files: ['app/src/a', 'src/a'], prefix: 'app/' }))).toEqual(['src/a']);
  });

  test('protected files changed without asking are findings', () => {
    expect(paths({})).toEqual(['db/1.sql', 'db/2.sql']);
    expect(paths({ preflight: [] })).toEqual([]);
    expect(paths({ checked: ['db/1.sql'] })).toEqual(['db/2.sql']);
    expect(paths({ checked: ['d', 'db/1'] })).toEqual(['db/1.sql', 'db/2.sql']);
    expect(paths({ checked: ['db'] })).toEqual([]);
    expect(paths({ record: decided(['guardrail:db/1.sql', 'allow']) })).toEqual(['db/2.sql']);
    expect(paths({ checked: ['db'], record: decided(['guardrail:db/1.sql', 'deny']) })).toEqual(['db/1.sql']);
    expect(paths({ files: ['app/db/1', 'db/1'], prefix: 'app/' })).toEqual(['app/db/1']);
  });

  test('only well-formed checks in the events count, whatever else is written there', () => {
    const event = (type: string, data: unknown) => ({ type, data });
    expect(
      checkedIn([
        event('guardrail.checked', { path: 'db/1.sql' }),
        event('guardrail.checked', { path: 7 }),
        event('guardrail.checked', null),
        event('guardrail.checked', 'db'),
        event('tests.passed', { path: 'db/2.sql' }),
        {},
      ]),
    ).toEqual(['db/1.sql']);
  });

  test('guardrail results are shown in a few lines', () => {
    const findings = Array.from({ length: 7 }, (_, i) => ({
      severity: 'block' as const,
      path: `db/${i}`,
      line: null,
      message: 'unasked\u001b[31m',
    }));
    const told = { outside_globs: ['a', 'b', 'c', 'd'], outside_globs_count: 9, findings, findings_count: 7 };
    expect(writtenTexts(told)).toEqual([
      ...[0, 1, 2, 3, 4].map((i) => `db/${i}: unasked`),
      '2 more findings',
      'changed outside of its write_globs: a, b, c and 6 more',
    ]);
    expect(writtenTexts({ outside_globs: null, outside_globs_count: null, findings: [], findings_count: 0 })).toEqual(
      [],
    );
  });
});
