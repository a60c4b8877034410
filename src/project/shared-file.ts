/**
 * Files of a person that forge adds something to: AGENTS.md, CLAUDE.md, settings of an agent. Each is read and written whole, and handled
 * as text of one character a byte (latin1), so that any content survives.
 */

import fs from 'node:fs';
import path from 'node:path';
import { ForgeError } from '../lib/errors.ts';
import { errorCode, ifThere, whileDoing } from '../lib/fs/io-errors.ts';
import { createFile, makeFolders } from '../lib/fs/new-file.ts';
import { readBytes } from '../lib/fs/read.ts';

/** Limit of the file, bytes. */
const MAX_BYTES = 4 * 1024 * 1024;

export interface SharedFile {
  /** Relative to the project folder. */
  name: string;
  /** Its real path: it may be a symlink, as AGENTS.md often is to CLAUDE.md. */
  path: string;
  linked: boolean;
  /** Null when there is no file. */
  text: string | null;
}

/** Throws IO_ERROR when it cannot be read, or is not a file of the project that can be added to. */
export function readSharedFile(project: string, name: string): SharedFile {
  const file = path.join(project, name);
  return whileDoing(`reading ${file}`, () => {
    refuseLinkedFolder(project, name);
    const entry = fs.lstatSync(file, { throwIfNoEntry: false });
    if (entry === undefined) return { name, path: file, linked: false, text: null };
    const linked = entry.isSymbolicLink();
    const real = linked ? targetOf(file, project) : file;
    return { name, path: real, linked, text: textIn(real) };
  });
}

/** A folder on the way that is a symlink may lead anywhere. */
function refuseLinkedFolder(project: string, name: string): void {
  const parts = path.dirname(name).split('/');
  for (const [at] of parts.entries()) {
    const folder = path.join(project, ...parts.slice(0, at + 1));
    if (fs.lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() === false)
      throw unfit(`${folder} is not a folder`, 'Put a folder of the project in its place.');
  }
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

/** Null where there is no file. */
function textIn(file: string): string | null {
  return ifThere(`reading ${file}`, () => textOf(file));
}

function textOf(file: string): string {
  const stat = fs.statSync(file);
  const hint = 'Look at what is there; nothing was changed.';
  if (!stat.isFile()) throw unfit(`${file} is not a file`, hint);
  // Replacing a file with hard links would leave the other names with the old text.
  if (stat.nlink > 1) throw unfit(`${file} has another name (a hard link)`, 'Make it a file of its own, or a symlink.');
  if (stat.size > MAX_BYTES) throw unfit(`${file} has ${stat.size} bytes; at most ${MAX_BYTES} are read`, hint);
  const text = readBytes(file, MAX_BYTES, { follow: true }).toString('latin1');
  if (!/^(\xff\xfe|\xfe\xff)/.test(text)) return text;
  throw unfit(`${file} is in UTF-16`, 'Save it as UTF-8, then repeat the command.');
}

function unfit(message: string, hint: string): ForgeError {
  return new ForgeError('IO_ERROR', message, { hint });
}

/**
 * Replaces the file read as `seen` by `text`, whole or not at all; null removes it. Permissions stay. False, and nothing is changed, where
 * another process has changed the file since. Throws IO_ERROR.
 */
export function replaceSharedFile(project: string, seen: SharedFile, text: string | null): boolean {
  const tmp = `${seen.path}.${process.pid}.tmp`;
  return whileDoing(`writing ${seen.path}`, () => {
    try {
      if (text !== null) {
        makeFolders(project, path.dirname(seen.name));
        fs.rmSync(tmp, { force: true });
        const { mode } = fs.statSync(seen.path, { throwIfNoEntry: false }) ?? {};
        createFile(tmp, Buffer.from(text, 'latin1'), { mode: (mode ?? 0o666) & 0o7777, flush: true });
        // That of a new file is less what the umask takes away.
        if (mode !== undefined) fs.chmodSync(tmp, mode & 0o7777);
      }
      const now = textIn(seen.path);
      if (now !== seen.text) return now === null && text === null;
      // Two may remove it.
      if (text === null) ifThere(`removing ${seen.path}`, () => fs.unlinkSync(seen.path));
      else fs.renameSync(tmp, seen.path);
      return true;
    } finally {
      fs.rmSync(tmp, { force: true });
    }
  });
}
