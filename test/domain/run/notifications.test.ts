/** Which notifications a run makes, and for whom. */

import { describe, expect, test } from 'vitest';
import type { RunEvent } from '../../../src/domain/run/events.ts';
import { needsPerson, notificationOf, notifyEventsOf } from '../../../src/domain/run/notifications.ts';
import { NOTIFY_EVENTS, type NotifyEvent } from '../../../src/domain/settings/settings.ts';
import { id, T0 } from '../../support/domain/tasks.ts';

const RUN = { run_id: id(1), project: 'mill', titleOf: () => 'Build it', nowMs: T0 };
const TAIL = { stdout: '', stderr: '' };
const ENDED = {
  type: 'task_finished',
  task_id: 'build',
  attempt_id: id(2),
  attempts: 1,
  duration_ms: 1,
  failure_reason: null,
  error: null,
  tail: TAIL,
} as const;

const finished = (state: 'failed' | 'shipped' | 'ready_for_review', name?: string): RunEvent => ({
  ...ENDED,
  state,
  error: name === undefined ? null : { class: name, message: 'no' },
});

const asked = (run_id: string): RunEvent => ({
  type: 'question_opened',
  task_id: 'build',
  question_id: id(3),
  decision_key: 'format',
  expires_at: '2030-01-01T00:30:00.000Z',
  question: {
    run_id,
    question: 'Keep it?',
    options: [
      { id: 'keep', label: 'Keep' },
      { id: 'drop', label: 'Drop' },
    ],
  } as never,
});

const held = (delay_ms: number | null): RunEvent => ({
  type: 'task_held',
  task_id: 'build',
  phase: 'review',
  error: { code: 'X', message: 'no reviewer', hint: '' },
  delay_ms,
});

const retried: RunEvent = {
  ...ENDED,
  type: 'task_retry',
  error: { class: 'timeout.stall', message: 'it did nothing' },
  next_eligible_at: null,
  delay_ms: 0,
};

const ENDS: RunEvent = {
  type: 'run_finished',
  run_id: id(1),
  counts: { failed: 1, shipped: 2 },
  failed: [],
  results: [],
  exit_code: 1,
  duration_ms: 1,
  spent: { attempts: 0, wall_clock_ms: 0, tokens: 0, cost: null },
  interrupted: false,
};

describe('an event of a run', () => {
  test.each<[what: string, event: RunEvent, events: NotifyEvent[], person: boolean]>([
    ['a question', asked(id(1)), ['question'], true],
    ['a task that has shipped', finished('shipped'), ['shipped'], false],
    ['a task on its way', finished('ready_for_review'), [], false],
    ['a task that has failed', finished('failed', 'exit.1'), ['failed'], true],
    ['a task that has failed for it did nothing', finished('failed', 'timeout.stall'), ['failed', 'stalled'], true],
    ['an attempt that did nothing', retried, ['stalled'], true],
    ['a review that is given up', held(null), ['stalled'], true],
    ['a review that is tried again', held(1000), [], false],
    ['the end of a run', ENDS, ['finished'], false],
    ['a warning', { type: 'warning', message: 'x' }, [], false],
  ])('%s', (_what, event, events, person) => {
    expect([notifyEventsOf(event), needsPerson(event)]).toEqual([events, person]);
  });
});

describe('a notification', () => {
  test.each<[event: RunEvent, expected: object]>([
    [
      asked(id(1)),
      {
        event: 'question',
        task_id: 'build',
        title: 'Build it',
        text: 'build asks: Keep it?',
        question: { options: ['keep', 'drop'], command: 'forge orchestrate answer build OPTION' },
      },
    ],
    [
      finished('failed', 'exit.1'),
      { event: 'failed', text: 'build has failed: exit.1: no', error: { class: 'exit.1' } },
    ],
    [finished('shipped'), { event: 'shipped', text: 'build has shipped', error: null }],
    [held(null), { event: 'stalled', text: 'build is not reviewed: no reviewer' }],
    [
      ENDS,
      {
        event: 'finished',
        task_id: null,
        text: 'the run of mill has ended with 1: 1 failed, 2 shipped',
        run: { counts: { failed: 1, shipped: 2 }, exit_code: 1 },
      },
    ],
  ])('says what has happened: %j', (event, expected) => {
    const told = notificationOf(event, NOTIFY_EVENTS, RUN);
    expect(told).toMatchObject({ project: 'mill', run_id: id(1), ts: '2030-01-01T00:00:00.000Z', ...expected });
  });

  test('a notification is made of what is wanted alone', () => {
    expect(notificationOf(finished('failed', 'timeout.stall'), ['stalled'], RUN)).toMatchObject({ event: 'stalled' });
    expect(notificationOf(finished('shipped'), ['failed', 'finished'], RUN)).toBeNull();
  });

  test('a notification of a question is made by its own run alone', () => {
    expect(notificationOf(asked(id(9)), ['question'], RUN)).toBeNull();
  });
});
