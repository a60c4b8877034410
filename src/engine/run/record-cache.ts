/** Records that are looked at again and again: each is read anew only when it may have changed. */

import type { TaskRead, TaskStore } from '../../store/port.ts';

export class RecordCache {
  readonly reads = new Map<string, TaskRead>();
  readonly #stamps = new Map<string, string>();
  readonly #store: TaskStore;

  constructor(store: TaskStore) {
    this.#store = store;
  }

  /** Throws IO_ERROR. */
  async look(taskId: string): Promise<void> {
    const stamp = await this.#store.stamp(taskId);
    if (this.#stamps.get(taskId) === stamp) return;
    this.reads.set(taskId, await this.#store.read(taskId));
    this.#stamps.set(taskId, stamp);
  }
}
