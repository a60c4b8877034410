/** Whether the work of a task is in the base: its commits, or what they change. No checkout is touched. */

import { FALLBACK_IDENTITY } from './branch-base.ts';
import { git, gitOk } from './git.ts';
import { type GitEnv, gitIn, isAncestor } from './repository.ts';

/**
 * Whether all of a commit's work is in the base: as the commit itself; as other commits with the same changes, after a rebase or
 * cherry-picks; or squashed into one. Both commits exist. Throws IO_ERROR.
 */
export async function isMerged(env: GitEnv, base: string, sha: string): Promise<boolean> {
  return (await isAncestor(env, sha, base)) || (await hasPatchesOf(env, base, sha));
}

async function hasPatchesOf(env: GitEnv, base: string, sha: string): Promise<boolean> {
  const { code, stdout } = await gitOk(['merge-base', base, sha], gitIn(env), [0, 1]);
  if (code === 1) return false;
  return (await isRebased(env, base, sha)) || (await isSquashed(env, base, sha, stdout.trim()));
}

/** Whether the base has the patch of each commit. A merge has none, since its resolution could not be found: it proves nothing. */
async function isRebased(env: GitEnv, base: string, sha: string): Promise<boolean> {
  const merges = await gitOk(['rev-list', '--min-parents=2', '--max-count=1', sha, `^${base}`], gitIn(env));
  return merges.stdout === '' && (await areAllIn(env, base, sha));
}

/** Whether one commit of the base has the changes of all of them together. */
async function isSquashed(env: GitEnv, base: string, sha: string, fork: string): Promise<boolean> {
  // With a fixed date it is the same object at every look.
  const date = '2000-01-01T00:00:00Z';
  const who = ['AUTHOR', 'COMMITTER'].flatMap((role) => [
    [`GIT_${role}_NAME`, FALLBACK_IDENTITY.name],
    [`GIT_${role}_EMAIL`, FALLBACK_IDENTITY.email],
    [`GIT_${role}_DATE`, date],
  ]);
  const options = { ...gitIn(env), env: { ...env.ctx.env, ...Object.fromEntries(who) } };
  const made = await git(['commit-tree', `${sha}^{tree}`, '-p', fork, '-m', 'all of a branch'], options);
  // A read-only repository gives no proof.
  return made.code === 0 && (await areAllIn(env, base, made.stdout.trim()));
}

/** Whether the base has the patch of every commit that leads to `sha`; an empty commit has none. */
async function areAllIn(env: GitEnv, base: string, sha: string): Promise<boolean> {
  const { stdout } = await gitOk(['cherry', base, sha], gitIn(env));
  const lines = stdout.split('\n').filter((line) => line !== '');
  return lines.length > 0 && lines.every((line) => line.startsWith('- '));
}
