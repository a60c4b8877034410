/** What gc sees of git: branches and worktrees of tasks, and whether their work is in the base. Changes nothing. */

import type { GcBranch, GcWorktree } from '../domain/gc/gc-plan.ts';
import { branchFor, type ListedWorktree, taskOfBranch } from '../domain/task/workspaces.ts';
import { ForgeError } from '../lib/errors.ts';
import { once } from '../lib/once.ts';
import { gitOk } from './git.ts';
import { isMerged } from './merged.ts';
import { branchUses } from './removal.ts';
import {
  baseOf,
  branchCommit,
  commitNamed,
  type GitEnv,
  gitIn,
  listWorktrees,
  type Repository,
  repositoryOf,
} from './repository.ts';
import { lookForRepository } from './repository-look.ts';
import { foldersBelow, isOwnName, nameBelow, worktreesFolder } from './worktree-files.ts';

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

const NOTHING: GitLook = { branches: [], worktrees: [], mergedSha: async () => null };

/**
 * Reads the project's repository; without one, or without git, the result is empty. A branch whose commits are not in the base is
 * compared by its changes, which takes several processes: only if it has no worktree. Throws SETTINGS_INVALID when `ship.base` is
 * needed and is no branch, IO_ERROR when git fails.
 */
export async function lookAtGit(env: GitEnv): Promise<GitLook> {
  const here = await seenHere(env);
  if (here === null) return NOTHING;
  const known = new Map<string, Promise<boolean>>();
  const look: Look = {
    repository: once(() => repositoryIfAny(env)),
    base: once(() => baseOf(env).then(({ sha }) => sha)),
    isMerged(sha) {
      const answer = known.get(sha) ?? look.base().then((base) => isMerged(env, base, sha));
      known.set(sha, answer);
      return answer;
    },
  };
  return {
    branches: await branchesSeen(env, here.branches, look),
    worktrees: worktreesSeen(env, here.worktrees),
    async mergedSha(taskId, targetSha) {
      if ((await look.repository()) === null) return null;
      const sha = targetSha === null ? await workOn(env, branchFor(taskId)) : await commitNamed(env, targetSha);
      return sha !== null && (await look.isMerged(sha)) ? sha : null;
    },
  };
}

/** The repository, the base, and what is in it, at the time of the look. Computed on first use: every git process costs time. */
interface Look {
  repository(): Promise<Repository | null>;
  base(): Promise<string>;
  isMerged(sha: string): Promise<boolean>;
}

interface TaskBranch {
  name: string;
  task_id: string;
  sha: string;
}

/**
 * Branches of tasks, and the worktrees with the main checkout first. git runs only for what may exist. Null where there is no
 * repository that can have worktrees, and where there is no git. Throws IO_ERROR for any other failure.
 */
async function seenHere(
  env: GitEnv,
): Promise<{ branches: TaskBranch[]; worktrees: Pick<ListedWorktree, 'path' | 'branch' | 'head'>[] } | null> {
  const found = lookForRepository(env.paths.project);
  if (found === null) return null;
  try {
    const [branches, worktrees] = await Promise.all([
      found.branches ? branchesOf(env) : [],
      found.worktrees ? listWorktrees(env) : [{ path: found.top, branch: null, head: null }],
    ]);
    return { branches, worktrees };
  } catch (error) {
    if (!(error instanceof ForgeError) || (await repositoryIfAny(env)) !== null) throw error;
    return null;
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

/** The commit of a branch. Null without the branch, and while it is where it started: that commit is in every base. */
async function workOn(env: GitEnv, branch: string): Promise<string | null> {
  const sha = await branchCommit(env, branch);
  if (sha === null) return null;
  const { stdout } = await gitOk(['reflog', 'show', '--format=%gs', `refs/heads/${branch}`, '--'], gitIn(env));
  return /^branch: Created from [^\n]*\n?$/.test(stdout) ? null : sha;
}

async function branchesSeen(env: GitEnv, all: readonly TaskBranch[], look: Look): Promise<GcBranch[]> {
  const repository = all.length === 0 ? null : await look.repository();
  if (repository === null) return [];
  const inBase = new Set((await branchesOf(env, `--merged=${await look.base()}`)).map(({ name }) => name));
  const useOf = await branchUses(env, repository);
  const seen: GcBranch[] = [];
  for (const { name, task_id, sha } of all) {
    const has_worktree = useOf(name, task_id) !== null;
    const merged = inBase.has(name) || (!has_worktree && (await look.isMerged(sha)));
    seen.push({ name, task_id, sha, has_worktree, merged });
  }
  return seen;
}

/** Symbolic refs are left out. */
async function branchesOf(env: GitEnv, ...only: string[]): Promise<TaskBranch[]> {
  const format = '--format=%(objectname) %(refname) %(symref)';
  const { stdout } = await gitOk(['for-each-ref', format, ...only, '--', 'refs/heads/forge/'], gitIn(env));
  return stdout.split('\n').flatMap((line) => {
    const [sha = '', ref = '', symref = ''] = line.split(' ');
    const name = ref.replace(/^refs\/heads\//, '');
    const task_id = taskOfBranch(name);
    return task_id === null || symref !== '' ? [] : [{ name, task_id, sha }];
  });
}

function worktreesSeen(
  env: GitEnv,
  [main, ...linked]: readonly Pick<ListedWorktree, 'path' | 'branch' | 'head'>[],
): GcWorktree[] {
  const root = worktreesFolder(env.paths, env.settings.agents.worktree_root);
  if (root === null) return [];
  const registered = linked.flatMap(({ path, branch, head }): GcWorktree[] => {
    const name = nameBelow(root, path);
    return name === null || isOwnName(name) ? [] : [{ path, name, branch, head: head ?? '', registered: true }];
  });
  const known = new Set([main?.path, ...registered.map(({ path }) => path)]);
  const others = foldersBelow(root).filter((name) => !known.has(`${root}/${name}`));
  const unknown = others.map((name) => ({ path: `${root}/${name}`, name, branch: null, head: '', registered: false }));
  return [...registered, ...unknown].sort((a, b) => (a.name < b.name ? -1 : 1));
}
