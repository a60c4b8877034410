/**
 * AGENTS.md, a person's file that forge adds a section to, which tells an agent how to take part. It is read and written whole, and
 * handled as text of one character a byte (latin1), so that any content survives.
 */

import fs from 'node:fs';
import path from 'node:path';
import { ForgeError } from '../lib/errors.ts';
import { errorCode, whileDoing } from '../lib/fs/io-errors.ts';
import { createFile } from '../lib/fs/new-file.ts';
import { readBytes } from '../lib/fs/read.ts';
import { shippedText } from './build.ts';

export const AGENTS_FILE = 'AGENTS.md';

/** Limit of the file, bytes. */
const MAX_BYTES = 4 * 1024 * 1024;

export interface AgentsFile {
  /** Its real path: AGENTS.md may be a symlink, often to CLAUDE.md. */
  path: string;
  linked: boolean;
  /** Null when there is no file. */
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
  const text = readBytes(file, MAX_BYTES, { follow: true }).toString('latin1');
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
  whileDoing(`writing ${seen.path}`, () => {
    try {
      if (text !== null) {
        fs.rmSync(tmp, { force: true });
        const mode = seen.text === null ? null : fs.statSync(seen.path).mode & 0o7777;
        createFile(tmp, Buffer.from(text, 'latin1'), { mode: mode ?? 0o666, flush: true });
        // That of a new file is less what the umask takes away.
        if (mode !== null) fs.chmodSync(tmp, mode);
      }
      const now = fs.existsSync(seen.path) ? textOf(seen.path) : null;
      if (now !== seen.text) {
        throw unfit(`${seen.path} was changed meanwhile`, 'Repeat the command; nothing was changed by it.');
      }
      if (text === null) fs.unlinkSync(seen.path);
      else fs.renameSync(tmp, seen.path);
    } finally {
      fs.rmSync(tmp, { force: true });
    }
  });
}

// --- the section -----------------------------------------------------------------------------------------------------

type Eol = '\n' | '\r\n';

/** The section with these line ends, including the last line's. It is ASCII, so that it fits into any encoding but UTF-16. */
export function agentsSection(eol: Eol): string {
  return shippedText('templates/AGENTS.md').replaceAll('\n', eol);
}

/** Where a file has the section. */
export type Located =
  | { kind: 'none' }
  /** From the first character of its first line to the end of its last line; `own`: it is exactly as forge writes it. */
  | { kind: 'found'; start: number; end: number; eol: Eol; own: boolean }
  /** The markers are not one pair. Lines count from 1. */
  | { kind: 'unclear'; why: string };

/** A marker counts only on a line of its own. */
export function locateSection(text: string): Located {
  const marks = [...text.matchAll(/^<!-- forge:(begin|end) -->[ \t]*(\r?\n|\r?(?![\s\S]))/gm)];
  const [begin, end, more] = marks;
  if (begin === undefined) return { kind: 'none' };
  if (begin[1] !== 'begin' || end === undefined || end[1] !== 'end' || more !== undefined) {
    const lines = marks.map((mark) => `forge:${mark[1]} in line ${text.slice(0, mark.index).split('\n').length}`);
    return { kind: 'unclear', why: lines.join(', ') };
  }
  const eol = begin[2] === '\r\n' ? '\r\n' : '\n';
  const stop = end.index + end[0].length;
  const found = text.slice(begin.index, stop);
  const section = agentsSection(eol);
  const own = found === section || found === section.slice(0, -eol.length);
  return { kind: 'found', start: begin.index, end: stop, eol, own };
}

/**
 * `text` with the section: in its place, or else at the end, after an empty line. A file that is all section has nothing before
 * it, so `withoutSection` can tell a file that did not exist (null) from an empty one.
 */
export function withSection(text: string | null, located: Located): string {
  if (text === null) return agentsSection('\n');
  if (located.kind === 'found') {
    return text.slice(0, located.start) + agentsSection(located.eol) + text.slice(located.end);
  }
  const eol = /^[^\n]*\r\n/.test(text) ? '\r\n' : '\n';
  return text + eol + agentsSection(eol);
}

/** The text before `withSection`; null when there was no file. Text that was added around the section since stays. */
export function withoutSection(text: string, located: Located): string | null {
  if (located.kind !== 'found') return text;
  const before = text.slice(0, located.start);
  const after = text.slice(located.end);
  if (before === '' && after === '') return null;
  return (before.endsWith(located.eol) ? before.slice(0, -located.eol.length) : before) + after;
}
