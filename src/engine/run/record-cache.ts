/** The records of a run's tasks; each is read again only when it may have changed. */

import { ForgeError } from '../../lib/errors.ts';
import type { ChangeCursor, TaskRead, TaskStore } from '../../store/port.ts';

/** State that was committed is not there any more. */
export class StateGone extends ForgeError {
  readonly #taskId: string;

  /** `suspects`: what was being worked on. */
  constructor(taskId: string, suspects: readonly string[] = []) {
    const by = suspects.length === 0 ? '' : `; at work: ${suspects.join(', ')}`;
    super('IO_ERROR', `the state of task ${taskId} was removed while this run was using it${by}`, {
      hint: 'Commands that clear a folder remove it too, such as `git clean -fdx` or `rm -rf .forge`. Keep workers from that, then run again; what was removed is not known to have been done.',
    });
    this.#taskId = taskId;
  }

  with(suspects: readonly string[]): StateGone {
    return new StateGone(this.#taskId, suspects);
  }
}

export class RecordCache {
  readonly reads = new Map<string, TaskRead>();
  readonly #store: TaskStore;
  #cursor: ChangeCursor | null = null;

  constructor(store: TaskStore) {
    this.#store = store;
  }

  /** Reads what has changed of `tasks` since the last call. Throws IO_ERROR; what was not read then is read by the next call. */
  async refresh(tasks: readonly { id: string }[]): Promise<void> {
    const ids = tasks.map(({ id }) => id);
    const { cursor, changed } = await this.#store.changesSince(this.#cursor, ids);
    for (const taskId of changed) await this.read(taskId);
    this.#cursor = cursor;
  }

  /** Reads one task again. Throws IO_ERROR, StateGone. */
  async read(taskId: string): Promise<void> {
    const before = this.reads.get(taskId);
    const read = await this.#store.read(taskId);
    // Versions only grow. A record that is gone is not one that never was: taken for new, the task would start over and over.
    if (before !== undefined && read.version < before.version) throw new StateGone(taskId);
    this.reads.set(taskId, read);
  }
}
