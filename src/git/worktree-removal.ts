/** The disk side of removing a worktree: find what would be lost with it, and move it away at once. */

import fs from 'node:fs';
import { ifThere, NO_PATH, whileDoing } from '../lib/fs/io-errors.ts';

/** Folders whose content tools make again. Only ignored ones count. */
export const PRODUCT_FOLDERS = [
  'node_modules',
  'bower_components',
  '__pycache__',
  '.venv',
  'venv',
  '.tox',
  '.nox',
  '.pytest_cache',
  '.mypy_cache',
  '.ruff_cache',
  '.gradle',
  '.next',
  '.nuxt',
  '.svelte-kit',
  '.turbo',
  '.parcel-cache',
  '.nyc_output',
  'build',
  'coverage',
  'dist',
  'target',
] as const;

/** The same for single files, as patterns of git. */
export const PRODUCT_FILES = ['*.pyc', '*.class', '*.o', '*.tsbuildinfo', '.eslintcache', '.DS_Store'] as const;

/**
 * The first nested repository within a folder, relative to it: anything further down with a `.git`. Its commits may be in no other.
 * Symlinks are not followed. Null when there is none. Throws IO_ERROR.
 */
export function repositoryWithin(dir: string): string | null {
  const waiting = [''];
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    const entries = namesIn(`${dir}/${at}`);
    if (at !== '' && entries.some(({ name }) => name === '.git')) return at.slice(0, -1);
    for (const entry of entries) {
      if (entry.isDirectory() && entry.name !== '.git') waiting.push(`${at}${entry.name}/`);
    }
  }
  return null;
}

function namesIn(dir: string): fs.Dirent[] {
  return whileDoing(`looking at ${dir}`, () => fs.readdirSync(dir, { withFileTypes: true }));
}

/** Whether both are regular files with the same bytes. */
export function sameFile(one: string, other: string): boolean {
  try {
    const stats = [fs.lstatSync(one), fs.lstatSync(other)] as const;
    if (!stats.every((stat) => stat.isFile()) || stats[0].size !== stats[1].size) return false;
    return fs.readFileSync(one).equals(fs.readFileSync(other));
  } catch {
    return false;
  }
}

export function isSymlink(file: string): boolean {
  return fs.lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() === true;
}

/** Moves a folder to a free name on the same file system: all of it, or nothing. Throws IO_ERROR. */
export function moveFolder(from: string, to: string): void {
  whileDoing(`moving ${from} to ${to}`, () => fs.renameSync(from, to));
}

/** Removes an empty folder. Throws IO_ERROR, also when it is not empty. */
export function removeEmptyFolder(dir: string): void {
  whileDoing(`removing ${dir}`, () => fs.rmdirSync(dir));
}

/** Makes a folder that only its owner can read. Throws IO_ERROR. */
export function makeFolder(dir: string): void {
  whileDoing(`making ${dir}`, () => fs.mkdirSync(dir, { recursive: true, mode: 0o700 }));
}

/** Copies a file; false when there is none. Throws IO_ERROR. */
export function copyIfThere(from: string, to: string): boolean {
  return ifThere(`copying ${from} to ${to}`, () => fs.copyFileSync(from, to)) !== null;
}

// --- what git notes down while it works on something -----------------------------------------------------------------

/** Files and folders by which git records an unfinished operation in a checkout, and what a person calls it. */
const UNDER_WAY = {
  'rebase-merge': 'a rebase',
  'rebase-apply': 'a rebase',
  MERGE_HEAD: 'a merge',
  CHERRY_PICK_HEAD: 'a cherry-pick',
  REVERT_HEAD: 'a revert',
  BISECT_LOG: 'a bisect',
};

/** The unfinished operation in the checkout of this git folder; null when there is none. */
export function underWay(gitDir: string): string | null {
  const found = Object.entries(UNDER_WAY).find(([name]) => fs.existsSync(`${gitDir}/${name}`));
  return found?.[1] ?? null;
}

/**
 * Branches that a rebase or a bisect in any checkout will return to. Meanwhile git reports them as not checked out. Throws IO_ERROR.
 */
export function branchesUnderWay(commonDir: string): Set<string> {
  const linked = fs.existsSync(`${commonDir}/worktrees`) ? namesIn(`${commonDir}/worktrees`) : [];
  const gitDirs = [commonDir, ...linked.map(({ name }) => `${commonDir}/worktrees/${name}`)];
  const notes = ['rebase-merge/head-name', 'rebase-apply/head-name', 'BISECT_START'];
  const names = gitDirs.flatMap((dir) => notes.map((note) => firstLine(`${dir}/${note}`)));
  return new Set(names.flatMap((name) => (name === null ? [] : [name.replace(/^refs\/heads\//, '')])));
}

function firstLine(file: string): string | null {
  return ifThere(`reading ${file}`, () => fs.readFileSync(file, 'utf8'), NO_PATH)?.split('\n')[0] ?? null;
}
