/** Adds a line to a file of a person, such as what a shell starts with. */

import fs from 'node:fs';
import path from 'node:path';
import { makePath } from './folders.ts';
import { ifThere, NO_PATH, whileDoing } from './io-errors.ts';

/** Most of such a file, bytes. */
const MAX_BYTES = 16 * 1024 * 1024;

/**
 * Appends `line` to the file, which is made with its folders where there is none; false, and nothing is written, where a line of it has `mark` and
 * is no comment. What is there stays as it is, also a symlink. Throws IO_ERROR.
 */
export function appendOnce(file: string, line: string, mark: string): boolean {
  const stat = ifThere(`looking at ${file}`, () => fs.statSync(file), NO_PATH);
  const text = stat === null ? '' : whileDoing(`reading ${file}`, () => textOf(file, stat));
  const isThere = text.split('\n').some((each) => each.includes(mark) && !each.trimStart().startsWith('#'));
  if (isThere) return false;
  whileDoing(`writing ${file}`, () => {
    makePath(path.dirname(file), 0o777);
    // One write, so that no half line is left, and no other program's is lost.
    fs.appendFileSync(file, `${text === '' || text.endsWith('\n') ? '' : '\n'}${line}\n`);
  });
  return true;
}

function textOf(file: string, stat: fs.Stats): string {
  const isFit = stat.isFile() && stat.size <= MAX_BYTES;
  if (isFit) return fs.readFileSync(file, 'utf8');
  throw Object.assign(new Error(`EINVAL: ${file} is not a file of that kind`), { code: 'EINVAL' });
}
