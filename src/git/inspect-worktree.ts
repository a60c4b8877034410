/** Inspects the workspace of a task: its commit, its changes, and what is not committed. Changes nothing. */

import { branchFor, INITIALIZING, nulSeparated } from '../domain/task/workspaces.ts';
import { git, gitOk } from './git.ts';
import {
  baseOf,
  branchCommit,
  type GitEnv,
  gitIn,
  headOf,
  mergeTrees,
  repositoryOf,
  untracked,
  worktreeAt,
} from './repository.ts';
import { worktreePlace } from './worktree-files.ts';

/** File names are relative to the top of the repository, and sorted. */
export interface WorkspaceLook {
  /** The top of the worktree. */
  path: string;
  /** The project's folder in it: '' or a path that ends with a slash. */
  prefix: string;
  /** The checked-out branch; null when HEAD is detached. */
  branch: string | null;
  head: string;
  /** The branch that the work is for; null when the main checkout's HEAD is detached. */
  base: string | null;
  base_sha: string;
  /** Committed since the merge base. A renamed file is listed under both names. */
  files_changed: string[];
  /** Files in which the work and the base conflict; null when that is not known. */
  conflicts: string[] | null;
  /** Files with uncommitted changes. Ignored files and copies made by forge do not count. */
  uncommitted: string[];
  /** Those of them that git tracks. */
  modified: string[];
  /** The branch of the task, whatever is checked out, and its commit; null: a worker has deleted it. */
  own_branch: { name: string; sha: string | null };
}

/**
 * Inspects the task's worktree, or the one whose project folder is `cwd`, since settings may have changed since it was made.
 * `begunFor`: as in `baseOf`. Null when there is none, or an incomplete one. Throws SETTINGS_INVALID, IO_ERROR.
 */
export async function inspectWorkspace(
  env: GitEnv,
  taskId: string,
  cwd?: string,
  begunFor: string | null = null,
): Promise<WorkspaceLook | null> {
  const repository = await repositoryOf(env);
  const { prefix } = repository;
  const path =
    cwd === undefined ? worktreePlace(env.paths, env.settings.agents.worktree_root, taskId) : topOf(cwd, prefix);
  const entry = path === null ? null : await worktreeAt(env, repository, path);
  if (path === null || entry === null || entry.locked === INITIALIZING) return null;
  const here = await headOf(env, path);
  if (here === null) return null;
  const { branch: base, sha: base_sha } = await baseOf(env, begunFor);
  const merged = await mergeTrees(env, base_sha, here.head);
  const own = branchFor(taskId);
  return {
    path,
    prefix,
    ...here,
    base,
    base_sha,
    files_changed: await filesChanged(env, base_sha, here.head),
    conflicts: merged.kind === 'unknown' ? null : merged.kind === 'clean' ? [] : merged.files,
    ...(await uncommittedIn(env, path, prefix)),
    own_branch: { name: own, sha: await branchCommit(env, own) },
  };
}

/** The top of the worktree whose project folder is `cwd`. */
function topOf(cwd: string, prefix: string): string {
  const below = prefix === '' ? '' : `/${prefix.slice(0, -1)}`;
  return cwd.endsWith(below) ? cwd.slice(0, cwd.length - below.length) : cwd;
}

async function filesChanged(env: GitEnv, base: string, head: string): Promise<string[]> {
  const { code, stdout } = await gitOk(['merge-base', base, head], gitIn(env), [0, 1]);
  // Without a common ancestor everything that differs was changed.
  const from = code === 0 ? stdout.trim() : base;
  const args = ['diff-tree', '-r', '--name-only', '--no-renames', '-z', from, head];
  return nulSeparated((await gitOk(args, gitIn(env))).stdout).sort();
}

async function uncommittedIn(
  env: GitEnv,
  path: string,
  prefix: string,
): Promise<Pick<WorkspaceLook, 'uncommitted' | 'modified'>> {
  // Inspection must not take a lock that the worker's own git would hit.
  const options = { ...gitIn(env, path), env: { ...env.ctx.env, GIT_OPTIONAL_LOCKS: '0' } };
  const { stdout } = await gitOk(['status', '--porcelain', '-z', '--untracked-files=all', '--no-renames'], options);
  const copies = new Set((await copiedIn(env, `${path}/${prefix}`)).map((name) => `?? ${prefix}${name}`));
  const lines = nulSeparated(stdout).filter((line) => !copies.has(line));
  const names = (some: readonly string[]) => [...new Set(some.map((line) => line.slice(3)))].sort();
  return { uncommitted: names(lines), modified: names(lines.filter((line) => !line.startsWith('??'))) };
}

/** Copied files in the project's folder of a worktree, by name; none when a worker has removed that folder. */
async function copiedIn(env: GitEnv, dir: string): Promise<string[]> {
  const { code } = await git(['rev-parse', '--git-dir'], gitIn(env, dir)).catch(() => ({ code: 1 }));
  if (code !== 0) return [];
  // A file without a source is the worker's own.
  const there = new Set(await untracked(env, env.paths.project));
  return (await untracked(env, dir)).filter((name) => there.has(name));
}
