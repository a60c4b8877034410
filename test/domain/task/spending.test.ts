/** What attempts use is counted once each, and kept apart from what was used before a person's retry. */

import { describe, expect, test } from 'vitest';
import { newSession } from '../../../src/domain/agents/session.ts';
import { retryTask } from '../../../src/domain/task/operations.ts';
import type { TaskRecord } from '../../../src/domain/task/records.ts';
import {
  costText,
  NOTHING_SPENT,
  sessionToResume,
  spendingOf,
  spentInAll,
  sumOf,
  tokensText,
  usedText,
  withReview,
  withSpent,
} from '../../../src/domain/task/spending.ts';
import { record, T0 } from '../../support/domain/tasks.ts';

const used = (attemptId: string, cost: number | null, tokens = 1000) => ({
  attemptId,
  session: { ...newSession(attemptId, 'claude'), session_id: `s-${attemptId}`, input_tokens: tokens, cost },
  cwd: '/work',
  wallClockMs: 60_000,
});

function counting(before: TaskRecord, attempt: ReturnType<typeof used>): TaskRecord {
  const state = { ...before.state, current_attempt_id: attempt.attemptId };
  const memo = withSpent({ ...before, state }, attempt);
  return { ...before, state, memo: { ...before.memo, ...memo } };
}

const failed = (): TaskRecord => record('failed');

describe('what a task has used', () => {
  test('what a task has used is the sum of its attempts, each counted once', () => {
    const once = counting(counting(failed(), used('a', 0.5)), used('b', null, 500));
    expect(spendingOf(once)?.spent).toEqual({ attempts: 2, wall_clock_ms: 120_000, tokens: 1500, cost: 0.5 });
    expect(withSpent(once, used('b', 9))).toBeNull();
  });

  test('what a task has used is not changed by an attempt that is not the last one any more', () => {
    const once = counting(failed(), used('b', 0.5));
    expect(withSpent(once, used('a', 9))).toBeNull();
  });

  test("what a task has used is counted from nothing after a person's retry, and in all as before", () => {
    const retried = retryTask(counting(failed(), used('a', 0.5)), T0).record;
    if (retried === null) throw new Error('it was not retried');
    expect(spendingOf(retried)?.spent).toEqual({ attempts: 0, wall_clock_ms: 0, tokens: 0, cost: null });
    const again = counting(retried, used('b', 0.25));
    expect(spendingOf(again)?.spent.cost).toBe(0.25);
    expect(spentInAll(again)).toEqual({ attempts: 2, wall_clock_ms: 120_000, tokens: 2000, cost: 0.75 });
  });

  test('what a task has used has what reviews have used apart, in all, and once after a retry', () => {
    const review = { ...newSession('r', 'codex'), input_tokens: 300 };
    const done = counting(failed(), used('a', 0.5));
    const reviewed = { ...done, memo: { ...done.memo, ...withReview(done, review) } };
    expect(spendingOf(reviewed)?.spent.tokens).toBe(1000);
    expect(spentInAll(reviewed)).toEqual({ attempts: 1, wall_clock_ms: 60_000, tokens: 1300, cost: 0.5 });
    const retried = retryTask(reviewed, T0).record;
    expect(retried && spentInAll(counting(retried, used('b', null)))).toMatchObject({ attempts: 2, tokens: 2300 });
    expect(spentInAll({ memo: { ...failed().memo, ...withReview(failed(), review) } })).toMatchObject({ tokens: 300 });
  });

  test('what a task has used is nothing where a record says something else of it', () => {
    const odd = failed();
    odd.memo.spending = { spent: 'much' };
    expect(spendingOf(odd)).toBeNull();
    expect(spentInAll(odd).attempts).toBe(0);
  });
});

describe('the next attempt goes on with the session of the last one', () => {
  const once = counting(failed(), used('a', null));
  const full = { ...once, state: { ...once.state, last_error: { class: 'context', message: 'full' } } };
  test.each([
    ['by the same agent in the same place', once, 'claude', '/work', 's-a'],
    ['not by another agent', once, 'codex', '/work', null],
    ['not by a command', once, null, '/work', null],
    ['not in another place', once, 'claude', '/other', null],
    ['not where its context was full', full, 'claude', '/work', null],
    ['not where there was none', failed(), 'claude', '/work', null],
  ])('%s', (_what, found, agent, cwd, expected) => {
    expect(sessionToResume(found, agent, cwd)).toBe(expected);
  });
});

test.each([
  [640, '640'],
  [6240, '6.2k'],
  [62_400, '62k'],
  [999_499, '999k'],
  [999_500, '1.0M'],
  [31_000_000, '31M'],
])('%d tokens are told as %s', (tokens, text) => {
  expect(tokensText(tokens)).toBe(text);
});

test('what was used is told as far as it is known', () => {
  expect(usedText({ tokens: 6240, cost: 0.034 })).toBe('6.2k tokens, $0.03');
  expect(usedText({ tokens: 0, cost: 1 })).toBe('$1.00');
  expect(usedText({ tokens: 0, cost: null })).toBe('');
});

test.each([
  [0, '$0.00'],
  [0.0042, '$0.0042'],
  [0.01, '$0.01'],
  [12.5, '$12.50'],
])('a cost of %d is shown as %s', (cost, text) => {
  expect(costText(cost)).toBe(text);
});

test('three costs of ten cents are thirty', () => {
  const part = { ...NOTHING_SPENT, cost: 0.1 };
  expect(sumOf([part, part, part]).cost).toBe(0.3);
});
