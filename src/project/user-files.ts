/** Files that a person writes: those that a command is handed by path, and the conventions of a project. */

import fs from 'node:fs';
import path from 'node:path';
import { ForgeError } from '../lib/errors.ts';
import { errorCode, whyUnread } from '../lib/fs/io-errors.ts';
import { readCapped, readFrom } from '../lib/fs/read.ts';
import { locateSection, withoutSection } from './agents-section.ts';

/** Text of a file named by `flag`. Throws INVALID_ARGS when it can't be read or has more than `maxBytes`. */
export function readUserFile(path: string, flag: string, maxBytes: number): string {
  try {
    return readCapped(path, maxBytes);
  } catch (error) {
    const why = whyUnread(error, maxBytes) ?? String(error);
    throw new ForgeError('INVALID_ARGS', `${flag} ${path}: ${why}`, { cause: error });
  }
}

/** Where a project writes down how it wants to be worked on, the first that says something. */
const CONVENTION_FILES = ['AGENTS.md', 'CLAUDE.md'] as const;

/**
 * The conventions of the first of `roots` that has any: the file's name and its text, at most the first 64 KiB. Null when
 * there are none, or none that can be read. A symlink is followed only to a regular file below the same root.
 */
export function readConventions(roots: readonly string[]): { file: string; text: string } | null {
  for (const root of roots) {
    for (const file of CONVENTION_FILES) {
      const whole = textBelow(root, file);
      // Forge's own section is for who comes without a task; a worker is told the same, for its task, elsewhere.
      const text = withoutSection(whole, locateSection(whole)) ?? '';
      if (text.trim() !== '') return { file, text };
    }
  }
  return null;
}

/** Empty when it can't be read, or is not below `root`. */
function textBelow(root: string, name: string): string {
  try {
    const file = fs.realpathSync.native(path.join(root, name));
    return file.startsWith(`${fs.realpathSync.native(root)}${path.sep}`) ? readFrom(file, 0).text : '';
  } catch {
    return '';
  }
}

/** Symlinks that are followed one after the other. Source: MAXSYMLINKS of Linux, path_resolution(7). */
const LINKS_MAX = 40;

/** Where an absolute path really is: with its symlinks followed, also where they lead to what is not there yet. */
export function realPlace(absolute: string, links = LINKS_MAX): string {
  try {
    return fs.realpathSync.native(absolute);
  } catch {
    const above = path.dirname(absolute);
    if (above === absolute) return absolute;
    const place = path.join(realPlace(above, links), path.basename(absolute));
    const target = links === 0 ? null : linkAt(place);
    return target === null ? place : realPlace(path.resolve(path.dirname(place), target), links - 1);
  }
}

/** Where a symlink leads, as it says; null when there is none. */
function linkAt(place: string): string | null {
  try {
    return fs.readlinkSync(place);
  } catch {
    return null;
  }
}

/** Whether there is a folder at `path`; a symlink that leads to itself is none. */
export function isFolder(path: string): boolean {
  try {
    return fs.statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
  } catch (error) {
    if (errorCode(error) === 'ELOOP') return false;
    throw error;
  }
}

/** Writes a file that a user named by `flag`, over what is there. Throws INVALID_ARGS when it can't be written. */
export function writeUserFile(path: string, flag: string, text: string): void {
  const tmp = `${path}.${process.pid}.tmp`;
  try {
    fs.writeFileSync(tmp, text, { flag: 'wx' });
    fs.renameSync(tmp, path);
  } catch (error) {
    fs.rmSync(tmp, { force: true });
    throw new ForgeError('INVALID_ARGS', `${flag} ${path}: it can not be written (${errorCode(error)})`, {
      cause: error,
    });
  }
}
