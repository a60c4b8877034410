/**
 * Questions and answers in a task's record. Pure, like `domain/task/operations.ts`.
 *
 * A task that asks is parked: it gives up its lease, charges nothing and waits until the question is settled by an answer, by
 * its default, or by expiry. Which of the three it is, the create-once answer file decides; the moves here follow from it.
 */

import { ForgeError } from '../../lib/errors.ts';
import { fromIso, isoTime } from '../../lib/time.ts';
import { parseRecord } from '../task/parse-record.ts';
import type { Memo, TaskRecord } from '../task/records.ts';
import type { Move } from '../task/states.ts';
import type { TaskSummary } from '../task/summary.ts';
import { changed, type Decision, endedClaim, historyOf, repeated, workedBy } from '../task/transition.ts';
import {
  type Answer,
  LedgerSchema,
  type OpenQuestion,
  type Question,
  type QuestionLedger,
  type QuestionOption,
  type SettledQuestion,
} from './records.ts';

export {
  type Answer,
  type OpenQuestion,
  QUESTION_LIMITS,
  type Question,
  type QuestionOption,
  type SettledQuestion,
} from './records.ts';

const NOTHING_ASKED: QuestionLedger = { open: null, settled: [], asked: [] };

/** The record's memory of the task's questions. */
export function ledgerOf(record: TaskSummary): QuestionLedger {
  if (record.memo.questions === undefined) return NOTHING_ASKED;
  const parsed = parseRecord(LedgerSchema, record.memo.questions);
  return parsed.ok ? parsed.value : NOTHING_ASKED;
}

/** The question that the task is parked on; null when it is not, or when a record written by hand does not name it. */
export function openQuestion(record: TaskSummary): OpenQuestion | null {
  return record.state.state === 'blocked_on_question' ? ledgerOf(record).open : null;
}

/** The settlement of a question; null while it is open, and for an unknown one. */
export function settledQuestion(record: TaskSummary, questionId: string): SettledQuestion | null {
  return ledgerOf(record).settled.find(({ question_id }) => question_id === questionId) ?? null;
}

/** Whether the attempt has ended with a question. */
export function hasAsked(record: TaskRecord, attemptId: string): boolean {
  const { open, settled } = ledgerOf(record);
  return open?.attempt_id === attemptId || settled.some((question) => question.attempt_id === attemptId);
}

/** Whether the task is parked on a question that its record does not name: a tree that was written by hand. */
export function lacksQuestion(record: TaskSummary): boolean {
  return record.state.state === 'blocked_on_question' && ledgerOf(record).open === null;
}

/** The record of such a task with the question from its files. */
export function withQuestion<R extends TaskSummary>(record: R, attemptId: string, question: Question): R {
  const ledger = ledgerOf(record);
  const { question_id, decision_key, expires_at } = question;
  const open = {
    question_id,
    attempt_id: attemptId,
    decision_key,
    expires_at,
    default_option_id: question.default_option_id ?? null,
  };
  const before = ledger.asked.length > 0 ? ledger.asked : [{ decision_key, count: 1 }];
  return { ...record, memo: { ...record.memo, questions: { ...ledger, open, asked: before } } };
}

export interface AskRequest {
  attemptId: string;
  questionId: string;
  decisionKey: string;
  options: readonly QuestionOption[];
  defaultOptionId: string | null;
  expiresAt: string;
  /** How often one decision key may be asked, and how many questions the task may ask in all. */
  budget: { perKey: number; soft: number; hard: number };
  nowMs: number;
}

export interface AskResult {
  /** `budget_exhausted`: the decision fails the task. */
  status: 'open' | 'answered' | 'budget_exhausted';
  question_id: string;
  option_id: string | null;
  /** Questions of the task including this one, and of this decision key. */
  asked: { task: number; key: number };
}

/**
 * Parks the task on a question, unless its decision key was answered before: then it returns that answer and changes nothing. A
 * question over the limit fails the task. Throws STALE_ATTEMPT, LEASE_STOLEN.
 */
export function askQuestion(record: TaskRecord, request: AskRequest): Decision<AskResult> {
  const { attemptId, questionId: question_id, decisionKey: decision_key } = request;
  const ledger = ledgerOf(record);
  const before = askedBefore(ledger, decision_key);
  const parked = openQuestion(record);
  if (parked?.attempt_id === attemptId && parked.decision_key === decision_key) {
    return repeated({ status: 'open', question_id: parked.question_id, option_id: null, asked: before });
  }
  const known = decided(ledger, decision_key);
  // An attempt that was parked on it has no lease any more, but may ask again for the answer.
  if (known === null || known.attempt_id !== attemptId) workedBy(record, attemptId);
  if (known !== null) {
    return repeated({
      status: 'answered',
      question_id: known.question_id,
      option_id: known.option_id,
      asked: before,
    });
  }
  const lease = workedBy(record, attemptId);
  const start: Move[] = record.state.state === 'dispatched' ? ['start'] : [];
  const ended = { by: lease, lease: null, nowMs: request.nowMs };
  const history = [historyOf(lease, 'released', 'it asked a question')];
  const { perKey, hard } = request.budget;
  if (before.key >= perKey || before.task >= hard) {
    const message =
      before.key >= perKey
        ? `asked ${before.key} times about ${decision_key} without an answer`
        : `asked ${before.task} questions, which is all that it may ask`;
    const next = changed(record, {
      ...ended,
      moves: [...start, 'fail'],
      state: {
        failure_count: record.state.failure_count + 1,
        failure_reason: 'decision_key_budget',
        last_error: { class: 'question.exhausted', message },
        last_failed_at: isoTime(request.nowMs),
        next_eligible_at: null,
      },
      memo: { abandons: 0, ended_claim: endedClaim(lease, 'asked', 'failed') },
    });
    return { ...next, history, result: { status: 'budget_exhausted', question_id, option_id: null, asked: before } };
  }
  const asked = { task: before.task + 1, key: before.key + 1 };
  const questions: QuestionLedger = {
    ...ledger,
    open: {
      question_id,
      attempt_id: attemptId,
      decision_key,
      expires_at: request.expiresAt,
      default_option_id: request.defaultOptionId,
    },
    asked: [...ledger.asked.filter((entry) => entry.decision_key !== decision_key), { decision_key, count: asked.key }],
  };
  const next = changed(record, {
    ...ended,
    moves: [...start, 'ask'],
    state: { next_eligible_at: null },
    memo: { abandons: 0, questions, ended_claim: endedClaim(lease, 'asked', 'blocked_on_question') },
  });
  return { ...next, history, result: { status: 'open', question_id, option_id: null, asked } };
}

function askedBefore({ asked }: QuestionLedger, key: string): { task: number; key: number } {
  return {
    task: asked.reduce((sum, { count }) => sum + count, 0),
    key: asked.find((entry) => entry.decision_key === key)?.count ?? 0,
  };
}

/** The answer for a decision key, from any attempt; an expired question is no answer. */
function decided({ settled }: QuestionLedger, key: string): SettledQuestion | null {
  return settled.findLast((question) => question.decision_key === key && question.option_id !== null) ?? null;
}

/** The answer for a question past its deadline: its default, or expiry. Null before the deadline. */
export function lateAnswer(question: OpenQuestion, nowMs: number): Answer | null {
  if (nowMs < fromIso(question.expires_at)) return null;
  return {
    version: 1,
    question_id: question.question_id,
    answered_at: isoTime(nowMs),
    answered_by: question.default_option_id === null ? 'expiry' : 'default',
    option_id: question.default_option_id,
  };
}

/** Moves the task on from the question that `answer` settles. A repeat, or an answer to another question, changes nothing. */
export function settleQuestion(record: TaskRecord, answer: Answer, nowMs: number): Decision<SettledQuestion | null> {
  const open = openQuestion(record);
  if (open === null || open.question_id !== answer.question_id) {
    return repeated(settledQuestion(record, answer.question_id));
  }
  const ledger = ledgerOf(record);
  const { question_id, attempt_id, decision_key } = open;
  const { option_id, answered_by } = answer;
  const settled: SettledQuestion = { question_id, attempt_id, decision_key, option_id, answered_by };
  const questions: QuestionLedger = { ...ledger, open: null, settled: [...ledger.settled, settled] };
  const next = changed(record, { moves: ['resume'], lease: null, memo: { questions }, by: null, nowMs });
  return { ...next, history: [], result: settled };
}

/** The memo after `retry`: answers stay, the counts of questions are cleared. */
export function clearedLedger(record: TaskRecord): Partial<Memo> {
  if (record.memo.questions === undefined) return {};
  return { questions: { ...ledgerOf(record), open: null, asked: [] } satisfies QuestionLedger };
}

/** The memo of a task that ends while it is parked: the question is no longer waited for. */
export function closedLedger(record: TaskRecord): Partial<Memo> {
  if (record.memo.questions === undefined) return {};
  return { questions: { ...ledgerOf(record), open: null } satisfies QuestionLedger };
}

/** Throws INVALID_ARGS unless `id` names one of the options; `what` names its source. */
export function requireOption(options: readonly QuestionOption[], id: string, what: string): string {
  if (options.some((option) => option.id === id)) return id;
  throw new ForgeError('INVALID_ARGS', `${what} ${JSON.stringify(id)} is none of the options`, {
    hint: `The options are ${options.map((option) => option.id).join(', ')}.`,
  });
}
