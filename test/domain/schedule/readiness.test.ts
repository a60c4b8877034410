import { describe, expect, test } from 'vitest';
import type { Plan, PlanTask } from '../../../src/domain/plan/plan.ts';
import {
  classifyTasks,
  reasonsToWait,
  type SchedulingContext,
  surveyOf,
} from '../../../src/domain/schedule/readiness.ts';
import { mayStillRun, selectedTasks } from '../../../src/domain/schedule/run-selection.ts';
import { neededFor } from '../../../src/domain/schedule/selection.ts';
import { DEFAULT_SETTINGS } from '../../../src/domain/settings/settings.ts';
import type { TaskRecord, TaskState } from '../../../src/domain/task/records.ts';
import { isoTime } from '../../../src/lib/time.ts';
import { onePhase, plan, scheduling } from '../../support/domain/plans.ts';
import { GRACE_MS, id, lease, OWNER, record, T0, TTL_MS } from '../../support/domain/tasks.ts';

const STALE_MS = TTL_MS + GRACE_MS;

function task(made: Plan, taskId: string): PlanTask {
  const found = made.byId.get(taskId);
  if (found === undefined) throw new Error(`no task ${taskId}`);
  return found;
}

/** Why `taskId` waits: codes, each with what is waited for where that is another. */
function reasons(taskId: string, seen: SchedulingContext): string[] {
  return reasonsToWait(task(seen.plan, taskId), seen).map(({ code, on }) => (on === null ? code : `${code} ${on}`));
}

function inBackoff(until: number, state: TaskState = 'awaiting_respawn'): TaskRecord {
  const waiting = record(state);
  waiting.state.next_eligible_at = isoTime(T0 + until);
  return waiting;
}

const BUILD = { id: 'build' };

describe('readiness of one task', () => {
  const cases: [
    what: string,
    entry: Record<string, unknown>,
    kept: TaskRecord | 'unreadable' | null,
    codes: string[],
  ][] = [
    ['nothing has happened to it', {}, null, []],
    ['unclaimed', {}, record('unclaimed'), []],
    ['abandoned', {}, record('abandoned'), []],
    ['awaiting its next attempt', {}, record('awaiting_respawn'), []],
    ['claimed', {}, record('claimed'), ['TASK_IN_FLIGHT']],
    ['dispatched', {}, record('dispatched'), ['TASK_IN_FLIGHT']],
    ['running', {}, record('running'), ['TASK_IN_FLIGHT']],
    ['asked something', {}, record('blocked_on_question'), ['TASK_WAITS_FOR_ANSWER']],
    ['verified', {}, record('ready_for_review'), ['TASK_WAITS_FOR_REVIEW']],
    ['reviewed', {}, record('reviewed'), ['TASK_WAITS_FOR_MERGE']],
    ['queued for a merge', {}, record('merge_pending'), ['TASK_WAITS_FOR_MERGE']],
    ['shipped', {}, record('shipped'), ['TASK_FINISHED']],
    ['cancelled', {}, record('cancelled'), ['TASK_CANCELLED']],
    ['failed', {}, record('failed'), ['TASK_FAILED']],
    ['unreadable', {}, 'unreadable', ['TASK_UNREADABLE']],
    ['in backoff', {}, inBackoff(1), ['BACKOFF']],
    ['at the end of its backoff', {}, inBackoff(0), []],
    ['abandoned and in backoff', {}, inBackoff(1, 'abandoned'), ['BACKOFF']],
    ['failed with a leftover backoff', {}, inBackoff(1, 'failed'), ['TASK_FAILED']],
    ['paused', { status: 'paused' }, null, ['TASK_PAUSED']],
    ['paused in backoff', { status: 'paused' }, inBackoff(1), ['TASK_PAUSED', 'BACKOFF']],
    ['paused while running', { status: 'paused' }, record('running'), ['TASK_PAUSED', 'TASK_IN_FLIGHT']],
    ['paused after it was shipped', { status: 'paused' }, record('shipped'), ['TASK_FINISHED']],
    ['paused after it failed', { status: 'paused' }, record('failed'), ['TASK_PAUSED', 'TASK_FAILED']],
    ['done by the plan', { status: 'done' }, null, ['TASK_FINISHED']],
    ['done by the plan although it failed here', { status: 'done' }, record('failed'), ['TASK_FINISHED']],
    ['dropped', { status: 'dropped' }, null, ['TASK_FINISHED']],
    ['for a person', { owner_type: 'human' }, null, ['TASK_HUMAN']],
    ['for a person who has done it', { owner_type: 'human', status: 'done' }, null, ['TASK_FINISHED']],
    ['for an agent of some name', { owner_type: 'agent' }, null, []],
  ];
  test.each(cases)('a task that is %s waits for: %j', (_what, entry, kept, codes) => {
    const made = onePhase({ ...BUILD, ...entry });
    expect(reasons('build', scheduling(made, kept === null ? {} : { build: kept }))).toEqual(codes);
  });

  test.each([
    [TTL_MS - 1, ['TASK_IN_FLIGHT']],
    [TTL_MS, ['LEASE_IN_GRACE']],
    [STALE_MS - 1, ['LEASE_IN_GRACE']],
    [STALE_MS, []],
  ])('%i ms into a lease without heartbeats a task waits for: %j', (ms, codes) => {
    expect(reasons('build', scheduling(onePhase(BUILD), { build: record('running') }, ms))).toEqual(codes);
  });

  test('a task in flight without a lease is ready', () => {
    const orphan = { ...record('running'), lease: null };
    expect(reasons('build', scheduling(onePhase(BUILD), { build: orphan }))).toEqual([]);
  });

  test('a task with a live lease is not ready, whatever its state', () => {
    const odd = { ...record('unclaimed'), lease: record('claimed').lease };
    expect(reasons('build', scheduling(onePhase(BUILD), { build: odd }))).toEqual(['TASK_IN_FLIGHT']);
  });

  test('reasons are sentences with names and times', () => {
    const made = onePhase(BUILD, { id: 'test', depends_on: ['build'] });
    const messages = (taskId: string, records: Record<string, TaskRecord>, ms = 0) =>
      reasonsToWait(task(made, taskId), scheduling(made, records, ms)).map(({ message }) => message);
    expect(messages('build', { build: record('running') })).toEqual([
      `running by run ${id(100)} until ${isoTime(T0 + TTL_MS)}`,
    ]);
    expect(messages('build', { build: record('running') }, TTL_MS)).toEqual([
      `the lease of run ${id(100)} has run out; it may be taken from ${isoTime(T0 + STALE_MS)} on`,
    ]);
    const owned = record('running', { lease: lease({ owner: OWNER }) });
    expect(messages('build', { build: owned })[0]).toMatch(
      /; its owner \(pid 4242 on mill\) can't be seen from here: /,
    );
    expect(messages('build', { build: inBackoff(500) })).toEqual([`it is tried again at ${isoTime(T0 + 500)}`]);
    const { failure_reason: _reason, ...bare } = record('failed').state;
    expect(messages('build', { build: { ...record('failed'), state: bare } })).toEqual(['it failed (fatal)']);
    expect(messages('test', { build: record('running') })).toEqual(['it depends on build, which is running']);
  });

  test('a reason names what went wrong last', () => {
    const made = onePhase(BUILD);
    const last_error = { class: 'exit.1', message: 'exited with code 1: no space left' };
    const message = (seen: TaskRecord) =>
      reasonsToWait(
        task(made, 'build'),
        scheduling(made, { build: { ...seen, state: { ...seen.state, last_error } } }),
      )[0]?.message;
    expect(message(record('failed'))).toBe('it failed (fatal): exit.1: no space left');
    expect(message(inBackoff(500))).toBe(`it is tried again at ${isoTime(T0 + 500)}, after exit.1: no space left`);
  });
});

describe('readiness and dependencies', () => {
  const made = (entry: Record<string, unknown> = {}) =>
    onePhase({ ...BUILD, ...entry }, { id: 'test', depends_on: ['build'] });
  const cases: [
    what: string,
    entry: Record<string, unknown>,
    kept: TaskRecord | 'unreadable' | null,
    codes: string[],
  ][] = [
    ['untouched', {}, null, ['DEPENDENCY_PENDING build']],
    ['running', {}, record('running'), ['DEPENDENCY_PENDING build']],
    ['reviewed but not shipped', {}, record('reviewed'), ['DEPENDENCY_PENDING build']],
    ['shipped', {}, record('shipped'), []],
    ['failed', {}, record('failed'), ['DEPENDENCY_FAILED build']],
    ['cancelled', {}, record('cancelled'), ['DEPENDENCY_FAILED build']],
    ['unreadable', {}, 'unreadable', ['DEPENDENCY_PENDING build']],
    ['paused', { status: 'paused' }, null, ['DEPENDENCY_PENDING build']],
    ['for a person', { owner_type: 'human' }, null, ['DEPENDENCY_PENDING build']],
    ['done by the plan', { status: 'done' }, null, []],
    ['done by the plan although it failed here', { status: 'done' }, record('failed'), []],
    ['dropped', { status: 'dropped' }, null, ['DEPENDENCY_DROPPED build']],
    ['dropped while it runs', { status: 'dropped' }, record('running'), ['DEPENDENCY_DROPPED build']],
    ['dropped after it was shipped', { status: 'dropped' }, record('shipped'), []],
  ];
  test.each(cases)('a task whose dependency is %s waits for: %j', (_what, entry, kept, codes) => {
    expect(reasons('test', scheduling(made(entry), kept === null ? {} : { build: kept }))).toEqual(codes);
  });

  test('every missing dependency is named, in plan order', () => {
    const many = onePhase({ id: 'a' }, { id: 'b' }, { id: 'c' }, { id: 'd', depends_on: ['c', 'a', 'b'] });
    expect(reasons('d', scheduling(many, { a: record('shipped') }))).toEqual([
      'DEPENDENCY_PENDING c',
      'DEPENDENCY_PENDING b',
    ]);
  });

  test('missing dependencies are named beside a pause and a backoff, but not for a task in flight or over', () => {
    const all = onePhase(BUILD, { id: 'test', status: 'paused', depends_on: ['build'] });
    expect(reasons('test', scheduling(all, { test: inBackoff(1) }))).toEqual([
      'TASK_PAUSED',
      'BACKOFF',
      'DEPENDENCY_PENDING build',
    ]);
    expect(reasons('test', scheduling(made(), { test: record('running') }))).toEqual(['TASK_IN_FLIGHT']);
    expect(reasons('test', scheduling(made(), { test: record('failed') }))).toEqual(['TASK_FAILED']);
  });
});

describe('readiness and phases', () => {
  test.each(['blocked', 'paused', 'done'])('a task in a phase that is %s waits', (status) => {
    const made = plan([{ id: 'phase-1', status, tasks: [BUILD] }]);
    expect(reasons('build', scheduling(made))).toEqual(['PHASE_NOT_ACTIVE phase-1']);
  });

  const two = (first: Record<string, unknown>[], status = 'active') =>
    plan([
      { id: 'phase-1', status, tasks: first.map((entry, i) => ({ id: `a${i}`, ...entry })) },
      { id: 'phase-2', blocked_by: 'phase-1', tasks: [{ id: 'b' }] },
    ]);

  test.each<[what: string, entries: Record<string, unknown>[], records: Record<string, TaskRecord>, over: boolean]>([
    ['nothing done', [{}, {}], {}, false],
    ['all but one shipped', [{}, {}], { a0: record('shipped') }, false],
    ['all shipped', [{}, {}], { a0: record('shipped'), a1: record('shipped') }, true],
    ['shipped, done and dropped', [{}, { status: 'done' }, { status: 'dropped' }], { a0: record('shipped') }, true],
    ['shipped and then paused', [{ status: 'paused' }], { a0: record('shipped') }, true],
    ['failed', [{}], { a0: record('failed') }, false],
    ['cancelled', [{}], { a0: record('cancelled') }, false],
    ['its task for a person is open', [{ owner_type: 'human' }], {}, false],
    ['its task for a person is done', [{ owner_type: 'human', status: 'done' }], {}, true],
    ['without any task', [], {}, true],
  ])('a task waits for the phase before it: %s', (_what, entries, records, over) => {
    const seen = scheduling(two(entries), records);
    expect(reasons('b', seen)).toEqual(over ? [] : ['PHASE_BLOCKED phase-1']);
    expect(
      surveyOf(seen)
        .fates()
        .isFinished(seen.plan.phases[0] as Plan['phases'][number]),
    ).toBe(over);
  });

  test('a phase that the plan calls done is finished, whatever is left in it', () => {
    expect(reasons('b', scheduling(two([{}], 'done')))).toEqual([]);
  });

  test('an unreadable task does not finish its phase', () => {
    expect(reasons('b', scheduling(two([{}]), { a0: 'unreadable' }))).toEqual(['PHASE_BLOCKED phase-1']);
  });

  test('unblocked phases start together', () => {
    const made = plan([
      { id: 'phase-1', tasks: [{ id: 'a' }] },
      { id: 'phase-2', tasks: [{ id: 'b' }] },
    ]);
    expect(reasons('b', scheduling(made))).toEqual([]);
  });
});

describe('all tasks of a plan', () => {
  test('ready tasks are ordered by phase, priority and place in the plan', () => {
    const made = plan([
      {
        id: 'phase-2',
        tasks: [{ id: 'late', priority: 'P2' }, { id: 'one' }, { id: 'urgent', priority: 'P0' }, { id: 'two' }],
      },
      { id: 'phase-1', tasks: [{ id: 'other', priority: 'P0' }] },
    ]);
    expect(classifyTasks(scheduling(made)).ready.map((entry) => entry.id)).toEqual([
      'urgent',
      'one',
      'two',
      'late',
      'other',
    ]);
  });

  describe('a task that waits for one that has failed for good is told so through the whole chain', () => {
    const messages = (taskId: string, seen: SchedulingContext) =>
      reasonsToWait(task(seen.plan, taskId), seen).map(({ code, message }) => `${code}: ${message}`);
    const chain = onePhase(
      { id: 'a' },
      { id: 'b', depends_on: ['a'] },
      { id: 'c', depends_on: ['b'] },
      { id: 'd', depends_on: ['c'] },
    );

    test.each(['failed', 'cancelled'] as const)('where the first is %s', (state) => {
      const seen = scheduling(chain, { a: record(state) });
      expect(messages('b', seen)).toEqual([`DEPENDENCY_FAILED: it depends on a, which is ${state}`]);
      expect(messages('d', seen)).toEqual([`DEPENDENCY_FAILED: it depends on c, which can't start: a is ${state}`]);
      expect(mayStillRun(seen, new Set(['a', 'b', 'c', 'd']))).toEqual([]);
    });

    test('a task that waits for one that has failed for good is told so through the whole chain where the first is dropped', () => {
      const made = onePhase(
        { id: 'a', status: 'dropped' },
        { id: 'b', depends_on: ['a'] },
        { id: 'c', depends_on: ['b'] },
      );
      expect(messages('c', scheduling(made))).toEqual([
        "DEPENDENCY_FAILED: it depends on b, which can't start: a is dropped",
      ]);
    });

    test('a task that waits for one that has failed for good is told so through the whole chain and through phases', () => {
      const made = plan([
        { id: 'one', tasks: [{ id: 'a' }, { id: 'x', status: 'dropped' }] },
        { id: 'two', blocked_by: 'one', tasks: [{ id: 'b' }] },
        { id: 'three', blocked_by: 'two', tasks: [{ id: 'c' }] },
      ]);
      const failed = scheduling(made, { a: record('failed') });
      expect(messages('b', failed)).toEqual(['PHASE_BLOCKED: phase two waits for phase one, and a is failed']);
      expect(messages('c', failed)).toEqual(['PHASE_BLOCKED: phase three waits for phase two, and a is failed']);
      expect(messages('b', scheduling(made))).toEqual(['PHASE_BLOCKED: phase two waits for phase one']);
    });

    test('but not where another way is shipped, done or tried again', () => {
      expect(messages('c', scheduling(chain, { a: record('failed'), b: record('shipped') }))).toEqual([]);
      expect(messages('c', scheduling(chain, { a: record('awaiting_respawn') }))).toEqual([
        'DEPENDENCY_PENDING: it depends on b, which is unclaimed',
      ]);
    });

    test('a task that waits for one that has failed for good is told so through the whole chain of ten thousand tasks', () => {
      const many = Array.from({ length: 10_000 }, (_, i) => ({
        id: `t${i}`,
        depends_on: i === 0 ? [] : [`t${i - 1}`],
      }));
      const seen = scheduling(onePhase(...many), { t0: record('failed') });
      expect(messages('t9999', seen)).toEqual([
        "DEPENDENCY_FAILED: it depends on t9998, which can't start: t0 is failed",
      ]);
    });
  });

  test('every task that is not over is in one group: ready, waiting or human', () => {
    const made = onePhase(
      { id: 'ready' },
      { id: 'held' },
      { id: 'failed' },
      { id: 'after', depends_on: ['held'] },
      { id: 'person', owner_type: 'human' },
      { id: 'signed', owner_type: 'human', status: 'done' },
      { id: 'shipped' },
      { id: 'shipped-then-paused', status: 'paused' },
      { id: 'done', status: 'done' },
      { id: 'dropped', status: 'dropped' },
      { id: 'paused', status: 'paused' },
    );
    const shipped = record('shipped');
    const seen = classifyTasks(
      scheduling(made, {
        held: record('claimed'),
        failed: record('failed'),
        shipped,
        'shipped-then-paused': shipped,
      }),
    );
    expect(seen.ready.map((entry) => entry.id)).toEqual(['ready']);
    expect(seen.human.map((entry) => entry.id)).toEqual(['person']);
    expect(seen.waiting.map((entry) => [entry.task.id, entry.reasons[0]?.code])).toEqual([
      ['held', 'TASK_IN_FLIGHT'],
      ['failed', 'TASK_FAILED'],
      ['after', 'DEPENDENCY_PENDING'],
      ['paused', 'TASK_PAUSED'],
    ]);
  });

  test('grouping the tasks of a plan reads each record a bounded number of times, also with many phases', () => {
    const made = plan([
      { id: 'phase-1', tasks: Array.from({ length: 50 }, (_, i) => ({ id: `a${i}` })) },
      {
        id: 'phase-2',
        blocked_by: 'phase-1',
        tasks: Array.from({ length: 500 }, (_, i) => ({ id: `b${i}`, status: 'paused' })),
      },
      { id: 'phase-3', blocked_by: 'phase-1', tasks: Array.from({ length: 500 }, (_, i) => ({ id: `c${i}` })) },
    ]);
    let asked = 0;
    const shipped = record('shipped');
    const recordOf = (taskId: string) => {
      asked++;
      return taskId.startsWith('a') ? shipped : null;
    };
    const seen = { ...scheduling(made), recordOf };
    expect(classifyTasks(seen).ready).toHaveLength(500);
    expect(asked).toBeLessThan(4 * made.tasks.length);
  });
});

describe('selection', () => {
  const made = plan([
    { id: 'phase-1', tasks: [{ id: 'a' }, { id: 'b', depends_on: ['a'] }] },
    { id: 'phase-2', tasks: [{ id: 'c' }] },
    { id: 'phase-3', blocked_by: 'phase-1', tasks: [{ id: 'd', depends_on: ['c'] }, { id: 'e' }] },
    { id: 'phase-4', blocked_by: 'phase-3', tasks: [{ id: 'f' }] },
  ]);

  test.each([
    ['a', ['a']],
    ['b', ['b', 'a']],
    ['d', ['d', 'c', 'a', 'b']],
    ['f', ['f', 'd', 'e']],
  ])('the records needed to decide on %s are known', (taskId, needed) => {
    expect(neededFor(task(made, taskId), made, DEFAULT_SETTINGS.agents)).toEqual(needed);
  });

  test.each([
    ['a', 'a'],
    ['b', 'ab'],
    ['c', 'c'],
    ['d', 'abcd'],
    ['e', 'abe'],
    ['f', 'abcdef'],
  ])('selecting %s includes everything it waits for, also through phases', (taskId, letters) => {
    expect([...selectedTasks([taskId], made)].sort().join('')).toBe(letters);
  });

  test('several tasks or none can be selected', () => {
    expect([...selectedTasks(['b', 'c'], made)].sort()).toEqual(['a', 'b', 'c']);
    expect(selectedTasks([], made).size).toBe(0);
    expect(selectedTasks(['gone'], made).size).toBe(0);
  });
});

describe('tasks that can still run', () => {
  const RUN = { run: 'true' };
  const still = (made: Plan, records: Record<string, TaskRecord | 'unreadable'> = {}, ids?: string[]) =>
    mayStillRun(scheduling(made, records), new Set(ids ?? made.tasks.map((entry) => entry.id))).map(
      (entry) => entry.id,
    );

  test('a ready task with a command can still run, one for an agent cannot', () => {
    expect(still(onePhase({ id: 'a', ...RUN }, { id: 'b' }))).toEqual(['a']);
  });

  test('all of a chain of thousands can still run, also where the plan has its end first', () => {
    const chain = Array.from({ length: 5000 }, (_, i) => ({ id: `t${i}`, ...RUN, depends_on: [`t${i + 1}`] }));
    expect(still(onePhase(...chain, { id: 't5000', ...RUN }))).toHaveLength(5001);
    const first = { id: 'first', tasks: [...chain, { id: 't5000', ...RUN }] };
    const phases = plan([{ id: 'second', blocked_by: 'first', tasks: [{ id: 'a', ...RUN }] }, first]);
    expect(still(phases)).toHaveLength(5002);
  });

  test.each<[what: string, kept: TaskRecord | 'unreadable', may: boolean]>([
    ['in backoff', inBackoff(1), true],
    ['held by another', record('running'), true],
    ['shipped', record('shipped'), false],
    ['failed', record('failed'), false],
    ['cancelled', record('cancelled'), false],
    ['waiting for a review', record('ready_for_review'), false],
    ['waiting for an answer', record('blocked_on_question'), false],
    ['unreadable', 'unreadable', false],
  ])('a dependent of a task that is %s can still run: %s', (_what, kept, may) => {
    expect(still(onePhase({ id: 'a', ...RUN }), { a: kept })).toEqual(may ? ['a'] : []);
    const two = onePhase({ id: 'a', ...RUN }, { id: 'b', depends_on: ['a'], ...RUN });
    const shipped = kept !== 'unreadable' && kept.state.state === 'shipped';
    expect(still(two, { a: kept })).toEqual(shipped ? ['b'] : may ? ['a', 'b'] : []);
  });

  test('no task behind one for an agent can still run, unless an agent has it', () => {
    const made = onePhase({ id: 'a' }, { id: 'b', depends_on: ['a'], ...RUN });
    expect(still(made)).toEqual([]);
    expect(still(made, { a: record('running') })).toEqual(['b']);
  });

  test('no task behind a person, a pause or a dropped task can still run', () => {
    for (const entry of [{ owner_type: 'human' }, { status: 'paused', ...RUN }, { status: 'dropped', ...RUN }]) {
      expect(still(onePhase({ id: 'a', ...entry }, { id: 'b', depends_on: ['a'], ...RUN }))).toEqual([]);
    }
  });

  test('a phase can still run when everything in the phase before it can end', () => {
    const made = (entry: Record<string, unknown>) =>
      plan([
        {
          id: 'phase-1',
          tasks: [
            { id: 'a', ...RUN },
            { id: 'x', ...entry },
          ],
        },
        { id: 'phase-2', blocked_by: 'phase-1', tasks: [{ id: 'b', ...RUN }] },
      ]);
    expect(still(made(RUN))).toEqual(['a', 'x', 'b']);
    expect(still(made({}))).toEqual(['a']);
    expect(still(made({ status: 'done' }))).toEqual(['a', 'b']);
    expect(still(made({ status: 'paused' }), { x: record('shipped') })).toEqual(['a', 'b']);
  });

  test('only selected tasks can still run', () => {
    const made = onePhase({ id: 'a', ...RUN }, { id: 'b', ...RUN });
    expect(still(made, {}, ['b'])).toEqual(['b']);
  });

  test('a task that waits for an unselected one cannot run, unless that one is in flight', () => {
    const made = onePhase({ id: 'a', ...RUN }, { id: 'b', depends_on: ['a'], ...RUN });
    expect(still(made, {}, ['b'])).toEqual([]);
    expect(still(made, { a: record('running') }, ['b'])).toEqual(['b']);
  });
});
