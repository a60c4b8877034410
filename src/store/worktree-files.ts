/** The folder that a task's worktree goes to: where it is, what stands there, and clearing what nobody has worked in. */

import fs from 'node:fs';
import path from 'node:path';
import { requireTaskId } from '../core/ids.ts';
import { errorCode } from './calls.ts';
import { asIoError } from './io-errors.ts';
import type { Layout } from './layout.ts';

/**
 * Where the worktree of a task is, or goes, every symlink above it resolved: that is how git names it. `root` as in the
 * settings, seen from the project. Null when the folder above it does not exist.
 */
export function worktreePlace(layout: Layout, root: string, taskId: string): string | null {
  try {
    return `${fs.realpathSync(path.resolve(layout.project, root))}/${requireTaskId(taskId)}`;
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return null;
    throw asIoError(error, `looking for ${root}`);
  }
}

/** `worktreePlace`, with the folder above it made. Throws IO_ERROR. */
export function makeWorktreePlace(layout: Layout, root: string, taskId: string): string {
  const dir = path.resolve(layout.project, root);
  try {
    if (fs.mkdirSync(dir, { recursive: true, mode: 0o700 }) !== undefined) {
      // It may be in a checkout; whole worktrees must not end up in somebody's commit.
      fs.writeFileSync(`${dir}/.gitignore`, '*\n', { flag: 'wx' });
    }
    return `${fs.realpathSync(dir)}/${requireTaskId(taskId)}`;
  } catch (error) {
    throw asIoError(error, `making ${dir}`);
  }
}

/** A file of forge's own beside the worktrees. No task is called so: ids do not begin with a dot. */
export function besideWorktree(place: string, name: string): string {
  return `${path.dirname(place)}/.forge-${name}-${path.basename(place)}`;
}

/** One lock for all worktrees below the same folder. */
export function worktreesLock(place: string): string {
  return `${path.dirname(place)}/.forge-adding.lock`;
}

/** `bare`: a folder that holds a `.git` file and nothing else; `pointer` is what that file says. */
export type PlaceLook = { kind: 'nothing' | 'empty' | 'folder' | 'other' } | { kind: 'bare'; pointer: string };

/** What stands at a path. A symlink is never followed. Throws IO_ERROR. */
export function lookAtPlace(place: string): PlaceLook {
  try {
    const stat = fs.lstatSync(place, { throwIfNoEntry: false });
    if (stat === undefined) return { kind: 'nothing' };
    if (!stat.isDirectory()) return { kind: 'other' };
    const names = fs.readdirSync(place);
    if (names.length === 0) return { kind: 'empty' };
    const file = `${place}/.git`;
    if (names.length > 1 || !fs.lstatSync(file, { throwIfNoEntry: false })?.isFile()) return { kind: 'folder' };
    return { kind: 'bare', pointer: fs.readFileSync(file, 'utf8').trim() };
  } catch (error) {
    throw asIoError(error, `looking at ${place}`);
  }
}

/** Removes a folder with all that is in it. Only for what git made and nobody has worked in. Throws IO_ERROR. */
export function removeFolder(place: string): void {
  try {
    fs.rmSync(place, { recursive: true, force: true });
  } catch (error) {
    throw asIoError(error, `removing ${place}`);
  }
}

/** Every symlink resolved; the path itself where that can't be done. */
export function realPath(place: string): string {
  try {
    return fs.realpathSync(place);
  } catch {
    return place;
  }
}

/** `name` as seen from the folder `dir`, as an absolute path. */
export function absolutePath(dir: string, name: string): string {
  return path.resolve(dir, name);
}
