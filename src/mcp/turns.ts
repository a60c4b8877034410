/** Work under one name is done one at a time; work under different names is not. */

export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  /** How many names have work. */
  get size(): number {
    return this.#last.size;
  }

  /** Does `work` after what was begun under this name before, however that ended. */
  async take<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(name);
    const mine = (async () => {
      await before?.catch(() => {});
      return work();
    })();
    this.#last.set(name, mine);
    try {
      return await mine;
    } finally {
      if (this.#last.get(name) === mine) this.#last.delete(name);
    }
  }
}
