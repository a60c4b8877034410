/** `question`: a worker asks for a decision and gives its task up until there is one. */

import { newId } from '../domain/context.ts';
import { type AskResult, askQuestion, openQuestion, requireOption } from '../domain/question/questions.ts';
import { OptionsSchema, QUESTION_LIMITS, type Question, type QuestionOption } from '../domain/question/records.ts';
import type { TaskRecord } from '../domain/task/records.ts';
import { type Warning, warningOf } from '../domain/warnings.ts';
import { ForgeError } from '../lib/errors.ts';
import { requireUuid } from '../lib/ids.ts';
import { issueText, WITHOUT_WORDS } from '../lib/schema-issues.ts';
import { isoTime } from '../lib/time.ts';
import { parseYaml } from '../lib/yaml.ts';
import { readUserFile } from '../project/user-files.ts';
import { changeKnown, plannedOrNull, requireRecord } from './shared/reads.ts';
import { type Call, openSession, type Session } from './shared/session.ts';

export interface QuestionOptions {
  task: string;
  attempt: string;
  /** Names the decision: who asks about it again, in whatever attempt, gets the answer that was given. */
  decisionKey: string;
  question: string;
  /** A file with a list of options, JSON or YAML. */
  optionsFile: string;
  recommended?: string | undefined;
  /** What applies when nobody answers in time. Without it the question expires, and the task is tried again. */
  default?: string | undefined;
  /** How long it stays open, milliseconds; default: agents.question_timeout_ms. */
  deadlineMs?: number | undefined;
  context?: string | undefined;
  ifUnanswered?: string | undefined;
  agent?: string | undefined;
}

export interface QuestionData {
  question_id: string;
  status: 'open' | 'answered';
  option_id: string | null;
  task_id: string;
  decision_key: string;
  /** Null when it is answered. */
  expires_at: string | null;
  /** What whoever answered wrote with the answer. */
  note: string | null;
  warnings: Warning[];
}

/** Throws INVALID_ARGS, LEASE_STOLEN, STALE_ATTEMPT, DECISION_KEY_EXHAUSTED (then the task has failed), STATE_NOT_FOUND, TASK_NOT_FOUND. */
export async function question(call: Call, options: QuestionOptions): Promise<QuestionData> {
  const attemptId = requireUuid(options.attempt, '--attempt');
  const list = readOptions(options);
  const session = openSession(call);
  const asked = await ask(session, attemptId, options, list);
  const { status, question_id, option_id } = asked.result;
  const budget = budgetOf(session, options.task);
  if (status === 'budget_exhausted') throw exhausted(options, asked.record);
  const base = { question_id, option_id, task_id: options.task, decision_key: options.decisionKey };
  if (status === 'answered') {
    const [settled] = (await session.store.listQuestions(options.task)).filter(
      (entry) => entry.question.question_id === question_id,
    );
    const answer =
      settled === undefined
        ? null
        : await session.store.readDocument('answer', options.task, settled.attemptId, question_id);
    return { ...base, status, expires_at: null, note: answer?.note ?? null, warnings: [] };
  }
  const { task: count } = asked.result.asked;
  const warnings =
    count < budget.soft
      ? []
      : [
          warningOf(
            `this is question ${count} of task ${options.task}; after ${budget.hard} it fails: decide by yourself where you can`,
            options.task,
          ),
        ];
  return { ...base, status, expires_at: asked.expiresAt, note: null, warnings };
}

interface Asked {
  result: AskResult;
  record: TaskRecord;
  expiresAt: string;
}

async function ask(
  session: Session,
  attemptId: string,
  options: QuestionOptions,
  list: readonly QuestionOption[],
): Promise<Asked> {
  const { agents } = session.settings;
  const nowMs = session.now();
  const questionId = newId(session.ctx);
  const expiresAt = isoTime(nowMs + (options.deadlineMs ?? agents.question_timeout_ms));
  const budget = budgetOf(session, options.task);
  const decide = (record: TaskRecord) =>
    askQuestion(record, {
      attemptId,
      questionId,
      decisionKey: options.decisionKey,
      options: list,
      defaultOptionId: options.default ?? null,
      expiresAt,
      budget,
      nowMs,
    });
  const { record: seen } = await requireRecord(session, options.task);
  const runId = seen.lease?.owner_run_id ?? '';
  const { result, record } = await changeKnown(session, options.task, (current) => {
    const decision = decide(current);
    if (decision.record === null) return decision;
    const status = decision.result.status === 'open' ? 'open' : 'budget_exhausted';
    const file: Question = {
      version: 1,
      question_id: questionId,
      run_id: runId,
      task_id: options.task,
      agent_id: options.agent ?? null,
      decision_key: options.decisionKey,
      attempt: decision.result.asked.key,
      max_attempts: budget.perKey,
      created_at: isoTime(nowMs),
      expires_at: expiresAt,
      status,
      question: options.question,
      context: options.context ?? null,
      options: [...list],
      recommended_option_id: options.recommended ?? null,
      default_option_id: options.default ?? null,
      what_happens_if_unanswered: options.ifUnanswered ?? null,
    };
    return { ...decision, documents: [{ kind: 'question' as const, attemptId, value: file }] };
  });
  // A repeat is told the deadline that the question was given first.
  return { result, record, expiresAt: openQuestion(record)?.expires_at ?? expiresAt };
}

function budgetOf(session: Session, taskId: string) {
  const { question_max_attempts: perKey, question_budget: general } = session.settings.agents;
  const own = plannedOrNull(session, taskId)?.question_budget;
  return { perKey, soft: own?.soft ?? general.soft, hard: own?.hard ?? general.hard };
}

function exhausted({ task, decisionKey }: QuestionOptions, record: TaskRecord): ForgeError {
  const why = record.state.last_error?.message ?? 'it asked too often';
  return new ForgeError('DECISION_KEY_EXHAUSTED', `task ${task} has failed: ${why}`, {
    details: { task_id: task, decision_key: decisionKey, state: record.state.state },
    hint: `Stop working on it. When the answer is known: \`forge orchestrate retry ${task}\` gives it new questions.`,
  });
}

function readOptions(options: QuestionOptions): readonly QuestionOption[] {
  requireLength('--decision-key', options.decisionKey, QUESTION_LIMITS.key);
  requireLength('--question', options.question, QUESTION_LIMITS.question);
  if (options.context !== undefined) requireLength('--context', options.context, QUESTION_LIMITS.context);
  const where = `--options-file ${options.optionsFile}`;
  const yaml = parseYaml(readUserFile(options.optionsFile, '--options-file', 64 * 1024), options.optionsFile);
  const [problem] = yaml.ok ? [] : yaml.problems;
  if (!yaml.ok) throw notOptions(`${where}: ${problem?.message ?? 'it cannot be read'}`);
  const parsed = OptionsSchema().safeParse(yaml.value, WITHOUT_WORDS);
  if (!parsed.success) throw notOptions(`${where}: ${issueText(parsed.error.issues, yaml.value)}`);
  if (options.recommended !== undefined) requireOption(parsed.data, options.recommended, '--recommended');
  if (options.default !== undefined) requireOption(parsed.data, options.default, '--default');
  return parsed.data;
}

function notOptions(message: string): ForgeError {
  return new ForgeError('INVALID_ARGS', message, {
    hint: 'The file holds a list of 2 to 10 options, such as [{"id": "keep", "label": "Keep it"}, {"id": "drop", "label": "Drop it"}].',
  });
}

function requireLength(flag: string, text: string, max: number): void {
  if (text.trim() === '') throw new ForgeError('INVALID_ARGS', `${flag} is empty`);
  if (text.length > max)
    throw new ForgeError('INVALID_ARGS', `${flag} has ${text.length} characters; at most ${max} are taken`);
}
