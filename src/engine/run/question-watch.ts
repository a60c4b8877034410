/** Watches questions for a run: emits events about them, and resumes tasks when they are settled. */

import { ledgerOf, type OpenQuestion, openQuestion, type SettledQuestion } from '../../domain/question/questions.ts';
import type { RunEvent } from '../../domain/run/events.ts';
import { dueAt } from '../../domain/task/deadlines.ts';
import { errorMessage, isOfAll } from '../../lib/errors.ts';
import { resumeIfSettled } from '../../store/change.ts';
import type { TaskSummaryRead } from '../../store/port.ts';
import { type Env, instantOf } from '../env.ts';

export type QuestionWatch = ReturnType<typeof questionWatch>;

/** `since`: an id; nothing is emitted of questions that were settled by the time that it was made. */
export function questionWatch(env: Env, since: string, emit: (event: RunEvent) => void) {
  /** Questions of which was emitted that they are open. */
  const shown = new Set<string>();
  const over = new Set<string>();
  /** Tasks with an unreadable answer; each is reported once. */
  const damaged = new Set<string>();

  /**
   * Whether the task has just moved on. To be asked at every look: a deadline passes, and an answer may have been cut
   * short, without a change of the record. Throws IO_ERROR.
   */
  async function resumed(read: TaskSummaryRead): Promise<boolean> {
    try {
      return (await resumeIfSettled(env, read)) !== null;
    } catch (error) {
      // A damaged answer stops this task and no other.
      if (isOfAll(error)) throw error;
      if (!damaged.has(read.task_id)) emit({ type: 'warning', message: errorMessage(error) });
      damaged.add(read.task_id);
      return false;
    }
  }

  /**
   * Emits an event when a question is first seen, and when it is settled; both where that came between two looks. To be asked before `resumed`: it
   * may be over by then.
   */
  async function tell({ task_id, record }: TaskSummaryRead): Promise<void> {
    if (record === null) return;
    for (const settled of ledgerOf(record).settled) {
      const { question_id, decision_key, option_id, answered_by } = settled;
      if (!shown.delete(question_id)) {
        // Ids are in the order of time.
        if (question_id < since || over.has(question_id)) continue;
        await tellOpened(task_id, settled);
      }
      over.add(question_id);
      emit({ type: 'question_settled', task_id, question_id, decision_key, option_id, answered_by });
    }
    const open = openQuestion(record);
    if (open === null || shown.has(open.question_id)) return;
    shown.add(open.question_id);
    await tellOpened(task_id, open, dueAt(open.expires_at, open.clock, instantOf(env)));
  }

  async function tellOpened(task_id: string, asked: SettledQuestion | OpenQuestion, dueAt?: string): Promise<void> {
    const { question_id, attempt_id, decision_key } = asked;
    const question = await env.store.readDocument('question', task_id, attempt_id, question_id).catch(() => null);
    const expires_at = dueAt ?? question?.expires_at;
    if (expires_at === undefined) return;
    emit({ type: 'question_opened', task_id, question_id, decision_key, expires_at, question });
  }

  return { resumed, tell };
}
