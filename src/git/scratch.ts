/** Temporary worktrees: a commit is checked out beside all other checkouts, used, and removed. */

import { exclusively } from '../lib/fs/locks.ts';
import { CHECKOUT_TIMEOUT_MS, git, gitOk } from './git.ts';
import { gitIn, listWorktrees, repositoryOf, type WorktreeEnv } from './repository.ts';
import { cwdIn, furnish, making, stopMakers } from './worktree.ts';
import {
  makeWorktreePlace,
  removeFolder,
  scratchesIn,
  scratchPlace,
  worktreesFolder,
  worktreesLock,
} from './worktree-files.ts';

/**
 * Runs `work` in a checkout of `commit`, in the project's folder of it, with the same copied files as a task's worktree. Throws what
 * `work` throws, IO_ERROR.
 */
export async function inScratch<T>(
  env: WorktreeEnv,
  { taskId, claimId, commit }: { taskId: string; claimId: string; commit: string },
  work: (cwd: string) => Promise<T>,
): Promise<T> {
  const repository = await repositoryOf(env);
  const place = scratchPlace(makeWorktreePlace(env.paths, env.settings.agents.worktree_root, taskId), claimId);
  const add = ['worktree', 'add', '--detach', '--force', place, commit];
  try {
    await exclusively(worktreesLock(place), () =>
      gitOk(add, { ...making(gitIn(env), place), timeoutMs: CHECKOUT_TIMEOUT_MS }),
    );
    await furnish(env, repository, place);
    return await work(cwdIn(place, repository));
  } finally {
    await remove(env, place);
  }
}

/** Removes the checkouts of killed processes: those whose claim no longer holds its task. Throws IO_ERROR. */
export async function clearScratches(env: WorktreeEnv): Promise<void> {
  const dir = worktreesFolder(env.paths, env.settings.agents.worktree_root);
  if (dir === null) return;
  // A process that was killed while it removed its checkout may have left only git's entry.
  const registered = (await listWorktrees(env)).map(({ path }) => path);
  for (const { path, taskId, claimId } of scratchesIn(dir, registered)) {
    const { record, problem } = await env.store.read(taskId);
    // The owner of an unreadable task is unknown.
    if (problem !== null || record?.lease?.claim_id === claimId) continue;
    await stopMakers(path);
    await remove(env, path);
  }
}

async function remove(env: WorktreeEnv, place: string): Promise<void> {
  // Git does not remove an incomplete checkout; one whose folder is gone it does forget.
  removeFolder(place);
  await git(['worktree', 'remove', '--force', '--force', place], gitIn(env));
}
