/** The commit that the branch of a task starts at, and how the branch follows the base until it has commits of its own. */

import { type Behind, branchFor, FOLLOWS } from '../domain/task/workspaces.ts';
import { orNull } from '../lib/errors.ts';
import { CHECKOUT_TIMEOUT_MS, type GitEnv, git, gitIn, gitText, lastWords } from './git.ts';
import {
  baseOf,
  branchCommit,
  headOf,
  isAncestor,
  makeCommit,
  mergeTrees,
  repositoryOf,
  type WorktreeEnv,
} from './repository.ts';
import { fillSubmodules, sourceOf } from './submodules.ts';

/** The part of a task that its workspace depends on. */
export interface WorkspaceTask {
  id: string;
  depends_on: readonly string[];
}

/**
 * The base, with the work of the task's dependencies. Branches of dependencies that are not in the base yet are merged in, in plan
 * order, without a checkout; one that conflicts is left out with a warning. Throws IO_ERROR.
 */
export async function branchBase(env: WorktreeEnv, task: WorkspaceTask, base: string): Promise<string> {
  let point = base;
  for (const dependency of new Set(task.depends_on)) {
    const branch = branchFor(env.settings, dependency);
    const tip = await branchCommit(env, branch);
    if (tip === null || (await isAncestor(env, tip, point))) continue;
    if (await isAncestor(env, point, tip)) {
      point = tip;
      continue;
    }
    const merged = await mergeTrees(env, point, tip);
    if (merged.kind === 'clean') {
      const message = `Merge branch '${branch}' into ${branchFor(env.settings, task.id)}`;
      point = await makeCommit(env, { tree: merged.tree, parents: [point, tip], message, merge: true });
      continue;
    }
    const why = merged.kind === 'conflicts' ? `it conflicts in ${merged.files.join(', ')}` : merged.why;
    env.warn(`the worktree of task ${task.id} starts without the work of ${dependency} (branch ${branch}): ${why}`);
  }
  return point;
}

interface BranchStanding {
  /** The commit of the branch. */
  tip: string;
  /** That of its base. */
  sha: string;
  /** It has commits that the base lacks. */
  own: boolean;
  /** Null: it lacks nothing of the base. */
  behind: Behind | null;
}

/** The branch of a task beside its base; null where there is no branch, or its base can't be told. `begunFor`: as in `baseOf`. Throws IO_ERROR. */
async function besideBase(env: GitEnv, taskId: string, begunFor: string | null): Promise<BranchStanding | null> {
  const branch = branchFor(env.settings, taskId);
  const tip = await branchCommit(env, branch);
  const base = await orNull(() => baseOf(env, begunFor));
  if (tip === null || base === null) return null;
  const { sha } = base;
  if (tip === sha) return { tip, sha, own: false, behind: null };
  const counts = await gitText(['rev-list', '--left-right', '--count', `${tip}...${sha}`], gitIn(env));
  const [own = 0, commits = 0] = counts.split('\t').map(Number);
  const behind = commits === 0 ? null : { branch, commits, base: base.branch ?? sha.slice(0, 12) };
  return { tip, sha, own: own > 0, behind };
}

/** How far a branch with commits of its own is behind its base; null where it is not. `begunFor`: as in `baseOf`. Throws IO_ERROR. */
export async function ownBehindBase(env: GitEnv, taskId: string, begunFor: string | null): Promise<Behind | null> {
  const standing = await besideBase(env, taskId, begunFor);
  return standing?.own === true ? standing.behind : null;
}

/** Whether the branch of a task has commits that its base lacks. `begunFor`: as in `baseOf`. Throws SETTINGS_INVALID, NOT_READY, IO_ERROR. */
export async function hasOwnCommits(env: GitEnv, taskId: string, begunFor: string | null): Promise<boolean> {
  const tip = await branchCommit(env, branchFor(env.settings, taskId));
  return tip !== null && !(await isAncestor(env, tip, (await baseOf(env, begunFor)).sha));
}

/**
 * Moves a branch without commits of its own to the base of now, with the work of its dependencies; its files follow, as after a pull. A
 * worktree on another branch, and changes that a move would overwrite, stay. Returns how far the branch is behind after that.
 * Throws IO_ERROR.
 */
export async function followBase(
  env: WorktreeEnv,
  task: WorkspaceTask,
  place: string,
  begunFor: string | null,
): Promise<Behind | null> {
  const standing = await besideBase(env, task.id, begunFor);
  if (standing === null || standing.own) return standing?.behind ?? null;
  const { tip, sha, behind } = standing;
  const branch = branchFor(env.settings, task.id);
  if ((await headOf(env, place))?.branch !== branch) return behind;
  const target = await branchBase(env, task, sha);
  if (target === tip) return null;
  const options = { ...gitIn(env, place), timeoutMs: CHECKOUT_TIMEOUT_MS, acts: true };
  // The reflog tells this move from a worker's.
  const variables = { ...env.ctx.env, GIT_REFLOG_ACTION: FOLLOWS };
  const moved = await git(['merge', '--ff-only', '--no-autostash', '--no-stat', '--quiet', target], {
    ...options,
    env: variables,
  });
  if (moved.code === 0) {
    const source = sourceOf(await repositoryOf(env));
    for (const why of await fillSubmodules(env, place, source, { run: options, again: true }))
      env.warn(`a submodule of ${place} can't follow: ${why}`);
    return null;
  }
  env.warn(`${branch} can't follow ${behind?.base ?? 'the tasks that it depends on'}: ${lastWords(moved)}`);
  return behind;
}
