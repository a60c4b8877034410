/** The folder of a task's worktree: where it is, what is there, and removing what was never used. */

import fs from 'node:fs';
import path from 'node:path';
import type { ProjectPaths } from '../domain/project-paths.ts';
import { asIoError, errorCode, ifThere, NO_PATH, whileDoing } from '../lib/fs/io-errors.ts';
import { writeNew } from '../lib/fs/new-file.ts';
import { isTaskId, isUuid, requireTaskId, requireUuid } from '../lib/ids.ts';

/**
 * The path of a task's worktree, with every symlink above it resolved, as git names it. `root` as in the settings, relative to the
 * project. Null when the folder above it does not exist.
 */
export function worktreePlace(paths: ProjectPaths, root: string, taskId: string): string | null {
  const dir = worktreesFolder(paths, root);
  return dir === null ? null : `${dir}/${requireTaskId(taskId)}`;
}

/** The folder directly above the worktrees of tasks, every symlink resolved; null when there is none. Throws IO_ERROR. */
export function worktreesFolder(paths: ProjectPaths, root: string): string | null {
  return ifThere(`looking for ${root}`, () => fs.realpathSync(path.resolve(paths.project, root)), NO_PATH);
}

/** The names of the folders directly below `dir`, sorted, without symlinks and folders of forge or git. */
export function foldersBelow(dir: string): string[] {
  const entries = ifThere(`listing ${dir}`, () => fs.readdirSync(dir, { withFileTypes: true }), NO_PATH) ?? [];
  const names = entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  return names.filter((name) => name !== '.git' && !isOwnName(name)).sort();
}

/** Whether forge gives such a name to its own files beside worktrees. */
export function isOwnName(name: string): boolean {
  return name.startsWith('.forge-');
}

/** The name of a path directly below `dir`; null for any other path. */
export function nameBelow(dir: string, place: string): string | null {
  const name = path.basename(place);
  return place === `${dir}/${name}` && name !== '.' && name !== '..' ? name : null;
}

/** `worktreePlace`, with the folder above it made. Throws IO_ERROR. */
export function makeWorktreePlace(paths: ProjectPaths, root: string, taskId: string): string {
  const dir = path.resolve(paths.project, root);
  return whileDoing(`making ${dir}`, () => {
    fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
    // It may be in a checkout, and worktrees must not be committed. Its maker may have been killed before it wrote this; a folder
    // with other content is left alone.
    if (fs.readdirSync(dir).every((name) => name.startsWith('.gitignore'))) writeNew(`${dir}/.gitignore`, '*\n');
    return `${fs.realpathSync(dir)}/${requireTaskId(taskId)}`;
  });
}

/** A file of forge beside the worktrees. No task has such a name: ids do not begin with a dot. */
export function besideWorktree(place: string, name: string): string {
  return `${path.dirname(place)}/.forge-${name}-${path.basename(place)}`;
}

const SCRATCH = '.forge-scratch-';
const UUID_CHARS = 36;

/** Path of a claim's temporary checkout, for the task whose worktree is at `place`. */
export function scratchPlace(place: string, claimId: string): string {
  return `${path.dirname(place)}/${SCRATCH}${requireUuid(claimId, 'claim')}-${path.basename(place)}`;
}

/** All such checkouts that exist, or that git knows: `registered` are the paths of its worktrees. Throws IO_ERROR. */
export function scratchesIn(
  dir: string,
  registered: readonly string[],
): { path: string; claimId: string; taskId: string }[] {
  const known = registered.flatMap((place) => nameBelow(dir, place) ?? []);
  const names = whileDoing(`listing ${dir}`, () => fs.readdirSync(dir));
  return [...new Set([...names, ...known])].flatMap((name) => {
    if (!name.startsWith(SCRATCH)) return [];
    const rest = name.slice(SCRATCH.length);
    const claimId = rest.slice(0, UUID_CHARS);
    const taskId = rest.slice(UUID_CHARS + 1);
    return isUuid(claimId) && isTaskId(taskId) ? [{ path: `${dir}/${name}`, claimId, taskId }] : [];
  });
}

/** One lock for all worktrees below the same folder. */
export function worktreesLock(place: string): string {
  return `${path.dirname(place)}/.forge-adding.lock`;
}

/**
 * What is at a path: `other` is anything but a folder. `pointer` is the text of the file `.git` in a folder, null without one;
 * `alone`: nothing else is in there.
 */
export type PlaceLook =
  | { kind: 'nothing' | 'empty' | 'other' }
  | { kind: 'folder'; pointer: string | null; alone: boolean };

/** Inspects a path. A symlink is never followed. Throws IO_ERROR. */
export function lookAtPlace(place: string): PlaceLook {
  return whileDoing(`looking at ${place}`, () => {
    const stat = fs.lstatSync(place, { throwIfNoEntry: false });
    if (stat === undefined) return { kind: 'nothing' };
    if (!stat.isDirectory()) return { kind: 'other' };
    const names = fs.readdirSync(place);
    if (names.length === 0) return { kind: 'empty' };
    const file = `${place}/.git`;
    const isFile = fs.lstatSync(file, { throwIfNoEntry: false })?.isFile() === true;
    const pointer = isFile ? fs.readFileSync(file, 'utf8').trim() : null;
    return { kind: 'folder', pointer, alone: isFile && names.length === 1 };
  });
}

/** Removes a folder with its content. Only for what git made and was never used. Throws IO_ERROR. */
export function removeFolder(place: string): void {
  whileDoing(`removing ${place}`, () => fs.rmSync(place, { recursive: true, force: true }));
}

/** Renames a folder to a name that must be free; false when there is no such folder. Throws IO_ERROR. */
export function moveIfThere(from: string, to: string): boolean {
  try {
    fs.renameSync(from, to);
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw asIoError(error, `moving ${from}`);
  }
}

/** Makes an empty file, if there is none. Throws IO_ERROR. */
export function touchFile(file: string): void {
  whileDoing(`making ${file}`, () => fs.closeSync(fs.openSync(file, 'a', 0o600)));
}

/** Removes a file; false when there is none. Throws IO_ERROR. */
export function removeFile(file: string): boolean {
  return ifThere(`removing ${file}`, () => fs.unlinkSync(file)) !== null;
}

export function isThere(file: string): boolean {
  return fs.existsSync(file);
}

/** The text of a regular file, as UTF-8; null when there is none, or it cannot be read. No symlink is followed. */
export function textOf(file: string): string | null {
  try {
    return fs.lstatSync(file).isFile() ? fs.readFileSync(file, 'utf8') : null;
  } catch {
    return null;
  }
}

/** Whether the name is taken, also by a dangling symlink. Throws IO_ERROR. */
export function isTaken(file: string): boolean {
  return ifThere(`looking at ${file}`, () => fs.lstatSync(file), NO_PATH) !== null;
}

/** Every symlink resolved; the path itself where that fails. */
export function realPath(place: string): string {
  try {
    return fs.realpathSync(place);
  } catch {
    return place;
  }
}

/** `name` relative to the folder `dir`, as an absolute path. */
export function absolutePath(dir: string, name: string): string {
  return path.resolve(dir, name);
}
