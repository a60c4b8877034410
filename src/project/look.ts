/** Looks at places on the way to a project. */

import fs from 'node:fs';
import path from 'node:path';
import { ifThere, NO_PATH } from '../lib/fs/io-errors.ts';

export function isFolder(place: string): boolean {
  return lookAt(place)?.isDirectory() ?? false;
}

export function isFile(place: string): boolean {
  return lookAt(place)?.isFile() ?? false;
}

/** Codes of a path that leads nowhere, or that this user may not see: a search upwards passes it. */
const UNSEEN = [...NO_PATH, 'EACCES', 'EPERM', 'ELOOP', 'ENAMETOOLONG'];

/** What is at `place`; undefined also when it cannot be seen, as in another user's folder. Throws IO_ERROR when that can't be known. */
export function lookAt(place: string): fs.Stats | undefined {
  return ifThere(`looking at ${place}`, () => fs.statSync(place, { throwIfNoEntry: false }), UNSEEN) ?? undefined;
}

/** Whether both paths lead to one thing that is there. Throws IO_ERROR. */
export function isSame(one: string, other: string): boolean {
  const [a, b] = [lookAt(one), lookAt(other)];
  return a !== undefined && b !== undefined && a.dev === b.dev && a.ino === b.ino;
}

/** The nearest folder from `dir` upwards that seems to be a checkout of git; null when there is none. */
export function checkoutAround(dir: string): string | null {
  if (lookAt(`${dir}/.git`) !== undefined) return dir;
  const above = path.dirname(dir);
  return above === dir ? null : checkoutAround(above);
}
