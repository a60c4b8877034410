/**
 * Which tasks may have changed, by the times of their folders: a commit changes that of the task's, unless it only adds a line to the newest version's
 * file. What an attempt adds to its journal is no change to those who ask here.
 */

import fs from 'node:fs';
import { isSettled } from '../../lib/fs/file-times.ts';
import { ifThere, NO_PATH } from '../../lib/fs/io-errors.ts';
import type { ChangeCursor, Changes } from '../port.ts';
import { newestOf } from './protocol.ts';
import type { Layout } from './tree.ts';

/** What is known of the folders; one for all cursors that follow from one another, since a large plan has thousands. */
interface Stamps {
  /** The number of the last look. */
  look: number;
  /** Of the folder that holds those of tasks. */
  above: Stamp | null;
  tasks: Map<string, Stamp>;
  /** The tasks that the last look was asked about, and those of them that have a folder. */
  asked: readonly string[];
  present: readonly string[];
}

/** `look`: the one that it was given for. */
type Cursor = ChangeCursor & { stamps: Stamps; look: number };

interface Stamp {
  /** 0: there is no folder; `GONE`: the task is not asked about any more. */
  inode: number;
  mtimeMs: number;
  /** Tells apart changes within a tick; null for a change before that. */
  more: number | null;
  /** The look that has found it changed last. */
  look: number;
}

export class FolderTimes {
  readonly #layout: Layout;
  #unsettled = 0;

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  changesSince(cursor: ChangeCursor | null, taskIds: readonly string[]): Changes {
    const { stamps, look: since } = (cursor ?? {
      stamps: { look: 0, above: null, tasks: new Map(), asked: [], present: [] },
      look: 0,
    }) as Cursor;
    const { tasks } = stamps;
    const isNext = since === stamps.look;
    const look = ++stamps.look;
    const above = this.#stampOf(this.#layout.tasks, stamps.above, look, () => this.#unsettled++);
    const changed: string[] = [];
    const present: string[] = [];
    // Where no folder was made or removed, tasks without one have none now: of a large plan most, for long.
    const isSame = above === stamps.above;
    for (const id of isSame && isNext && taskIds === stamps.asked ? stamps.present : taskIds) {
      const known = tasks.get(id);
      const before = known ?? NEVER_THERE;
      const now = isSame && before.inode === 0 ? before : this.#stampOfTask(id, before, look);
      if (now !== known) tasks.set(id, now);
      if (now.look > since) changed.push(id);
      if (now.inode !== 0) present.push(id);
    }
    // Not before all are looked at: a look that throws is made again.
    Object.assign(stamps, { above, asked: taskIds, present });
    return { cursor: { stamps, look } as Cursor, changed: [...changed, ...this.#gone(stamps, taskIds, look, since)] };
  }

  /** To be called before a task is read. What it returns is to be called with the number of the newest file: the read is then no change since `cursor`. */
  reading(cursor: ChangeCursor, taskId: string): (newest: number) => void {
    const { stamps, look } = cursor as Cursor;
    const { inode, mtimeMs, isSettled } = timeOf(this.#layout.task(taskId));
    return (newest) => void stamps.tasks.set(taskId, { inode, mtimeMs, more: isSettled ? null : newest, look });
  }

  /** Tasks that are not asked about any more. */
  #gone({ tasks }: Stamps, taskIds: readonly string[], look: number, since: number): string[] {
    if (tasks.size === taskIds.length) return [];
    const named = new Set(taskIds);
    return [...tasks].flatMap(([id, { inode, look: found }]) => {
      if (named.has(id)) return [];
      if (inode !== GONE) tasks.set(id, { inode: GONE, mtimeMs: 0, more: null, look });
      return inode !== GONE || found > since ? [id] : [];
    });
  }

  #stampOfTask(taskId: string, before: Stamp, look: number): Stamp {
    const folder = this.#layout.task(taskId);
    const newest = () => ifThere(`looking at ${folder}`, () => newestOf(fs.readdirSync(folder)), NO_PATH) ?? 0;
    return this.#stampOf(folder, before, look, newest);
  }

  /** `before` where it is the same. Two changes within the same tick would have the same time. So where it is of just now, what `more` says counts too. */
  #stampOf(folder: string, before: Stamp | null, look: number, more: () => number): Stamp {
    const { inode, mtimeMs, isSettled } = timeOf(folder);
    const now: Stamp = { inode, mtimeMs, more: isSettled ? null : more(), look };
    const isSame = before?.inode === inode && before.mtimeMs === mtimeMs && before.more === now.more;
    return isSame ? before : now;
  }
}

/** `isSettled`: a change that comes now has another time. */
function timeOf(folder: string): { inode: number; mtimeMs: number; isSettled: boolean } {
  const stat = fs.lstatSync(folder, { throwIfNoEntry: false });
  const { ino: inode, mtimeMs } = stat ?? NO_FOLDER;
  // In what is no folder nothing changes.
  return { inode, mtimeMs, isSettled: stat?.isDirectory() !== true || isSettled(mtimeMs, Date.now()) };
}

const GONE = -1;
const NO_FOLDER = { ino: 0, mtimeMs: 0 };
/** A plan has thousands of tasks that nothing has happened to: none of them is read. */
const NEVER_THERE: Stamp = { inode: 0, mtimeMs: 0, more: null, look: 0 };
