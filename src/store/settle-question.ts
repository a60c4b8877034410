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
import type { RecordExcerpt } from '../domain/task/summary.ts';
import type { ChangeEnv } from './change-env.ts';
import { questionFile, type TaskStore } from './port.ts';

/** The record with the question that a tree written by hand keeps only in a file. */
export async function knowingQuestion<R extends RecordExcerpt>(store: TaskStore, record: R): Promise<R> {
  const { task_id, current_attempt_id } = record.state;
  if (!lacksQuestion(record)) return record;
  const open = (await store.listQuestions(task_id)).filter(
    ({ attemptId, question }) =>
      (current_attempt_id === null || attemptId === current_attempt_id) && question.status === 'open',
  );
  const last = open.at(-1);
  return last === undefined ? record : withQuestion(record, last.attemptId, last.question);
}

interface Due {
  open: OpenQuestion;
  answer: Answer;
  /** Whether it is in the tree already; otherwise it is what the deadline makes of the question. */
  given: boolean;
}

/** What settles the question that the task is parked on; null while it waits, and for one that is not parked. */
async function dueFor(env: Pick<ChangeEnv, 'store' | 'now'>, record: RecordExcerpt): Promise<Due | null> {
  const open = openQuestion(record);
  if (open === null) return null;
  const first = await env.store.readAnswer(record.state.task_id, open.attempt_id, open.question_id);
  if (first !== null) return { open, answer: first, given: true };
  const late = lateAnswer(open, env.now());
  return late === null ? null : { open, answer: late, given: false };
}

/**
 * The answer that settles the question that the task is parked on. Past the deadline the default or expiry is handed in,
 * and then is the answer unless somebody was first. Null while the task waits, and for one that is not parked.
 */
export async function dueAnswer(env: Pick<ChangeEnv, 'store' | 'now' | 'newOp'>, record: RecordExcerpt) {
  const due = await dueFor(env, record);
  if (due === null || due.given) return due?.answer ?? null;
  return firstAnswer(env, record.state.task_id, due.open, due.answer);
}

/** The record as the next change will find it, for those who only look. Throws SCHEMA_INVALID for a damaged answer. */
export async function foreseen(env: Pick<ChangeEnv, 'store' | 'now'>, record: TaskRecord): Promise<TaskRecord> {
  const known = await knowingQuestion(env.store, record);
  const due = await dueFor(env, known);
  return (due && settleQuestion(known, due.answer, env.now()).record) ?? known;
}

/** Hands in `answer`. Returns the one that counts: the first, whoever gave it. */
export async function firstAnswer(
  env: Pick<ChangeEnv, 'store' | 'newOp'>,
  taskId: string,
  { attempt_id, question_id }: Pick<OpenQuestion, 'attempt_id' | 'question_id'>,
  answer: Answer,
): Promise<Answer> {
  const file = questionFile('answers', question_id);
  if (await env.store.createOnce(taskId, attempt_id, file, answer, env.newOp())) return answer;
  return (await env.store.readAnswer(taskId, attempt_id, question_id)) ?? answer;
}
