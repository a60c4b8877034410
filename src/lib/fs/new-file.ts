/** New files that never replace existing ones. */

import fs from 'node:fs';
import path from 'node:path';
import { asIoError, errorCode } from './io-errors.ts';

/** Writes a new file, with the folders above it; false when it exists, which leaves it unchanged. */
export function writeNew(file: string, text: string): boolean {
  try {
    if (fs.lstatSync(file, { throwIfNoEntry: false }) !== undefined) return false;
    fs.mkdirSync(path.dirname(file), { recursive: true });
    // Written under another name and linked, so that the file is never seen incomplete and concurrent writers do not mix.
    const tmp = `${file}.${process.pid}.tmp`;
    fs.rmSync(tmp, { force: true });
    fs.writeFileSync(tmp, text, { flag: 'wx' });
    try {
      return linked(tmp, file);
    } finally {
      fs.unlinkSync(tmp);
    }
  } catch (error) {
    throw asIoError(error, `writing ${file}`);
  }
}

function linked(from: string, to: string): boolean {
  try {
    fs.linkSync(from, to);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}
