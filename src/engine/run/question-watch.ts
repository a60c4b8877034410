/** Watches questions for a run: emits events about them, and resumes tasks when they are settled. */

import { ledgerOf, type OpenQuestion, openQuestion, type SettledQuestion } from '../../domain/question/questions.ts';
import type { RunEvent } from '../../domain/run/events.ts';
import { dueAt } from '../../domain/task/deadlines.ts';
import { errorMessage, isOfAll } from '../../lib/errors.ts';
import { resumeIfSettled } from '../../store/change.ts';
import type { TaskSummaryRead } from '../../store/port.ts';
import { type Env, instantOf } from '../env.ts';

export class QuestionWatch {
  readonly #env: Env;
  readonly #emit: (event: RunEvent) => void;
  /** An id: nothing is emitted of questions that were settled by the time that it was made. */
  readonly #since: string;
  /** Questions of which was emitted that they are open. */
  readonly #shown = new Set<string>();
  readonly #settled = new Set<string>();
  /** Tasks with an unreadable answer; each is reported once. */
  readonly #damaged = new Set<string>();

  constructor(env: Env, since: string, emit: (event: RunEvent) => void) {
    this.#env = env;
    this.#since = since;
    this.#emit = emit;
  }

  /**
   * Whether the task has just moved on. To be asked at every look: a deadline passes, and an answer may have been cut
   * short, without a change of the record. Throws IO_ERROR.
   */
  async resumed(read: TaskSummaryRead): Promise<boolean> {
    try {
      return (await resumeIfSettled(this.#env, read)) !== null;
    } catch (error) {
      // A damaged answer stops this task and no other.
      if (isOfAll(error)) throw error;
      if (!this.#damaged.has(read.task_id)) this.#emit({ type: 'warning', message: errorMessage(error) });
      this.#damaged.add(read.task_id);
      return false;
    }
  }

  /**
   * Emits an event when a question is first seen, and when it is settled; both where that came between two looks. To be asked before `resumed`: it
   * may be over by then.
   */
  async tell({ task_id, record }: TaskSummaryRead): Promise<void> {
    if (record === null) return;
    for (const settled of ledgerOf(record).settled) {
      const { question_id, decision_key, option_id, answered_by } = settled;
      if (!this.#shown.delete(question_id)) {
        // Ids are in the order of time.
        if (question_id < this.#since || this.#settled.has(question_id)) continue;
        await this.#opened(task_id, settled);
      }
      this.#settled.add(question_id);
      this.#emit({ type: 'question_settled', task_id, question_id, decision_key, option_id, answered_by });
    }
    const open = openQuestion(record);
    if (open === null || this.#shown.has(open.question_id)) return;
    this.#shown.add(open.question_id);
    await this.#opened(task_id, open, dueAt(open.expires_at, open.clock, instantOf(this.#env)));
  }

  async #opened(task_id: string, asked: SettledQuestion | OpenQuestion, dueAt?: string): Promise<void> {
    const { question_id, attempt_id, decision_key } = asked;
    const question = await this.#env.store.readDocument('question', task_id, attempt_id, question_id).catch(() => null);
    const expires_at = dueAt ?? question?.expires_at;
    if (expires_at === undefined) return;
    this.#emit({ type: 'question_opened', task_id, question_id, decision_key, expires_at, question });
  }
}
