/** The records of a run's tasks; each is read again only when it may have changed. */

import type { ChangeCursor, TaskRead, TaskStore } from '../../store/port.ts';

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

  /** Reads one task again. Throws IO_ERROR. */
  async read(taskId: string): Promise<void> {
    this.reads.set(taskId, await this.#store.read(taskId));
  }
}
