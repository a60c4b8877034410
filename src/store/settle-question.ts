/** Parked tasks: which answer settles the question that a task waits on. */

import {
  type Answer,
  lacksQuestion,
  lateAnswer,
  type OpenQuestion,
  openQuestion,
  settleQuestion,
  withQuestion,
} from '../domain/question/questions.ts';
import type { TaskRecord } from '../domain/task/records.ts';
import type { TaskSummary } from '../domain/task/summary.ts';
import type { ChangeEnv } from './change-env.ts';
import type { TaskStore } from './port.ts';

/** The record with the question that a tree written by hand keeps only in a file. */
export async function withOpenQuestion<R extends TaskSummary>(store: TaskStore, record: R): Promise<R> {
  const { task_id, current_attempt_id } = record.state;
  if (!lacksQuestion(record)) return record;
  const open = (await store.listQuestions(task_id)).filter(
    ({ attemptId, question }) =>
      (current_attempt_id === null || attemptId === current_attempt_id) && question.status === 'open',
  );
  const last = open.at(-1);
  return last === undefined ? record : withQuestion(record, last.attemptId, last.question);
}

export interface DueAnswer {
  open: OpenQuestion;
  answer: Answer;
  /** Whether it is there already; otherwise the commit creates it. */
  given: boolean;
}

/**
 * What settles the question that the task is parked on: the answer that is there, else `offered`, else what its deadline
 * makes of it. Null while it waits, and for a task that is not parked.
 */
export async function dueAnswer(
  env: Pick<ChangeEnv, 'store' | 'now'>,
  record: TaskSummary,
  offered: Answer | null = null,
): Promise<DueAnswer | null> {
  const open = openQuestion(record);
  if (open === null) return null;
  const first = await env.store.readDocument('answer', record.state.task_id, open.attempt_id, open.question_id);
  if (first !== null) return { open, answer: first, given: true };
  const answer = offered?.question_id === open.question_id ? offered : lateAnswer(open, env.now());
  return answer === null ? null : { open, answer, given: false };
}

/** The record as the next change will find it, without a commit. Throws SCHEMA_INVALID for a damaged answer. */
export async function withSettledQuestion(
  env: Pick<ChangeEnv, 'store' | 'now'>,
  record: TaskRecord,
): Promise<TaskRecord> {
  const known = await withOpenQuestion(env.store, record);
  const due = await dueAnswer(env, known);
  return (due && settleQuestion(known, due.answer, env.now()).record) ?? known;
}
