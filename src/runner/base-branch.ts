/** The one place that moves the branch that tasks are merged into: never back, never over anybody's changes. */

import { ForgeError } from '../core/errors.ts';
import { branchFor } from '../core/workspaces.ts';
import { type GitResult, git, gitOk, lastWords } from '../host/git.ts';
import type { Env } from './env.ts';
import { branchCommit, type GitEnv, gitIn, isAncestor, listWorktrees } from './repository.ts';

export interface BaseBranch {
  branch: string;
  /** What it was at when it was looked at. */
  sha: string;
}

/** Milliseconds that bringing a checkout up to date may take. */
const MERGE_TIMEOUT_MS = 600_000;

/**
 * The ref that names the merge that is about to be shipped. Whoever takes a task over deletes it first; the base moves only
 * while it names that very merge, so that one who was paused moves nothing when he comes back.
 */
function candidateRef(taskId: string): string {
  return `refs/forge/ship/${branchFor(taskId).replace(/^forge\//, '')}`;
}

/** Has the ref name a merge; false when it names one already. Throws IO_ERROR. */
export async function keepCandidate(env: GitEnv, taskId: string, sha: string): Promise<boolean> {
  const ref = candidateRef(taskId);
  const result = await git(['update-ref', ref, sha, NO_COMMIT.repeat(sha.length)], gitIn(env));
  if (result.code === 0) return true;
  if ((await refAt(env, ref)) !== null) return false;
  throw new ForgeError('IO_ERROR', `making ${ref}: ${lastWords(result)}`);
}

/** By an id of zeros git means that there must be no such ref. */
const NO_COMMIT = '0';

/** Deletes the ref: whatever it names, or only while it names `sha`. Throws IO_ERROR, but not for a ref that is another's. */
export async function dropCandidate(env: GitEnv, taskId: string, sha?: string): Promise<void> {
  const args = ['update-ref', '-d', candidateRef(taskId)];
  if (sha === undefined) await gitOk(args, gitIn(env));
  else await git([...args, sha], gitIn(env));
}

/**
 * Moves the base to a merge that was made on `base.sha`. `moved`: the base is elsewhere by now, and the merge has to be made
 * anew. Where a checkout has the base, its files follow, as after a pull that only fast-forwards: git refuses to touch
 * anything that is not committed there.
 * Throws NOT_READY when such a checkout is in the way, LEASE_STOLEN when somebody else has taken the task, IO_ERROR.
 */
export async function advance(env: Env, base: BaseBranch, taskId: string, merge: string): Promise<'done' | 'moved'> {
  const checkout = (await listWorktrees(env)).find(({ branch }) => branch === base.branch);
  const ref = candidateRef(taskId);
  const result =
    checkout === undefined
      ? await moveRef(env, base, ref, merge)
      : await git([...FOLLOW, ref], { ...gitIn(env, checkout.path), timeoutMs: MERGE_TIMEOUT_MS });
  const now = await branchCommit(env, base.branch);
  if (now !== null && (await isAncestor(env, merge, now))) return 'done';
  if (now !== base.sha) return 'moved';
  if ((await refAt(env, ref)) !== merge) {
    throw new ForgeError('LEASE_STOLEN', `somebody else has taken up task ${taskId}`);
  }
  throw checkout === undefined ? notMoved(base, result) : inTheWay(base, taskId, checkout.path, result);
}

/** No hooks, no stash, no editor: only the step from one commit to a later one, or nothing. */
const FOLLOW = [
  '-c',
  'core.hooksPath=/dev/null',
  'merge',
  '--ff-only',
  '--no-autostash',
  '--no-verify-signatures',
  '--no-stat',
  '--quiet',
];

/** Both refs in one transaction: the base moves only while the candidate is ours. */
function moveRef(env: GitEnv, { branch, sha }: BaseBranch, ref: string, merge: string): Promise<GitResult> {
  const input = `start\nverify ${ref} ${merge}\nupdate refs/heads/${branch} ${merge} ${sha}\nprepare\ncommit\n`;
  return git(['update-ref', '-m', 'forge: ship', '--stdin'], { ...gitIn(env), input });
}

async function refAt(env: GitEnv, ref: string): Promise<string | null> {
  const { code, stdout } = await git(['rev-parse', '--verify', '--quiet', ref], gitIn(env));
  return code === 0 ? stdout.trim() : null;
}

function notMoved({ branch }: BaseBranch, result: GitResult): ForgeError {
  return new ForgeError('IO_ERROR', `moving branch ${branch}: ${lastWords(result)}`, {
    hint: 'See what git says above. Repeat the command once that is mended.',
  });
}

/** Names of files that git lists one a line, behind a tab. */
function filesNamed(stderr: string): string {
  const names = [...stderr.matchAll(/^\t(.+)$/gm)].map(([, name]) => name ?? '');
  return names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ');
}

function inTheWay({ branch }: BaseBranch, taskId: string, place: string, result: GitResult): ForgeError {
  const files = filesNamed(result.stderr);
  const why = files === '' ? lastWords(result) : `what is not committed there would be overwritten: ${files}`;
  return new ForgeError('NOT_READY', `${branch} is checked out in ${place}, and can't move: ${why}`, {
    hint: `Commit or stash that, or name a branch in ship.base that nobody has checked out. Then: \`forge orchestrate ship ${taskId}\`.`,
  });
}
