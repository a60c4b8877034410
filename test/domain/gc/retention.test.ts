/** What `gc --prune` may remove: by state, age and use, over any tree. */

import { describe, expect, test } from 'vitest';
import {
  DEFAULT_RETENTION,
  planRetention,
  prunedAt,
  type RetentionPolicy,
  type RetentionTask,
  type RetentionView,
} from '../../../src/domain/gc/retention.ts';
import { type RunManifest, TASK_STATES, type TaskState } from '../../../src/domain/task/records.ts';
import { isTerminal } from '../../../src/domain/task/states.ts';
import { isoTime } from '../../../src/lib/time.ts';
import { id, lease, record, T0 } from '../../support/domain/tasks.ts';
import fc, { runs } from '../../support/properties.ts';

const DAY_MS = 86_400_000;

/** A task that came into this state so long ago. */
function task(state: TaskState, ageMs: number, fields: Partial<RetentionTask> = {}): RetentionTask {
  const made = record(state);
  const updated_by = { run_id: id(100), claim_id: null, generation: 1 };
  const since = { ...made.state, updated_at: isoTime(T0 - ageMs), updated_by };
  return { task_id: 'build', record: { ...made, state: since }, problem: null, ...fields };
}

function run(n: number, endedAgoMs: number | null): RunManifest {
  const ended_at = endedAgoMs === null ? null : isoTime(T0 - endedAgoMs);
  return { version: 1, run_id: id(n), started_at: isoTime(0), name: null, host: 'mill', ended_at };
}

function view(fields: Partial<RetentionView> = {}): RetentionView {
  const none = new Set<string>();
  return { nowMs: T0, tasks: [], runs: [], branches: none, worktrees: none, claimants: none, ...fields };
}

const planned = (fields: Partial<RetentionView>, policy: Partial<RetentionPolicy> = {}) => {
  const { due, kept, runs } = planRetention(view(fields), { ...DEFAULT_RETENTION, ...policy });
  return { due: due.map(({ task_id }) => task_id), kept: kept.map(({ why }) => why), runs };
};

describe('tasks', () => {
  test.each<[what: string, task: RetentionTask, policy: Partial<RetentionPolicy>, due: boolean]>([
    ['shipped 90 days ago', task('shipped', 90 * DAY_MS), {}, true],
    ['shipped a moment less than 90 days ago', task('shipped', 90 * DAY_MS - 1), {}, false],
    [
      'shipped three days ago, where three days are enough',
      task('shipped', 3 * DAY_MS),
      { olderThanMs: 3 * DAY_MS },
      true,
    ],
    ['shipped now, where no time is enough', task('shipped', 0), { olderThanMs: 0 }, true],
    ['shipped in the future, by another clock', task('shipped', -1), { olderThanMs: 0 }, false],
    ['cancelled 90 days ago', task('cancelled', 90 * DAY_MS), {}, true],
    ['failed years ago', task('failed', 1000 * DAY_MS), {}, false],
    ['failed so long ago as is asked for', task('failed', 9 * DAY_MS), { failedOlderThanMs: 9 * DAY_MS }, true],
    ['failed, but not so long ago', task('failed', 9 * DAY_MS - 1), { failedOlderThanMs: 9 * DAY_MS }, false],
    [
      'shipped, where only failed tasks are to lose something soon',
      task('shipped', DAY_MS),
      { failedOlderThanMs: 0 },
      false,
    ],
    ['without a record', task('shipped', 900 * DAY_MS, { record: null }), {}, false],
  ])('a task that was %s', (_what, given, policy, due) => {
    expect(planned({ tasks: [given] }, policy)).toMatchObject({ due: due ? ['build'] : [], kept: [] });
  });

  const old = task('shipped', 900 * DAY_MS);
  test.each<[what: string, fields: Partial<RetentionView>, why: string]>([
    ['whose worktree is there', { tasks: [old], worktrees: new Set(['build']) }, 'it has a worktree'],
    ['whose branch is there', { tasks: [old], branches: new Set(['build']) }, 'it has a branch'],
    [
      'with a lease',
      { tasks: [{ ...old, record: { ...record('shipped'), lease: lease() } }], nowMs: T0 + 900 * DAY_MS },
      'it has a lease',
    ],
    ['that a person has to fix', { tasks: [{ ...old, problem: 'state.json is damaged' }] }, 'state.json is damaged'],
    ['of an unknown age', { tasks: [task('shipped', T0)] }, 'its record does not say when it ended'],
  ])('an old task %s keeps everything, with the reason', (_what, fields, why) => {
    expect(planned(fields)).toMatchObject({ due: [], kept: [why] });
  });

  test('no task is due that is not over, that is younger than its limit, or that is in use', () => {
    const states = fc.constantFrom(...TASK_STATES, 'shipped' as const, 'failed' as const);
    const rarely = fc.nat(5).map((n) => n === 0);
    const anyTask = fc.record({
      state: states,
      age: fc.integer({ min: -2, max: 5 }),
      problem: rarely,
      leased: rarely,
      branch: rarely,
      worktree: rarely,
    });
    const policies = fc.record({ olderThan: fc.nat(4), failed: fc.option(fc.nat(4)) });
    const many = runs(1000);
    let due = 0;
    fc.assert(
      fc.property(fc.array(anyTask, { maxLength: 6 }), policies, (drawn, limits) => {
        const tasks = drawn.map(({ state, age, problem, leased }, at) => {
          const made = task(state, age * DAY_MS, { task_id: `t${at}`, problem: problem ? 'odd' : null });
          return { ...made, record: made.record && { ...made.record, lease: leased ? lease() : null } };
        });
        const having = (what: 'branch' | 'worktree') =>
          new Set(drawn.flatMap((each, at) => (each[what] ? [`t${at}`] : [])));
        const policy = {
          olderThanMs: limits.olderThan * DAY_MS,
          failedOlderThanMs: limits.failed === null ? null : limits.failed * DAY_MS,
        };
        const plan = planRetention(view({ tasks, branches: having('branch'), worktrees: having('worktree') }), policy);
        for (const { task_id } of plan.due) {
          due++;
          const made = drawn[Number(task_id.slice(1))] as (typeof drawn)[number];
          const { state, age, problem, leased, branch, worktree } = made;
          expect(isTerminal(state)).toBe(true);
          expect(age).toBeGreaterThanOrEqual((state === 'failed' ? limits.failed : limits.olderThan) ?? Infinity);
          expect(problem || leased || branch || worktree).toBe(false);
        }
      }),
      many,
    );
    expect(due).toBeGreaterThan(many.numRuns / 10);
  });
});

describe('children', () => {
  const AGE = 900 * DAY_MS;
  const sealed = (children: number, fields: object = {}) => ({
    fan_outs: [{ name: 'files', attempt_id: id(1), fan_out_id: id(2), children, ...fields }],
  });
  const parent = (memo: object, state: TaskState = 'shipped', fields: Partial<RetentionTask> = {}) => {
    const made = task(state, AGE, { task_id: 'build', ...fields });
    return { ...made, record: made.record && { ...made.record, memo: { ...made.record.memo, ...memo } } };
  };
  const child = (name: string, state: TaskState = 'shipped', ageMs = AGE, fields: Partial<RetentionTask> = {}) =>
    task(state, ageMs, { task_id: `build/files/${name}`, ...fields });
  const REMOVED = { removed: { at: isoTime(0), not_shipped: {} } };

  const goes = (tasks: RetentionTask[], fields: Partial<RetentionView> = {}) => {
    const policy = { ...DEFAULT_RETENTION, failedOlderThanMs: AGE };
    const { due, children } = planRetention(view({ tasks, ...fields }), policy);
    return { due: due.map(({ task_id }) => task_id), children: children.get('build') ?? null };
  };

  test('children of an old shipped parent go with it, and what was not shipped is named', () => {
    expect(goes([parent(sealed(3)), child('a'), child('b', 'failed'), child('c', 'cancelled')])).toEqual({
      due: ['build'],
      children: {
        sets: [{ name: 'files', at: isoTime(T0), not_shipped: { b: 'failed', c: 'cancelled' } }],
        ids: ['build/files/a', 'build/files/b', 'build/files/c'],
      },
    });
  });

  test('children of children go with them, and only with their own parents gone', () => {
    const below = task('shipped', AGE, { task_id: 'build/files/a/more/x' });
    const middle = { ...parent(sealed(1)), task_id: 'build/files/a' };
    const { due, children } = goes([parent(sealed(1)), middle, below]);
    expect(due).toEqual(['build']);
    expect(children?.ids).toEqual(['build/files/a', 'build/files/a/more/x']);
    expect(goes([parent(sealed(1)), middle, task('running', 0, { task_id: below.task_id })]).children).toBeNull();
  });

  test.each<[what: string, tasks: RetentionTask[], fields?: Partial<RetentionView>]>([
    ['whose parent has failed', [parent(sealed(1), 'failed'), child('a')]],
    ['whose parent is at work', [parent(sealed(1), 'running'), child('a')]],
    ['whose parent has a worktree', [parent(sealed(1)), child('a')], { worktrees: new Set(['build']) }],
    ['with one that is younger', [parent(sealed(2)), child('a'), child('b', 'shipped', DAY_MS)]],
    ['with one that waits for an answer', [parent(sealed(2)), child('a'), child('b', 'blocked_on_question')]],
    ['with one that has a branch', [parent(sealed(1)), child('a')], { branches: new Set(['build/files/a']) }],
    ['with one that has no record', [parent(sealed(2)), child('a')]],
    ['with one whose record cannot be read', [parent(sealed(1)), child('a', 'shipped', AGE, { problem: 'odd' })]],
    [
      'of which more were not shipped than a record has room for',
      [parent(sealed(101)), ...Array.from({ length: 101 }, (_, n) => child(`c${n}`, 'cancelled'))],
    ],
    ['of a parent whose sets cannot be read', [parent({ fan_outs: 'odd' }), child('a')]],
  ])('a set stays %s', (_, tasks, fields) => {
    expect(goes(tasks, fields).children).toBeNull();
  });

  test('what a killed removal has left of a set goes whatever its age, but what is in flight', () => {
    const left = [child('a', 'failed', 0), child('b', 'shipped', AGE, { record: null })];
    expect(goes([parent(sealed(2, REMOVED)), ...left]).children).toEqual({
      sets: [],
      ids: ['build/files/a', 'build/files/b'],
    });
    expect(goes([parent(sealed(2, REMOVED)), child('a', 'running')]).children).toBeNull();
  });
});

describe('runs', () => {
  const runs = [run(1, 90 * DAY_MS), run(2, 90 * DAY_MS - 1), run(3, null), run(100, 900 * DAY_MS)];

  test('an old run that has ended goes, and one that is younger or open stays', () => {
    expect(planned({ runs }).runs).toEqual([id(1), id(100)]);
  });

  test('an old run that a record names stays', () => {
    expect(planned({ runs, tasks: [task('unclaimed', 0)] }).runs).toEqual([id(1)]);
  });

  test('an old run that has a lease stays', () => {
    const held = { ...record('running'), lease: lease({ owner_run_id: id(1) }) };
    expect(planned({ runs, tasks: [{ task_id: 'build', record: held, problem: null }] }).runs).toEqual([id(100)]);
  });

  test('an old run that an issue is claimed by stays, and all do where that is not known', () => {
    expect(planned({ runs, claimants: new Set([id(100)]) }).runs).toEqual([id(1)]);
    expect(planned({ runs, claimants: null }).runs).toEqual([]);
  });

  test('all runs stay while a record cannot be read, since it may name any', () => {
    expect(planned({ runs, tasks: [{ task_id: 'build', record: null, problem: 'not JSON' }] }).runs).toEqual([]);
    expect(planned({ runs, tasks: [{ task_id: 'build', record: null, problem: null }] }).runs).toHaveLength(2);
  });
});

test('the history says when the files of an attempt were removed: at the first removal after its start', () => {
  const at = (day: number) => isoTime(T0 + day * DAY_MS);
  const history = [
    { event: 'released', ts: at(1) },
    { event: 'pruned', ts: at(2) },
    { event: 'pruned' },
    { event: 'pruned', ts: at(4) },
  ];
  expect([0, 2, 3, 5].map((day) => prunedAt(history, at(day)))).toEqual([at(2), at(2), at(4), null]);
});
