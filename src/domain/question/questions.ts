/**
 * Questions and answers: their two files, and what a task's record remembers of them. Pure, like `domain/task/operations.ts`.
 *
 * A task that asks is parked: it gives up its lease, charges nothing and waits until the question is settled by an answer, by
 * its default, or by expiry. Which of the three it is, the create-once answer file decides; the moves here follow from it.
 */

import * as z from 'zod/mini';
import { invalidArgs } from '../../lib/errors.ts';
import { once } from '../../lib/once.ts';
import { isoTime, isTime } from '../../lib/time.ts';
import { DeadlineClockSchema, deadlineIn, type Instant, msUntil } from '../task/deadlines.ts';
import { type Memo, parseRecord, type TaskRecord, type TaskSummary } from '../task/records.ts';
import { changed, type Decision, repeated, starting, workedBy } from '../task/transition.ts';

// --- as data ---------------------------------------------------------------------------------------------------------

export const QUESTION_LIMITS = {
  key: 200,
  question: 4000,
  context: 8000,
  note: 4000,
  optionId: 64,
  label: 200,
  description: 1000,
  options: { min: 2, max: 10 },
} as const;

/** `duplicate` is written by other tools: in forge a repeated key gets the first answer, and no file of its own. */
const QUESTION_STATUSES = ['open', 'answered', 'expired', 'budget_exhausted', 'duplicate'] as const;

const time = () => z.string().check(z.refine(isTime, 'expected an ISO 8601 time'));
const short = (max: number) => z.string().check(z.minLength(1), z.maxLength(max));
const optionalText = () => z.optional(z.nullable(z.string()));

export const OptionsSchema = once(() => {
  const { options, optionId, label, description } = QUESTION_LIMITS;
  const option = z.strictObject({
    id: z.string().check(z.regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/), z.maxLength(optionId)),
    label: short(label),
    description: z.optional(z.nullable(z.string().check(z.maxLength(description)))),
  });
  return z
    .array(option)
    .check(z.minLength(options.min), z.maxLength(options.max))
    .check(z.refine((list) => new Set(list.map(({ id }) => id)).size === list.length, 'two options have the same id'));
});
export type QuestionOption = z.infer<ReturnType<typeof OptionsSchema>>[number];

/** `attempts/<attempt>/questions/<question>.json`. Its `status` is a view of the task's record. */
export const QuestionSchema = once(() =>
  z.looseObject({
    version: z.literal(1),
    question_id: z.string(),
    run_id: z.string(),
    task_id: z.string(),
    agent_id: optionalText(),
    decision_key: short(QUESTION_LIMITS.key),
    attempt: z.int(),
    max_attempts: z.int(),
    created_at: time(),
    expires_at: time(),
    status: z.enum(QUESTION_STATUSES),
    question: short(QUESTION_LIMITS.question),
    context: z.optional(z.nullable(z.string().check(z.maxLength(QUESTION_LIMITS.context)))),
    options: OptionsSchema(),
    recommended_option_id: optionalText(),
    default_option_id: optionalText(),
    what_happens_if_unanswered: optionalText(),
    classification: optionalText(),
  }),
);
export type Question = z.infer<ReturnType<typeof QuestionSchema>>;

/** `attempts/<attempt>/answers/<question>.json`: created once, so it decides between an answer, the default and expiry. */
export const AnswerSchema = once(() =>
  z.looseObject({
    version: z.literal(1),
    question_id: z.string(),
    answered_at: time(),
    /** A name, or `default`, or `expiry`. */
    answered_by: z.string(),
    /** Null when the question expired. */
    option_id: z.nullable(z.string()),
    note: optionalText(),
  }),
);
export type Answer = z.infer<ReturnType<typeof AnswerSchema>>;

/** What a task's record remembers about its questions: `memo.questions`. */
export const LedgerSchema = once(() => {
  const ids = { question_id: z.string(), attempt_id: z.string(), decision_key: z.string() };
  return z.looseObject({
    /** The one that the task is parked on. */
    open: z.nullable(
      z.looseObject({
        ...ids,
        expires_at: time(),
        /** Of `expires_at`. */
        clock: z.optional(DeadlineClockSchema()),
        default_option_id: z.nullable(z.string()),
      }),
    ),
    /** Answered or expired ones, oldest first. */
    settled: z.array(z.looseObject({ ...ids, option_id: z.nullable(z.string()), answered_by: z.string() })),
    /** How often each decision key was asked since `retry` last cleared the budgets. */
    asked: z.array(z.looseObject({ decision_key: z.string(), count: z.int() })),
  });
});
type QuestionLedger = z.infer<ReturnType<typeof LedgerSchema>>;
export type OpenQuestion = NonNullable<QuestionLedger['open']>;
export type SettledQuestion = QuestionLedger['settled'][number];

// --- what happened ---------------------------------------------------------------------------------------------------

const NOTHING_ASKED: QuestionLedger = { open: null, settled: [], asked: [] };

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
  /** Milliseconds that it waits for an answer. */
  timeoutMs: number;
  /** How often one decision key may be asked, and how many questions the task may ask in all. */
  budget: { perKey: number; soft: number; hard: number };
  instant: Instant;
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
  if (known !== null) {
    // An attempt that was parked on it has no lease any more, but may ask again for the answer.
    if (known.attempt_id !== attemptId) workedBy(record, attemptId);
    const { question_id, option_id } = known;
    return repeated({ status: 'answered', question_id, option_id, asked: before });
  }
  const lease = workedBy(record, attemptId);
  const ends = { how: 'asked', reason: 'it asked a question' };
  const ended = { by: lease, lease: null, nowMs: request.instant.nowMs, ends };
  const { perKey, hard } = request.budget;
  if (before.key >= perKey || before.task >= hard) {
    const message =
      before.key >= perKey
        ? `asked ${before.key} times about ${decision_key} without an answer`
        : `asked ${before.task} questions, which is all that it may ask`;
    const result = { status: 'budget_exhausted', question_id, option_id: null, asked: before } as const;
    return changed(record, result, {
      ...ended,
      moves: [...starting(record), 'fail'],
      state: {
        failure_count: record.state.failure_count + 1,
        failure_reason: 'decision_key_budget',
        last_error: { class: 'question.exhausted', message },
        last_failed_at: isoTime(request.instant.nowMs),
        next_eligible_at: null,
      },
      memo: { abandons: 0 },
    });
  }
  const asked = { task: before.task + 1, key: before.key + 1 };
  const deadline = deadlineIn(request.timeoutMs, request.instant);
  const questions: QuestionLedger = {
    ...ledger,
    open: {
      question_id,
      attempt_id: attemptId,
      decision_key,
      expires_at: deadline.at,
      clock: deadline.clock,
      default_option_id: request.defaultOptionId,
    },
    asked: [...ledger.asked.filter((entry) => entry.decision_key !== decision_key), { decision_key, count: asked.key }],
  };
  const result = { status: 'open', question_id, option_id: null, asked } as const;
  return changed(record, result, {
    ...ended,
    moves: [...starting(record), 'ask'],
    state: { next_eligible_at: null },
    memo: { abandons: 0, questions },
  });
}

/** Questions of the task since `retry` last cleared the budgets. */
export function questionsAsked(record: TaskSummary): number {
  return askedBefore(ledgerOf(record), '').task;
}

/** The limits of a task's questions. `own`: of the task, as planned; `general`: of the settings. */
export function questionBudget(
  own: Readonly<Record<'soft' | 'hard', number | null>> | null | undefined,
  general: Readonly<Record<'soft' | 'hard', number>>,
): { soft: number; hard: number } {
  return { soft: own?.soft ?? general.soft, hard: own?.hard ?? general.hard };
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

/** Whether the deadline of a question has passed. */
export function isLate({ expires_at, clock }: OpenQuestion, instant: Instant): boolean {
  return msUntil(expires_at, clock, instant) <= 0;
}

/** The answer for a question past its deadline: its default, or expiry. Null before the deadline. */
export function lateAnswer(question: OpenQuestion, instant: Instant): Answer | null {
  if (!isLate(question, instant)) return null;
  return {
    version: 1,
    question_id: question.question_id,
    answered_at: isoTime(instant.nowMs),
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
  return changed(record, settled, { moves: ['resume'], lease: null, memo: { questions }, by: null, nowMs });
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

/** The id of the option that `text` is the id or the number of, from 1; an id comes first. Throws INVALID_ARGS where there is none. */
export function chosenOption(options: readonly QuestionOption[], text: string): string {
  const numbered = /^[1-9]\d?$/.test(text) ? options[Number(text) - 1]?.id : undefined;
  const isId = options.some(({ id }) => id === text);
  return isId || numbered === undefined ? requireOption(options, text, 'the option') : numbered;
}

/** The question that a task waits on, else that which was settled last; null where it has asked none. */
export function lastQuestion(record: TaskSummary): string | null {
  return openQuestion(record)?.question_id ?? ledgerOf(record).settled.at(-1)?.question_id ?? null;
}

/** Throws INVALID_ARGS unless `id` names one of the options; `what` names its source. */
export function requireOption(options: readonly QuestionOption[], id: string, what: string): string {
  if (options.some((option) => option.id === id)) return id;
  throw invalidArgs(
    `${what} ${JSON.stringify(id)} is none of the options`,
    `The options are ${options.map((option) => option.id).join(', ')}.`,
  );
}

/** What a person types to answer the question that a task asks; OPTION: the id of one of its options, or its number in the list. */
export function answerCommand(taskId: string): string {
  return `forge orchestrate answer ${taskId} OPTION`;
}
