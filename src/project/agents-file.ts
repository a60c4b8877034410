/** AGENTS.md, a person's file that forge adds a section to: read and written whole, byte for byte. */

import fs from 'node:fs';
import path from 'node:path';
import { ForgeError } from '../lib/errors.ts';
import { asIoError, errorCode, whileDoing } from '../lib/fs/io-errors.ts';

export const AGENTS_FILE = 'AGENTS.md';

/** Limit of the file, bytes. */
const MAX_BYTES = 4 * 1024 * 1024;

export interface AgentsFile {
  /** Its real path: AGENTS.md may be a symlink, often to CLAUDE.md. */
  path: string;
  linked: boolean;
  /** One character a byte (latin1); null when there is no file. */
  text: string | null;
}

/** Throws IO_ERROR when it cannot be read, or is not a file of the project that can take a section. */
export function readAgentsFile(project: string): AgentsFile {
  const file = path.join(project, AGENTS_FILE);
  return whileDoing(`reading ${file}`, () => {
    const entry = fs.lstatSync(file, { throwIfNoEntry: false });
    if (entry === undefined) return { path: file, linked: false, text: null };
    const linked = entry.isSymbolicLink();
    const real = linked ? targetOf(file, project) : file;
    return { path: real, linked, text: textOf(real) };
  });
}

function targetOf(file: string, project: string): string {
  try {
    const target = fs.realpathSync.native(file);
    if (target.startsWith(`${fs.realpathSync.native(project)}${path.sep}`)) return target;
  } catch (error) {
    if (errorCode(error) !== 'ENOENT' && errorCode(error) !== 'ELOOP') throw error;
    throw unfit(`${file} is a symlink that leads nowhere`, 'Remove it, or make the file that it names.');
  }
  throw unfit(`${file} is a symlink that leads out of the project`, 'Put a file of the project in its place.');
}

function textOf(file: string): string {
  const stat = fs.statSync(file);
  const hint = 'Look at what is there; nothing was changed.';
  if (!stat.isFile()) throw unfit(`${file} is not a file`, hint);
  // Replacing a file with hard links would leave the other names with the old text.
  if (stat.nlink > 1) throw unfit(`${file} has another name (a hard link)`, 'Make it a file of its own, or a symlink.');
  if (stat.size > MAX_BYTES) throw unfit(`${file} has ${stat.size} bytes; at most ${MAX_BYTES} are read`, hint);
  const text = fs.readFileSync(file, 'latin1');
  if (!/^(\xff\xfe|\xfe\xff)/.test(text)) return text;
  throw unfit(`${file} is in UTF-16`, 'Save it as UTF-8, then repeat the command.');
}

function unfit(message: string, hint: string): ForgeError {
  return new ForgeError('IO_ERROR', message, { hint });
}

/**
 * Replaces the file read as `seen` by `text`, whole or not at all; null removes it. Permissions stay. Throws IO_ERROR, also when
 * the file has changed since.
 */
export function replaceAgentsFile(seen: AgentsFile, text: string | null): void {
  const tmp = `${seen.path}.${process.pid}.tmp`;
  try {
    if (text !== null) writeBeside(tmp, seen, text);
    const now = fs.existsSync(seen.path) ? textOf(seen.path) : null;
    if (now !== seen.text)
      throw unfit(`${seen.path} was changed meanwhile`, 'Repeat the command; nothing was changed by it.');
    if (text === null) fs.unlinkSync(seen.path);
    else fs.renameSync(tmp, seen.path);
  } catch (error) {
    throw asIoError(error, `writing ${seen.path}`);
  } finally {
    fs.rmSync(tmp, { force: true });
  }
}

function writeBeside(tmp: string, { path: file, text: before }: AgentsFile, text: string): void {
  fs.rmSync(tmp, { force: true });
  const fd = fs.openSync(tmp, 'wx');
  try {
    if (before !== null) fs.fchmodSync(fd, fs.statSync(file).mode & 0o7777);
    fs.writeFileSync(fd, text, 'latin1');
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
