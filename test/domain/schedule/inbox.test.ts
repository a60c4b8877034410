/** What waits for a person, and the command that settles each. */

import { describe, expect, test } from 'vitest';
import { JOIN_FAILED } from '../../../src/domain/fan-out/join.ts';
import { inboxOf } from '../../../src/domain/schedule/inbox.ts';
import type { SchedulingContext } from '../../../src/domain/schedule/readiness.ts';
import { DEFAULT_SETTINGS } from '../../../src/domain/settings/settings.ts';
import type { TaskRecord, TaskState } from '../../../src/domain/task/records.ts';
import { isoTime } from '../../../src/lib/time.ts';
import { onePhase, scheduling } from '../../support/domain/plans.ts';
import { record, T0 } from '../../support/domain/tasks.ts';

/** Kind, task and commands of each item. */
function items(seen: SchedulingContext): (string | string[] | null)[][] {
  return inboxOf(seen).map(({ kind, task_id, commands }) => [
    kind,
    task_id,
    commands.map((command) => command.replace('forge orchestrate ', '')),
  ]);
}

function failed(error: { class: string; message: string }): TaskRecord {
  const made = record('failed');
  made.state.last_error = error;
  return made;
}

function withMemo(state: TaskState, memo: Partial<TaskRecord['memo']>): TaskRecord {
  const made = record(state);
  return { ...made, memo: { ...made.memo, ...memo } };
}

/** Parked over a signal. */
function waiting(wake_at: string | null, ...besides: NonNullable<TaskRecord['state']['waits_for']>): TaskRecord {
  const made = record('waiting');
  return { ...made, state: { ...made.state, wake_at, waits_for: [{ kind: 'wait-for', name: 'go' }, ...besides] } };
}

const SIGN = { id: 'sign', owner_type: 'human' };

describe('the inbox', () => {
  test.each<[what: string, seen: SchedulingContext, expected: unknown[][]]>([
    ['nothing of tasks that agents or runs do', scheduling(onePhase({ id: 'build' })), []],
    [
      'a checkpoint that is due',
      scheduling(onePhase({ id: 'build' }, { ...SIGN, depends_on: ['build'] }), { build: record('shipped') }),
      [['checkpoint', 'sign', ['done sign']]],
    ],
    [
      'no checkpoint that waits for others',
      scheduling(onePhase({ id: 'build' }, { ...SIGN, depends_on: ['build'] })),
      [],
    ],
    ['no checkpoint that is done', scheduling(onePhase({ ...SIGN, status: 'done' })), []],
    [
      'a question',
      scheduling(onePhase({ id: 'build' }), { build: record('blocked_on_question') }),
      [['question', 'build', ['answer build OPTION']]],
    ],
    [
      'a task that waits for a signal',
      scheduling(onePhase({ id: 'build' }), { build: waiting(null) }),
      [['signal', 'build', ['signal build go', 'run']]],
    ],
    [
      'no task that waits for a time besides',
      scheduling(onePhase({ id: 'build' }), {
        build: waiting(null, { kind: 'wait', name: 'soak' }),
      }),
      [],
    ],
    ['no task whose signal is there', scheduling(onePhase({ id: 'build' }), { build: waiting(isoTime(T0)) }), []],
    [
      'a failed task',
      scheduling(onePhase({ id: 'build' }), { build: failed({ class: 'exit.1', message: 'no' }) }),
      [['failed', 'build', ['retry build', 'run']]],
    ],
    [
      'no task that has failed over its children',
      scheduling(onePhase({ id: 'build' }), { build: failed({ class: JOIN_FAILED, message: 'no' }) }),
      [],
    ],
    [
      'no task that others go on without',
      scheduling(onePhase({ id: 'build', continue_on_error: true }), {
        build: failed({ class: 'exit.1', message: 'no' }),
      }),
      [],
    ],
    [
      'a result that nothing reviews by itself',
      scheduling(onePhase({ id: 'build' }), { build: record('ready_for_review') }),
      [['review', 'build', ['review build --file review.json']]],
    ],
    [
      'no result that a run reviews',
      {
        ...scheduling(onePhase({ id: 'build' }), { build: record('ready_for_review') }),
        does: { review: true, ship: true },
      },
      [],
    ],
    [
      'a reviewed result that nothing merges by itself',
      scheduling(onePhase({ id: 'build' }), { build: record('reviewed') }),
      [['merge', 'build', ['ship build']]],
    ],
    [
      'what a run has given up',
      scheduling(onePhase({ id: 'build' }), {
        build: withMemo('unclaimed', { held: { message: 'no room', hint: 'Make some.', at: isoTime(T0) } }),
      }),
      [['held', 'build', ['run']]],
    ],
    [
      'an agent without a login, once',
      scheduling(onePhase({ id: 'build', worker: 'claude' }, { id: 'docs', worker: 'claude' }), {
        build: { ...failed({ class: 'auth', message: 'log in' }), memo: { ...record().memo, agent: 'claude' } },
      }),
      [['login', 'build', ['retry build', 'run']]],
    ],
    [
      'a task whose budget is used up',
      {
        ...scheduling(onePhase({ id: 'build' }), {
          build: withMemo('awaiting_respawn', {
            spending: { attempt_id: 'a', spent: { attempts: 3, wall_clock_ms: 1, tokens: 0, cost: 2 } },
          }),
        }),
        budget: { ...DEFAULT_SETTINGS.budget, task: { ...DEFAULT_SETTINGS.budget.task, cost: 1 } },
      },
      [['budget', 'build', ['retry build', 'run']]],
    ],
  ])('has %s', (_what, seen, expected) => {
    expect(items(seen)).toEqual(expected);
  });

  test('the inbox has the budget of the project once, and the kinds in their order', () => {
    const seen = scheduling(onePhase({ id: 'build' }, { id: 'docs' }, SIGN), {
      build: withMemo('shipped', {
        spending: { attempt_id: 'a', spent: { attempts: 3, wall_clock_ms: 1, tokens: 0, cost: 2 } },
      }),
      docs: failed({ class: 'exit.1', message: 'no' }),
    });
    const budget = { ...DEFAULT_SETTINGS.budget, project: { ...DEFAULT_SETTINGS.budget.project, cost: 1 } };
    expect(items({ ...seen, budget }).map(([kind, task]) => `${kind} ${task}`)).toEqual([
      'checkpoint sign',
      'budget null',
      'failed docs',
    ]);
    expect(items(seen).map(([kind, task]) => `${kind} ${task}`)).toEqual(['checkpoint sign', 'failed docs']);
  });
});
