/** Watches questions for a run: emits events about them, and resumes tasks when they are settled. */

import { openQuestion, settledQuestion } from '../../domain/question/questions.ts';
import type { RunEvent } from '../../domain/run/events.ts';
import { dueAt } from '../../domain/task/deadlines.ts';
import { errorMessage, isOfAll } from '../../lib/errors.ts';
import { resumeIfSettled } from '../../store/change.ts';
import type { TaskSummaryRead } from '../../store/port.ts';
import { type Env, instantOf } from '../env.ts';

export class QuestionWatch {
  readonly #env: Env;
  readonly #emit: (event: RunEvent) => void;
  /** The open question of each task that an event was emitted for. */
  readonly #shown = new Map<string, string>();
  /** Tasks with an unreadable answer; each is reported once. */
  readonly #damaged = new Set<string>();

  constructor(env: Env, emit: (event: RunEvent) => void) {
    this.#env = env;
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

  /** Emits an event when a question is first seen, and when it is settled. To be asked before `resumed`: it may be over by then. */
  async tell({ task_id, record }: TaskSummaryRead): Promise<void> {
    if (record === null) return;
    const open = openQuestion(record);
    const shown = this.#shown.get(task_id);
    if (shown === open?.question_id) return;
    if (shown !== undefined) {
      this.#shown.delete(task_id);
      const settled = settledQuestion(record, shown);
      if (settled !== null) {
        const { question_id, decision_key, option_id, answered_by } = settled;
        this.#emit({ type: 'question_settled', task_id, question_id, decision_key, option_id, answered_by });
      }
    }
    if (open === null) return;
    this.#shown.set(task_id, open.question_id);
    const { question_id, attempt_id, decision_key } = open;
    const expires_at = dueAt(open.expires_at, open.clock, instantOf(this.#env));
    const question = await this.#env.store.readDocument('question', task_id, attempt_id, question_id).catch(() => null);
    this.#emit({ type: 'question_opened', task_id, question_id, decision_key, expires_at, question });
  }
}
