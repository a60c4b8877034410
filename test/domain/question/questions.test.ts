/** How questions and answers change a record. */

import { describe, expect, test } from 'vitest';
import {
  type Answer,
  type AskRequest,
  askQuestion,
  lateAnswer,
  ledgerOf,
  openQuestion,
  settleQuestion,
} from '../../../src/domain/question/questions.ts';
import { cancelTask, retryTask } from '../../../src/domain/task/operations.ts';
import type { TaskRecord } from '../../../src/domain/task/records.ts';
import { isoTime } from '../../../src/lib/time.ts';
import { ATTEMPT, chain, next, OTHER_ATTEMPT } from '../../support/domain/requests.ts';
import { frozen, instant, record, refusal, T0 } from '../../support/domain/tasks.ts';
import fc from '../../support/properties.ts';

const MINUTE = 60_000;
const DAY = 86_400_000;
const OPTIONS = [
  { id: 'keep', label: 'Keep it' },
  { id: 'drop', label: 'Drop it' },
];

function ask(before: TaskRecord, given: Partial<AskRequest> = {}) {
  return askQuestion(frozen(before), {
    attemptId: ATTEMPT,
    questionId: 'q1',
    decisionKey: 'format',
    options: OPTIONS,
    defaultOptionId: null,
    timeoutMs: MINUTE,
    budget: { perKey: 3, soft: 3, hard: 6 },
    instant: instant(0),
    ...given,
  });
}

function answered(option_id: string | null, question_id = 'q1'): Answer {
  return { version: 1, question_id, answered_at: isoTime(T0), answered_by: 'ada', option_id };
}

/** The task as its next attempt finds it. */
function respawned(before: TaskRecord, attemptId = OTHER_ATTEMPT): TaskRecord {
  const running = record('running');
  return {
    ...running,
    state: { ...running.state, current_attempt_id: attemptId },
    lease: running.lease && { ...running.lease, attempt_id: attemptId },
    memo: { ...running.memo, questions: before.memo.questions },
  };
}

describe('ask', () => {
  test('a question parks the task without a charge and releases its lease', () => {
    const decision = ask(record('running'));
    expect(chain(decision)).toEqual(['ask']);
    expect(decision.result).toEqual({ status: 'open', question_id: 'q1', option_id: null, asked: { task: 1, key: 1 } });
    expect(decision.history).toMatchObject([{ event: 'released', reason: 'it asked a question' }]);
    const after = next(decision);
    expect(after).toMatchObject({ state: { state: 'blocked_on_question', failure_count: 0 }, lease: null });
    expect(openQuestion(after)).toMatchObject({ question_id: 'q1', attempt_id: ATTEMPT, decision_key: 'format' });
  });

  test('a question from dispatched implies the first heartbeat', () => {
    expect(chain(ask(record('dispatched')))).toEqual(['start', 'ask']);
  });

  test('a repeat by the parked attempt returns the same question', () => {
    const parked = next(ask(record('running')));
    const again = ask(parked, { questionId: 'q2' });
    expect(again).toMatchObject({ record: null, result: { status: 'open', question_id: 'q1' } });
  });

  test('a second question is refused while the task is parked', () => {
    expect(refusal(() => ask(next(ask(record('running'))), { decisionKey: 'colour' }))).toBe('LEASE_STOLEN');
  });

  test.each(['claimed', 'awaiting_respawn', 'shipped'] as const)(
    'a question by anything but the running attempt (%s) is refused',
    (state) => {
      expect(['LEASE_STOLEN', 'STALE_ATTEMPT']).toContain(
        refusal(() => ask(record(state), { attemptId: OTHER_ATTEMPT })),
      );
    },
  );

  test('a question answered in an earlier attempt returns that answer and changes nothing', () => {
    const settled = next(settleQuestion(next(ask(record('running'))), answered('keep'), T0));
    const again = ask(respawned(settled), { attemptId: OTHER_ATTEMPT, questionId: 'q2' });
    expect(again).toMatchObject({ record: null, result: { status: 'answered', question_id: 'q1', option_id: 'keep' } });
  });

  test('an attempt can repeat its own answered question without a lease', () => {
    const settled = next(settleQuestion(next(ask(record('running'))), answered('keep'), T0));
    expect(ask(settled).result).toMatchObject({ status: 'answered', option_id: 'keep' });
    expect(refusal(() => ask(settled, { attemptId: OTHER_ATTEMPT }))).toBe('STALE_ATTEMPT');
  });
});

describe('question budgets', () => {
  /** Asks about each key in turn, and lets every question expire. */
  function askedAbout(keys: string[], budget: AskRequest['budget']): TaskRecord {
    return keys.reduce((before, decisionKey, i) => {
      const parked = next(ask(respawned(before, ATTEMPT), { decisionKey, questionId: `q${i}`, budget }));
      return next(settleQuestion(parked, answered(null, `q${i}`), T0));
    }, record('running'));
  }

  test('a decision key that expired three times fails the task at the fourth question', () => {
    const budget = { perKey: 3, soft: 3, hard: 6 };
    const before = respawned(askedAbout(['a', 'a', 'a'], budget), ATTEMPT);
    const decision = ask(before, { decisionKey: 'a', budget });
    expect(decision.result.status).toBe('budget_exhausted');
    expect(next(decision)).toMatchObject({
      state: {
        state: 'failed',
        failure_reason: 'decision_key_budget',
        failure_count: 1,
        last_error: { class: 'question.exhausted' },
      },
      lease: null,
    });
    expect(ask(before, { decisionKey: 'b', budget }).result).toMatchObject({
      status: 'open',
      asked: { task: 4, key: 1 },
    });
  });

  test('the hard limit counts the questions of all decision keys', () => {
    const budget = { perKey: 3, soft: 1, hard: 2 };
    const before = respawned(askedAbout(['a', 'b'], budget), ATTEMPT);
    expect(ask(before, { decisionKey: 'c', budget }).result.status).toBe('budget_exhausted');
  });

  test('retry clears the question budgets and keeps the answers', () => {
    const budget = { perKey: 1, soft: 1, hard: 9 };
    const answeredOnce = next(
      settleQuestion(next(ask(record('running'), { decisionKey: 'done' })), answered('drop'), T0),
    );
    const parked = next(ask(respawned(answeredOnce, ATTEMPT), { decisionKey: 'a', questionId: 'q2', budget }));
    const expired = next(settleQuestion(parked, answered(null, 'q2'), T0));
    const failed = next(ask(respawned(expired, ATTEMPT), { decisionKey: 'a', questionId: 'q3', budget }));
    const reopened = respawned(next(retryTask(failed, T0)), ATTEMPT);
    expect(ask(reopened, { decisionKey: 'a', budget }).result.status).toBe('open');
    expect(ask(reopened, { decisionKey: 'done', budget }).result).toMatchObject({
      status: 'answered',
      option_id: 'drop',
    });
  });

  test('question budgets are never exceeded, in any order of requests', () => {
    const keys = fc.array(fc.constantFrom('a', 'b', '__proto__', 'constructor'), { maxLength: 12 });
    fc.assert(
      fc.property(keys, fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 6 }), (asked, perKey, hard) => {
        let before = record('running');
        const counts = new Map<string, number>();
        for (const [i, decisionKey] of asked.entries()) {
          const budget = { perKey, soft: hard, hard };
          const decision = ask(respawned(before, ATTEMPT), { decisionKey, questionId: `q${i}`, budget });
          const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
          const allowed = (counts.get(decisionKey) ?? 0) < perKey && total < hard;
          expect(decision.result.status).toBe(allowed ? 'open' : 'budget_exhausted');
          if (!allowed) return;
          counts.set(decisionKey, (counts.get(decisionKey) ?? 0) + 1);
          before = next(settleQuestion(next(decision), answered(null, `q${i}`), T0));
        }
      }),
    );
  });
});

describe('settle', () => {
  const parked = next(ask(record('running'), { defaultOptionId: 'drop' }));

  test('settling a question moves the task on', () => {
    const decision = settleQuestion(parked, answered('keep'), T0);
    expect(chain(decision)).toEqual(['resume']);
    expect(next(decision).state.state).toBe('awaiting_respawn');
    expect(ledgerOf(next(decision))).toMatchObject({
      open: null,
      settled: [{ option_id: 'keep', answered_by: 'ada' }],
    });
  });

  test('the answer to another question changes nothing', () => {
    expect(settleQuestion(parked, answered('keep', 'q0'), T0)).toMatchObject({ record: null, result: null });
  });

  test('a second settlement changes nothing', () => {
    const once = next(settleQuestion(parked, answered('keep'), T0));
    expect(settleQuestion(once, answered('keep'), T0)).toMatchObject({ record: null, result: { option_id: 'keep' } });
  });

  test('a question past its deadline takes its default or expires, and not before', () => {
    const open = openQuestion(parked);
    if (open === null) throw new Error('it is not parked');
    expect(lateAnswer(open, instant(MINUTE - 1))).toBeNull();
    expect(lateAnswer(open, instant(MINUTE))).toMatchObject({ answered_by: 'default', option_id: 'drop' });
    expect(lateAnswer({ ...open, default_option_id: null }, instant(MINUTE))).toMatchObject({
      answered_by: 'expiry',
      option_id: null,
    });
  });

  test('a wall clock that is set brings no deadline of a question forward and puts none off', () => {
    const open = openQuestion(parked);
    if (open === null) throw new Error('it is not parked');
    const ahead = { ...instant(MINUTE - 1), nowMs: T0 + 2 * DAY };
    const behind = { ...instant(MINUTE), nowMs: T0 - 2 * DAY };
    expect([lateAnswer(open, ahead), lateAnswer(open, behind)?.option_id]).toEqual([null, 'drop']);
    // After another boot only the wall clock can tell.
    expect(lateAnswer(open, { ...ahead, bootId: 'another' })?.option_id).toBe('drop');
  });

  test('a question of a cancelled task is not settled', () => {
    const cancelled = next(cancelTask(parked, { reason: null, nowMs: T0 }));
    expect(openQuestion(cancelled)).toBeNull();
    expect(settleQuestion(cancelled, answered('keep'), T0).record).toBeNull();
  });
});
