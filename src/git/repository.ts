/** The git repository of a project: where it is, what its branches point at, and how two of them merge. */

import fs from 'node:fs';
import path from 'node:path';
import {
  branchesInTheWay,
  isCommitId,
  type ListedWorktree,
  nulSeparated,
  parseWorktrees,
} from '../domain/task/workspaces.ts';
import { ForgeError } from '../lib/errors.ts';
import { realPath } from '../lib/fs/folders.ts';
import { ifThere, NO_PATH } from '../lib/fs/io-errors.ts';
import { readCapped } from '../lib/fs/read.ts';
import type { TaskStore } from '../store/port.ts';
import {
  type GitEnv,
  type GitResult,
  git,
  gitFailed,
  gitIn,
  gitLines,
  gitNames,
  gitOk,
  gitText,
  lastWords,
  NoGit,
} from './git.ts';
import { notSigned, signingWords, signsMerges } from './signing.ts';
import { lookAtPlace } from './worktree-files.ts';

/** What is needed to make and remove worktrees of tasks. */
export interface WorktreeEnv extends GitEnv {
  store: TaskStore;
  /** Reports what a person should know although nothing failed. */
  warn(message: string): void;
}

export interface Repository {
  /**
   * The top folder of the main checkout, which the project is in, without symlinks. Beside a bare repository: the worktree of its branch;
   * null when there is none.
   */
  root: string | null;
  /** The project's folder in it: '' or a path that ends with a slash. */
  prefix: string;
  /** The folder that all worktrees of the repository share. */
  commonDir: string;
}

/**
 * The repository of the project, which may be in a folder with a bare one. Throws SETTINGS_INVALID when the project is in none, or
 * nothing was committed there yet; IO_ERROR when git cannot run.
 */
export async function repositoryOf(env: GitEnv): Promise<Repository> {
  const { project } = env.paths;
  if (project.includes('\n')) {
    const hint = 'Rename the folder, or set `workspace: none` in .forge/settings.yaml.';
    throw new ForgeError(
      'SETTINGS_INVALID',
      `${project} has a line break in its path, and git tells worktrees by lines`,
      { hint },
    );
  }
  const head = ['--quiet', '--verify', 'HEAD^{commit}'];
  const found = await git(['rev-parse', '--show-prefix', '--git-common-dir', '--show-toplevel', ...head], gitIn(env));
  const [prefix = '', common = '', root = ''] = found.stdout.split('\n');
  // With 128 after it has named the repository, there is no checkout here.
  const isBare = found.code > 1 && common !== '';
  if (found.code > 1 && !isBare) throw noRepository(project, found);
  if (found.code === 1 || (isBare && (await headOf(env, project)) === null)) {
    throw new ForgeError(
      'SETTINGS_INVALID',
      `nothing is committed in ${root || project}, or its branch was deleted, so worktrees have nothing to start from`,
      {
        hint: 'Commit what tasks start from, or bring the branch back; or set `workspace: none` in .forge/settings.yaml.',
      },
    );
  }
  return {
    root: isBare ? await checkoutOfHead(env) : root,
    prefix,
    commonDir: realPath(path.resolve(project, common)),
  };
}

/** The worktree that the branch of a bare repository is checked out in; null when there is none. */
async function checkoutOfHead(env: GitEnv): Promise<string | null> {
  const branch = (await headOf(env, env.paths.project))?.branch ?? null;
  if (branch === null) return null;
  return (await listWorktrees(env)).find((each) => each.branch === branch)?.path ?? null;
}

function noRepository(project: string, answer: GitResult): ForgeError {
  const hint = answer.stderr.includes('safe.directory')
    ? `It belongs to another user. If you trust it: git config --global --add safe.directory ${project}`
    : 'Make one with `git init`, and commit what tasks start from; or set `workspace: none` in .forge/settings.yaml.';
  const why = lastWords(answer);
  return new ForgeError(
    'SETTINGS_INVALID',
    `${project} is in no git repository that worktrees can be made of: ${why}`,
    { hint },
  );
}

/** The commit of a name; null when there is none, no repository or no git. Throws IO_ERROR when that can't be known. */
export async function commitOf(env: GitEnv, name: string, dir?: string): Promise<string | null> {
  const args = ['rev-parse', '--verify', '--quiet', `${name}^{commit}`];
  const result = await git(args, gitIn(env, dir)).catch(orNoGit);
  if (result === null || result.code === 1) return null;
  if (result.code === 128 && result.stderr.includes('not a git repository')) return null;
  if (result.code === 0) return result.stdout.trim();
  throw gitFailed(`looking for ${name}`, result);
}

function orNoGit(error: unknown): null {
  if (error instanceof NoGit) return null;
  throw error;
}

/** Null unless `sha` is the full id of a known commit: other text in a record could be an option of git. */
export async function commitNamed(env: GitEnv, sha: string): Promise<string | null> {
  return isCommitId(sha) ? commitOf(env, sha) : null;
}

/**
 * Text of a file as a commit has it, unfiltered; null when it has none. `path`: from the top of the repository. A symlink leads to what the
 * commit has there, and not out of it. Throws IO_ERROR.
 */
export async function textAt(env: GitEnv, commit: string, path: string): Promise<string | null> {
  const asked = { ...gitIn(env), input: `${commit}:${path}\n` };
  const { stdout } = await gitOk(['cat-file', '--batch', '--follow-symlinks'], asked);
  return /^\S+ blob \d+\n(.*)\n$/s.exec(stdout)?.[1] ?? null;
}

/** The commit of a branch; null when there is no such branch. */
export function branchCommit(env: GitEnv, branch: string): Promise<string | null> {
  return commitOf(env, `refs/heads/${branch}`);
}

/** Branches that git cannot have beside one of `branches`, sorted. Throws IO_ERROR. */
export async function takenNames(env: GitEnv, branches: readonly string[]): Promise<string[]> {
  const folders = [...new Set(branches.map((branch) => branch.split('/')[0] ?? branch))];
  const list = ['for-each-ref', '--format=%(refname:lstrip=2)', '--', ...folders.map((name) => `refs/heads/${name}`)];
  const names = await gitLines(list, gitIn(env));
  return branchesInTheWay(branches, names).sort();
}

/** The head of a folder; null when it is in no repository, or nothing is committed there. Throws IO_ERROR. */
export async function headOf(env: GitEnv, dir: string): Promise<{ head: string; branch: string | null } | null> {
  const both = await git(['rev-parse', 'HEAD^{commit}', '--symbolic-full-name', 'HEAD'], gitIn(env, dir)).catch(
    orNoGit,
  );
  if (both?.code === 0) {
    const [head = '', name = ''] = both.stdout.split('\n');
    return { head, branch: name === 'HEAD' ? null : name.replace(/^refs\/heads\//, '') };
  }
  // There git ends with 128, whatever the reason.
  if (both === null || (await commitOf(env, 'HEAD', dir)) === null) return null;
  throw gitFailed('looking for HEAD', both);
}

/**
 * What tasks start from and are merged into: `ship.base`, else the branch that a task was started for, if known, else the head of the
 * project's checkout, whose branch is null when it is detached.
 * Throws SETTINGS_INVALID when there is no such branch; NOT_READY when the one that the task was started for is gone.
 */
export async function baseOf(
  env: GitEnv,
  begunFor: string | null = null,
): Promise<{ branch: string | null; sha: string }> {
  const { base } = env.settings.ship;
  const branch = base ?? begunFor;
  if (branch !== null) {
    const sha = await branchCommit(env, branch);
    if (sha !== null) return { branch, sha };
    throw base === null
      ? new ForgeError('NOT_READY', `the branch ${branch}, which the task was started for, is gone`, {
          hint: 'Bring it back, or name another in .forge/settings.yaml: `ship: {base: main}`.',
        })
      : new ForgeError('SETTINGS_INVALID', `ship.base: there is no branch ${base}`, {
          hint: 'Make that branch, or fix ship.base in .forge/settings.yaml.',
        });
  }
  const here = await headOf(env, env.paths.project);
  if (here !== null) return { branch: here.branch, sha: here.head };
  throw new ForgeError('SETTINGS_INVALID', `nothing is committed in ${env.paths.project}, or its branch was deleted`, {
    hint: 'Commit what tasks start from, or bring the branch back.',
  });
}

/** The worktrees of the project's repository, the main checkout first; before a bare one's worktrees its own folder. Throws IO_ERROR. */
export async function listWorktrees(env: GitEnv): Promise<ListedWorktree[]> {
  const list = ['worktree', 'list', '--porcelain'];
  const result = await git([...list, '-z'], gitIn(env));
  // Before 2.36 git has no -z here.
  const text = result.code === 0 ? result.stdout : (await gitOk(list, gitIn(env))).stdout;
  const [main, ...linked] = parseWorktrees(text);
  return main === undefined ? [] : [{ ...main, path: await mainPath(env, main.path) }, ...linked];
}

/** Where the main checkout is. Of a submodule, and of a repository apart from its checkout, git lists the folder of the repository. */
async function mainPath(env: GitEnv, listed: string): Promise<string> {
  if (!fs.existsSync(`${listed}/HEAD`) || fs.existsSync(`${listed}/.git`)) return listed;
  const { code, stdout } = await git(['rev-parse', '--absolute-git-dir', '--show-toplevel'], gitIn(env));
  const [gitDir, top] = stdout.split('\n');
  return code === 0 && gitDir === listed && top !== undefined ? top : listed;
}

/** What git lists for a path, whatever is there; undefined for nothing. */
export async function listedAt(env: GitEnv, place: string): Promise<ListedWorktree | undefined> {
  return (await listWorktrees(env)).find(({ path }) => path === place);
}

/** Git's entry for the worktree at a path; null when there is none, or something else is there. */
export async function worktreeAt(
  env: GitEnv,
  { commonDir }: Repository,
  place: string,
): Promise<ListedWorktree | null> {
  const entry = await listedAt(env, place);
  if (entry === undefined || lookAtPlace(place).kind !== 'folder') return null;
  // In a folder that only lies in a checkout, git would answer for that checkout.
  const { code, stdout } = await git(['rev-parse', '--show-toplevel', '--git-common-dir'], gitIn(env, place));
  const [top = '', common = ''] = stdout.split('\n');
  return code === 0 && top === place && realPath(path.resolve(place, common)) === commonDir ? entry : null;
}

/** Most of a file in which git notes what is under way, bytes. */
const NOTE_MAX_BYTES = 64 * 1024;

/**
 * Branches that a rebase or a bisect in any checkout will return to. Meanwhile git reports them as not checked out. Throws IO_ERROR.
 */
export function branchesUnderWay(commonDir: string): Set<string> {
  const worktrees = `${commonDir}/worktrees`;
  const linked = ifThere(`looking at ${worktrees}`, () => fs.readdirSync(worktrees)) ?? [];
  const notes = ['rebase-merge/head-name', 'rebase-apply/head-name', 'BISECT_START'];
  const files = ['', ...linked.map((name) => `worktrees/${name}/`)].flatMap((dir) =>
    notes.map((note) => `${commonDir}/${dir}${note}`),
  );
  const texts = files.map((file) => ifThere(`reading ${file}`, () => readCapped(file, NOTE_MAX_BYTES), NO_PATH));
  const names = texts.map((text) => text?.split('\n')[0]?.replace(/^refs\/heads\//, ''));
  return new Set(names.filter((name) => name !== undefined));
}

/** The project's folder in the main checkout, where worktrees get copies of untracked files from; null beside a bare repository without one. */
export function projectIn({ root, prefix }: Repository): string | null {
  return root && path.join(root, prefix).replace(/\/$/, '');
}

/** `untracked`, in the project's folder of the main checkout. */
export async function copySources(
  env: GitEnv,
  repository: Repository,
  options?: { ignored: boolean },
): Promise<string[]> {
  const from = projectIn(repository);
  return from === null ? [] : untracked(env, from, options);
}

/** Files below a folder that `agents.worktree_copy` names and git does not track, ignored or not; or only those not ignored. */
export async function untracked(env: GitEnv, dir: string, { ignored = true } = {}): Promise<string[]> {
  const globs = env.settings.agents.worktree_copy.map((glob) => `:(glob)${glob}`);
  // Without any pattern git would list everything.
  if (globs.length === 0) return [];
  const which = ignored ? [] : ['--exclude-standard'];
  return gitNames(['ls-files', '--others', ...which, '-z', '--', ...globs], gitIn(env, dir));
}

// --- commits ---------------------------------------------------------------------------------------------------------

export async function isAncestor(env: GitEnv, older: string, newer: string): Promise<boolean> {
  const { code } = await gitOk(['merge-base', '--is-ancestor', older, newer], gitIn(env), [0, 1]);
  return code === 0;
}

/** The commit that two have last in common; null when there is none. */
export async function mergeBase(env: GitEnv, one: string, other: string): Promise<string | null> {
  const { code, stdout } = await gitOk(['merge-base', one, other], gitIn(env), [0, 1]);
  return code === 0 ? stdout.trim() : null;
}

/** `conflicts`: the files, relative to the top of the repository. `unknown`: git could not tell, in its words. */
type MergeResult =
  | { kind: 'clean'; tree: string }
  | { kind: 'conflicts'; files: string[] }
  | { kind: 'unknown'; why: string };

/** Merges two commits into a tree, without touching any checkout. Throws IO_ERROR when git cannot run. */
export async function mergeTrees(env: GitEnv, ours: string, theirs: string): Promise<MergeResult> {
  const args = ['merge-tree', '--write-tree', '-z', '--name-only', '--no-messages', ours, theirs];
  const result = await git(args, { ...gitIn(env), acts: true });
  const [tree, ...files] = nulSeparated(result.stdout);
  if (result.code === 0 && tree !== undefined) return { kind: 'clean', tree };
  if (result.code === 1 && tree !== undefined) return { kind: 'conflicts', files: [...new Set(files)].sort() };
  // Git's exit code for unknown arguments.
  const isOld = result.code === 129;
  const why = isOld ? 'this git is older than 2.38, which is needed to merge without a checkout' : lastWords(result);
  return { kind: 'unknown', why };
}

/** The identity of commits where git has none. */
const FALLBACK = { NAME: 'forge', EMAIL: 'forge@localhost' };

export const FALLBACK_IDENTITY = `${FALLBACK.NAME} <${FALLBACK.EMAIL}>`;

/** Why git can't say who commits, in its words; null when it can. Throws IO_ERROR. */
export async function noIdentity(env: GitEnv): Promise<string | null> {
  for (const role of ['AUTHOR', 'COMMITTER']) {
    const result = await git(['var', `GIT_${role}_IDENT`], gitIn(env));
    if (result.code !== 0) return lastWords(result);
  }
  return null;
}

interface NewCommit {
  tree: string;
  parents: readonly string[];
  message: string;
  /** As git reads a date. Default: now. */
  date?: string;
  /** Default: git's own identity, or the fallback where it has none. */
  by?: 'fallback';
  /** It is a merge that others get to see: signed where the settings say so. Default: not signed. */
  merge?: boolean;
  /** Options before the command. */
  options?: readonly string[];
}

/** Makes a commit, which no ref leads to. Throws IO_ERROR; NOT_READY when it can't be signed. */
export async function makeCommit(
  env: GitEnv,
  { tree, parents, message, date, by, merge = false, options = [] }: NewCommit,
): Promise<string> {
  const variables: Record<string, string> = {};
  for (const role of ['AUTHOR', 'COMMITTER']) {
    if (date !== undefined) variables[`GIT_${role}_DATE`] = date;
    if (by === undefined && (await git(['var', `GIT_${role}_IDENT`], gitIn(env))).code === 0) continue;
    for (const [part, value] of Object.entries(FALLBACK)) variables[`GIT_${role}_${part}`] = value;
  }
  const args = [tree, ...parents.flatMap((parent) => ['-p', parent]), '-m', message];
  const run = { ...gitIn(env), env: { ...env.ctx.env, ...variables } };
  if (!merge || !(await signsMerges(env))) return gitText([...options, 'commit-tree', ...args], run);
  const signed = await git([...options, 'commit-tree', '-S', ...args], run).catch((error) => {
    // What signs may wait for a passphrase, until its time is over.
    throw error instanceof ForgeError && !(error instanceof NoGit) ? notSigned(error.message) : error;
  });
  if (signed.code !== 0) throw notSigned(signingWords(signed));
  return signed.stdout.trimEnd();
}
