/** Folders: made, listed and synced by Node's own calls, never through a symlink. */

import fs from 'node:fs';
import path from 'node:path';
import { isForeign } from '../errors.ts';
import { asIoError, errorCode, ifThere, NO_PATH, whileDoing } from './io-errors.ts';

/** False when it exists. */
export function makeFolder(dir: string): boolean {
  const made = ifThere(`making ${dir}`, () => fs.mkdirSync(dir, { mode: 0o700 }), ['EEXIST']) !== null;
  if (!made) refuseSymlink(dir);
  return made;
}

/**
 * Makes a folder and those above it, unless they exist. Node's own `recursive` never ends in a file system that answers ENOENT in a folder
 * that is there, such as /proc. Throws what Node throws.
 */
export function makePath(dir: string, mode = 0o700): void {
  if (fs.statSync(dir, { throwIfNoEntry: false })?.isDirectory() === true) return;
  const above = path.dirname(dir);
  if (above !== dir) makePath(above, mode);
  try {
    fs.mkdirSync(dir, { mode });
  } catch (error) {
    // Another process was first.
    if (errorCode(error) !== 'EEXIST' || !fs.statSync(dir).isDirectory()) throw error;
  }
}

/** Every symlink resolved; the path itself where that fails. */
export function realPath(place: string): string {
  try {
    return fs.realpathSync(place);
  } catch {
    return place;
  }
}

function openFolder(dir: string): number {
  return fs.openSync(dir, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY | fs.constants.O_NOFOLLOW);
}

export function syncDir(dir: string): void {
  const fd = openFolder(dir);
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** fsync, without blocking the process. */
export function synced(fd: number): Promise<void> {
  return new Promise((resolve, reject) => fs.fsync(fd, (error) => (error === null ? resolve() : reject(error))));
}

/** `syncDir`, without blocking the process. */
export async function folderSynced(dir: string): Promise<void> {
  const fd = openFolder(dir);
  await synced(fd).finally(() => fs.closeSync(fd));
}

/** The entries of `dir`; none when it does not exist. A symlink in its place is refused. `seen`: told of what is there, before it is read. Throws IO_ERROR. */
export function entriesIn(dir: string, seen?: (stat: fs.Stats) => void): fs.Dirent[] {
  const read = () => {
    // Most of these folders do not exist, and an exception costs more than the check.
    const stat = realEntry(dir);
    if (stat === undefined) return [];
    seen?.(stat);
    return fs.readdirSync(dir, { withFileTypes: true });
  };
  return ifThere(`reading ${dir}`, read, NO_PATH) ?? [];
}

/** `entriesIn`; none also for a symlink, which gc reports. Throws IO_ERROR. */
export function realEntriesIn(dir: string): fs.Dirent[] {
  try {
    return entriesIn(dir);
  } catch (error) {
    if (isForeign(error)) return [];
    throw error;
  }
}

/** Room that files below `dir` take on the disk, bytes, of at most `most` entries; `all`: there are no more. Symlinks are not followed. */
export function diskUse(dir: string, most: number): { bytes: number; all: boolean } {
  const waiting = [dir];
  let [bytes, entries] = [0, 0];
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    for (const entry of fs.readdirSync(at, { withFileTypes: true })) {
      if (++entries > most) return { bytes, all: false };
      const place = `${at}/${entry.name}`;
      if (entry.isDirectory()) waiting.push(place);
      bytes += (fs.lstatSync(place, { throwIfNoEntry: false })?.blocks ?? 0) * BLOCK_BYTES;
    }
  }
  return { bytes, all: true };
}

/** How many files, and the room that they take on the disk with their folders, bytes. */
export interface Room {
  files: number;
  bytes: number;
}

/**
 * What is at `place`, a file or a folder with all that is in it; `remove`: it is removed as it is counted. A symlink counts as itself, and is
 * never followed. Null where there is nothing, also because another process was first. Throws IO_ERROR.
 */
export function swept(place: string, { remove }: { remove: boolean }): Room | null {
  const doing = `${remove ? 'removing' : 'looking at'} ${place}`;
  const stat = whileDoing(doing, () => fs.lstatSync(place, { throwIfNoEntry: false }));
  if (stat === undefined) return null;
  const isFolder = stat.isDirectory();
  const names = isFolder ? (ifThere(doing, () => fs.readdirSync(place)) ?? []) : [];
  const inside = sumOf(names.map((name) => swept(`${place}/${name}`, { remove })));
  const remover = isFolder ? fs.rmdirSync : fs.unlinkSync;
  const isGone = remove && ifThere(doing, () => remover(place) ?? true) === null;
  if (isGone) return isFolder ? inside : null;
  return { files: inside.files + (isFolder ? 0 : 1), bytes: inside.bytes + stat.blocks * BLOCK_BYTES };
}

export function sumOf(rooms: Iterable<Room | null>): Room {
  const sum: Room = { files: 0, bytes: 0 };
  for (const room of rooms) {
    sum.files += room?.files ?? 0;
    sum.bytes += room?.bytes ?? 0;
  }
  return sum;
}

/** The unit of `blocks` in stat(2), bytes. */
const BLOCK_BYTES = 512;

export function refuseSymlink(place: string): void {
  isRealEntry(place);
}

/** Whether something exists at `place`; a symlink is refused. Throws IO_ERROR. */
export function isRealEntry(place: string): boolean {
  return realEntry(place) !== undefined;
}

function realEntry(place: string): fs.Stats | undefined {
  const stat = fs.lstatSync(place, { throwIfNoEntry: false });
  if (stat?.isSymbolicLink() !== true) return stat;
  throw asIoError(Object.assign(new Error(`ELOOP: ${place} is a symlink`), { code: 'ELOOP' }), `opening ${place}`);
}
