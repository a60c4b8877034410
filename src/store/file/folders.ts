/** Folders and small files of the tree, by Node's own calls: what the commit protocol has no part in. */

import fs from 'node:fs';
import { parseRecord } from '../../domain/task/parse-record.ts';
import { RECORD_MAX_BYTES } from '../../domain/task/records.ts';
import { ForgeError } from '../../lib/errors.ts';
import { asIoError, errorCode } from '../../lib/fs/io-errors.ts';
import { readCapped } from '../../lib/fs/read.ts';
import { parseJson } from '../../lib/json.ts';

/** False when it is there already. */
export function makeFolder(dir: string): boolean {
  try {
    fs.mkdirSync(dir, { mode: 0o700 });
    return true;
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw asIoError(error, `making ${dir}`);
    refuseSymlink(dir);
    return false;
  }
}

export function asText(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

export function syncDir(dir: string): void {
  const fd = fs.openSync(dir, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** What is directly in `dir`; nothing where there is no such folder. A symlink in its place is refused. Throws IO_ERROR. */
export function entriesIn(dir: string): fs.Dirent[] {
  try {
    // Most folders that are asked for are not there, and an exception costs more than the question.
    if (!isRealEntry(dir)) return [];
    return fs.readdirSync(dir, { withFileTypes: true });
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return [];
    throw asIoError(error, `reading ${dir}`);
  }
}

export function refuseSymlink(path: string): void {
  isRealEntry(path);
}

/** Whether there is anything at `path`; a symlink is refused. Throws IO_ERROR. */
export function isRealEntry(path: string): boolean {
  const stat = fs.lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isSymbolicLink() !== true) return stat !== undefined;
  throw asIoError(Object.assign(new Error(`ELOOP: ${path} is a symlink`), { code: 'ELOOP' }), `opening ${path}`);
}

export function readValid<T>(file: string, schema: Parameters<typeof parseRecord<T>>[0]): T | null {
  let text: string;
  try {
    text = readCapped(file, RECORD_MAX_BYTES);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw asIoError(error, `reading ${file}`);
  }
  const parsed = parseRecord(schema, parseJson(text) ?? null);
  if (parsed.ok) return parsed.value;
  throw new ForgeError('SCHEMA_INVALID', `${file}: ${parsed.why}`);
}
