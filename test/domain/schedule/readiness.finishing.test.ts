/** Verified tasks: which may be reviewed or merged, in which order, and what a run waits for. */

import { describe, expect, test } from 'vitest';
import {
  classifyTasks,
  dueNow,
  reasonsToWait,
  type SchedulingContext,
} from '../../../src/domain/schedule/readiness.ts';
import { queueFor } from '../../../src/domain/schedule/run-order.ts';
import { mayStillRun } from '../../../src/domain/schedule/run-selection.ts';
import type { TaskRecord, TaskState } from '../../../src/domain/task/records.ts';
import { onePhase, plan, scheduling } from '../../support/domain/plans.ts';
import { id, lease, record } from '../../support/domain/tasks.ts';

const BOTH = { review: true, ship: true };

/** A task in `state` with a lease since T0. */
function held(state: TaskState): TaskRecord {
  return { ...record(state), lease: lease({ attempt_id: id(33) }) };
}

const seenBy = (seen: SchedulingContext, does: SchedulingContext['does']): SchedulingContext => ({ ...seen, does });

function due(seen: SchedulingContext, taskId: string) {
  const task = seen.plan.byId.get(taskId);
  if (task === undefined) throw new Error(taskId);
  return dueNow(task, seen);
}

describe('verified task', () => {
  const cases: [what: string, entry: object, found: TaskRecord | undefined, phase: string | null][] = [
    ['waits for a review', {}, record('ready_for_review'), 'review'],
    ['waits for its merge', {}, record('reviewed'), 'ship'],
    ['waits for a merge that was interrupted', {}, record('merge_pending'), 'ship'],
    ['is being reviewed', {}, held('ready_for_review'), null],
    ['is being merged', {}, held('merge_pending'), null],
    ['is paused', { status: 'paused' }, record('ready_for_review'), null],
    ['is dropped', { status: 'dropped' }, record('ready_for_review'), null],
    ['depends on what is not shipped', { depends_on: ['first'] }, record('reviewed'), null],
    ['is still worked on', {}, record('running'), null],
    ['is shipped', {}, record('shipped'), null],
    ['is untouched', {}, undefined, null],
  ];
  test.each(cases)('nextPhase of a task that %s', (_what, entry, found, phase) => {
    const made = onePhase({ id: 'first' }, { id: 'build', ...entry });
    expect(due(scheduling(made, found && { build: found }), 'build')).toBe(phase);
  });

  test('a verified task in a paused phase waits for the phase', () => {
    const made = plan([{ id: 'phase-1', status: 'paused', tasks: [{ id: 'build' }] }]);
    const seen = scheduling(made, { build: record('reviewed') });
    expect(due(seen, 'build')).toBeNull();
    expect(queueFor('ship', seen).waiting[0]?.reasons.map(({ code }) => code)).toEqual([
      'TASK_WAITS_FOR_MERGE',
      'PHASE_NOT_ACTIVE',
    ]);
  });

  test('the reason of a task under review or merge names its owner', () => {
    const made = onePhase({ id: 'build' });
    const why = (found: TaskRecord) =>
      reasonsToWait(made.tasks[0] as never, scheduling(made, { build: found }))[0]?.message;
    expect(why(record('ready_for_review'))).toBe('it waits for a review');
    expect(why(held('ready_for_review'))).toBe(`it is being reviewed by run ${id(100)}`);
    expect(why(held('merge_pending'))).toBe(`it is being merged by run ${id(100)}`);
  });
});

describe('reviews and merges of a run', () => {
  const made = onePhase({ id: 'one' }, { id: 'two' }, { id: 'three' }, { id: 'four' });
  const records = {
    one: record('ready_for_review'),
    two: record('merge_pending'),
    three: held('reviewed'),
    four: record('reviewed'),
  };

  test.each([
    [BOTH, ['ship two', 'ship four', 'review one']],
    [{ review: true, ship: false }, ['review one']],
    [{ review: false, ship: false }, []],
  ])('a run with %j reviews and merges tasks nearest to shipping first: %j', (does, expected) => {
    const { due: found, ready } = classifyTasks(seenBy(scheduling(made, records), does));
    expect(found.map(({ task, phase }) => `${phase} ${task.id}`)).toEqual(expected);
    expect(ready).toEqual([]);
  });

  test('the queues list verified tasks whatever the settings say', () => {
    const ids = (phase: 'review' | 'ship') => queueFor(phase, scheduling(made, records)).ready.map((task) => task.id);
    expect([ids('review'), ids('ship')]).toEqual([['one'], ['two', 'four']]);
    expect(queueFor('ship', scheduling(made, records)).waiting.map(({ task }) => task.id)).toEqual(['three']);
  });
});

describe('end of a run', () => {
  const made = onePhase({ id: 'build' }, { id: 'next', run: 'true', depends_on: ['build'] });
  const hopeful = (found: TaskRecord, does: SchedulingContext['does'], selected = ['build', 'next']) =>
    mayStillRun(seenBy(scheduling(made, { build: found }), does), new Set(selected)).map((task) => task.id);

  test.each([
    ['a review that it makes itself', record('ready_for_review'), BOTH, ['build', 'next']],
    ['a merge that it makes itself', record('merge_pending'), BOTH, ['build', 'next']],
    ['a review that another process makes', held('ready_for_review'), { review: false, ship: false }, ['next']],
    ['no review that the settings do not ask for', record('ready_for_review'), { review: false, ship: true }, []],
    ['no merge that only a person makes', record('reviewed'), { review: true, ship: false }, []],
  ])('a run waits for %s', (_what, found, does, expected) => {
    expect(hopeful(found, does)).toEqual(expected);
  });

  test('a run does not wait for reviews and merges of tasks that are not selected', () => {
    expect(hopeful(record('ready_for_review'), BOTH, ['next'])).toEqual([]);
  });
});
