/** The only place that moves the branch that tasks are merged into: never backwards, never over uncommitted changes. */

import { branchFor, taskOfBranch } from '../domain/task/workspaces.ts';
import { ForgeError } from '../lib/errors.ts';
import { exclusively, type StillHeld } from '../lib/fs/locks.ts';
import { checkoutRollback } from './checkout-rollback.ts';
import { CHECKOUT_TIMEOUT_MS, type GitResult, git, gitOk, lastWords } from './git.ts';
import {
  branchCommit,
  commitOf,
  type GitEnv,
  gitIn,
  isAncestor,
  listWorktrees,
  repositoryOf,
  type WorktreeEnv,
} from './repository.ts';
import { isThere } from './worktree-files.ts';
import { branchesUnderWay } from './worktree-removal.ts';

export interface BaseBranch {
  branch: string;
  /** Its commit when it was read. */
  sha: string;
}

/** How long to wait for another git command in the same checkout, and how often to check, milliseconds. */
const LOCK_WAIT = { mostMs: 3000, lookMs: 100 };

const CANDIDATES = 'refs/forge/ship/';

/**
 * The ref that names the merge that a claim is about to ship. A process that takes a task over deletes such refs first, and the
 * base moves only while the ref exists; so a process that continues after a pause moves nothing.
 */
function candidateRef({ taskId, claimId }: Candidate): string {
  return `${CANDIDATES}${branchFor(taskId).replace(/^forge\//, '')}/${claimId}`;
}

/** A merge that is about to be shipped, and its claim. */
export interface Candidate {
  taskId: string;
  claimId: string;
  sha: string;
}

export async function keepCandidate(env: GitEnv, candidate: Candidate): Promise<void> {
  await gitOk(['update-ref', candidateRef(candidate), candidate.sha], gitIn(env));
}

/** The merge is shipped, or will not be. */
export async function dropCandidate(env: GitEnv, candidate: Candidate): Promise<void> {
  // Git refuses when it is gone already.
  await git(['update-ref', '-d', candidateRef(candidate), candidate.sha], gitIn(env));
}

/** Deletes the refs that name merges of the task, whichever process made them. Never rejects. */
export async function dropCandidatesOf(env: GitEnv, taskId: string): Promise<void> {
  // Without git there are no merges.
  const named = await candidates(env).catch(() => []);
  for (const { ref, of } of named) {
    if (of === taskId) await git(['update-ref', '-d', ref], gitIn(env)).catch(() => {});
  }
}

/** Deletes the refs that name merges of `taskId`, and those of tasks without an owner, left by killed processes. */
export async function clearCandidates(env: WorktreeEnv, taskId: string): Promise<void> {
  for (const { ref, of } of await candidates(env)) {
    if (of !== null && of !== taskId && (await env.store.read(of)).record?.lease != null) continue;
    await gitOk(['update-ref', '-d', ref], gitIn(env));
  }
}

/** `of`: the task; null for a name that forge does not give. */
async function candidates(env: GitEnv): Promise<{ ref: string; of: string | null }[]> {
  const { stdout } = await gitOk(['for-each-ref', '--format=%(refname)', CANDIDATES], gitIn(env));
  const refs = stdout.split('\n').filter((line) => line !== '');
  return refs.map((ref) => ({ ref, of: taskOfBranch(`forge/${ref.slice(CANDIDATES.length, ref.lastIndexOf('/'))}`) }));
}

/**
 * Moves the base to a merge that was made on `base.sha`. If the base is checked out, its files follow as after a fast-forward pull:
 * git refuses to overwrite uncommitted changes.
 * `moved`: the base has moved, and the merge has to be made again. `fenced`: the ref that names the merge is gone, and nothing was
 * moved.
 * Throws NOT_READY when changes in such a checkout are in the way, IO_ERROR.
 */
export async function advance(
  env: WorktreeEnv,
  base: BaseBranch,
  candidate: Candidate,
): Promise<'done' | 'moved' | 'fenced'> {
  const { taskId, sha: merge } = candidate;
  const ref = candidateRef(candidate);
  const { place, result } = await step(env, base, ref, merge);
  const now = await branchCommit(env, base.branch);
  if (now !== null && (await isAncestor(env, merge, now))) return 'done';
  if (now !== base.sha) return 'moved';
  if ((await commitOf(env, ref)) !== merge) return 'fenced';
  // The base was moved and moved back.
  if (result === null) return 'moved';
  throw place === null ? notMoved(base, result) : inTheWay(base, taskId, place, result);
}

/** `place`: the checkout that has the base, null when there is none. `result`: git's result; null when it was not run. */
interface Step {
  place: string | null;
  result: GitResult | null;
}

async function step(env: WorktreeEnv, base: BaseBranch, ref: string, merge: string): Promise<Step> {
  const { commonDir } = await repositoryOf(env);
  if ((await checkoutOf(env, base)) === undefined) {
    if (branchesUnderWay(commonDir).has(base.branch)) {
      throw new ForgeError('NOT_READY', `a rebase or a bisect of ${base.branch} is not finished, so it can't move`, {
        hint: 'Finish it, or give it up; then repeat the command.',
      });
    }
    return { place: null, result: await moveRef(env, base, ref, merge) };
  }
  // Two git commands that update one checkout at once would mix their files.
  return exclusively(`${commonDir}/forge-landing.lock`, async (held) => {
    const checkout = await checkoutOf(env, base);
    // A fast-forward only requires an ancestor: it would restore a commit that a person has just removed from the branch.
    if (checkout === undefined || checkout.head !== base.sha) return { place: checkout?.path ?? null, result: null };
    return { place: checkout.path, result: await follow(env, checkout.path, base, ref, merge, held) };
  });
}

async function checkoutOf(env: WorktreeEnv, { branch }: BaseBranch) {
  const checkout = (await listWorktrees(env)).find((each) => each.branch === branch);
  if (checkout === undefined || isThere(checkout.path)) return checkout;
  throw new ForgeError('NOT_READY', `${branch} is checked out in ${checkout.path}, which is not there`, {
    hint: 'Bring that folder back; or have git forget it with `git worktree prune`.',
  });
}

/** Updates a checkout to a merge that `ref` names. Waits for a git command that runs there. */
async function follow(
  env: WorktreeEnv,
  place: string,
  base: BaseBranch,
  ref: string,
  merge: string,
  held: StillHeld,
): Promise<GitResult> {
  const end = env.ctx.monotonicMs() + LOCK_WAIT.mostMs;
  for (;;) {
    const putBack = await checkoutRollback(env, place, base.sha, merge);
    const result = await git([...FOLLOW, ref], { ...gitIn(env, place), timeoutMs: CHECKOUT_TIMEOUT_MS });
    const isBusy = result.stderr.includes('index.lock') && isLocked(result);
    const isHalfDone = result.code !== 0 && !isBusy && (await branchCommit(env, base.branch)) === base.sha;
    // A process that continues after a pause would undo what others have done there.
    if (isHalfDone && held()) await putBack();
    if (!isBusy || env.ctx.monotonicMs() >= end) return result;
    await new Promise((resolve) => setTimeout(resolve, LOCK_WAIT.lookMs));
  }
}

function isLocked({ stderr }: GitResult): boolean {
  return stderr.includes(".lock': File exists");
}

/** No hooks, no stash, no editor: a fast-forward or nothing. Ignored files may be a person's too. */
const FOLLOW = [
  '-c',
  'core.hooksPath=/dev/null',
  'merge',
  '--ff-only',
  '--no-overwrite-ignore',
  '--no-autostash',
  '--no-verify-signatures',
  '--no-stat',
  '--quiet',
];

/** Both refs in one transaction: the base moves only while the candidate's ref exists. */
function moveRef(env: GitEnv, { branch, sha }: BaseBranch, ref: string, merge: string): Promise<GitResult> {
  const input = `start\nverify ${ref} ${merge}\nupdate refs/heads/${branch} ${merge} ${sha}\nprepare\ncommit\n`;
  return git(['update-ref', '-m', 'forge: ship', '--stdin'], { ...gitIn(env), input });
}

function notMoved({ branch }: BaseBranch, result: GitResult): ForgeError {
  return new ForgeError('IO_ERROR', `moving branch ${branch}: ${lastWords(result)}`, {
    hint: 'See what git says above. Fix it, then repeat the command.',
  });
}

/** Names of files that git lists one a line, after a tab. */
function filesNamed(stderr: string): string {
  const names = [...stderr.matchAll(/^\t(.+)$/gm)].map(([, name]) => name ?? '');
  return names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ');
}

function inTheWay({ branch }: BaseBranch, taskId: string, place: string, result: GitResult): ForgeError {
  const files = filesNamed(result.stderr);
  const why = files === '' ? lastWords(result) : `what is not committed there would be overwritten: ${files}`;
  const fix = isLocked(result)
    ? 'Let that git end, or remove the lock if none runs there any more'
    : 'Commit or stash that, or name a branch in ship.base that is not checked out';
  return new ForgeError('NOT_READY', `${branch} is checked out in ${place}, and can't move: ${why}`, {
    hint: `${fix}. Then: \`forge orchestrate ship ${taskId}\`.`,
  });
}
