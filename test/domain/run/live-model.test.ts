/** The data of the live view: every task counts once, and waiting tasks are grouped by what they wait for. */

import { describe, expect, test } from 'vitest';
import { indexed, type Plan } from '../../../src/domain/plan/plan.ts';
import { type LiveModel, liveModel } from '../../../src/domain/run/live-model.ts';
import { classifyTasks } from '../../../src/domain/schedule/readiness.ts';
import { TASK_STATES, type TaskRecord, type TaskState } from '../../../src/domain/task/records.ts';
import { isoTime } from '../../../src/lib/time.ts';
import { onePhase, plan, scheduling } from '../../support/domain/plans.ts';
import { id, lease, OWNER, record, T0, TTL_MS } from '../../support/domain/tasks.ts';
import fc from '../../support/properties.ts';

const NONE = new Map();
const RUN = { run: 'true' };

function model(made: Plan, records: Record<string, TaskRecord | 'unreadable'> = {}, ms = 0): LiveModel {
  return liveModel({ scheduling: scheduling(made, records, ms), selected: null, own: NONE });
}

const counted = ({ counts }: LiveModel) => Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));

const backoff = (ms: number): TaskRecord => {
  const waiting = record('awaiting_respawn');
  waiting.state.next_eligible_at = isoTime(T0 + ms);
  return waiting;
};

describe('live view counts', () => {
  const [a] = onePhase({ id: 'a', ...RUN }).tasks;
  test.each<[string, object, TaskRecord | 'unreadable' | undefined]>([
    ['ready', {}, undefined],
    ['running', {}, record('running')],
    ['running', {}, record('claimed')],
    // A live lease counts as running in any state.
    ['running', {}, { ...record('ready_for_review'), lease: lease() }],
    ['ready', {}, { ...record('running'), lease: null }],
    ['over', {}, record('shipped')],
    ['over', {}, { ...record('shipped'), lease: lease() }],
    ['over', { status: 'done' }, undefined],
    ['failed', {}, record('failed')],
    ['failed', { status: 'paused' }, record('failed')],
    ['cancelled', {}, record('cancelled')],
    ['asked', {}, record('blocked_on_question')],
    ['waiting', {}, record('ready_for_review')],
    ['waiting', {}, backoff(1000)],
    ['waiting', { status: 'paused' }, undefined],
    ['human', { owner_type: 'human' }, undefined],
    ['unreadable', {}, 'unreadable'],
  ])('the live view counts a task as %s: %j', (count, fields, made) => {
    const one = onePhase({ id: a?.id ?? '', ...RUN, ...fields });
    expect(counted(model(one, made === undefined ? {} : { a: made }))).toEqual({ [count]: 1 });
  });

  test('the live view does not count tasks that are dropped or not selected', () => {
    const made = onePhase({ id: 'a', status: 'dropped' }, { id: 'b' }, { id: 'c' });
    const all = liveModel({ scheduling: scheduling(made), selected: new Set(['b']), own: NONE });
    expect(counted(all)).toEqual({ ready: 1 });
  });
});

describe('running tasks of the live view', () => {
  const made = onePhase({ id: 'a', title: 'A', ...RUN }, { id: 'b', title: 'B', ...RUN });

  test('running tasks show attempt, number and age, the longest running first', () => {
    const young = { ...record('running'), lease: lease({ attempt_id: id(12), acquired_at: isoTime(T0 + 1000) }) };
    expect(model(made, { a: young, b: record('running') }).running).toMatchObject([
      { task_id: 'b', title: 'B', attempt_id: id(11), attempt_number: 1, since_ms: T0, setup: null, checking: null },
      {
        task_id: 'a',
        title: 'A',
        attempt_id: id(12),
        attempt_number: 1,
        since_ms: T0 + 1000,
        setup: null,
        checking: null,
      },
    ]);
  });

  test('an attempt that this run started is shown before its record is read', () => {
    const own = new Map([['a', { attempt_id: id(7), attempt_number: 3, age_ms: 500 }]]);
    const seen = liveModel({ scheduling: scheduling(made, { a: backoff(-1) }, 2000), selected: null, own });
    expect(counted(seen)).toEqual({ running: 1, ready: 1 });
    expect(seen.running).toMatchObject([{ task_id: 'a', attempt_id: id(7), attempt_number: 3, since_ms: T0 + 1500 }]);
  });

  test('a running task names the command that prepares its worktree', () => {
    const setups = new Map([['a', 'npm ci']]);
    const claimed = { ...record('claimed'), lease: lease({ attempt_id: null }) };
    const seen = liveModel({ scheduling: scheduling(made, { a: claimed }), selected: null, own: NONE, setups });
    expect(seen.running).toMatchObject([{ task_id: 'a', setup: 'npm ci' }]);
  });

  test('a running task names its verification command', () => {
    const checked = record('running');
    const since = isoTime(T0);
    checked.memo.verification = {
      attempt_id: id(9),
      outcome: 'x',
      written: true,
      since,
      verifier: OWNER,
      command: 'lint',
    };
    expect(model(made, { a: checked }).running).toMatchObject([{ task_id: 'a', attempt_id: id(9), checking: 'lint' }]);
  });

  test('the liveness of an owner is checked once for all its leases', () => {
    let asked = 0;
    const one = scheduling(made, { a: { ...record('running'), lease: lease({ owner: OWNER }) } });
    const both = { ...one, recordOf: () => one.recordOf('a') };
    const observer = {
      ...one.observer,
      liveness: () => {
        asked++;
        return 'alive' as const;
      },
    };
    expect(counted(liveModel({ scheduling: { ...both, observer }, selected: null, own: NONE }))).toEqual({
      running: 2,
    });
    expect(asked).toBe(1);
  });
});

describe('waiting tasks of the live view', () => {
  const waits = (seen: LiveModel) =>
    seen.waiting.map(({ code, on, tasks }) => `${tasks.join(' ')}: ${code}${on.length > 0 ? ` ${on.join(' ')}` : ''}`);

  test('parked tasks are told by what each waits for, and until when', () => {
    const parked = (ms: number, kind: string, name: string): TaskRecord => {
      const waiting = record('waiting');
      Object.assign(waiting.state, { wake_at: isoTime(T0 + ms), waits_for: [{ kind, name }] });
      return waiting;
    };
    const made = onePhase({ id: 'a', ...RUN }, { id: 'b', ...RUN }, { id: 'c', ...RUN });
    const records = {
      a: parked(9000, 'wait', 'soak'),
      b: parked(9000, 'wait', 'soak'),
      c: parked(500, 'wait-for', 'go'),
    };
    expect(model(made, records).waiting).toMatchObject([
      { tasks: ['a', 'b'], message: `it waits until ${isoTime(T0 + 9000)} (soak)`, until_ms: null },
      { tasks: ['c'], message: expect.stringContaining(`it waits for signal go, until ${isoTime(T0 + 500)}`) },
    ]);
  });

  test('tasks that wait for the same thing are grouped, the earliest first', () => {
    const made = plan([
      {
        id: 'p',
        tasks: [
          { id: 'resting', status: 'paused', ...RUN },
          { id: 'later', depends_on: ['x', 'far'], ...RUN },
          { id: 'far', depends_on: ['x'], ...RUN },
          { id: 'x', ...RUN, depends_on: ['now'] },
          { id: 'now', ...RUN },
          { id: 'near', depends_on: ['now'], ...RUN },
          { id: 'again', ...RUN },
          { id: 'too', ...RUN },
          { id: 'agent' },
          { id: 'sign', owner_type: 'human' },
          { id: 'stuck', depends_on: ['broken'], ...RUN },
          { id: 'broken', ...RUN },
        ],
      },
      {
        id: 'q',
        blocked_by: 'p',
        tasks: [
          { id: 'e', ...RUN },
          { id: 'f', depends_on: ['x'], ...RUN },
        ],
      },
    ]);
    const seen = model(made, {
      now: record('running'),
      again: backoff(9000),
      too: backoff(500),
      broken: record('failed'),
    });
    expect(waits(seen)).toEqual([
      'again too: BACKOFF',
      'agent: NO_COMMAND',
      'sign: TASK_HUMAN',
      'x near: DEPENDENCY_PENDING now',
      'later: DEPENDENCY_PENDING x far',
      'far: DEPENDENCY_PENDING x',
      'e f: PHASE_BLOCKED p',
      'stuck: DEPENDENCY_FAILED broken',
      'resting: TASK_PAUSED',
    ]);
    expect(seen.waiting[0]?.until_ms).toBe(T0 + 500);
    expect(seen.path).toEqual(['now', 'x', 'far', 'later', 'e']);
  });
});

test('the critical path of the live view excludes tasks that are over or cancelled', () => {
  const chain = onePhase({ id: 'a' }, { id: 'b', depends_on: ['a'] }, { id: 'c', depends_on: ['b'] }, { id: 'd' });
  expect(model(chain, { a: record('shipped') }).path).toEqual(['b', 'c']);
  expect(model(chain, { b: record('cancelled') }).path).toEqual(['a']);
  expect(model(chain, { b: record('failed') }).path).toEqual(['a', 'b', 'c']);
});

test('the live view counts each task once, and only claimable tasks as ready', () => {
  const drafts = fc.array(
    fc.record({
      state: fc.option(fc.constantFrom<TaskState>(...TASK_STATES)),
      status: fc.constantFrom('active', 'active', 'paused', 'done', 'dropped'),
      needs: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
      human: fc.boolean(),
      ms: fc.constantFrom(0, TTL_MS + 1, TTL_MS * 10),
    }),
    { minLength: 1, maxLength: 8 },
  );
  fc.assert(
    fc.property(drafts, (tasks) => {
      const entries = tasks.map(({ status, needs, human }, n) => {
        const depends_on = needs.filter((back) => back <= n).map((back) => `t${n - back}`);
        return { id: `t${n}`, status, depends_on, ...RUN, ...(human ? { owner_type: 'human' } : {}) };
      });
      const records = Object.fromEntries(
        tasks.flatMap(({ state, ms }, n) => {
          if (state === null) return [];
          const made = record(state);
          return [[`t${n}`, { ...made, lease: made.lease && { ...made.lease, expires_at: isoTime(T0 + ms) } }]];
        }),
      );
      const made = onePhase(...entries);
      const seen = model(made, records);
      const total = Object.values(seen.counts).reduce((sum, count) => sum + count, 0);
      expect(total).toBe(tasks.filter(({ status }) => status !== 'dropped').length);
      expect(seen.counts.ready).toBe(classifyTasks(scheduling(made, records)).ready.length);
      expect(seen.running).toHaveLength(seen.counts.running);
      const told = seen.waiting.reduce((sum, wait) => sum + wait.tasks.length, 0);
      expect(told).toBe(seen.counts.waiting + seen.counts.human);
    }),
  );
});

describe('children of a fan-out', () => {
  /** A task with six children, of which three run. */
  function fanned(): { made: Plan; records: Record<string, TaskRecord> } {
    const states: TaskState[] = ['shipped', 'failed', 'running', 'running', 'claimed', 'blocked_on_question'];
    const parent = onePhase({ id: 'a', ...RUN });
    const [a] = parent.tasks;
    if (a === undefined) throw new Error('no task');
    const children = [...states, 'unclaimed'].map((_, i) => ({ ...a, id: `a/files/${i}`, parent: 'a' }));
    const records = Object.fromEntries(states.map((state, i) => [`a/files/${i}`, record(state)]));
    return { made: indexed({ ...parent, tasks: [a, ...children] }), records: { ...records, a: record('waiting') } };
  }

  test('children of a fan-out are one line of the live view, with how many are done, failed and at work', () => {
    const { made, records } = fanned();
    const { running, waiting, counts } = model(made, records);
    expect(running.map(({ task_id, line }) => [task_id, line])).toEqual([
      ['a/files', '1 of 7 done, 1 failed, 1 asking, 3 running'],
    ]);
    expect(waiting.flatMap(({ tasks }) => tasks)).toEqual(['a']);
    expect(counts).toMatchObject({ over: 1, failed: 1, running: 3, asked: 1 });
  });

  test('children of a fan-out are shown one by one where that is asked for', () => {
    const { made, records } = fanned();
    const seen = { scheduling: scheduling(made, records), selected: null, own: NONE };
    const { running } = liveModel({ ...seen, unfolded: true });
    expect(running.map(({ task_id }) => task_id)).toEqual(['a/files/2', 'a/files/3', 'a/files/4']);
  });

  test('children of a fan-out have no line when all are over', () => {
    const { made } = fanned();
    const over = Object.fromEntries(made.tasks.map(({ id: task }) => [task, record('shipped')]));
    expect(model(made, over).running).toEqual([]);
  });
});
