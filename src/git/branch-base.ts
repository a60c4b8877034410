/** The commit that a task's branch starts at: the base, with the work of its dependencies. No checkout is touched. */

import { branchFor } from '../domain/task/workspaces.ts';
import { type GitResult, git, gitOk } from './git.ts';
import { baseOf, branchCommit, type GitEnv, gitIn, isAncestor, mergeTrees, type WorktreeEnv } from './repository.ts';

/** The part of a task that its workspace depends on. */
export interface WorkspaceTask {
  id: string;
  depends_on: readonly string[];
}

/** The identity of merges where git has none. */
export const FALLBACK_IDENTITY = { name: 'forge', email: 'forge@localhost' };

/**
 * The commit that the branch of a task starts at. Branches of dependencies that are not in the base yet are merged in, in plan
 * order; one that conflicts is left out with a warning.
 * Throws SETTINGS_INVALID when the base is no branch, IO_ERROR.
 */
export async function branchBase(env: WorktreeEnv, task: WorkspaceTask): Promise<string> {
  let point = (await baseOf(env)).sha;
  for (const dependency of new Set(task.depends_on)) {
    const tip = await branchCommit(env, branchFor(dependency));
    if (tip !== null) point = await withDependency(env, task.id, point, dependency, tip);
  }
  return point;
}

async function withDependency(
  env: WorktreeEnv,
  taskId: string,
  point: string,
  dependency: string,
  tip: string,
): Promise<string> {
  if (await isAncestor(env, tip, point)) return point;
  if (await isAncestor(env, point, tip)) return tip;
  const merged = await mergeTrees(env, point, tip);
  const branch = branchFor(dependency);
  if (merged.kind === 'clean') {
    return mergeCommit(env, merged.tree, [point, tip], `Merge branch '${branch}' into ${branchFor(taskId)}`);
  }
  const why = merged.kind === 'conflicts' ? `it conflicts in ${merged.files.join(', ')}` : merged.why;
  env.warn(`the worktree of task ${taskId} starts without the work of ${dependency} (branch ${branch}): ${why}`);
  return point;
}

/** Makes a merge commit of a merged tree. Throws IO_ERROR. */
export async function mergeCommit(
  env: WorktreeEnv,
  tree: string,
  parents: readonly string[],
  message: string,
): Promise<string> {
  const args = ['commit-tree', tree, ...parents.flatMap((parent) => ['-p', parent]), '-m', message];
  const options = gitIn(env);
  const { stdout } = await gitOk(args, { ...options, env: { ...options.env, ...(await identity(env)) } });
  return stdout.trim();
}

/** Variables for an identity to commit with; none where git has one. */
export async function identity(env: GitEnv): Promise<Record<string, string>> {
  const known = ({ code }: GitResult) => code === 0;
  const roles = ['AUTHOR', 'COMMITTER'];
  const answers = await Promise.all(roles.map((role) => git(['var', `GIT_${role}_IDENT`], gitIn(env))));
  const missing = roles.filter((_, index) => !known(answers[index] as GitResult));
  return Object.fromEntries(
    missing.flatMap((role) => [
      [`GIT_${role}_NAME`, FALLBACK_IDENTITY.name],
      [`GIT_${role}_EMAIL`, FALLBACK_IDENTITY.email],
    ]),
  );
}
