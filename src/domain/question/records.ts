/** Questions and answers as data: the two files of a question, and what the task's record remembers about it. */

import * as z from 'zod/mini';
import { once } from '../../lib/once.ts';
import { isTime } from '../../lib/time.ts';

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

/** From 2 to 10 options with unique ids. */
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

/** The part of a question that decides how its task goes on. */
const OpenQuestionSchema = once(() =>
  z.looseObject({
    question_id: z.string(),
    attempt_id: z.string(),
    decision_key: z.string(),
    expires_at: time(),
    default_option_id: z.nullable(z.string()),
  }),
);
export type OpenQuestion = z.infer<ReturnType<typeof OpenQuestionSchema>>;

const SettledQuestionSchema = once(() =>
  z.looseObject({
    question_id: z.string(),
    attempt_id: z.string(),
    decision_key: z.string(),
    option_id: z.nullable(z.string()),
    answered_by: z.string(),
  }),
);
export type SettledQuestion = z.infer<ReturnType<typeof SettledQuestionSchema>>;

/** What a task's record remembers about its questions: `memo.questions`. */
export const LedgerSchema = once(() =>
  z.looseObject({
    /** The one that the task is parked on. */
    open: z.nullable(OpenQuestionSchema()),
    /** Answered or expired ones, oldest first. */
    settled: z.array(SettledQuestionSchema()),
    /** How often each decision key was asked since `retry` last cleared the budgets. */
    asked: z.array(z.looseObject({ decision_key: z.string(), count: z.int() })),
  }),
);
export type QuestionLedger = z.infer<ReturnType<typeof LedgerSchema>>;
