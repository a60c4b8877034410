/** Questions as `questions` and `attach` show them. */

import * as z from 'zod/mini';
import { OptionsSchema, openQuestion, type Question, settledQuestion } from '../../domain/question/questions.ts';
import { dueAt } from '../../domain/task/deadlines.ts';
import type { TaskSummary } from '../../domain/task/records.ts';
import { instantOf } from '../../engine/env.ts';
import { withOpenQuestion } from '../../store/change.ts';
import { textOrNull } from './data.ts';
import { readAll, unlessDamaged } from './reads.ts';
import type { Session } from './session.ts';

export const questionRowSchema = () =>
  z.strictObject({
    question_id: z.string(),
    task_id: z.string(),
    attempt_id: z.string(),
    run_id: z.string(),
    decision_key: z.string(),
    /** As the task's record has it, whatever the file says. `withdrawn`: its task ended without waiting for it. */
    status: z.enum(['open', 'answered', 'expired', 'budget_exhausted', 'withdrawn']),
    question: z.string(),
    context: textOrNull(),
    options: OptionsSchema(),
    recommended_option_id: textOrNull(),
    default_option_id: textOrNull(),
    what_happens_if_unanswered: textOrNull(),
    created_at: z.string(),
    expires_at: z.string(),
    option_id: textOrNull(),
    answered_by: textOrNull(),
    note: textOrNull(),
  });
export type QuestionRow = z.infer<ReturnType<typeof questionRowSchema>>;

/** The questions of all tasks, oldest first: those that wait for an answer, those that a run asked, or all. */
export async function questionRows(
  session: Session,
  { open, run }: { open?: boolean | undefined; run?: string | undefined },
): Promise<QuestionRow[]> {
  const { reads } = await readAll(session);
  const rows: QuestionRow[] = [];
  for (const { task_id, record } of reads.values()) {
    if (record === null || !mayHaveAsked(record)) continue;
    const known = await withOpenQuestion(session.store, record);
    for (const { attemptId, question } of await session.store.listQuestions(task_id)) {
      const row = await rowOf(session, known, task_id, attemptId, question);
      if ((open !== true || row.status === 'open') && (run === undefined || row.run_id === run)) rows.push(row);
    }
  }
  return rows.sort((a, b) => (a.question_id < b.question_id ? -1 : 1));
}

/** Most tasks never ask, and their folders need not be looked through. */
function mayHaveAsked({ state, memo }: TaskSummary): boolean {
  return memo.questions !== undefined || state.state === 'blocked_on_question' || state.state === 'failed';
}

async function rowOf(
  session: Session,
  record: TaskSummary,
  task_id: string,
  attempt_id: string,
  question: Question,
): Promise<QuestionRow> {
  const { question_id, run_id, decision_key, options, created_at, expires_at } = question;
  const asked = openQuestion(record);
  const settled = settledQuestion(record, question_id);
  const readAnswer = () => session.store.readDocument('answer', task_id, attempt_id, question_id);
  const answer = settled && (await unlessDamaged(session, readAnswer));
  return {
    question_id,
    task_id,
    attempt_id,
    run_id,
    decision_key,
    status: statusOf(record, question),
    question: question.question,
    context: question.context ?? null,
    options,
    recommended_option_id: question.recommended_option_id ?? null,
    default_option_id: question.default_option_id ?? null,
    what_happens_if_unanswered: question.what_happens_if_unanswered ?? null,
    created_at,
    expires_at: asked?.question_id === question_id ? dueAt(expires_at, asked.clock, instantOf(session)) : expires_at,
    option_id: settled?.option_id ?? null,
    answered_by: settled?.answered_by ?? null,
    note: answer?.note ?? null,
  };
}

function statusOf(record: TaskSummary, { question_id, status }: Question): QuestionRow['status'] {
  const settled = settledQuestion(record, question_id);
  if (settled !== null) return settled.option_id === null ? 'expired' : 'answered';
  if (openQuestion(record)?.question_id === question_id) return 'open';
  return status === 'budget_exhausted' ? status : 'withdrawn';
}
