/** Temporary worktrees: a commit is checked out beside all other checkouts, used, and removed. */

import fs from 'node:fs';
import path from 'node:path';
import { whileDoing } from '../lib/fs/io-errors.ts';
import { fileNameOf, isUuid, requireUuid, taskOfFileName } from '../lib/ids.ts';
import { git, gitIn, gitOk } from './git.ts';
import { inTurn } from './in-turn.ts';
import { listWorktrees, repositoryOf, type WorktreeEnv } from './repository.ts';
import { cwdIn, furnish, making, stopMakers } from './worktree.ts';
import { makeWorktreePlace, removeFolder, worktreesFolder, worktreesLock } from './worktree-files.ts';

const SCRATCH = '.forge-scratch-';
const UUID_CHARS = 36;

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
  const dir = path.dirname(makeWorktreePlace(env, taskId));
  const place = `${dir}/${SCRATCH}${requireUuid(claimId, 'claim')}-${fileNameOf(taskId)}`;
  const add = ['worktree', 'add', '--detach', '--force', place, commit];
  try {
    await inTurn(env, worktreesLock(place), () => gitOk(add, making(gitIn(env), place)));
    await furnish(env, repository, place);
    return await work(cwdIn(place, repository));
  } finally {
    await remove(env, place);
  }
}

/** Removes the checkouts of killed processes: those whose claim no longer holds its task. Throws IO_ERROR. */
export async function clearScratches(env: WorktreeEnv): Promise<void> {
  const dir = worktreesFolder(env);
  if (dir === null) return;
  const names = whileDoing(`listing ${dir}`, () => fs.readdirSync(dir));
  // A process that was killed while it removed its checkout may have left only git's entry.
  const places = (await listWorktrees(env)).flatMap(({ path: place }) => (path.dirname(place) === dir ? [place] : []));
  for (const place of new Set([...names.map((name) => `${dir}/${name}`), ...places])) {
    const name = path.basename(place);
    const claimId = name.slice(SCRATCH.length, SCRATCH.length + UUID_CHARS);
    const taskId = taskOfFileName(name.slice(SCRATCH.length + UUID_CHARS + 1));
    if (!name.startsWith(SCRATCH) || !isUuid(claimId) || taskId === null) continue;
    const { record, problem } = await env.store.read(taskId);
    // The owner of an unreadable task is unknown.
    if (problem !== null || record?.lease?.claim_id === claimId) continue;
    await stopMakers(place);
    await remove(env, place);
  }
}

async function remove(env: WorktreeEnv, place: string): Promise<void> {
  // Git does not remove an incomplete checkout; one whose folder is gone it does forget.
  removeFolder(place);
  await git(['worktree', 'remove', '--force', '--force', place], gitIn(env));
}
