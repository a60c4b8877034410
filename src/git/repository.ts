/** The git repository of a project: where it is, what its branches point at, and how two of them merge. */

import type { Context } from '../domain/context.ts';
import type { ProjectPaths } from '../domain/project-paths.ts';
import type { Settings } from '../domain/settings/settings.ts';
import { isCommitId, type ListedWorktree, nulSeparated, parseWorktrees } from '../domain/task/workspaces.ts';
import { ForgeError } from '../lib/errors.ts';
import type { TaskStore } from '../store/port.ts';
import { type GitOptions, type GitResult, git, gitOk, lastWords } from './git.ts';
import { absolutePath, lookAtPlace, realPath } from './worktree-files.ts';

/** What is needed to ask git about the project. */
export interface GitEnv {
  ctx: Context;
  paths: ProjectPaths;
  settings: Settings;
}

/** What is needed to make and remove worktrees of tasks. */
export interface WorktreeEnv extends GitEnv {
  store: TaskStore;
  /** Reports what a person should know although nothing failed. */
  warn(message: string): void;
}

export interface Repository {
  /** The top folder of the checkout that the project is in, without symlinks. */
  root: string;
  /** The project's folder in it: '' or a path that ends with a slash. */
  prefix: string;
  /** The folder that all worktrees of the repository share. */
  commonDir: string;
}

/** The options that git runs with in `dir`. */
export function gitIn(env: GitEnv, dir: string = env.paths.project): GitOptions {
  return { cwd: dir, env: env.ctx.env };
}

/**
 * The repository of the project. Throws SETTINGS_INVALID when the project is not in a work tree, or nothing was committed there
 * yet; IO_ERROR when git cannot run.
 */
export async function repositoryOf(env: GitEnv): Promise<Repository> {
  const { project } = env.paths;
  const found = await git(['rev-parse', '--show-toplevel', '--show-prefix', '--git-common-dir'], gitIn(env));
  if (found.code !== 0) throw noRepository(project, found);
  const [root = '', prefix = '', common = ''] = found.stdout.split('\n');
  if ((await commitOf(env, 'HEAD')) === null) {
    throw new ForgeError(
      'SETTINGS_INVALID',
      `nothing is committed in ${root}, so worktrees have nothing to start from`,
      {
        hint: 'Commit what tasks start from; or set `workspace: none` in .forge/settings.yaml.',
      },
    );
  }
  return { root, prefix, commonDir: realPath(absolutePath(project, common)) };
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

/** The commit of a name; null when there is none. */
export async function commitOf(env: GitEnv, name: string, dir?: string): Promise<string | null> {
  const { code, stdout } = await git(['rev-parse', '--verify', '--quiet', `${name}^{commit}`], gitIn(env, dir));
  return code === 0 ? stdout.trim() : null;
}

/** Null unless `sha` is the full id of a known commit: other text in a record could be an option of git. */
export async function commitNamed(env: GitEnv, sha: string): Promise<string | null> {
  return isCommitId(sha) ? commitOf(env, sha) : null;
}

/** The commit of a branch; null when there is no such branch. */
export function branchCommit(env: GitEnv, branch: string): Promise<string | null> {
  return commitOf(env, `refs/heads/${branch}`);
}

/** The head of a folder. Null when it is in no repository, when nothing is committed there, or when git cannot run. */
export async function headOf(env: GitEnv, dir: string): Promise<{ head: string; branch: string | null } | null> {
  try {
    const head = await commitOf(env, 'HEAD', dir);
    if (head === null) return null;
    const { code, stdout } = await git(['symbolic-ref', '--quiet', 'HEAD'], gitIn(env, dir));
    return { head, branch: code === 0 ? stdout.trim().replace(/^refs\/heads\//, '') : null };
  } catch (error) {
    if (error instanceof ForgeError) return null;
    throw error;
  }
}

/** What tasks start from and are merged into. */
export interface Base {
  /** Null when HEAD of the main checkout is detached. */
  branch: string | null;
  sha: string;
}

/**
 * `ship.base`, else the branch that a task was started for, if known, else the head of the project's checkout.
 * Throws SETTINGS_INVALID when there is no such branch; NOT_READY when the one that the task was started for is gone.
 */
export async function baseOf(env: GitEnv, begunFor: string | null = null): Promise<Base> {
  const { base } = env.settings.ship;
  if (base === null && begunFor !== null) {
    const sha = await branchCommit(env, begunFor);
    if (sha !== null) return { branch: begunFor, sha };
    throw new ForgeError('NOT_READY', `the branch ${begunFor}, which the task was started for, is gone`, {
      hint: 'Bring it back, or name another in .forge/settings.yaml: `ship: {base: main}`.',
    });
  }
  if (base !== null) {
    const sha = await branchCommit(env, base);
    if (sha !== null) return { branch: base, sha };
    throw new ForgeError('SETTINGS_INVALID', `ship.base: there is no branch ${base}`, {
      hint: 'Make that branch, or fix ship.base in .forge/settings.yaml.',
    });
  }
  const here = await headOf(env, env.paths.project);
  if (here !== null) return { branch: here.branch, sha: here.head };
  throw new ForgeError('SETTINGS_INVALID', `nothing is committed in ${env.paths.project}`, {
    hint: 'Commit what tasks start from.',
  });
}

/** The worktrees of the project's repository, the main checkout first. */
export async function listWorktrees(env: GitEnv): Promise<ListedWorktree[]> {
  const list = ['worktree', 'list', '--porcelain'];
  const result = await git([...list, '-z'], gitIn(env));
  if (result.code === 0) return parseWorktrees(result.stdout);
  // Before 2.36 git has no -z here.
  return parseWorktrees((await gitOk(list, gitIn(env))).stdout);
}

/** Git's entry for the worktree at a path; null when there is none, or something else is there. */
export async function worktreeAt(
  env: GitEnv,
  { commonDir }: Repository,
  place: string,
): Promise<ListedWorktree | null> {
  const entry = (await listWorktrees(env)).find(({ path }) => path === place);
  if (entry === undefined || lookAtPlace(place).kind !== 'folder') return null;
  // In a folder that only lies in a checkout, git would answer for that checkout.
  const { code, stdout } = await git(['rev-parse', '--show-toplevel', '--git-common-dir'], gitIn(env, place));
  const [top = '', common = ''] = stdout.split('\n');
  return code === 0 && top === place && realPath(absolutePath(place, common)) === commonDir ? entry : null;
}

/** Files below a folder that `agents.worktree_copy` names and git does not track, ignored or not. */
export async function untracked(env: GitEnv, dir: string): Promise<string[]> {
  const globs = env.settings.agents.worktree_copy.map((glob) => `:(glob)${glob}`);
  // Without any pattern git would list everything.
  if (globs.length === 0) return [];
  const { stdout } = await gitOk(['ls-files', '--others', '-z', '--', ...globs], gitIn(env, dir));
  return nulSeparated(stdout);
}

export async function isAncestor(env: GitEnv, older: string, newer: string): Promise<boolean> {
  const { code } = await gitOk(['merge-base', '--is-ancestor', older, newer], gitIn(env), [0, 1]);
  return code === 0;
}

/** `conflicts`: the files, relative to the top of the repository. `unknown`: git could not tell, in its words. */
export type MergeResult =
  | { kind: 'clean'; tree: string }
  | { kind: 'conflicts'; files: string[] }
  | { kind: 'unknown'; why: string };

/** Merges two commits into a tree, without touching any checkout. Throws IO_ERROR when git cannot run. */
export async function mergeTrees(env: GitEnv, ours: string, theirs: string): Promise<MergeResult> {
  const args = ['merge-tree', '--write-tree', '-z', '--name-only', '--no-messages', ours, theirs];
  const result = await git(args, gitIn(env));
  const [tree, ...files] = nulSeparated(result.stdout);
  if (result.code === 0 && tree !== undefined) return { kind: 'clean', tree };
  if (result.code === 1 && tree !== undefined) return { kind: 'conflicts', files: [...new Set(files)].sort() };
  // Git's exit code for unknown arguments.
  const isOld = result.code === 129;
  const why = isOld ? 'this git is older than 2.38, which is needed to merge without a checkout' : lastWords(result);
  return { kind: 'unknown', why };
}
