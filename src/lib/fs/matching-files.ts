/** Finds the files of a folder that globs match, and says what is in them. */

import fs from 'node:fs';
import path from 'node:path';
import { newSha256, sha256 } from '../digest.ts';
import { type Glob, globsOf, matches } from '../globs/globs.ts';
import { textBeforeWildcards } from '../globs/syntax.ts';
import { once } from '../once.ts';
import { errorCode } from './io-errors.ts';

/** Folders that no wildcard goes into: a glob has to name them. */
const SKIPPED = ['.git', '.forge', 'node_modules'];

export interface MatchingFile {
  /** From the folder, with `/`. */
  path: string;
  kind: 'file' | 'executable' | 'link';
  bytes: number;
}

/**
 * Files and symbolic links below `folder` that one of `globs` matches and none behind a `!`, in order of their paths. Links are not followed. Throws
 * what the calls throw.
 */
export function matchingFiles(folder: string, globs: readonly string[]): MatchingFile[] {
  const found = new Map<string, MatchingFile>();
  const without = globsOf(globs.flatMap((source) => (source.startsWith('!') ? [source.slice(1)] : [])));
  for (const source of globs.filter((source) => !source.startsWith('!'))) {
    const base = textBeforeWildcards(source);
    const start = base.includes('/') ? base.slice(0, base.lastIndexOf('/')) : '';
    const skipped = SKIPPED.filter((name) => !source.split(/[/{},]/).includes(name));
    for (const file of below(folder, start, { globs: globsOf([source]), base, skipped })) found.set(file.path, file);
  }
  const left = [...found.values()].filter((file) => !without.some((glob) => matches(glob, file.path)));
  return left.sort((a, b) => (a.path < b.path ? -1 : 1));
}

interface Wanted {
  globs: readonly Glob[];
  base: string;
  skipped: readonly string[];
}

function* below(folder: string, at: string, wanted: Wanted): Generator<MatchingFile> {
  let entries: fs.Dirent[];
  try {
    entries = fs.readdirSync(path.join(folder, at), { withFileTypes: true });
  } catch (error) {
    // What is not there, or is a file, has none; neither has what is removed meanwhile.
    if (['ENOENT', 'ENOTDIR'].includes(errorCode(error))) return requireSpelled(folder, at);
    throw error;
  }
  for (const entry of entries) {
    const name = at === '' ? entry.name : `${at}/${entry.name}`;
    if (entry.isDirectory()) {
      const mayHave = name.startsWith(wanted.base) || `${wanted.base}/`.startsWith(`${name}/`);
      if (mayHave && !wanted.skipped.includes(entry.name)) yield* below(folder, name, wanted);
    } else if (entry.isFile() || entry.isSymbolicLink()) {
      if (!wanted.globs.some((glob) => matches(glob, name))) continue;
      const stat = fs.lstatSync(path.join(folder, name), { throwIfNoEntry: false });
      if (stat === undefined) requireSpelled(folder, name);
      const kind = stat === undefined ? null : kindOf(stat);
      if (stat !== undefined && kind !== null) yield { path: name, kind, bytes: stat.size };
    }
  }
}

/** What is not there was removed meanwhile, unless its name can't be spelled: then its content would not count. Throws for that. */
function requireSpelled(folder: string, name: string): void {
  if (path.basename(name).includes('\ufffd')) throw new Error(`the name of ${path.join(folder, name)} is not UTF-8`);
}

/** Null for what is neither a file nor a symbolic link. */
export function kindOf(stat: fs.Stats): MatchingFile['kind'] | null {
  if (stat.isSymbolicLink()) return 'link';
  if (!stat.isFile()) return null;
  return (stat.mode & 0o100) !== 0 ? 'executable' : 'file';
}

/** Read at once, bytes. */
const CHUNK = 1024 * 1024;

/** For one read at a time: a large buffer a file would keep the garbage collector busy. */
const chunk = once(() => Buffer.allocUnsafe(CHUNK));

/** Hexadecimal SHA-256 of what is in a file, or of where a symbolic link points. Throws what the calls throw. */
export function digestOf(file: string, kind: MatchingFile['kind']): string {
  if (kind === 'link') return sha256(fs.readlinkSync(file));
  const handle = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
  try {
    const digest = newSha256();
    const buffer = chunk();
    for (let read = fs.readSync(handle, buffer); read > 0; read = fs.readSync(handle, buffer))
      digest.update(buffer.subarray(0, read));
    return digest.hex();
  } finally {
    fs.closeSync(handle);
  }
}
