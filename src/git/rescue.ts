/**
 * Rescues what is about to lose its last ref: a commit, and uncommitted work in a worktree. Each gets a ref
 * `refs/forge/rescue/<task>/<time>`. Only objects and that ref are written; no branch, index or file changes.
 */

import fs from 'node:fs';
import { newId } from '../domain/context.ts';
import { nulSeparated, RESCUE_REFS, rescueFolder } from '../domain/task/workspaces.ts';
import { ForgeError } from '../lib/errors.ts';
import { makePath } from '../lib/fs/folders.ts';
import { whileDoing } from '../lib/fs/io-errors.ts';
import { readBytes } from '../lib/fs/read.ts';
import { firstOf, plural } from '../lib/text.ts';
import { isoTime } from '../lib/time.ts';
import {
  CHECKOUT_TIMEOUT_MS,
  type GitEnv,
  type GitOptions,
  type GitResult,
  gitIn,
  gitLines,
  gitOk,
  gitText,
} from './git.ts';
import { copySources, makeCommit, projectIn, type Repository } from './repository.ts';
import { besideWorktree, copyIndex, removeFolder } from './worktree-files.ts';

/** Folders whose content tools make again, and such files, as patterns of git. Only ignored ones count. */
const PRODUCTS = [
  'node_modules/',
  'bower_components/',
  '**/.husky/_/',
  '**/.yarn/cache/',
  '**/.yarn/unplugged/',
  '**/.yarn/install-state.gz',
  '.pnp.*',
  '.pnpm-store/',
  '__pycache__/',
  '.venv/',
  'venv/',
  '.tox/',
  '.nox/',
  '*.egg-info/',
  '.pytest_cache/',
  '.mypy_cache/',
  '.ruff_cache/',
  '.gradle/',
  '.bundle/',
  '**/vendor/bundle/',
  '.dart_tool/',
  '.next/',
  '.nuxt/',
  '.svelte-kit/',
  '.angular/',
  '.turbo/',
  '.parcel-cache/',
  '.nyc_output/',
  'build/',
  'coverage/',
  'dist/',
  'target/',
  '*.pyc',
  '*.class',
  '*.o',
  '*.tsbuildinfo',
  '.eslintcache',
  '.DS_Store',
];

/** Settings against which git would skip files, or end before they are on disk. */
const THOROUGH = [
  'core.sparseCheckout=false',
  'core.fsmonitor=false',
  'core.untrackedCache=false',
  'core.splitIndex=false',
  'add.ignoreErrors=false',
  'core.fsync=all',
].flatMap((setting) => ['-c', setting]);

// --- commits ---------------------------------------------------------------------------------------------------------

/**
 * A branch, tag, remote branch or rescue ref that leads to a commit, other than `but`, a full name. Rescue refs come last.
 * Null when there is none. Throws IO_ERROR, also when there is no such commit.
 */
async function keeperOf(env: GitEnv, sha: string, but: string | null): Promise<string | null> {
  const places = ['refs/heads', 'refs/tags', 'refs/remotes', RESCUE_REFS];
  const args = ['for-each-ref', `--contains=${sha}`, '--format=%(refname) %(symref)', '--', ...places];
  const lines = await gitLines(args, gitIn(env));
  // A symbolic ref keeps nothing when its target is deleted.
  const names = lines.flatMap((line) => (line.endsWith(' ') ? [line.slice(0, -1)] : []));
  const kept = names.filter((name) => name !== but);
  return kept.find((name) => !isRescueRef(name)) ?? kept[0] ?? null;
}

function isRescueRef(name: string): boolean {
  return name.startsWith(`${RESCUE_REFS}/`);
}

/**
 * Makes sure that a ref other than `but` leads to a commit. Returns the rescue ref that does, new or not; null when another ref
 * does. `name`: of the task's or the worktree's folder. Throws IO_ERROR; then nothing may be removed.
 */
export async function rescueCommit(
  env: GitEnv,
  name: string,
  sha: string,
  but: string | null = null,
): Promise<string | null> {
  const keeper = await keeperOf(env, sha, but);
  if (keeper !== null) return isRescueRef(keeper) ? keeper : null;
  const ref = await freeRef(env, name);
  // The empty last argument: only if there is no such ref.
  await gitOk([...THOROUGH, 'update-ref', '-m', 'forge: rescued by gc', ref, sha, ''], gitIn(env));
  return ref;
}

async function freeRef(env: GitEnv, name: string): Promise<string> {
  const folder = rescueFolder(name);
  const taken = new Set(await gitLines(['for-each-ref', '--format=%(refname)', '--', folder], gitIn(env)));
  // To the second, as in 20300131T235959Z.
  const first = `${folder}${isoTime(env.ctx.now()).replace(/\.\d+|[-:]/g, '')}`;
  let ref = first;
  for (let count = 2; taken.has(ref); count++) ref = `${first}-${count}`;
  return ref;
}

// --- what is in no commit --------------------------------------------------------------------------------------------

/** A worktree whose work is to be rescued. */
export interface WorktreeFiles {
  /** The path that git knows. */
  place: string;
  /** The path of its files. */
  files: string;
  /** Its own folder within `.git`. */
  gitDir: string;
  /** Its index. Default: that in `gitDir`. */
  index?: string;
  head: string;
  /** The submodules in it, which are left to others, by their paths: the commits that they are at. Default: none. */
  submodules?: ReadonlyMap<string, string>;
}

interface Rescue {
  /** The rescue ref that leads to the work; null when other refs have it all. */
  ref: string | null;
  /** Ignored files, which cannot be rescued, and that no tool makes again. Sorted. With any, no ref was made. */
  left: string[];
}

/**
 * Makes sure that refs lead to everything in a worktree: its HEAD, what is staged, and its files. A repeat without changes makes the
 * same commit, so that one ref is enough. The caller has exclusive use of the worktree.
 * Throws IO_ERROR; then nothing may be removed.
 */
export async function rescueWork(
  env: GitEnv,
  repository: Repository,
  name: string,
  at: WorktreeFiles,
): Promise<Rescue> {
  const scratch = besideWorktree(at.place, 'rescue');
  // Left by a killed rescue.
  removeFolder(scratch);
  whileDoing(`making ${scratch}`, () => makePath(scratch));
  try {
    const { tree, left } = await workTree(env, repository, at, `${scratch}/${newId(env.ctx)}`);
    if (left.length > 0) return { ref: null, left };
    const staged = await stagedTree(env, at, `${scratch}/${newId(env.ctx)}`);
    const head = await gitText(['rev-parse', '--verify', `${at.head}^{tree}`], gitIn(env));
    // With the date of `head` a repeat makes the same commits; the ref has the time of the rescue.
    const date = `@${await gitText(['show', '--no-patch', '--date=raw', '--format=%cd', at.head], gitIn(env))}`;
    const commitOn = (parents: string[], content: string, message: string) =>
      makeCommit(env, { tree: content, parents, message, date, options: THOROUGH });
    let commit = at.head;
    if (tree !== head || (staged !== null && staged !== head)) {
      const parents = [at.head];
      if (staged !== null && staged !== head && staged !== tree) {
        parents.push(await commitOn(parents, staged, `Staged in worktree ${name}`));
      }
      commit = await commitOn(parents, tree, `Uncommitted work in worktree ${name}`);
    }
    return { ref: await rescueCommit(env, name, commit), left: [] };
  } finally {
    removeFolder(scratch);
  }
}

export function ignoredFilesText(place: string, left: readonly string[]): string {
  return `git ignores ${plural(left.length, 'file')} in ${place} that would be lost: ${firstOf(left)}`;
}

/** All files of a worktree as a tree, tracked and untracked, without ignored ones. */
async function workTree(
  env: GitEnv,
  repository: Repository,
  { files, head, submodules = new Map() }: WorktreeFiles,
  index: string,
): Promise<{ tree: string; left: string[] }> {
  const { commonDir, prefix } = repository;
  // The index of the worktree may have flags by which git skips files. A fresh one has none.
  const options: GitOptions = { ...gitIn(env, files), indexFile: index, timeoutMs: CHECKOUT_TIMEOUT_MS };
  const run = (...args: string[]) =>
    gitOk([...THOROUGH, `--git-dir=${commonDir}`, `--work-tree=${files}`, ...args], options);
  await run('read-tree', head);
  const copies = (await copiesIn(env, repository, `${files}/${prefix}`)).map((name) => `${prefix}${name}`);
  const untaken = await notIgnored(copies, run);
  const { stderr } = await run(
    'add',
    '--all',
    '--',
    ':(top)',
    // Git would start another git in each submodule, with the settings of that.
    ...[...untaken, ...submodules.keys()].map((name) => `:(top,exclude,literal)${name}`),
  );
  const links = [...submodules].flatMap(([name, sha]) => ['--cacheinfo', `160000,${sha},${name}`]);
  if (links.length > 0) await run('update-index', '--add', ...links);
  // Git reports it, and goes on.
  if (stderr.includes('could not open directory')) {
    throw new ForgeError('IO_ERROR', `a folder in ${files} cannot be read, so it was left alone: ${stderr.trim()}`, {
      hint: 'See who owns that folder, and who may read it.',
    });
  }
  const tree = (await run('write-tree')).stdout.trim();
  const others = await run('ls-files', '--others', '-z', ...PRODUCTS.map((each) => `--exclude=${each}`));
  const known = new Set(copies);
  const isSymlink = (name: string) =>
    fs.lstatSync(`${files}/${name}`, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  const left = nulSeparated(others.stdout).filter((name) => !known.has(name) && !isSymlink(name));
  return { tree, left: left.sort() };
}

/** Those of some files that `git add` would take as new: excluding one that is ignored anyway is an error to git. */
async function notIgnored(names: readonly string[], run: (...args: string[]) => Promise<GitResult>): Promise<string[]> {
  // Without any pattern git would list everything.
  if (names.length === 0) return [];
  const patterns = names.map((name) => `:(top,literal)${name}`);
  return nulSeparated((await run('ls-files', '--others', '--exclude-standard', '-z', '--', ...patterns)).stdout);
}

/** Copied files in the project's folder of a worktree that still equal those of the main checkout. */
async function copiesIn(env: GitEnv, repository: Repository, dir: string): Promise<string[]> {
  const from = projectIn(repository);
  return (await copySources(env, repository)).filter((name) => sameFile(`${from}/${name}`, `${dir}/${name}`));
}

/** Whether both are regular files with the same bytes. */
function sameFile(one: string, other: string): boolean {
  try {
    const { size } = fs.lstatSync(one);
    return size === fs.lstatSync(other).size && readBytes(one, size).equals(readBytes(other, size));
  } catch {
    return false;
  }
}

/** What is staged in a worktree, as a tree; null when it has no index. */
async function stagedTree(env: GitEnv, at: WorktreeFiles, index: string): Promise<string | null> {
  const { files, gitDir, index: from = `${gitDir}/index` } = at;
  // Git would write to the index itself: it caches tree names there.
  if (!copyIndex(from, index)) return null;
  const args = [...THOROUGH, `--git-dir=${gitDir}`, `--work-tree=${files}`, 'write-tree'];
  return gitText(args, { ...gitIn(env, files), indexFile: index });
}
