/** Inspects the workspace of a task: its commit, its changes, and what is not committed. Changes nothing. */

import { branchFor, INITIALIZING } from '../domain/task/workspaces.ts';
import type { WorkFound } from '../domain/verify/verification.ts';
import { changesIn, sinceStart } from './changes.ts';
import { type GitEnv, git, gitIn, gitNames } from './git.ts';
import {
  baseOf,
  branchCommit,
  copySources,
  headOf,
  mergeBase,
  mergeTrees,
  repositoryOf,
  untracked,
  worktreeAt,
} from './repository.ts';
import { topOf } from './worktree-files.ts';

/**
 * Inspects the worktree of a task whose project folder is `cwd`. File names are relative to the top of the repository, and sorted; a
 * renamed file is listed under both names, ignored files and copies made by forge are not, nor what it has from the branches of the tasks
 * that it depends on. `begunFor`: as in `baseOf`; `fromStart`: as in `sinceStart`.
 * Null when there is no such worktree, or an incomplete one. Throws SETTINGS_INVALID, IO_ERROR.
 */
export async function inspectWorkspace(
  env: GitEnv,
  taskId: string,
  cwd: string,
  begunFor: string | null = null,
  fromStart: readonly string[] = [],
  dependsOn: readonly string[] = [],
): Promise<WorkFound | null> {
  const repository = await repositoryOf(env);
  const { prefix } = repository;
  const top = topOf(cwd, prefix);
  const entry = await worktreeAt(env, repository, top);
  if (entry === null || entry.locked === INITIALIZING) return null;
  const here = await headOf(env, top);
  if (here === null) return null;
  const { branch: base, sha: base_sha } = await baseOf(env, begunFor);
  const merged = await mergeTrees(env, base_sha, here.head);
  const own = branchFor(env.settings, taskId);
  /** What worktrees get copies of. */
  const sources = await copySources(env, repository);
  return {
    prefix,
    ...here,
    base,
    base_sha,
    files_changed: await ownChanges(env, base_sha, here.head, dependsOn),
    conflicts: merged.kind === 'unknown' ? null : merged.kind === 'clean' ? [] : merged.files,
    ...(await uncommittedIn(env, top, { prefix, sources, fromStart })),
    copied: await copiesCommitted(
      env,
      sources.map((name) => `${prefix}${name}`),
      { base: base_sha, head: here.head },
    ),
    own_branch: { name: own, sha: await branchCommit(env, own) },
  };
}

/** Names, from the top of the repository, of what `head` has changed since it left `base`. Throws IO_ERROR. */
export async function filesChanged(env: GitEnv, base: string, head: string): Promise<string[]> {
  // Without a common ancestor everything that differs was changed.
  const from = (await mergeBase(env, base, head)) ?? base;
  return (await gitNames(['diff-tree', '-r', '--name-only', '--no-renames', '-z', from, head], gitIn(env))).sort();
}

/** What `head` has changed since it left `base`, and since it left each branch of the tasks that it depends on. Throws IO_ERROR. */
async function ownChanges(env: GitEnv, base: string, head: string, dependsOn: readonly string[]): Promise<string[]> {
  let own = await filesChanged(env, base, head);
  for (const dependency of dependsOn) {
    const tip = own.length === 0 ? null : await branchCommit(env, branchFor(env.settings, dependency));
    if (tip === null) continue;
    const since = new Set(await filesChanged(env, tip, head));
    own = own.filter((name) => since.has(name));
  }
  return own;
}

async function uncommittedIn(
  env: GitEnv,
  top: string,
  { prefix, sources, fromStart }: { prefix: string; sources: readonly string[]; fromStart: readonly string[] },
): Promise<Pick<WorkFound, 'uncommitted' | 'modified'>> {
  const copies = new Set((await copiedIn(env, `${top}/${prefix}`, sources)).map((name) => `?? ${prefix}${name}`));
  const all = (await changesIn(env, top, 'all')).filter((line) => !copies.has(line));
  const lines = await sinceStart(env, top, all, fromStart);
  const names = (some: readonly string[]) => [...new Set(some.map((line) => line.slice(3)))].sort();
  return { uncommitted: names(lines), modified: names(lines.filter((line) => !line.startsWith('??'))) };
}

/**
 * Those of `copies`, files that git does not track in the project, that a commit of `head` has all the same: also one that a later
 * commit takes back, since it stays in the history. All names are from the top of the repository.
 */
async function copiesCommitted(
  env: GitEnv,
  copies: readonly string[],
  { base, head }: { base: string; head: string },
): Promise<string[]> {
  if (copies.length === 0) return [];
  const paths = ['--', ...copies.map((name) => `:(top,literal)${name}`)];
  const commits = ['log', '--format=', '--name-only', '-z', '--no-renames', '-m', `${base}..${head}`];
  const committed = new Set(await gitNames([...commits, ...paths], gitIn(env)));
  if (committed.size === 0) return [];
  const known = new Set(await gitNames(['ls-tree', '-r', '--full-tree', '--name-only', '-z', base], gitIn(env)));
  return [...committed].filter((name) => !known.has(name)).sort();
}

/** Copied files in the project's folder of a worktree, by name; none when a worker has removed that folder. */
async function copiedIn(env: GitEnv, dir: string, sources: readonly string[]): Promise<string[]> {
  const { code } = await git(['rev-parse', '--git-dir'], gitIn(env, dir)).catch(() => ({ code: 1 }));
  if (code !== 0) return [];
  // A file without a source is the worker's own.
  const there = new Set(sources);
  return (await untracked(env, dir)).filter((name) => there.has(name));
}
