/** What gc sees of git: branches and worktrees of tasks, and whether their work is in the base. Changes nothing. */

import fs from 'node:fs';
import type { GcBranch, GcWorktree } from '../domain/gc/gc-plan.ts';
import { branchFor, FOLLOWS, type ListedWorktree, taskOfBranch } from '../domain/task/workspaces.ts';
import { ForgeError, orNull } from '../lib/errors.ts';
import { realPath } from '../lib/fs/folders.ts';
import { errorCode, ifThere, NO_PATH } from '../lib/fs/io-errors.ts';
import { readCapped } from '../lib/fs/read.ts';
import { taskOfFileName } from '../lib/ids.ts';
import { madeIn, once } from '../lib/once.ts';
import { type GitEnv, gitIn, gitLines, gitText } from './git.ts';
import { branchUses } from './removal.ts';
import {
  baseOf,
  branchCommit,
  commitNamed,
  isAncestor,
  listWorktrees,
  makeCommit,
  mergeBase,
  type Repository,
  repositoryOf,
} from './repository.ts';
import { isOwnName, nameBelow, worktreesFolder } from './worktree-files.ts';

export { pruneBranch, type Removal, removeWorktree } from './removal.ts';

export interface GitLook {
  /** Branches of tasks, sorted by name. */
  branches: GcBranch[];
  /** Worktrees and other folders directly below the worktree root, sorted by name. */
  worktrees: GcWorktree[];
  /**
   * The commit of a task whose work is in the base, at the time of the look: `targetSha`, that of its verified verdict in full, or
   * with null its branch's. Null when there is no such commit, and when nothing proves that. Throws IO_ERROR.
   */
  mergedSha(taskId: string, targetSha: string | null): Promise<string | null>;
}

const NO_GIT: GitLook = { branches: [], worktrees: [], mergedSha: async () => null };

/**
 * Reads the project's repository; without one, or without git, the result is empty. `checkout`: where its `.git` is. A branch whose
 * commits are not in the base is compared by its changes, which takes several processes: only if it has no worktree.
 * Throws SETTINGS_INVALID when `ship.base` is needed and is no branch, IO_ERROR when git fails.
 */
export async function lookAtGit(env: GitEnv, checkout: string): Promise<GitLook> {
  // Every git process costs time: what is not needed is not asked.
  const repository = once(() => repositoryIfAny(env));
  const base = once(() => baseOf(env).then(({ sha }) => sha));
  const known = new Map<string, Promise<boolean>>();
  const isMerged = (sha: string) => madeIn(known, sha, () => base().then((commit) => isIn(env, commit, sha)));
  let found: [TaskBranch[], ListedWorktree[]] = [
    [],
    [{ path: realPath(checkout), head: null, branch: null, locked: null }],
  ];
  try {
    if (mayHaveTasks(`${checkout}/.git`, env.settings.agents.branch_prefix))
      found = await Promise.all([branchesOf(env), listWorktrees(env)]);
  } catch (error) {
    if (!(error instanceof ForgeError) || (await repository()) !== null) throw error;
    return NO_GIT;
  }
  const [branches, worktrees] = found;
  const here = branches.length === 0 ? null : await repository();
  return {
    branches: here === null ? [] : await branchesSeen(env, here, branches, await base(), isMerged),
    worktrees: worktreesSeen(env, worktrees),
    async mergedSha(taskId, targetSha) {
      if ((await repository()) === null) return null;
      const sha =
        targetSha === null ? await workOn(env, branchFor(env.settings, taskId)) : await commitNamed(env, targetSha);
      return sha !== null && (await isMerged(sha)) ? sha : null;
    },
  };
}

/**
 * Tasks that have a branch, and tasks that have a worktree or a folder in the place of one. `checkout`: where the project's `.git` is;
 * null: nowhere. Throws IO_ERROR, also where git is missing.
 */
export async function tasksInGit(
  env: GitEnv,
  checkout: string | null,
): Promise<{ branches: Set<string>; worktrees: Set<string> }> {
  const isEmpty = checkout === null || !mayHaveTasks(`${checkout}/.git`, env.settings.agents.branch_prefix);
  const [branches, listed] = isEmpty ? [[], []] : await Promise.all([branchesOf(env), listWorktrees(env)]);
  const worktrees = worktreesSeen(env, listed).flatMap(({ name, branch }) => {
    const task = branch === null ? null : taskOfBranch(env.settings, branch);
    return task === null ? [name] : [name, task];
  });
  return { branches: new Set(branches.map(({ task_id }) => task_id)), worktrees: new Set(worktrees) };
}

/** Read limit of `packed-refs`, bytes. */
const PACKED_MAX_BYTES = 16 * 1024 * 1024;

/**
 * Whether a repository may have branches of tasks, or worktrees, as far as its files tell. Each branch is a file below `refs/heads`,
 * or a line of `packed-refs`; there may be anything where git is a file, as in a linked worktree, and in another ref storage.
 * Source: gitrepository-layout(5).
 */
export function mayHaveTasks(git: string, prefix: string): boolean {
  const heads = `${git}/refs/heads`;
  const isFolder = (place: string) => fs.statSync(place, { throwIfNoEntry: false })?.isDirectory() === true;
  if (!isFolder(git) || !isFolder(heads) || [`${git}/worktrees`, `${heads}/${prefix}`].some(isFolder)) return true;
  try {
    return readCapped(`${git}/packed-refs`, PACKED_MAX_BYTES).includes(` refs/heads/${prefix}/`);
  } catch (error) {
    return errorCode(error) !== 'ENOENT';
  }
}

async function repositoryIfAny(env: GitEnv): Promise<Repository | null> {
  try {
    return await repositoryOf(env);
  } catch (error) {
    if (!(error instanceof ForgeError)) throw error;
    const cause = error.cause as NodeJS.ErrnoException | undefined;
    if (error.code === 'SETTINGS_INVALID' || cause?.code === 'ENOENT') return null;
    throw error;
  }
}

type TaskBranch = Pick<GcBranch, 'name' | 'task_id' | 'sha'>;

/** Symbolic refs are left out. */
async function branchesOf(env: GitEnv, ...only: string[]): Promise<TaskBranch[]> {
  const format = '--format=%(objectname) %(refname) %(symref)';
  const lines = await gitLines(
    ['for-each-ref', format, ...only, '--', `refs/heads/${env.settings.agents.branch_prefix}/`],
    gitIn(env),
  );
  return lines.flatMap((line) => {
    const [sha = '', ref = '', symref = ''] = line.split(' ');
    const name = ref.replace(/^refs\/heads\//, '');
    const task_id = taskOfBranch(env.settings, name);
    return task_id === null || symref !== '' ? [] : [{ name, task_id, sha }];
  });
}

async function branchesSeen(
  env: GitEnv,
  repository: Repository,
  all: readonly TaskBranch[],
  base: string,
  isMerged: (sha: string) => Promise<boolean>,
): Promise<GcBranch[]> {
  const inBase = new Set((await branchesOf(env, `--merged=${base}`)).map(({ name }) => name));
  const useOf = await branchUses(env, repository);
  const seen: GcBranch[] = [];
  for (const branch of all) {
    const has_worktree = useOf(branch.name, branch.task_id) !== null;
    const merged = inBase.has(branch.name) || (!has_worktree && (await isMerged(branch.sha)));
    seen.push({ ...branch, has_worktree, merged });
  }
  return seen;
}

function worktreesSeen(env: GitEnv, [main, ...linked]: readonly ListedWorktree[]): GcWorktree[] {
  const root = worktreesFolder(env);
  if (root === null) return [];
  const registered = linked.flatMap(({ path, branch, head }): GcWorktree[] => {
    const name = nameBelow(root, path);
    return name === null || isOwnName(name)
      ? []
      : [{ path, name: taskOfFileName(name) ?? name, branch, head: head ?? '', registered: true }];
  });
  const known = new Set([main?.path, ...registered.map(({ path }) => path)]);
  const entries = ifThere(`listing ${root}`, () => fs.readdirSync(root, { withFileTypes: true }), NO_PATH) ?? [];
  const unknown = entries.flatMap((entry): GcWorktree[] => {
    const { name } = entry;
    const isOther = entry.isDirectory() && name !== '.git' && !isOwnName(name) && !known.has(`${root}/${name}`);
    return isOther
      ? [{ path: `${root}/${name}`, name: taskOfFileName(name) ?? name, branch: null, head: '', registered: false }]
      : [];
  });
  return [...registered, ...unknown].sort((a, b) => (a.name < b.name ? -1 : 1));
}

// --- whether work is in the base -------------------------------------------------------------------------------------

/** The commit of a branch. Null without the branch, and while it is where it started or forge has moved it: that commit is in every base. */
async function workOn(env: GitEnv, branch: string): Promise<string | null> {
  const sha = await branchCommit(env, branch);
  if (sha === null) return null;
  const reflog = await gitText(['reflog', 'show', '--format=%gs', `refs/heads/${branch}`, '--'], gitIn(env));
  const isStart = (line: string) => line.startsWith('branch: Created from ') || line.startsWith(FOLLOWS);
  return reflog.split('\n').every(isStart) ? null : sha;
}

/**
 * Whether all of a commit's work is in the base: as the commit itself; as other commits with the same changes, after a rebase or
 * cherry-picks; or squashed into one. Both commits exist. Throws IO_ERROR.
 */
async function isIn(env: GitEnv, base: string, sha: string): Promise<boolean> {
  if (await isAncestor(env, sha, base)) return true;
  const fork = await mergeBase(env, base, sha);
  if (fork === null) return false;
  // A merge has no patch, since its resolution could not be found: it proves nothing.
  const merges = await gitText(['rev-list', '--min-parents=2', '--max-count=1', sha, `^${base}`], gitIn(env));
  if (merges === '' && (await hasPatches(env, base, sha))) return true;
  const message = 'all of a branch';
  // With a fixed date it is the same object at every look. A read-only repository gives no proof.
  const all = {
    tree: `${sha}^{tree}`,
    parents: [fork],
    message,
    date: '2000-01-01T00:00:00Z',
    by: 'fallback',
  } as const;
  const squashed = await orNull(() => makeCommit(env, all));
  return squashed !== null && (await hasPatches(env, base, squashed));
}

/** Whether the base has the patch of every commit that leads to `sha`; an empty commit has none. */
async function hasPatches(env: GitEnv, base: string, sha: string): Promise<boolean> {
  const lines = await gitLines(['cherry', base, sha], gitIn(env));
  return lines.length > 0 && lines.every((line) => line.startsWith('- '));
}
