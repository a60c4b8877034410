/** Which tasks may have changed, by the times of their folders: a commit changes that of the task's. */

import fs from 'node:fs';
import { ifThere, NO_PATH } from '../../lib/fs/io-errors.ts';
import type { ChangeCursor, Changes } from '../port.ts';
import { newestOf } from './protocol.ts';
import { TICK_MS } from './snapshot-cache.ts';
import type { Layout } from './tree.ts';

/** Stamps of folders: of that which holds those of tasks, and of theirs by task. */
type Stamps = ChangeCursor & { above: string | null; tasks: ReadonlyMap<string, string> };

const NO_FOLDER = 'none';

export class FolderTimes {
  readonly #layout: Layout;
  #unsettled = 0;

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  changesSince(cursor: ChangeCursor | null, taskIds: readonly string[]): Changes {
    const before = (cursor ?? { above: null, tasks: new Map() }) as Stamps;
    const above = this.#stamp(this.#layout.tasks, () => this.#unsettled++);
    // Where no folder was made or removed, tasks without one have none now: of a large plan most, for long.
    const isSame = (id: string) => above === before.above && before.tasks.get(id) === NO_FOLDER;
    const tasks = new Map(taskIds.map((id) => [id, isSame(id) ? NO_FOLDER : this.#stampOf(id)]));
    const gone = [...before.tasks.keys()].filter((id) => !tasks.has(id));
    const changed = taskIds.filter((id) => tasks.get(id) !== before.tasks.get(id));
    const next: Stamps = { above, tasks };
    return { cursor: next, changed: [...changed, ...gone] };
  }

  #stampOf(taskId: string): string {
    const folder = this.#layout.task(taskId);
    const look = () => ifThere(`looking at ${folder}`, () => newestOf(fs.readdirSync(folder)), NO_PATH) ?? 0;
    return this.#stamp(folder, look);
  }

  /** Two changes within the same tick would have the same time. So where it is of just now, what `more` says counts too. */
  #stamp(folder: string, more: () => number): string {
    const stat = fs.lstatSync(folder, { throwIfNoEntry: false });
    if (stat === undefined) return NO_FOLDER;
    const stamp = `${stat.ino}:${stat.mtimeMs}`;
    return Date.now() - stat.mtimeMs > TICK_MS ? stamp : `${stamp}:${more()}`;
  }
}
