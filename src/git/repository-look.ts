/** Whether a repository may have branches or worktrees of tasks, from its files: every git process costs time. */

import fs from 'node:fs';
import path from 'node:path';
import { readCapped } from '../lib/fs/read.ts';

export interface RepositoryLook {
  /** The top folder of the checkout, without symlinks in it. */
  top: string;
  /** False when no branch is a task's. */
  branches: boolean;
  /** False when there is no worktree but this checkout. */
  worktrees: boolean;
}

/** Read limit of `packed-refs`, bytes. */
const PACKED_MAX_BYTES = 16 * 1024 * 1024;

/**
 * Finds the repository of a project; null when it is in none. If the files do not tell, as those of a linked worktree or of another
 * ref storage, it may have anything. Source: gitrepository-layout(5).
 */
export function lookForRepository(project: string): RepositoryLook | null {
  for (let at = project; ; at = path.dirname(at)) {
    const git = `${at}/.git`;
    const stat = fs.lstatSync(git, { throwIfNoEntry: false });
    if (stat !== undefined) {
      const unknown = !stat.isDirectory();
      return {
        top: fs.realpathSync(at),
        branches: unknown || mayHaveBranches(git),
        worktrees: unknown || fs.existsSync(`${git}/worktrees`),
      };
    }
    if (at === path.dirname(at)) return null;
  }
}

/** Each branch is a file below `refs/heads`, or a line of `packed-refs`. */
function mayHaveBranches(git: string): boolean {
  const heads = `${git}/refs/heads`;
  if (!fs.lstatSync(heads, { throwIfNoEntry: false })?.isDirectory() || fs.existsSync(`${heads}/forge`)) return true;
  if (!fs.existsSync(`${git}/packed-refs`)) return false;
  try {
    return readCapped(`${git}/packed-refs`, PACKED_MAX_BYTES).includes(' refs/heads/forge/');
  } catch {
    return true;
  }
}
