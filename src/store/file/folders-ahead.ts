/** Folders of tasks that are about to get their first version: many are made at once, and their names are durable by one sync. */

/** More would save little. A run that is stopped leaves as many empty folders, which say nothing of a task. */
const MOST = 32;

export class FoldersAhead {
  readonly #folderOf: (taskId: string) => string;
  readonly #made = new Set<string>();
  /** Ids of the tasks whose first versions this process is to commit, in about that order. */
  next: () => Iterable<string> = () => [];

  constructor(folderOf: (taskId: string) => string) {
    this.#folderOf = folderOf;
  }

  /** Those to be made together with `dir`. */
  besides(dir: string): string[] {
    const others: string[] = [];
    for (const taskId of this.next()) {
      if (others.length === MOST - 1) break;
      const other = this.#folderOf(taskId);
      if (other !== dir && !this.#made.has(other)) others.push(other);
    }
    return others;
  }

  /** Folders whose names are durable. */
  made(dirs: readonly string[]): void {
    for (const dir of dirs) this.#made.add(dir);
  }

  /** Whether `dir` was made ahead. That counts once, and not when it had to be made again. */
  take(dir: string): boolean {
    return this.#made.delete(dir);
  }
}
