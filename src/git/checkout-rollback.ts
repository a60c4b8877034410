/**
 * Undoes a git step in a checkout that could not finish: a full disk stops it in the middle, a lock on the branch at the very end.
 * What was changed there meanwhile stays.
 */

import { nulSeparated } from '../domain/task/workspaces.ts';
import { CHECKOUT_TIMEOUT_MS, type GitOptions, git, gitOk } from './git.ts';
import { type GitEnv, gitIn } from './repository.ts';
import { isTaken, removeFile, textOf } from './worktree-files.ts';

/**
 * Inspects a checkout before git updates it from `base` to `merge`, and returns how to undo half of that. If uncommitted changes
 * were in the way before, nothing is undone: git refuses by itself. Throws IO_ERROR.
 */
export async function checkoutRollback(
  env: GitEnv,
  place: string,
  base: string,
  merge: string,
): Promise<() => Promise<void>> {
  const options = { ...gitIn(env, place), timeoutMs: CHECKOUT_TIMEOUT_MS };
  const names = async (filter: string) => {
    const diff = ['diff-tree', '-r', '-z', '--name-only', '--no-renames', `--diff-filter=${filter}`, base, merge];
    return nulSeparated((await gitOk(diff, options)).stdout);
  };
  const top = (await gitOk(['rev-parse', '--show-toplevel'], options)).stdout.trimEnd();
  const added = await names('A');
  const dryRun = await git(['read-tree', '-m', '-u', '--dry-run', base, merge], options);
  // Ignored files would not stop that git.
  if (dryRun.code !== 0 || added.some((name) => isTaken(`${top}/${name}`))) return async () => {};
  return async () => {
    // If it got as far as the index, git itself goes back, and touches nothing that was changed since.
    await git(['read-tree', '-m', '-u', merge, base], options);
    // New files first: it makes room.
    for (const name of added) if (await isGits(options, top, merge, name)) removeFile(`${top}/${name}`);
    let input = '';
    for (const name of await names('a')) {
      if (!isTaken(`${top}/${name}`) || (await isGits(options, top, merge, name))) input += `${name}\0`;
    }
    await git(['checkout-index', '--force', '--index', '-z', '--stdin'], { ...options, input });
  };
}

/** Whether a file is as git wrote it: that of the merge, or as much of it as the disk had room for. */
async function isGits(options: GitOptions, top: string, merge: string, name: string): Promise<boolean> {
  const text = textOf(`${top}/${name}`);
  if (text === null) return false;
  const blob = await git(['cat-file', '--filters', `${merge}:${name}`], options).catch(() => null);
  return blob?.code === 0 && blob.stdout.startsWith(text);
}
