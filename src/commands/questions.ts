/** `questions`: what was asked, and what came of it. `attach`: the questions of a run as they come. */

import { openQuestion, type Question, type QuestionOption, settledQuestion } from '../domain/question/questions.ts';
import type { RecordExcerpt } from '../domain/task/summary.ts';
import type { Warning } from '../domain/warnings.ts';
import { ForgeError } from '../lib/errors.ts';
import { requireUuid } from '../lib/ids.ts';
import { knowingQuestion } from '../store/settle-question.ts';
import { readAll } from './shared/reads.ts';
import { runRow } from './shared/runs.ts';
import { type Call, openSession, type Session } from './shared/session.ts';

export interface QuestionRow {
  question_id: string;
  task_id: string;
  attempt_id: string;
  run_id: string;
  decision_key: string;
  /** As the task's record has it, whatever the file says. `withdrawn`: its task ended without waiting for it. */
  status: 'open' | 'answered' | 'expired' | 'budget_exhausted' | 'withdrawn';
  question: string;
  context: string | null;
  options: QuestionOption[];
  recommended_option_id: string | null;
  default_option_id: string | null;
  what_happens_if_unanswered: string | null;
  created_at: string;
  expires_at: string;
  option_id: string | null;
  answered_by: string | null;
  note: string | null;
}

export interface QuestionsData {
  questions: QuestionRow[];
  warnings: Warning[];
}

export interface QuestionsOptions {
  /** Only those that wait for an answer. */
  open?: boolean | undefined;
  /** Only those that were asked under this run. */
  run?: string | undefined;
}

/** All questions, oldest first. Throws INVALID_ID. */
export async function questions(call: Call, options: QuestionsOptions): Promise<QuestionsData> {
  const run = options.run === undefined ? undefined : requireUuid(options.run, '--run');
  return { questions: await rowsOf(openSession(call), { ...options, run }), warnings: [] };
}

async function rowsOf(session: Session, { open, run }: QuestionsOptions): Promise<QuestionRow[]> {
  const { reads } = await readAll(session);
  const rows: QuestionRow[] = [];
  for (const { task_id, record } of reads.values()) {
    if (record === null || !mayHaveAsked(record)) continue;
    const known = await knowingQuestion(session.store, record);
    for (const { attemptId, question } of await session.store.listQuestions(task_id)) {
      const row = await rowOf(session, known, task_id, attemptId, question);
      if ((open !== true || row.status === 'open') && (run === undefined || row.run_id === run)) rows.push(row);
    }
  }
  return rows.sort((a, b) => (a.question_id < b.question_id ? -1 : 1));
}

/** Most tasks never ask, and their folders need not be looked through. */
function mayHaveAsked({ state, memo }: RecordExcerpt): boolean {
  return memo.questions !== undefined || state.state === 'blocked_on_question' || state.state === 'failed';
}

async function rowOf(
  session: Session,
  record: RecordExcerpt,
  task_id: string,
  attempt_id: string,
  question: Question,
): Promise<QuestionRow> {
  const { question_id, run_id, decision_key, created_at, expires_at } = question;
  const settled = settledQuestion(record, question_id);
  const answer = settled === null ? null : await session.store.readDocument('answer', task_id, attempt_id, question_id);
  return {
    question_id,
    task_id,
    attempt_id,
    run_id,
    decision_key,
    status: statusOf(record, question),
    question: question.question,
    context: question.context ?? null,
    options: question.options,
    recommended_option_id: question.recommended_option_id ?? null,
    default_option_id: question.default_option_id ?? null,
    what_happens_if_unanswered: question.what_happens_if_unanswered ?? null,
    created_at,
    expires_at,
    option_id: settled?.option_id ?? null,
    answered_by: settled?.answered_by ?? null,
    note: answer?.note ?? null,
  };
}

function statusOf(record: RecordExcerpt, question: Question): QuestionRow['status'] {
  const settled = settledQuestion(record, question.question_id);
  if (settled !== null) return settled.option_id === null ? 'expired' : 'answered';
  if (openQuestion(record)?.question_id === question.question_id) return 'open';
  return question.status === 'budget_exhausted' ? 'budget_exhausted' : 'withdrawn';
}

/** How often an attached run is looked at, milliseconds. */
const ATTACH_MS = 500;

export interface AttachEvent {
  type: 'question_opened' | 'question_settled';
  question: QuestionRow;
}

export interface AttachData {
  run_id: string;
  ended: boolean;
}

/**
 * Tells of a run's questions, those that are open first, until the run is over or `stop` says so. Throws RUN_NOT_FOUND.
 */
export async function attach(
  call: Call,
  options: { run: string },
  emit: (event: AttachEvent) => void,
  stop: { readonly aborted: boolean },
): Promise<AttachData> {
  const run_id = requireUuid(options.run, '--run');
  const session = openSession(call);
  const open = new Set<string>();
  for (;;) {
    const manifest = await session.store.readRun(run_id);
    if (manifest === null) throw new ForgeError('RUN_NOT_FOUND', `there is no run ${run_id}`);
    // Asked before looking: what was asked until the run's end is still told.
    const { standing } = runRow(session, manifest);
    for (const question of await rowsOf(session, { run: run_id })) {
      if (question.status === 'open' && !open.has(question.question_id)) {
        open.add(question.question_id);
        emit({ type: 'question_opened', question });
      } else if (question.status !== 'open' && open.delete(question.question_id)) {
        emit({ type: 'question_settled', question });
      }
    }
    if (standing !== 'open') return { run_id, ended: true };
    if (stop.aborted) return { run_id, ended: false };
    await new Promise((resolve) => setTimeout(resolve, ATTACH_MS));
  }
}
