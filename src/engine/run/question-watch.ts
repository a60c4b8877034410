/** The questions that a run sees: tells of them as they come, and moves tasks on when they are settled. */

import { openQuestion, settledQuestion } from '../../domain/question/questions.ts';
import type { RunEvent } from '../../domain/run/events.ts';
import { ForgeError } from '../../lib/errors.ts';
import { resumeIfSettled } from '../../store/change.ts';
import type { TaskRead } from '../../store/port.ts';
import type { Env } from '../env.ts';

export class QuestionWatch {
  readonly #env: Env;
  readonly #emit: (event: RunEvent) => void;
  /** The open question of a task that was told of. */
  readonly #shown = new Map<string, string>();
  /** Tasks whose answer can't be read; each is told once. */
  readonly #damaged = new Set<string>();

  constructor(env: Env, emit: (event: RunEvent) => void) {
    this.#env = env;
    this.#emit = emit;
  }

  /**
   * Whether the task has just moved on. To be asked at every look: a deadline passes, and an answer may have been cut
   * short, without a change of the record. Throws IO_ERROR.
   */
  async resumed(read: TaskRead): Promise<boolean> {
    try {
      if ((await resumeIfSettled(this.#env, read)) === null) return false;
      // A short deadline may be over before anybody saw the question; what came of it is told all the same.
      const asked = read.record && openQuestion(read.record);
      if (asked) this.#shown.set(read.task_id, asked.question_id);
      return true;
    } catch (error) {
      // A damaged answer stops this task and no other.
      if (!(error instanceof ForgeError) || error.code === 'IO_ERROR') throw error;
      if (!this.#damaged.has(read.task_id)) this.#emit({ type: 'warning', message: error.message });
      this.#damaged.add(read.task_id);
      return false;
    }
  }

  /** Tells of a question when it is first seen, and once more when it is settled. */
  async tell({ task_id, record }: TaskRead): Promise<void> {
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
    const { question_id, attempt_id, decision_key, expires_at } = open;
    const question = await this.#env.store.readDocument('question', task_id, attempt_id, question_id).catch(() => null);
    this.#emit({ type: 'question_opened', task_id, question_id, decision_key, expires_at, question });
  }
}
