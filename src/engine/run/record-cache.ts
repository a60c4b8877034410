/** The records of a run's tasks; each is read again only when it may have changed. */

import { openQuestion } from '../../domain/question/questions.ts';
import { ForgeError } from '../../lib/errors.ts';
import { fromIso } from '../../lib/time.ts';
import type { ChangeCursor, TaskStore, TaskSummaryRead } from '../../store/port.ts';
import { summarized } from '../../store/summary.ts';

/** State that was committed is not there any more. `atWork`: tasks whose workers may have removed it. */
export function stateGone(taskId: string, atWork: readonly string[]): ForgeError {
  const by = atWork.length === 0 ? '' : `; at work: ${atWork.join(', ')}`;
  return new ForgeError('IO_ERROR', `the state of task ${taskId} was removed while this run was using it${by}`, {
    hint: 'Commands that clear a folder remove it too, such as `git clean -fdx` or `rm -rf .forge`. Keep workers from that, then run again; what was removed is not known to have been done.',
  });
}

export class RecordCache {
  readonly reads = new Map<string, TaskSummaryRead>();
  readonly #store: TaskStore;
  readonly #gone: ((taskId: string) => ForgeError) | null;
  #cursor: ChangeCursor | null = null;
  /** The store asks less of the tasks that it was asked about before. */
  #asked: { tasks: readonly { id: string }[]; ids: readonly string[] } = { tasks: [], ids: [] };
  /** When a backoff, a wait or a question of a task ends, ISO 8601. */
  readonly #ends = new Map<string, string>();
  /** Those that name children. */
  readonly parents = new Map<string, TaskSummaryRead>();
  readonly #readAgain = new Set<string>();
  /** Tasks that wait for an answer. */
  readonly asking = new Set<string>();

  /** `gone`: what is thrown where a record was removed since it was read. Default: nothing, the task is read as it is. */
  constructor(store: TaskStore, gone: ((taskId: string) => ForgeError) | null = null) {
    this.#store = store;
    this.#gone = gone;
  }

  /** Reads what has changed of `tasks` since the last call; returns the ids. Throws IO_ERROR; what was not read then is read by the next call. */
  async refresh(tasks: readonly { id: string }[]): Promise<readonly string[]> {
    if (this.#asked.tasks !== tasks) this.#asked = { tasks, ids: tasks.map(({ id }) => id) };
    const { cursor, changed } = await this.#store.changesSince(this.#cursor, this.#asked.ids);
    for (const taskId of changed) await this.#read(taskId, null);
    this.#cursor = cursor;
    return changed;
  }

  /** Ids of the tasks that were read since the last call. */
  takeRead(): string[] {
    const ids = [...this.#readAgain];
    this.#readAgain.clear();
    return ids;
  }

  /** What is known of `tasks` now. Throws as `refresh` does. */
  async all(tasks: readonly { id: string }[]): Promise<Iterable<TaskSummaryRead>> {
    await this.refresh(tasks);
    return this.reads.values();
  }

  /** Milliseconds until the first backoff or question ends by its time. */
  pauseMs(nowMs: number): number {
    const ends = [...this.#ends.values()].map(fromIso);
    return Math.min(Number.POSITIVE_INFINITY, ...ends.filter((end) => end > nowMs).map((end) => end - nowMs + 1));
  }

  /** Reads one task again. Throws IO_ERROR, and what `gone` gives. */
  read(taskId: string): Promise<void> {
    return this.#read(taskId, this.#cursor);
  }

  async #read(taskId: string, cursor: ChangeCursor | null): Promise<void> {
    const before = this.reads.get(taskId);
    const read = summarized(await this.#store.read(taskId, { cursor }));
    // Versions only grow. A record that is gone is not one that never was: taken for new, the task would start over and over.
    if (this.#gone !== null && before !== undefined && read.version < before.version) throw this.#gone(taskId);
    this.reads.set(taskId, read);
    this.#readAgain.add(taskId);
    const { record } = read;
    if (record?.memo.fan_outs === undefined) this.parents.delete(taskId);
    else this.parents.set(taskId, read);
    const until = record && (openQuestion(record)?.expires_at ?? record.state.wake_at ?? record.state.next_eligible_at);
    if (until) this.#ends.set(taskId, until);
    else this.#ends.delete(taskId);
    if (record?.state.state === 'blocked_on_question') this.asking.add(taskId);
    else this.asking.delete(taskId);
  }
}
