/**
 * Takes out of a checkout what a git that could not finish its step has put there: a full disk stops it in the middle, a lock
 * on the branch at the very end. What somebody has written there meanwhile stays.
 */

import { nulSeparated } from '../domain/task/workspaces.ts';
import { CHECKOUT_TIMEOUT_MS, type GitOptions, git, gitOk } from './git.ts';
import { type GitEnv, gitIn } from './repository.ts';
import { isTaken, removeFile, textOf } from './worktree-files.ts';

/**
 * Looks at a checkout before git brings it from `base` to `merge`, and returns how to undo half of that. Where something that
 * is not committed was in the way before, nothing is undone: git says no by itself. Throws IO_ERROR.
 */
export async function wayBack(env: GitEnv, place: string, base: string, merge: string): Promise<() => Promise<void>> {
  const options = { ...gitIn(env, place), timeoutMs: CHECKOUT_TIMEOUT_MS };
  const names = async (filter: string) => {
    const diff = ['diff-tree', '-r', '-z', '--name-only', '--no-renames', `--diff-filter=${filter}`, base, merge];
    return nulSeparated((await gitOk(diff, options)).stdout);
  };
  const top = (await gitOk(['rev-parse', '--show-toplevel'], options)).stdout.trimEnd();
  const added = await names('A');
  const foreseen = await git(['read-tree', '-m', '-u', '--dry-run', base, merge], options);
  // What git ignores would be no hindrance to that one.
  if (foreseen.code !== 0 || added.some((name) => isTaken(`${top}/${name}`))) return async () => {};
  return async () => {
    // Where it had come as far as the index: git itself goes back, and touches nothing that was changed since.
    await git(['read-tree', '-m', '-u', merge, base], options);
    // First what is new: it makes room.
    for (const name of added) if (await isGits(options, top, merge, name)) removeFile(`${top}/${name}`);
    let input = '';
    for (const name of await names('a')) {
      if (!isTaken(`${top}/${name}`) || (await isGits(options, top, merge, name))) input += `${name}\0`;
    }
    await git(['checkout-index', '--force', '--index', '-z', '--stdin'], { ...options, input });
  };
}

/** Whether a file is as git wrote it: that of the merge, or as much of it as there was room for. */
async function isGits(options: GitOptions, top: string, merge: string, name: string): Promise<boolean> {
  const text = textOf(`${top}/${name}`);
  if (text === null) return false;
  const blob = await git(['cat-file', '--filters', `${merge}:${name}`], options).catch(() => null);
  return blob?.code === 0 && blob.stdout.startsWith(text);
}
