/** `question`: a worker asks for a decision and gives its task up until there is one. */

import * as z from 'zod/mini';
import { newId } from '../domain/context.ts';
import * as questions from '../domain/question/questions.ts';
import { maskedIn } from '../domain/secrets.ts';
import type { TaskRecord } from '../domain/task/records.ts';
import { warningOf } from '../domain/warnings.ts';
import { instantOf, secretsOf } from '../engine/env.ts';
import { ForgeError, invalidArgs } from '../lib/errors.ts';
import { requireUuid } from '../lib/ids.ts';
import { issueText, WITHOUT_WORDS } from '../lib/schema-issues.ts';
import { isoTime, parseDuration } from '../lib/time.ts';
import { parseYaml } from '../lib/yaml.ts';
import {
  attemptField,
  command,
  content,
  option,
  optional,
  requireLength,
  SAMPLE,
  taskField,
} from './shared/command.ts';
import { handedOver } from './shared/contents.ts';
import { textOrNull, warningsSchema } from './shared/data.ts';
import { plannedOrNull } from './shared/planned.ts';
import { changeKnown } from './shared/reads.ts';
import { openSession, type Session } from './shared/session.ts';

const input = z.object({
  task: taskField(),
  attempt: attemptField(),
  decision_key: option(z.string(), 'key', 'Names the decision, the same in every attempt'),
  question: option(z.string(), 'text', 'What is to be decided', { stdin: true }),
  options_file: option(z.string(), 'file', 'What may be answered, JSON or YAML', { stdin: 'content' }),
  options: content('options_file', questions.OptionsSchema, 'What may be answered'),
  recommended: optional.text('id', 'The option that you would choose'),
  default: optional.text('id', 'The option that applies when no answer comes in time'),
  deadline: option(
    z.optional(z.union([z.string(), z.int()])),
    'time',
    'How long it stays open, such as 2h (default: the settings, else 30m)',
  ),
  context: optional.text('text', 'What one should know to decide'),
  if_unanswered: optional.text('text', 'What happens then, for people'),
  agent: optional.text('name', 'Who asks'),
});
type Input = z.infer<typeof input>;

export const question = command({
  changes: true,
  notes:
    'The file holds a list of 2 to 10 options: [{"id": "keep", "label": "Keep it"}, {"id": "drop", "label": "Drop it"}].\n' +
    'The task gives up its lease and charges nothing; end the worker when the status is `open`. The next attempt asks\n' +
    'again under the same key and gets the answer. With `answered` the decision was taken before: go on with option_id.',
  examples: [
    [
      `question --decision-key format --question "Keep the old format?" --options-file options.json --default keep`,
      'the task and attempt in FORGE_*',
    ],
    [
      `question build --attempt ${SAMPLE.attempt} --decision-key format --question - --options-file options.json --deadline 2h`,
      'the text from stdin',
    ],
  ],
  input,
  output: () =>
    z.strictObject({
      question_id: z.string(),
      status: z.enum(['open', 'answered']),
      option_id: textOrNull(),
      task_id: z.string(),
      decision_key: z.string(),
      /** Null when it is answered. */
      expires_at: textOrNull(),
      /** The note of the answer. */
      note: textOrNull(),
      warnings: warningsSchema(),
    }),
  /** Throws INVALID_ARGS, LEASE_STOLEN, STALE_ATTEMPT, DECISION_KEY_EXHAUSTED (then the task has failed), STATE_NOT_FOUND, TASK_NOT_FOUND. */
  async run(context, options) {
    const attemptId = requireUuid(options.attempt, '--attempt');
    const list = readOptions(options);
    const session = await openSession(context);
    const secrets = secretsOf(session);
    const words = maskedIn(options, secrets);
    const { task: task_id, decision_key } = words;
    const budget = await budgetOf(session, task_id);
    const { result, record } = await ask(session, words, attemptId, maskedIn(list, secrets), budget);
    const { status, question_id, option_id } = result;
    if (status === 'budget_exhausted') throw exhausted(words, record);
    const base = { question_id, option_id, task_id, decision_key };
    if (status === 'answered') {
      const asked = questions.settledQuestion(record, question_id);
      const answer = asked && (await session.store.readDocument('answer', task_id, asked.attempt_id, question_id));
      return { ...base, status, expires_at: null, note: answer?.note ?? null, warnings: [] };
    }
    // A repeat is told the deadline that the question was given first.
    const expires_at = questions.openQuestion(record)?.expires_at ?? null;
    const { task: count } = result.asked;
    const advice = `after ${budget.hard} it fails: decide by yourself where you can`;
    const warnings =
      count < budget.soft ? [] : [warningOf(`this is question ${count} of task ${task_id}; ${advice}`, task_id)];
    return { ...base, status, expires_at, note: null, warnings };
  },
});

type Budget = questions.AskRequest['budget'];

async function budgetOf(session: Session, taskId: string): Promise<Budget> {
  const { question_max_attempts: perKey, question_budget: general } = session.settings.agents;
  const own = (await plannedOrNull(session, taskId))?.question_budget;
  return { perKey, ...questions.questionBudget(own, general) };
}

function ask(
  session: Session,
  options: Input,
  attemptId: string,
  list: readonly questions.QuestionOption[],
  budget: Budget,
) {
  const instant = instantOf(session);
  const questionId = newId(session.ctx);
  const timeoutMs = durationOf(options.deadline) ?? session.settings.agents.question_timeout_ms;
  const decisionKey = options.decision_key;
  const defaultOptionId = options.default ?? null;
  return changeKnown(session, options.task, (record) => {
    const request = { attemptId, questionId, decisionKey, options: list, defaultOptionId, timeoutMs, budget, instant };
    const decision = questions.askQuestion(record, request);
    if (decision.record === null) return decision;
    const value: questions.Question = {
      version: 1,
      question_id: questionId,
      run_id: record.lease?.owner_run_id ?? '',
      task_id: options.task,
      agent_id: options.agent ?? null,
      decision_key: decisionKey,
      attempt: decision.result.asked.key,
      max_attempts: budget.perKey,
      created_at: isoTime(instant.nowMs),
      expires_at: isoTime(instant.nowMs + timeoutMs),
      status: decision.result.status === 'open' ? 'open' : 'budget_exhausted',
      question: options.question,
      context: options.context ?? null,
      options: [...list],
      recommended_option_id: options.recommended ?? null,
      default_option_id: defaultOptionId,
      what_happens_if_unanswered: options.if_unanswered ?? null,
    };
    return { ...decision, documents: [{ kind: 'question' as const, attemptId, value }] };
  });
}

function durationOf(deadline: Input['deadline']): number | undefined {
  if (deadline === undefined) return undefined;
  const ms = parseDuration(deadline);
  // Taken for milliseconds it would be over before a person has read it, and the default would decide.
  const isUnclear = /^\d{1,3}$/.test(String(deadline));
  if (ms !== null && ms > 0 && !isUnclear) return ms;
  throw invalidArgs(`--deadline ${JSON.stringify(deadline)}: expected a time such as 90s, 30m or 2h`);
}

function exhausted({ task, decision_key }: Input, record: TaskRecord): ForgeError {
  const why = record.state.last_error?.message ?? 'it asked too often';
  return new ForgeError('DECISION_KEY_EXHAUSTED', `task ${task} has failed: ${why}`, {
    details: { task_id: task, decision_key, state: record.state.state },
    hint: `Stop working on it. When the answer is known: \`forge orchestrate retry ${task}\` gives it new questions.`,
  });
}

function readOptions(options: Input): readonly questions.QuestionOption[] {
  requireLength('--decision-key', options.decision_key, questions.QUESTION_LIMITS.key);
  requireLength('--question', options.question, questions.QUESTION_LIMITS.question);
  if (options.context !== undefined) requireLength('--context', options.context, questions.QUESTION_LIMITS.context);
  const where = `--options-file ${options.options_file}`;
  const text = handedOver(options.options, options.options_file, '--options-file', 64 * 1024);
  const yaml = parseYaml(text, options.options_file);
  if (!yaml.ok) throw notOptions(`${where}: ${yaml.problems[0]?.message ?? 'it cannot be read'}`);
  const parsed = questions.OptionsSchema().safeParse(yaml.value, WITHOUT_WORDS);
  if (!parsed.success) throw notOptions(`${where}: ${issueText(parsed.error.issues, yaml.value)}`);
  if (options.recommended !== undefined) questions.requireOption(parsed.data, options.recommended, '--recommended');
  if (options.default !== undefined) questions.requireOption(parsed.data, options.default, '--default');
  return parsed.data;
}

function notOptions(message: string): ForgeError {
  return invalidArgs(
    message,
    'The file holds a list of 2 to 10 options, such as [{"id": "keep", "label": "Keep it"}, {"id": "drop", "label": "Drop it"}].',
  );
}
