/** Why a run has given a task up is kept until the task moves on. */

import { expect, test } from 'vitest';
import { heldOf, heldText, holdTask } from '../../../src/domain/task/held.ts';
import { freshRecord, type TaskRecord, type TaskState } from '../../../src/domain/task/records.ts';
import { moved } from '../../../src/domain/task/transition.ts';

const NOW = Date.parse('2030-01-01T00:00:00.000Z');
const WHY = { message: 'there is no place', hint: 'Make room.' };

function recordIn(state: TaskState): TaskRecord {
  const fresh = freshRecord('build', '2030-01-01T00:00:00.000Z');
  return { ...fresh, state: { ...fresh.state, state } };
}

const held = (state: TaskState) => holdTask(recordIn(state), WHY, NOW).record;

test.each(['unclaimed', 'awaiting_respawn', 'abandoned', 'ready_for_review', 'merge_pending'] as const)(
  'a task that is %s keeps why it was given up',
  (state) => {
    const record = held(state);
    expect(record && heldOf(record)).toEqual({ ...WHY, at: '2030-01-01T00:00:00.000Z' });
  },
);

test.each(['running', 'blocked_on_question', 'shipped', 'cancelled', 'failed'] as const)(
  'a task that is %s is not given up',
  (state) => {
    expect(held(state)).toBeNull();
  },
);

test('a claim that comes to nothing leaves why the task was given up, and a dispatch ends that', () => {
  const record = held('unclaimed');
  if (record === null) throw new Error('it is not held');
  const after = (moves: Parameters<typeof moved>[1]['moves'], from = record) =>
    moved(from, { moves, lease: null, by: null, nowMs: NOW }).record;
  expect(heldOf(after(['claim', 'unclaim']))).toMatchObject(WHY);
  expect(heldOf(after(['claim', 'dispatch']))).toBeNull();
  expect(heldOf(after(['cancel']))).toBeNull();
});

test('the reason and what to do are two sentences', () => {
  expect(heldText({ ...WHY, at: '' })).toBe('there is no place. Make room.');
  expect(heldText({ ...WHY, message: 'git says: File exists.', at: '' })).toBe('git says: File exists. Make room.');
});
