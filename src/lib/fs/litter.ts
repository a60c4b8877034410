/** Temporary files that a killed process has left behind. */

import fs from 'node:fs';
import { ifThere, NO_PATH } from './io-errors.ts';

/** No writer needs that long for one file, milliseconds. */
const ABANDONED_MS = 3_600_000;

/** Whether the temporary file at `path` is left over: its writer `isGone`, or it has not changed for an hour. */
export function isLeft(path: string, nowMs: number, isGone: boolean): boolean {
  const stat = fs.lstatSync(path, { throwIfNoEntry: false });
  return stat?.isFile() === true && (isGone || stat.mtimeMs < nowMs - ABANDONED_MS);
}

/** False when it is gone already. Throws IO_ERROR. */
export function removeLeft(path: string): boolean {
  return ifThere(`removing ${path}`, () => fs.unlinkSync(path), NO_PATH) !== null;
}
