/** What the base of a task's branch has got that the task's worker has not seen. */

import type { NewOnBase } from '../domain/prompt/worker-prompt.ts';
import { branchFor } from '../domain/task/workspaces.ts';
import { type GitEnv, gitIn, gitLines, gitText } from './git.ts';
import { filesChanged } from './inspect-worktree.ts';
import { baseOf, branchCommit, commitNamed, isAncestor } from './repository.ts';

/** Commits that are named: the newest ones. */
const COMMITS_NAMED = 15;

/**
 * What the base has that the branch of the task lacks. Where it lacks nothing: what the base has got since `since`, a commit that it was at
 * before; null: that is not known. Null for nothing. `begunFor`: as in `baseOf`. Throws SETTINGS_INVALID, NOT_READY, IO_ERROR.
 */
export async function baseChanges(
  env: GitEnv,
  taskId: string,
  begunFor: string | null,
  since: string | null,
): Promise<NewOnBase | null> {
  const tip = await branchCommit(env, branchFor(env.settings, taskId));
  const { branch, sha } = await baseOf(env, begunFor);
  if (tip === null) return null;
  const lacks = !(await isAncestor(env, sha, tip));
  const from = lacks ? tip : since && (await commitNamed(env, since));
  // A base that was moved elsewhere has no commits since.
  if (from === null || (!lacks && !(await isAncestor(env, from, sha)))) return null;
  const range = `${from}..${sha}`;
  const count = Number(await gitText(['rev-list', '--count', range], gitIn(env)));
  if (count === 0) return null;
  const log = [
    'log',
    '--no-show-signature',
    '--no-color',
    '--format=%h %s',
    `--max-count=${COMMITS_NAMED}`,
    range,
    '--',
  ];
  const commits = await gitLines(log, gitIn(env));
  const own = new Set(lacks ? await filesChanged(env, sha, tip) : []);
  const both = own.size === 0 ? [] : (await filesChanged(env, tip, sha)).filter((name) => own.has(name));
  return { base: branch ?? sha.slice(0, 12), commits, count, both };
}
