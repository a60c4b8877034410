/** Worktrees for a moment: a commit is checked out beside every other checkout, worked with, and removed. */

import { git, gitOk } from '../host/git.ts';
import { exclusively } from '../store/locks.ts';
import {
  makeWorktreePlace,
  removeFolder,
  scratchesBeside,
  scratchPlace,
  worktreesLock,
} from '../store/worktree-files.ts';
import type { Env } from './env.ts';
import { gitIn, repositoryOf } from './repository.ts';
import { cwdIn, furnish } from './workspace.ts';

/** Milliseconds that a checkout may take. */
const ADD_TIMEOUT_MS = 600_000;

/**
 * Does `work` in a checkout of `commit`, in the folder of it that the project is in, with the files that a task's worktree
 * gets as well. What others who died have left is cleared away first. Throws what `work` throws, IO_ERROR.
 */
export async function inScratch<T>(
  env: Env,
  { taskId, claimId, commit }: { taskId: string; claimId: string; commit: string },
  work: (cwd: string) => Promise<T>,
): Promise<T> {
  const repository = await repositoryOf(env);
  const place = scratchPlace(makeWorktreePlace(env.layout, env.settings.agents.worktree_root, taskId), claimId);
  await exclusively(worktreesLock(place), async () => {
    await clearLeft(env, place);
    await gitOk(['worktree', 'add', '--detach', '--force', place, commit], {
      ...gitIn(env),
      timeoutMs: ADD_TIMEOUT_MS,
    });
  });
  try {
    await furnish(env, repository, place);
    return await work(cwdIn(place, repository));
  } finally {
    await remove(env, place);
  }
}

/** Nobody works in a scratch whose claim does not hold the task any more. */
async function clearLeft(env: Env, place: string): Promise<void> {
  for (const { path, taskId, claimId } of scratchesBeside(place)) {
    const { record } = await env.store.read(taskId);
    if (record?.lease?.claim_id !== claimId) await remove(env, path);
  }
}

async function remove(env: Env, place: string): Promise<void> {
  // A checkout that was cut off is none that git would remove; one whose folder is gone it does forget.
  removeFolder(place);
  await git(['worktree', 'remove', '--force', '--force', place], gitIn(env));
}
