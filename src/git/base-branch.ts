/** The only place that moves the branch that tasks are merged into: never backwards, never over uncommitted changes. */

import fs from 'node:fs';
import { ForgeError } from '../lib/errors.ts';
import { ifThere, NO_PATH } from '../lib/fs/io-errors.ts';
import type { StillHeld } from '../lib/fs/locks.ts';
import { readCapped } from '../lib/fs/read.ts';
import { refPart, taskOfRefPart } from '../lib/ids.ts';
import { firstOf } from '../lib/text.ts';
import {
  CHECKOUT_TIMEOUT_MS,
  type GitEnv,
  type GitOptions,
  type GitResult,
  git,
  gitFailed,
  gitIn,
  gitLines,
  gitNames,
  gitOk,
  gitText,
  lastWords,
} from './git.ts';
import { clearTurn, inTurn } from './in-turn.ts';
import {
  branchCommit,
  branchesUnderWay,
  commitOf,
  isAncestor,
  listWorktrees,
  repositoryOf,
  type WorktreeEnv,
} from './repository.ts';
import { removeFile } from './worktree-files.ts';

export interface BaseBranch {
  branch: string;
  /** Its commit when it was read. */
  sha: string;
}

/** How long to wait for another git command in the same checkout, and how often to check, milliseconds. */
const LOCK_WAIT = { mostMs: 3000, lookMs: 100 };

const CANDIDATES = 'refs/forge/ship/';

/** A merge that is about to be shipped, and its claim. */
interface Candidate {
  taskId: string;
  claimId: string;
  sha: string;
}

/**
 * The ref that names the merge that a claim is about to ship. A process that takes a task over deletes such refs first, and the
 * base moves only while the ref exists; so a process that continues after a pause moves nothing.
 */
function candidateRef({ taskId, claimId }: Candidate): string {
  return `${CANDIDATES}${refPart(taskId)}/${claimId}`;
}

export async function keepCandidate(env: GitEnv, candidate: Candidate): Promise<void> {
  await gitOk(['update-ref', candidateRef(candidate), candidate.sha], gitIn(env));
}

/** The merge is shipped, or will not be. */
export async function dropCandidate(env: GitEnv, candidate: Candidate): Promise<void> {
  // Git refuses when it is gone already.
  await git(['update-ref', '-d', candidateRef(candidate), candidate.sha], gitIn(env));
}

/** Deletes what killed processes have left of a landing: refs that name merges of `taskId` or of tasks without an owner, and the lock. */
export async function clearCandidates(env: WorktreeEnv, taskId: string): Promise<void> {
  for (const ref of await gitLines(['for-each-ref', '--format=%(refname)', CANDIDATES], gitIn(env))) {
    // Null for a name that forge does not give.
    const of = taskOfRefPart(ref.slice(CANDIDATES.length, ref.lastIndexOf('/')));
    if (of !== null && of !== taskId && (await env.store.read(of)).record?.lease != null) continue;
    await gitOk(['update-ref', '-d', ref], gitIn(env));
  }
  clearTurn(env, landingLock((await repositoryOf(env)).commonDir));
}

/** Held while the files of a checkout of the base are changed, or looked at. */
export const landingLock = (commonDir: string) => `${commonDir}/forge-landing.lock`;

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
  const { commonDir } = await repositoryOf(env);
  const { place, result } =
    (await checkoutOf(env, base)) === undefined
      ? { place: null, result: await moveRef(env, commonDir, base, ref, merge) }
      : await moveCheckout(env, commonDir, base, ref, merge);
  const now = await branchCommit(env, base.branch);
  if (now !== null && (await isAncestor(env, merge, now))) return 'done';
  if (now !== base.sha) return 'moved';
  if ((await commitOf(env, ref)) !== merge) return 'fenced';
  // The base was moved and moved back.
  if (result === null) return 'moved';
  throw place === null ? gitFailed(`moving branch ${base.branch}`, result) : inTheWay(base, taskId, place, result);
}

function moveRef(env: GitEnv, commonDir: string, base: BaseBranch, ref: string, merge: string): Promise<GitResult> {
  const { branch, sha } = base;
  if (branchesUnderWay(commonDir).has(branch)) {
    throw new ForgeError('NOT_READY', `a rebase or a bisect of ${branch} is not finished, so it can't move`, {
      hint: 'Finish it, or give it up; then repeat the command.',
    });
  }
  // Both refs in one transaction: the base moves only while the candidate's ref exists.
  const input = `start\nverify ${ref} ${merge}\nupdate refs/heads/${branch} ${merge} ${sha}\nprepare\ncommit\n`;
  return git(['update-ref', '-m', 'forge: ship', '--stdin'], { ...gitIn(env), input });
}

/** `place`: the checkout, null when it is elsewhere by now. `result`: null when git was not run. */
function moveCheckout(env: WorktreeEnv, commonDir: string, base: BaseBranch, ref: string, merge: string) {
  // Two git commands that update one checkout at once would mix their files.
  return inTurn(env, landingLock(commonDir), async (held) => {
    const checkout = await checkoutOf(env, base);
    // A fast-forward only requires an ancestor: it would restore a commit that a person has just removed from the branch.
    if (checkout === undefined || checkout.head !== base.sha) return { place: checkout?.path ?? null, result: null };
    const result = await follow(env, checkout.path, base, ref, merge, held);
    if (result.code === 0) await tellOfSubmodules(env, checkout.path, base.sha, merge);
    return { place: checkout.path, result };
  });
}

/** Git leaves submodules of a checkout where they are, as after any pull. */
async function tellOfSubmodules(env: WorktreeEnv, place: string, before: string, now: string): Promise<void> {
  const lines = await gitLines(['diff-tree', '-r', '--no-renames', before, now], gitIn(env));
  const paths = lines.flatMap((line) => (/^:\d+ 160000 /.test(line) ? [line.slice(line.indexOf('\t') + 1)] : []));
  if (paths.length === 0) return;
  const names = paths.join(', ');
  env.warn(
    `the merge moves submodules (${names}) that stay as they are in ${place}; \`git submodule update --init\` there follows`,
  );
}

async function checkoutOf(env: WorktreeEnv, { branch }: BaseBranch) {
  const checkout = (await listWorktrees(env)).find((each) => each.branch === branch);
  if (checkout === undefined || fs.existsSync(checkout.path)) return checkout;
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
    const result = await git([...FOLLOW, ref], { ...gitIn(env, place), timeoutMs: CHECKOUT_TIMEOUT_MS, acts: true });
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

function inTheWay({ branch }: BaseBranch, taskId: string, place: string, result: GitResult): ForgeError {
  // Git lists them one a line, after a tab.
  const files = firstOf([...result.stderr.matchAll(/^\t(.+)$/gm)].map(([, name]) => name ?? ''));
  const why = files === '' ? lastWords(result) : `what is not committed there would be overwritten: ${files}`;
  const fix = isLocked(result)
    ? 'Let that git end, or remove the lock if none runs there any more'
    : 'Commit or stash that, or name a branch in ship.base that is not checked out';
  return new ForgeError('NOT_READY', `${branch} is checked out in ${place}, and can't move: ${why}`, {
    hint: `${fix}. Then: \`forge orchestrate ship ${taskId}\`.`,
  });
}

// --- undoing half of it ----------------------------------------------------------------------------------------------

/**
 * Inspects a checkout before git updates it from `base` to `merge`, and returns how to undo an update that could not finish: a full
 * disk stops it in the middle, a lock on the branch at the very end. What was changed there meanwhile stays. If uncommitted changes
 * were in the way before, nothing is undone: git refuses by itself. Throws IO_ERROR.
 */
async function checkoutRollback(env: GitEnv, place: string, base: string, merge: string): Promise<() => Promise<void>> {
  const options = { ...gitIn(env, place), timeoutMs: CHECKOUT_TIMEOUT_MS, acts: true };
  const names = (filter: string) =>
    gitNames(['diff-tree', '-r', '-z', '--name-only', '--no-renames', `--diff-filter=${filter}`, base, merge], options);
  const top = await gitText(['rev-parse', '--show-toplevel'], options);
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

/** Whether the name is taken, also by a dangling symlink. Throws IO_ERROR. */
function isTaken(file: string): boolean {
  return ifThere(`looking at ${file}`, () => fs.lstatSync(file), NO_PATH) !== null;
}

/** Whether a file is as git wrote it: that of the merge, or as much of it as the disk had room for. No symlink is followed. */
async function isGits(options: GitOptions, top: string, merge: string, name: string): Promise<boolean> {
  try {
    if (!fs.lstatSync(`${top}/${name}`).isFile()) return false;
    const blob = await git(['cat-file', '--filters', `${merge}:${name}`], options);
    return blob.code === 0 && blob.stdout.startsWith(readCapped(`${top}/${name}`, Buffer.byteLength(blob.stdout)));
  } catch {
    return false;
  }
}
