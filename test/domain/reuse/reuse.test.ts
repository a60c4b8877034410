/** Which tasks need not be done again. */

import { describe, expect, test } from 'vitest';
import { parsePlan } from '../../../src/domain/plan/parse.ts';
import type { PlanTask } from '../../../src/domain/plan/plan.ts';
import {
  changedTasks,
  doneBy,
  isReusable,
  type ReuseFacts,
  reuseKey,
  reuseOf,
  reuseWarnings,
} from '../../../src/domain/reuse/reuse.ts';
import { DEFAULT_SETTINGS } from '../../../src/domain/settings/settings.ts';
import { freshRecord, type TaskRecord } from '../../../src/domain/task/records.ts';

function tasksOf(...tasks: object[]): readonly PlanTask[] {
  const text = JSON.stringify({ project: 'p', phases: [{ id: 'p', name: 'P', tasks }] });
  const parsed = parsePlan(text, 'plan.yaml');
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.plan.tasks;
}

const BUILD = { id: 'build', title: 'B', run: 'make', inputs: ['src/**'], outputs: ['dist/**'], cache: true };
const task = (changes: object = {}) => tasksOf({ ...BUILD, ...changes })[0] as PlanTask;
const FACTS: ReuseFacts = {
  inputs: [{ path: 'src/a', digest: '1', kind: 'file' }],
  verify: [],
  dependencies: [],
  platform: 'linux-x64',
};

const shipped = (id: string, key: string | null): TaskRecord => {
  const record = freshRecord(id, '2030-01-01T00:00:00.000Z');
  record.state.state = 'shipped';
  return { ...record, memo: { ...record.memo, reuse: { key, unchanged: false } } };
};

describe('outputs of several tasks', () => {
  const warningsOf = (...outputs: string[][]) =>
    reuseWarnings(tasksOf(...outputs.map((list, i) => ({ ...BUILD, id: `t${i}`, outputs: list }))), DEFAULT_SETTINGS);

  test.each<[string[][], string]>([
    [[['dist/**'], ['dist/b.js']], 'dist/b.js'],
    [[['dist/b.js'], ['dist/**']], 'dist/b.js'],
    [[['out'], ['dist/**'], ['dist/**']], 'dist/**'],
    [
      [
        ['dist/**', '!dist/b.js'],
        ['dist/b.js', 'dist/c.js'],
      ],
      'dist/c.js',
    ],
  ])('the same file in the outputs of two tasks is warned of: %j', (outputs, file) => {
    expect(warningsOf(...outputs)).toEqual([
      expect.stringMatching(
        /^tasks t\d and t\d both have .* among their outputs, so each run may do them again; take it/,
      ),
    ]);
    expect(warningsOf(...outputs)[0]).toContain(`"!${file}"`);
  });

  test.each<[string[][]]>([
    [[['dist/a/**'], ['dist/b/**']]],
    [[['dist/**', '!dist/b.js'], ['dist/b.js']]],
    [[['dist/b.js'], ['dist/**', '!dist/b.js']]],
    [[[], ['dist/**']]],
  ])('outputs that have no file in common are not warned of: %j', (outputs) => {
    expect(warningsOf(...outputs)).toEqual([]);
  });
});

describe('the key of a task', () => {
  test.each<[string, object, Partial<ReuseFacts>]>([
    ['its command', { run: 'make all' }, {}],
    ['its id, which its worker is told', { id: 'other' }, {}],
    ['its folder', { cwd: 'sub' }, {}],
    ['its shell', { shell: 'bash -eu' }, {}],
    ['its variables', { env: { A: '1' } }, {}],
    ['its checks', { verify: ['test -f dist/a'] }, {}],
    ['its outputs', { outputs: ['out/**'] }, {}],
    ['the checks of the settings', {}, { verify: ['npm test'] }],
    ['the content of an input', {}, { inputs: [{ path: 'src/a', digest: '2', kind: 'file' }] }],
    ['the name of an input', {}, { inputs: [{ path: 'src/b', digest: '1', kind: 'file' }] }],
    ['whether an input is a program', {}, { inputs: [{ path: 'src/a', digest: '1', kind: 'executable' }] }],
    ['one input more', {}, { inputs: [...FACTS.inputs, { path: 'src/b', digest: '1', kind: 'file' }] }],
    ['what it depends on', {}, { dependencies: [['lint', 'x']] }],
    ['the platform', {}, { platform: 'darwin-arm64' }],
  ])('is another with %s', (_, changes, facts) => {
    expect(reuseKey(task(changes), { ...FACTS, ...facts })).not.toBe(reuseKey(task(), FACTS));
  });

  test('the key of a task is another for each combination of a matrix, which its worker is told', () => {
    const [one, two] = tasksOf({ ...BUILD, matrix: { mode: ['a', 'b'] } });
    const alike = { ...(two as PlanTask), id: one?.id ?? '' };
    expect(reuseKey(alike, FACTS)).not.toBe(reuseKey(one as PlanTask, FACTS));
  });

  test('the key of a task is the same with another title, priority, policy or time limit, and with variables and dependencies in another order', () => {
    const changes = { title: 'X', priority: 'P0', retry: { max_attempts: 9 }, timeout: '1h', env: { B: '2', A: '1' } };
    const dependencies = [
      ['a', '1'],
      ['b', '2'],
    ] as const;
    expect(reuseKey(task(changes), { ...FACTS, dependencies: dependencies.toReversed() })).toBe(
      reuseKey(task({ env: { A: '1', B: '2' } }), { ...FACTS, dependencies }),
    );
  });
});

describe('a task whose plan says cache', () => {
  test.each<[string, object]>([
    ['in worktrees', { workspace: 'worktree' }],
    ['with reviews', { review: { ...DEFAULT_SETTINGS.review, command: './review.sh' } }],
    ['with merges', { ship: { ...DEFAULT_SETTINGS.ship, policy: 'merge' } }],
  ])('is done every time %s', (_, settings) => {
    expect(isReusable(task(), DEFAULT_SETTINGS)).toBe(true);
    expect(isReusable(task(), { ...DEFAULT_SETTINGS, ...settings })).toBe(false);
  });

  test.each([
    ['without inputs', { inputs: [] }, 'needs inputs'],
    ['without a command', { run: null }, 'counts for tasks with run'],
  ])('is refused %s', (_, changes, message) => {
    const text = JSON.stringify({ project: 'p', phases: [{ id: 'p', name: 'P', tasks: [{ ...BUILD, ...changes }] }] });
    const parsed = parsePlan(text, 'plan.yaml');
    expect(parsed.ok ? [] : parsed.problems.map((problem) => problem.message)).toEqual([
      expect.stringContaining(message),
    ]);
  });
});

describe('what has changed since it shipped', () => {
  const order = tasksOf(
    { ...BUILD, id: 'a' },
    { ...BUILD, id: 'b', depends_on: ['a'] },
    { ...BUILD, id: 'c', depends_on: ['b'] },
    { ...BUILD, id: 'd' },
  );
  const names = (standing: Record<string, boolean>) =>
    changedTasks(order, new Map(Object.entries(standing))).map(({ id }) => id);
  const all = { a: true, b: true, c: true, d: true };

  test('what has changed since it shipped is done again with all that depends on it', () => {
    expect(names(all)).toEqual([]);
    expect(names({ ...all, a: false })).toEqual(['a', 'b', 'c']);
    expect(names({ ...all, b: false })).toEqual(['b', 'c']);
    expect(names({ ...all, d: false })).toEqual(['d']);
  });

  test('a task was done by its key, else by its attempt, and by nothing that is known while it is to be done again', () => {
    const { memo, state } = freshRecord('a', '2030-01-01T00:00:00.000Z');
    const completion = { attempt_id: 'x' } as TaskRecord['memo']['completion'];
    const by = (now: TaskRecord['state']['state']) =>
      doneBy({ ...freshRecord('a', ''), state: { ...state, state: now }, memo: { ...memo, completion } });
    expect([doneBy(null), doneBy(shipped('a', 'k')), by('shipped'), by('failed')]).toEqual([null, 'k', 'x', 'x']);
    expect([by('unclaimed'), by('running')]).toEqual([null, null]);
  });

  test('what has changed since it shipped is nothing of a task that has not shipped', () => {
    const a = shipped('a', 'a');
    expect(names({ b: true, c: true })).toEqual([]);
    expect(reuseOf({ ...a, state: { ...a.state, state: 'failed' } })).toBeNull();
  });
});
