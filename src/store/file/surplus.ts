/** Removes from the tree what `gc --prune` says that nothing has a use for: parts of tasks, and whole tasks. */

import fs from 'node:fs';
import path from 'node:path';
import type { InUse } from '../../domain/gc/surplus.ts';
import type { Driver } from '../../lib/fs/drivers.ts';
import {
  entriesIn,
  isRealEntry,
  makePath,
  type Room,
  refuseSymlink,
  sumOf,
  swept,
  syncDir,
} from '../../lib/fs/folders.ts';
import { asIoError, ifThere, whileDoing } from '../../lib/fs/io-errors.ts';
import type { Step } from '../../lib/fs/operations.ts';
import * as io from '../../lib/fs/operations.ts';
import { readCapped } from '../../lib/fs/read.ts';
import { fileNameOf, isUuid } from '../../lib/ids.ts';
import type { Surplus } from '../port.ts';
import { compact } from './protocol.ts';
import { versionNumber } from './record-file.ts';
import { HISTORY, HISTORY_MAX_BYTES } from './task-files.ts';
import { type Layout, replaceIn } from './tree.ts';

/** What an attempt may have been asked and answered is for every later attempt. */
const FOR_LATER = ['questions', 'answers'];

/** Lines of a history that are kept, once it has more than twice as many. */
const HISTORY_LINES = 50;

/** Of most file systems. */
const BLOCK_BYTES = 4096;

/** Nothing is there, or another gc has put something there. */
const NOT_EMPTY = ['ENOENT', 'ENOTEMPTY', 'EEXIST'];

/** Limit of moves into a folder that others remove. */
const MOVE_TRIES = 20;

export class SurplusFiles {
  protected readonly layout: Layout;
  readonly #run: Driver;

  constructor(layout: Layout, run: Driver) {
    this.layout = layout;
    this.#run = run;
  }

  surplus(taskId: string, inUse: InUse): Surplus {
    const { attempts, chunks, versions } = this.#found(taskId, inUse);
    const rooms = [...attempts, ...chunks, ...versions].map((place) => swept(place, { remove: false }));
    return { attempts: attempts.length, ...sumOf([...rooms, this.#shortenHistory(taskId, inUse, null)]) };
  }

  async removeSurplus(taskId: string, inUse: InUse, op: string): Promise<Surplus> {
    const { attempts, chunks, versions } = this.#found(taskId, inUse);
    const rooms = chunks.map((place) => swept(place, { remove: true }));
    rooms.push(this.#throwAway(attempts, op));
    const compacted = sumOf(versions.map((place) => swept(place, { remove: false })));
    if (versions.length > 0) await this.#compacted(taskId, inUse.version);
    rooms.push(compacted, this.#shortenHistory(taskId, inUse, op));
    return { attempts: attempts.length, ...sumOf(rooms) };
  }

  /**
   * What a history has of claims long ago goes: a task that waits often is claimed often. `op` names this try; null: it only says what would
   * go. A line that another process adds meanwhile may be lost.
   */
  #shortenHistory(taskId: string, { history }: InUse, op: string | null): Room | null {
    if (history) return null;
    const file = `${this.layout.task(taskId)}/${HISTORY}`;
    const text = ifThere(`reading ${file}`, () => readCapped(file, HISTORY_MAX_BYTES)) ?? '';
    const kept = shortened(text);
    if (kept === null) return null;
    if (op !== null) replaceIn(file, kept, op);
    return { files: 0, bytes: Math.max(0, roomOf(text) - roomOf(kept)) };
  }

  async #compacted(taskId: string, version: number): Promise<void> {
    try {
      await this.#run(onlyNewest(this.layout.task(taskId), version));
    } catch (error) {
      throw asIoError(error, `removing old versions of task ${taskId}`);
    }
  }

  roomOf(taskIds: readonly string[]): Room {
    return sumOf(taskIds.map((id) => swept(this.layout.task(id), { remove: false })));
  }

  removeTasks(taskIds: readonly string[], op: string): Room {
    const room = this.#throwAway(
      taskIds.map((id) => this.layout.task(id)),
      op,
    );
    for (const id of taskIds) swept(`${this.layout.fanOuts}/${fileNameOf(id)}`, { remove: true });
    return room;
  }

  /** Paths. */
  #found(taskId: string, inUse: InUse): { attempts: string[]; chunks: string[]; versions: string[] } {
    const task = this.layout.task(taskId);
    refuseSymlink(task);
    const folder = `${task}/attempts`;
    const ids = entriesIn(folder).flatMap((entry) => (entry.isDirectory() && isUuid(entry.name) ? [entry.name] : []));
    const isKept = (id: string) =>
      inUse.attempt(id) || FOR_LATER.some((name) => fs.existsSync(`${folder}/${id}/${name}`));
    const [kept, attempts] = [ids.filter(isKept), ids.filter((id) => !isKept(id))];
    const chunks = kept.flatMap((id) =>
      entriesIn(`${folder}/${id}/steps`).flatMap(({ name }) => {
        const chunk = name.replace(/\.json$/, '');
        return isUuid(chunk) && chunk !== name && !inUse.chunk(chunk) ? [`${folder}/${id}/steps/${name}`] : [];
      }),
    );
    const versions = entriesIn(task).flatMap(({ name }) =>
      (versionNumber(name) ?? inUse.version) < inUse.version ? [name] : [],
    );
    return {
      attempts: attempts.map((id) => `${folder}/${id}`),
      chunks,
      versions: versions.map((name) => `${task}/${name}`),
    };
  }

  /**
   * Each folder leaves its place whole, and durably so, before the first of its files goes: a half of it is never read. What a killed call has
   * left in the trash goes as well.
   */
  #throwAway(folders: readonly string[], op: string): Room {
    const { trash } = this.layout;
    if (folders.length > 0) {
      for (const folder of folders) this.#moveTo(`${trash}/${op}`, folder);
      for (const dir of new Set(folders.map((folder) => path.dirname(folder))))
        whileDoing(`syncing ${dir}`, () => syncDir(dir));
    }
    const room = emptied(`${trash}/${op}`);
    this.emptyTrash();
    return room;
  }

  emptyTrash(): void {
    const { trash } = this.layout;
    if (!isRealEntry(trash)) return;
    emptied(trash);
    ifThere(`removing ${trash}`, () => fs.rmdirSync(trash), NOT_EMPTY);
  }

  /** Another gc may empty the trash meanwhile. */
  #moveTo(target: string, folder: string): void {
    for (let left = MOVE_TRIES; left > 0 && isRealEntry(folder); left--) {
      refuseSymlink(path.dirname(target));
      const moved = ifThere(`removing ${folder}`, () => {
        makePath(target);
        fs.renameSync(folder, `${target}/${path.basename(folder)}`);
        return true;
      });
      if (moved) return;
    }
  }
}

/** Removes all that is in a folder. */
function emptied(dir: string): Room {
  return sumOf(entriesIn(dir).map(({ name }) => swept(`${dir}/${name}`, { remove: true })));
}

/** The last lines of a history that is much longer, and those of removals, by which a missing log is explained. Null: it stays. */
function shortened(history: string): string | null {
  const lines = history.split('\n').filter((line) => line !== '');
  if (lines.length <= 2 * HISTORY_LINES) return null;
  const last = lines.length - HISTORY_LINES;
  const kept = lines.filter((line, at) => at >= last || line.includes('"event":"pruned"'));
  return kept.map((line) => `\n${line}`).join('');
}

/** Of a file with this text, bytes, where room is given out in blocks of this size. */
function roomOf(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / BLOCK_BYTES) * BLOCK_BYTES;
}

/** Another process may have made the version, and died before it was durable. */
function* onlyNewest(dir: string, version: number): Step<void> {
  yield* io.syncDir(dir);
  yield* compact(dir, version, { kept: 1, compactAt: 0 });
}
