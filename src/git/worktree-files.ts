/** The folder of a task's worktree: where it is, what is there, and removing what was never used. */

import fs from 'node:fs';
import path from 'node:path';
import { makePath } from '../lib/fs/folders.ts';
import { ifThere, NO_PATH, whileDoing } from '../lib/fs/io-errors.ts';
import { createFile, writeNew } from '../lib/fs/new-file.ts';
import { readBytes, readCapped } from '../lib/fs/read.ts';
import { fileNameOf } from '../lib/ids.ts';
import type { GitEnv } from './git.ts';

/** `agents.worktree_root`, the folder directly above the worktrees of tasks, as an absolute path. */
export function worktreeRoot({ paths, settings }: GitEnv): string {
  return path.resolve(paths.project, settings.agents.worktree_root);
}

/** The same with every symlink resolved, as git names it; null when there is none. Throws IO_ERROR. */
export function worktreesFolder(env: GitEnv): string | null {
  const root = worktreeRoot(env);
  return ifThere(`looking for ${root}`, () => fs.realpathSync(root), NO_PATH);
}

/** The folder of worktrees, and the names of what is in it; no names where it can't be read. */
export function worktreesThere(env: GitEnv): { root: string; names: ReadonlySet<string> } {
  const root = worktreeRoot(env);
  try {
    return { root, names: new Set(fs.readdirSync(root)) };
  } catch {
    return { root, names: new Set() };
  }
}

/** The path of a task's worktree, as git names it; the folder above it is made. Throws IO_ERROR. */
export function makeWorktreePlace(env: GitEnv, taskId: string): string {
  const dir = worktreeRoot(env);
  return whileDoing(`making ${dir}`, () => {
    makePath(dir);
    // It may be in a checkout, and worktrees must not be committed. Its maker may have been killed before it wrote this; a folder
    // with other content is left alone.
    if (fs.readdirSync(dir).every((name) => name.startsWith('.gitignore'))) writeNew(`${dir}/.gitignore`, '*\n');
    return `${fs.realpathSync(dir)}/${fileNameOf(taskId)}`;
  });
}

/** Whether forge gives such a name to its own files beside worktrees. */
export function isOwnName(name: string): boolean {
  return name.startsWith('.forge-');
}

/** The top of the worktree whose project folder is `cwd`. `prefix`: the project's folder in its repository, '' or with a slash at its end. */
export function topOf(cwd: string, prefix: string): string {
  const below = prefix === '' ? '' : `/${prefix.slice(0, -1)}`;
  return cwd.endsWith(below) ? cwd.slice(0, cwd.length - below.length) : cwd;
}

/** Most of an index, bytes: that of ten million files. */
const INDEX_MAX_BYTES = 1024 ** 3;

/** Copies an index to a new file. False where there is none; a link or a pipe that a worker has put in its place is refused. Throws IO_ERROR. */
export function copyIndex(from: string, to: string): boolean {
  const copy = () => createFile(to, readBytes(from, INDEX_MAX_BYTES));
  return ifThere(`copying ${from} to ${to}`, copy) !== null;
}

/** A file of forge beside the worktrees. No task has such a name: ids do not begin with a dot. */
export function besideWorktree(place: string, name: string): string {
  return `${path.dirname(place)}/.forge-${name}-${path.basename(place)}`;
}

/** One lock for all worktrees below the same folder. */
export function worktreesLock(place: string): string {
  return `${path.dirname(place)}/.forge-adding.lock`;
}

/** The name of a path directly below `dir`; null for any other path. */
export function nameBelow(dir: string, place: string): string | null {
  const name = path.basename(place);
  return place === `${dir}/${name}` && name !== '.' && name !== '..' ? name : null;
}

export interface PlaceLook {
  /** `other` is anything but a folder. */
  kind: 'nothing' | 'empty' | 'other' | 'folder';
  /** The folder that the file `.git` in it leads to, '' where that file is empty; null without one. */
  gitDir: string | null;
  /** Nothing else is in there. */
  alone: boolean;
}

/** Most of a file `.git`, bytes. */
const POINTER_MAX_BYTES = 64 * 1024;

/** Inspects a path. A symlink is never followed. `place`: where git knows a worktree that was moved to `at`. Throws IO_ERROR. */
export function lookAtPlace(at: string, place = at): PlaceLook {
  return whileDoing(`looking at ${at}`, () => {
    const stat = fs.lstatSync(at, { throwIfNoEntry: false });
    const names = stat?.isDirectory() ? fs.readdirSync(at) : [];
    const file = `${at}/.git`;
    if (names.length === 0 || fs.lstatSync(file, { throwIfNoEntry: false })?.isFile() !== true) {
      const kind =
        stat === undefined ? 'nothing' : !stat.isDirectory() ? 'other' : names.length === 0 ? 'empty' : 'folder';
      return { kind, gitDir: null, alone: false };
    }
    // Newer versions of git can write relative paths.
    const pointer = readCapped(file, POINTER_MAX_BYTES).trim();
    const gitDir = pointer === '' ? '' : path.resolve(place, pointer.replace(/^gitdir: /, ''));
    return { kind: 'folder', gitDir, alone: names.length === 1 };
  });
}

/** The git folder of the worktree that `dir` is in; null in no linked worktree. Throws IO_ERROR. */
export function gitDirAround(dir: string): string | null {
  for (let at = dir; ; at = path.dirname(at)) {
    const { gitDir } = lookAtPlace(at);
    if (gitDir !== null || at === path.dirname(at)) return gitDir || null;
  }
}

/** The repositories below a folder `modules`, whose names may have slashes, with those of submodules within them. Throws IO_ERROR. */
export function modulesBelow(dir: string): string[] {
  const entries = ifThere(`listing ${dir}`, () => fs.readdirSync(dir, { withFileTypes: true }), NO_PATH) ?? [];
  return entries.flatMap((entry) => {
    const at = `${dir}/${entry.name}`;
    if (!entry.isDirectory()) return [];
    return fs.existsSync(`${at}/HEAD`) ? [at, ...modulesBelow(`${at}/modules`)] : modulesBelow(at);
  });
}

/** Removes a folder with its content. Only for what git made and was never used. Throws IO_ERROR. */
export function removeFolder(place: string): void {
  whileDoing(`removing ${place}`, () => fs.rmSync(place, { recursive: true, force: true }));
}

/** Moves a folder to a free name on the same file system, all of it or nothing; false when there is none. Throws IO_ERROR. */
export function moveFolder(from: string, to: string): boolean {
  return ifThere(`moving ${from} to ${to}`, () => fs.renameSync(from, to)) !== null;
}

/** Removes a file; false when there is none. Throws IO_ERROR. */
export function removeFile(file: string): boolean {
  return ifThere(`removing ${file}`, () => fs.unlinkSync(file)) !== null;
}
