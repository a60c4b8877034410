/** Files that a person writes: those passed to a command by path, and the conventions of a project. */

import fs from 'node:fs';
import path from 'node:path';
import { ForgeError } from '../lib/errors.ts';
import { makePath } from '../lib/fs/folders.ts';
import { errorCode, whyUnread } from '../lib/fs/io-errors.ts';
import { replaceFile } from '../lib/fs/new-file.ts';
import { readCapped, readFrom } from '../lib/fs/read.ts';
import { locateSection, withoutSection } from './agents-file.ts';
import { isFolder } from './look.ts';

/** Text of a file named by `flag`. Throws INVALID_ARGS when it cannot be read or has more than `maxBytes`. */
export function readUserFile(path: string, flag: string, maxBytes: number): string {
  try {
    return readCapped(path, maxBytes);
  } catch (error) {
    const why = whyUnread(error, maxBytes) ?? String(error);
    throw new ForgeError('INVALID_ARGS', `${flag} ${path}: ${why}`, { cause: error });
  }
}

/** Files with conventions, in order; the first with content counts. */
export const CONVENTION_FILES = ['AGENTS.md', 'CLAUDE.md'] as const;

/**
 * The conventions of the first of `roots` that has any: the file's name and its text, at most the first 64 KiB. Null when there
 * are none, or none can be read. A symlink is followed only to a regular file below the same root.
 */
export function readConventions(roots: readonly string[]): Conventions | null {
  for (const root of roots) {
    for (const file of CONVENTION_FILES) {
      const found = conventionsIn(file, textBelow(root, file));
      if (found !== null) return found;
    }
  }
  return null;
}

export interface Conventions {
  /** Its name. */
  file: string;
  text: string;
}

/** Null when there is nothing in it but forge's section, which is for agents without a task: prompts have the same for their own. */
export function conventionsIn(file: string, whole: string): Conventions | null {
  const text = withoutSection(whole, locateSection(whole)) ?? '';
  return text.trim() === '' ? null : { file, text };
}

/** Empty when it cannot be read, or is not below `root`. */
function textBelow(root: string, name: string): string {
  try {
    // Most projects have one of them, and a real path is asked for part by part.
    if (fs.lstatSync(path.join(root, name), { throwIfNoEntry: false }) === undefined) return '';
    const file = fs.realpathSync.native(path.join(root, name));
    return file.startsWith(`${fs.realpathSync.native(root)}${path.sep}`) ? readFrom(file, 0).text : '';
  } catch {
    return '';
  }
}

/** Limit of chained symlinks. Source: MAXSYMLINKS of Linux, path_resolution(7). */
const LINKS_MAX = 40;

/** The real path of an absolute path, with symlinks resolved, also for a path that does not exist yet. */
export function realPlace(absolute: string, links = LINKS_MAX): string {
  try {
    return fs.realpathSync.native(absolute);
  } catch {
    const above = path.dirname(absolute);
    if (above === absolute) return absolute;
    const place = path.join(realPlace(above, links), path.basename(absolute));
    try {
      if (links > 0) return realPlace(path.resolve(path.dirname(place), fs.readlinkSync(place)), links - 1);
    } catch {
      // It is not a symlink.
    }
    return place;
  }
}

export function isThere(path: string): boolean {
  return fs.existsSync(path);
}

/** Writes a file named by `flag`, and overwrites it. Throws INVALID_ARGS when it cannot be written. */
export function writeUserFile(path: string, flag: string, text: string): void {
  try {
    replaceFile(path, text, `${path}.${process.pid}.tmp`, 0o666);
  } catch (error) {
    throw new ForgeError('INVALID_ARGS', `${flag} ${path}: it cannot be written (${errorCode(error)})`, {
      cause: error,
    });
  }
}

/** Makes the folder of a file that is written later, for `name` of it. Throws INVALID_ARGS where it can't be written. */
export function requireWritable(file: string, name: string): void {
  const refuse = (why: string, cause?: unknown) =>
    new ForgeError('INVALID_ARGS', `${name}: ${why}`, { cause, hint: 'Name a file that can be written.' });
  if (isFolder(file)) throw refuse('it is a folder');
  try {
    makePath(path.dirname(file), 0o777);
    fs.accessSync(path.dirname(file), fs.constants.W_OK);
  } catch (error) {
    throw refuse(`its folder cannot be made or written to (${errorCode(error)})`, error);
  }
}
