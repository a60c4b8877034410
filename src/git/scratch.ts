/** Worktrees for a moment: a commit is checked out beside every other checkout, worked with, and removed. */

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
 * Does `work` in a checkout of `commit`, in the folder of it that the project is in, with the files that a task's worktree
 * gets as well. Throws what `work` throws, IO_ERROR.
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

/**
 * Removes the checkouts that were left by those who were killed: nobody works in one whose claim does not hold the task any
 * more. Throws IO_ERROR.
 */
export async function clearScratches(env: WorktreeEnv): Promise<void> {
  const dir = worktreesFolder(env.paths, env.settings.agents.worktree_root);
  if (dir === null) return;
  // Of one that was killed while it removed his own, only what git knows of it may be left.
  const registered = (await listWorktrees(env)).map(({ path }) => path);
  for (const { path, taskId, claimId } of scratchesIn(dir, registered)) {
    const { record, problem } = await env.store.read(taskId);
    // Of a task that can't be read nobody knows who holds it.
    if (problem !== null || record?.lease?.claim_id === claimId) continue;
    await stopMakers(path);
    await remove(env, path);
  }
}

async function remove(env: WorktreeEnv, place: string): Promise<void> {
  // A checkout that was cut off is none that git would remove; one whose folder is gone it does forget.
  removeFolder(place);
  await git(['worktree', 'remove', '--force', '--force', place], gitIn(env));
}
