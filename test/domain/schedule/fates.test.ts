/** What becomes of tasks that depend on others by conditions. */

import { describe, expect, test } from 'vitest';
import type { Plan } from '../../../src/domain/plan/plan.ts';
import { fatesOf, type Outcome, verdictOn } from '../../../src/domain/schedule/fates.ts';
import { classifyTasks, reasonsToWait, surveyOf } from '../../../src/domain/schedule/readiness.ts';
import { mayStillRun, selectedTasks } from '../../../src/domain/schedule/run-selection.ts';
import type { TaskRecord, TaskState } from '../../../src/domain/task/records.ts';
import { onePhase, plan, scheduling, type TaskEntry } from '../../support/domain/plans.ts';
import { record } from '../../support/domain/tasks.ts';
import fc from '../../support/properties.ts';

const recordsOf = (states: Record<string, TaskState>): Record<string, TaskRecord> =>
  Object.fromEntries(Object.entries(states).map(([id, state]) => [id, record(state)]));

function seen(made: Plan, states: Record<string, TaskState>, stopping = false) {
  return { ...scheduling(made, recordsOf(states)), stopping };
}

/** The first reason of a task, or `ready`. */
function whyOf(id: string, made: Plan, states: Record<string, TaskState>, stopping = false): string {
  const task = made.byId.get(id);
  if (task === undefined) throw new Error(`no task ${id}`);
  const [reason] = reasonsToWait(task, seen(made, states, stopping));
  return reason === undefined ? 'ready' : `${reason.code}: ${reason.message}`;
}

describe('a condition on a task', () => {
  const OUTCOMES: readonly Outcome[] = [
    'succeeded',
    'failed',
    'cancelled',
    'dropped',
    'skipped',
    'lost',
    'stopped',
    'open',
  ];
  const TABLE = {
    success: ['holds', 'loses', 'loses', 'loses', 'skips', 'loses', 'waits', 'waits'],
    failure: ['skips', 'holds', 'holds', 'skips', 'skips', 'loses', 'waits', 'waits'],
    always: ['holds', 'holds', 'holds', 'holds', 'holds', 'holds', 'holds', 'waits'],
  } as const;

  test.each(
    Object.entries(TABLE).flatMap(([when, row]) => row.map((verdict, i) => ({ when, outcome: OUTCOMES[i], verdict }))),
  )('$when of one that is $outcome $verdict', ({ when, outcome, verdict }) => {
    const condition = { when: when as keyof typeof TABLE, optional: false };
    expect(verdictOn(condition, outcome as Outcome, false)).toBe(verdict);
    const isGone = outcome === 'dropped' || outcome === 'skipped';
    expect(verdictOn({ ...condition, optional: true }, outcome as Outcome, false)).toBe(isGone ? 'holds' : verdict);
  });

  test('a failure after which others go on counts as success, and as failure', () => {
    expect(verdictOn({ when: 'success', optional: false }, 'failed', true)).toBe('holds');
    expect(verdictOn({ when: 'failure', optional: false }, 'failed', true)).toBe('holds');
    expect(verdictOn({ when: 'success', optional: false }, 'cancelled', true)).toBe('loses');
  });
});

describe('tasks with conditions', () => {
  const made = onePhase(
    { id: 'build' },
    { id: 'deploy', depends_on: ['build'] },
    { id: 'alarm', depends_on: [{ task: 'build', when: 'failure' }] },
    { id: 'after', depends_on: ['alarm'] },
    { id: 'clean', depends_on: [{ task: 'deploy', when: 'always' }] },
    { id: 'report', depends_on: [{ task: 'alarm', optional: true }, 'clean'] },
  );

  test('wait while it is open what they wait for', () => {
    expect(whyOf('alarm', made, {})).toBe('DEPENDENCY_PENDING: it runs only when build fails, which is unclaimed');
    expect(whyOf('clean', made, {})).toBe('DEPENDENCY_PENDING: it comes after deploy, which is unclaimed');
  });

  test('start after a failure, and finalizers also where what they come after can never start', () => {
    const states = { build: 'failed' } as const;
    expect(classifyTasks(seen(made, states)).ready.map(({ id }) => id)).toEqual(['alarm', 'clean']);
    expect(whyOf('deploy', made, states)).toBe('DEPENDENCY_FAILED: it depends on build, which is failed');
  });

  test('tasks with conditions are skipped once their condition cannot come true, as is what depends on them', () => {
    const states = { build: 'shipped', deploy: 'shipped' } as const;
    expect(whyOf('alarm', made, states)).toBe(
      'TASK_SKIPPED: it is skipped: it runs only when build fails, and build has not failed',
    );
    expect(whyOf('after', made, states)).toBe('TASK_SKIPPED: it is skipped: it depends on alarm, which is skipped');
    const { ready, waiting } = classifyTasks(seen(made, { ...states, clean: 'shipped' }));
    expect([ready.map(({ id }) => id), waiting]).toEqual([['report'], []]);
    const all = { ...states, clean: 'shipped', report: 'shipped' } as const;
    expect(mayStillRun(seen(made, all), selectedTasks(null, made))).toEqual([]);
  });

  test('tasks with conditions that are under way are not skipped', () => {
    for (const state of ['running', 'shipped', 'failed', 'ready_for_review'] as const)
      expect(whyOf('alarm', made, { build: 'shipped', alarm: state })).not.toContain('SKIPPED');
    expect(whyOf('alarm', made, { build: 'shipped', alarm: 'awaiting_respawn' })).toContain('SKIPPED');
  });

  describe('for the failure of a matrix', () => {
    const made = onePhase(
      { id: 'first' },
      { id: 'test', depends_on: ['first'], matrix: { on: ['a', 'b'] } },
      { id: 'alarm', depends_on: [{ task: 'test', when: 'failure' }] },
      { id: 'own', depends_on: [{ task: 'test.on-b', when: 'failure' }] },
    );
    const [a, b] = ['test.on-a', 'test.on-b'] as const;

    test('start when all combinations are over and one has failed', () => {
      const why = 'DEPENDENCY_PENDING: it runs only when one of test fails, and';
      expect(whyOf('alarm', made, {})).toBe(`${why} ${a} is unclaimed`);
      expect(whyOf('alarm', made, { [a]: 'failed', [b]: 'running' })).toBe(`${why} ${b} is running`);
      expect(whyOf('alarm', made, { [a]: 'failed', [b]: 'shipped' })).toBe('ready');
      expect(whyOf('alarm', made, { [a]: 'shipped', [b]: 'cancelled' })).toBe('ready');
      expect(whyOf('alarm', made, { [a]: 'failed' }, true)).toBe('ready');
    });

    test('for the failure of a matrix are skipped when all have shipped, and lost when none can start', () => {
      expect(whyOf('alarm', made, { [a]: 'shipped', [b]: 'shipped' })).toBe(
        'TASK_SKIPPED: it is skipped: it runs only when one of test fails, and none has failed',
      );
      expect(whyOf('alarm', made, { first: 'failed' })).toBe(
        `DEPENDENCY_FAILED: it runs only when one of test fails, and ${a} can't start: first is failed`,
      );
    });

    test('count one combination by itself where it is named', () => {
      expect(whyOf('own', made, { [a]: 'failed', [b]: 'shipped' })).toContain('TASK_SKIPPED');
      expect(whyOf('own', made, { [b]: 'failed' })).toBe('ready');
    });
  });

  test('finish their phase as skipped, as does a failure after which others go on', () => {
    const two = (first: TaskEntry[]) =>
      plan([
        { id: 'one', tasks: first },
        {
          id: 'two',
          blocked_by: 'one',
          tasks: [{ id: 'next' }, { id: 'last', depends_on: [{ task: 'next', when: 'always' }] }],
        },
      ]);
    const skips = two([{ id: 'a' }, { id: 'b', depends_on: [{ task: 'a', when: 'failure' }] }]);
    expect(whyOf('next', skips, { a: 'shipped' })).toBe('ready');
    const goesOn = two([
      { id: 'a', continue_on_error: true },
      { id: 'b', depends_on: ['a'] },
    ]);
    expect(whyOf('b', goesOn, { a: 'failed' })).toBe('ready');
    expect(whyOf('next', goesOn, { a: 'failed', b: 'shipped' })).toBe('ready');
  });

  test('finalizers of a phase start once the phase before it can no longer be finished', () => {
    const made = plan([
      { id: 'one', tasks: [{ id: 'a' }, { id: 'b' }] },
      {
        id: 'two',
        blocked_by: 'one',
        tasks: [{ id: 'next' }, { id: 'last', depends_on: [{ task: 'next', when: 'always' }] }],
      },
    ]);
    expect(whyOf('last', made, { a: 'failed' })).toContain('PHASE_BLOCKED');
    expect(whyOf('last', made, { a: 'failed', b: 'shipped' })).toBe('ready');
    expect(whyOf('next', made, { a: 'failed', b: 'shipped' })).toContain('PHASE_BLOCKED');
  });

  test('in a run that starts nothing more, finalizers come after what is not in flight', () => {
    const made = onePhase(
      { id: 'a' },
      { id: 'b' },
      { id: 'clean', depends_on: [{ task: 'b', when: 'always' }] },
      { id: 'later', depends_on: [{ task: 'clean', when: 'always' }] },
      { id: 'alarm', depends_on: [{ task: 'b', when: 'failure' }] },
    );
    expect(whyOf('clean', made, { a: 'failed' })).toContain('DEPENDENCY_PENDING');
    expect(whyOf('clean', made, { a: 'failed', b: 'running' }, true)).toContain('DEPENDENCY_PENDING');
    for (const b of ['awaiting_respawn', 'waiting', 'unclaimed'] as const)
      expect(whyOf('clean', made, { a: 'failed', b }, true)).toBe('ready');
    expect(whyOf('later', made, { a: 'failed' }, true)).toContain('DEPENDENCY_PENDING');
    expect(whyOf('alarm', made, { a: 'failed' }, true)).toContain('DEPENDENCY_PENDING');
  });
});

test('in any plan every task is ready, over, or has a reason, and all conditions of one that is ready hold', () => {
  const STATES: readonly (TaskState | null)[] = [null, 'shipped', 'failed', 'cancelled', 'running', 'awaiting_respawn'];
  const whens = fc.constantFrom('success', 'failure', 'always');
  const drafts = fc.array(
    fc.record({
      state: fc.constantFrom(...STATES),
      status: fc.constantFrom('active', 'active', 'active', 'dropped', 'done'),
      goesOn: fc.boolean(),
      needs: fc.array(fc.record({ n: fc.nat(), when: whens, optional: fc.boolean() }), { maxLength: 3 }),
    }),
    { minLength: 1, maxLength: 8 },
  );
  fc.assert(
    fc.property(drafts, (all) => {
      const made = onePhase(
        ...all.map(({ status, goesOn, needs }, i) => ({
          id: `t${i}`,
          status,
          continue_on_error: goesOn,
          depends_on:
            i === 0 ? [] : [...new Map(needs.map(({ n, ...how }) => [n % i, { task: `t${n % i}`, ...how }])).values()],
        })),
      );
      const states = Object.fromEntries(all.flatMap(({ state }, i) => (state === null ? [] : [[`t${i}`, state]])));
      const context = seen(made, states);
      const fates = surveyOf(context).fates();
      for (const task of made.tasks) {
        const outcome = fates.outcomeOf(task.id);
        const isReady = reasonsToWait(task, context).length === 0;
        if (isReady) expect(outcome).toBe('open');
        const verdicts = task.depends_on.map((id) => {
          const condition = task.conditions[id] ?? { when: 'success' as const, optional: false };
          return verdictOn(condition, fates.outcomeOf(id), made.byId.get(id)?.continue_on_error === true);
        });
        if (isReady) expect(verdicts.every((verdict) => verdict === 'holds')).toBe(true);
        if (outcome === 'skipped') expect(verdicts).toContain('skips');
        if (outcome === 'lost') expect(verdicts).toContain('loses');
        if (outcome === 'skipped' || outcome === 'lost') expect(['running', 'shipped']).not.toContain(states[task.id]);
      }
      expect(fatesOf(context).isOver(made.phases[0] as Plan['phases'][number])).toBe(
        made.tasks.every(({ id }) => fates.outcomeOf(id) !== 'open'),
      );
    }),
  );
});
