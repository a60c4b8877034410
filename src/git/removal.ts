/**
 * Removes branches and worktrees as planned by gc. What would be in no ref any more is rescued first; what has changed since the
 * plan, or cannot be rescued, stays. Every call can be repeated, wherever the last one was killed.
 */

import fs from 'node:fs';
import type { GcPayload } from '../domain/gc/gc-plan.ts';
import { branchFor, taskOfBranch } from '../domain/task/workspaces.ts';
import { realPath } from '../lib/fs/folders.ts';
import { whileDoing } from '../lib/fs/io-errors.ts';
import type { StillHeld } from '../lib/fs/locks.ts';
import { fileNameOf } from '../lib/ids.ts';
import { type GitEnv, git, gitFailed, gitIn, gitLines } from './git.ts';
import { inTurn } from './in-turn.ts';
import {
  branchCommit,
  branchesUnderWay,
  commitOf,
  headOf,
  listedAt,
  listWorktrees,
  type Repository,
  repositoryOf,
  type WorktreeEnv,
  worktreeAt,
} from './repository.ts';
import { ignoredFilesText, rescueCommit, rescueWork, type WorktreeFiles } from './rescue.ts';
import { rescueSubmodules, submoduleTwins } from './submodule-rescue.ts';
import {
  besideWorktree,
  isOwnName,
  lookAtPlace,
  makeWorktreePlace,
  moveFolder,
  nameBelow,
  removeFile,
  removeFolder,
  worktreesFolder,
} from './worktree-files.ts';

export type Removal =
  /** `rescued`: the rescue refs of what was removed; null when other refs lead to all of it. */
  | { kind: 'done'; rescued: string | null }
  /** Nothing was removed; `why` is for a person. */
  | { kind: 'skipped'; why: string };

/** Whoever removes has just looked at the task. Else it throws where the task has changed: it is asked when no process can begin in the place. */
const NOT_ASKED = async (): Promise<unknown> => null;

/** Asks whether others may be at work in a place: a process that was paused has lost its lock by the time that it goes on. */
function usedSince(place: string, held: StillHeld, refuseMoved: () => Promise<unknown>): () => Promise<string | null> {
  return async () => {
    await refuseMoved();
    return held() ? null : `another process has begun at ${place}`;
  };
}

const skipped = (why: string): Removal => ({ kind: 'skipped', why });

// --- branches --------------------------------------------------------------------------------------------------------

/**
 * Reads the uses of all branches. The result says why a branch must stay: it is checked out, or a rebase or bisect will return to it;
 * null when it is free. Throws IO_ERROR.
 */
export async function branchUses(
  env: GitEnv,
  { commonDir }: Repository,
): Promise<(branch: string, taskId: string) => string | null> {
  const worktrees = await listWorktrees(env);
  const pending = branchesUnderWay(commonDir);
  const root = worktreesFolder(env);
  return (branch, taskId) => {
    const holder = worktrees.find((each) => each.branch === branch);
    if (holder !== undefined) return `${branch} is checked out in ${holder.path}`;
    const own = worktrees.find(({ path }) => root !== null && path === `${root}/${fileNameOf(taskId)}`);
    if (own !== undefined) return `the task has a worktree, ${own.path}`;
    return pending.has(branch) ? `a rebase or a bisect of ${branch} is not finished` : null;
  };
}

/**
 * Deletes the branch of a task, if it is still at `sha` and nothing uses it. A commit that no other ref leads to is rescued
 * first, merged or not. Throws SETTINGS_INVALID without a repository, IO_ERROR when git fails.
 */
export async function pruneBranch(
  env: GitEnv,
  { branch, sha }: GcPayload<'prune_branch'>,
  refuseMoved = NOT_ASKED,
): Promise<Removal> {
  const taskId = taskOfBranch(env.settings, branch);
  if (taskId === null) return skipped(`${JSON.stringify(branch)} is the branch of no task`);
  const repository = await repositoryOf(env);
  const place = makeWorktreePlace(env, taskId);
  // One at a time in the repository: of two branches at the same commit, each would count as keeping the other's.
  return inTurn(env, besideWorktree(place, 'lock'), (held) =>
    inTurn(env, `${repository.commonDir}/forge-pruning.lock`, async () => {
      await settleRemoval(env, place);
      const whyUsed = usedSince(place, held, refuseMoved);
      const ref = `refs/heads/${branch}`;
      const { code, stdout } = await git(['symbolic-ref', '--quiet', ref], gitIn(env));
      if (code === 0) return skipped(`${branch} is another name of ${stdout.trim()}`);
      const why =
        (await whyUsed()) ??
        (await whyElsewhere(env, branch, sha)) ??
        (await branchUses(env, repository))(branch, taskId);
      if (why !== null) return skipped(why);
      const rescued = await rescueCommit(env, fileNameOf(taskId), sha, ref);
      const used = await whyUsed();
      if (used !== null) return skipped(used);
      const attempt = () => git(['update-ref', '--no-deref', '-d', ref, sha], gitIn(env));
      let result = await attempt();
      // Git has waited for that lock and not got it: a git that was killed while it deleted this very branch left it.
      const lock = `${repository.commonDir}/${ref}.lock`;
      if (result.stderr.includes(`${ref}.lock'`) && removeFile(lock)) result = await attempt();
      if (result.code === 0) return { kind: 'done', rescued };
      const since = await whyElsewhere(env, branch, sha);
      if (since !== null) return skipped(since);
      throw gitFailed(`deleting branch ${branch}`, result);
    }),
  );
}

/** Where a branch is, if not at `sha`; null when it is there. */
async function whyElsewhere(env: GitEnv, branch: string, sha: string): Promise<string | null> {
  const at = await branchCommit(env, branch);
  if (at === null) return `there is no branch ${branch}`;
  return at === sha ? null : `${branch} is at ${at} by now`;
}

// --- worktrees -------------------------------------------------------------------------------------------------------

/**
 * Removes a worktree directly below the worktree root, if it is still at `head` and `branch` and nothing in it would be lost. Its
 * branch stays. Throws SETTINGS_INVALID without a repository, IO_ERROR when git or the disk fails; the worktree then still
 * exists, or all of it is rescued.
 */
export async function removeWorktree(
  env: GitEnv,
  payload: GcPayload<'remove_worktree'>,
  refuseMoved = NOT_ASKED,
): Promise<Removal> {
  const repository = await repositoryOf(env);
  const root = worktreesFolder(env);
  const name = root === null ? null : nameBelow(root, payload.path);
  if (name === null || isOwnName(name)) return skipped(`${payload.path} is not directly below the worktree root`);
  const place = payload.path;
  return inTurn(env, besideWorktree(place, 'lock'), async (held) => {
    await settleRemoval(env, place);
    const whyUsed = usedSince(place, held, refuseMoved);
    const why =
      (await whyUsed()) ?? (await whyWorktreeStays(env, payload)) ?? (await whyFolderStays(env, repository, payload));
    if (why !== null) return skipped(why);
    const { kind, gitDir } = lookAtPlace(place);
    if (gitDir !== null)
      return takeAway(env, repository, name, { place, files: place, gitDir, head: payload.head }, whyUsed);
    // Only git still lists it: the folder is gone, or empty.
    const rescued = await rescueCommit(env, name, payload.head);
    if (kind === 'empty') whileDoing(`removing ${place}`, () => fs.rmdirSync(place));
    await unregister(env, place);
    return { kind: 'done', rescued };
  });
}

async function whyWorktreeStays(
  env: GitEnv,
  { path, branch, head }: GcPayload<'remove_worktree'>,
): Promise<string | null> {
  const listed = await listWorktrees(env);
  const index = listed.findIndex((each) => each.path === path);
  const entry = listed[index];
  if (entry === undefined) return `git knows no worktree ${path}`;
  if (index === 0) return `${path} is the main checkout`;
  if (entry.locked !== null) return `${path} is locked${entry.locked === '' ? '' : `: ${entry.locked}`}`;
  if (entry.head !== head || entry.branch !== branch) return `${path} is at ${entry.branch ?? entry.head} by now`;
  const here = [env.paths.project, env.ctx.cwd].find((dir) => `${realPath(dir)}/`.startsWith(`${path}/`));
  return here === undefined ? null : `${here} is in it, where this was started`;
}

async function whyFolderStays(
  env: GitEnv,
  repository: Repository,
  { path, branch, head }: GcPayload<'remove_worktree'>,
): Promise<string | null> {
  if ((await commitOf(env, head)) === null) return `nothing is committed in ${path}`;
  const { kind, gitDir } = lookAtPlace(path);
  if (kind === 'nothing' || kind === 'empty') return null;
  const here = (await worktreeAt(env, repository, path)) && (await headOf(env, path));
  if (gitDir === null || here?.head !== head || here.branch !== branch) {
    return `what is at ${path} is not the worktree that git knows`;
  }
  const pending = UNDER_WAY.find(([note]) => fs.existsSync(`${gitDir}/${note}`));
  if (pending !== undefined) return `${pending[1]} is not finished in ${path}`;
  const unmerged = await gitLines(['ls-files', '--unmerged'], gitIn(env, path));
  if (unmerged.length > 0) return `there are unresolved conflicts in ${path}`;
  const twins = submoduleTwins(repository, { place: path, files: path, gitDir });
  if (typeof twins === 'string') return twins;
  const busy = twins.find(({ own }) => UNDER_WAY.some(([note]) => fs.existsSync(`${own}/${note}`)));
  return busy === undefined ? null : `what was begun in its submodule ${busy.path} is not finished`;
}

/** By what git records an unfinished operation in a checkout, and what a person calls it. */
const UNDER_WAY = [
  ['rebase-merge', 'a rebase'],
  ['rebase-apply', 'a rebase'],
  ['MERGE_HEAD', 'a merge'],
  ['CHERRY_PICK_HEAD', 'a cherry-pick'],
  ['REVERT_HEAD', 'a revert'],
  ['BISECT_LOG', 'a bisect'],
] as const;

async function takeAway(
  env: GitEnv,
  repository: Repository,
  name: string,
  at: WorktreeFiles,
  whyUsed: () => Promise<string | null>,
): Promise<Removal> {
  const first = await rescueAll(env, repository, name, at);
  const used = first.why ?? (await whyUsed());
  if (used !== null) return skipped(used);
  // All of it is moved at once, so that a killed removal leaves no partial folder.
  const away = awayFrom(at.place);
  moveFolder(at.place, away);
  try {
    // It has no known name any more, so what was written until now is complete.
    const last = await rescueAll(env, repository, name, { ...at, files: away });
    const why = last.why ?? (await whyUsed());
    if (why !== null) {
      moveFolder(away, at.place);
      return skipped(why);
    }
    await unregister(env, at.place);
    removeFolder(away);
    return { kind: 'done', rescued: last.refs.length === 0 ? null : last.refs.join(', ') };
  } catch (error) {
    await settleRemoval(env, at.place);
    throw error;
  }
}

/** The work in a worktree and in its submodules. `refs` lead to what was rescued; `why` something could not be. */
async function rescueAll(env: GitEnv, repository: Repository, name: string, at: WorktreeFiles) {
  const within = await rescueSubmodules(env, repository, name, at);
  if (within.why !== null) return within;
  const { ref, left } = await rescueWork(env, repository, name, { ...at, submodules: within.submodules });
  const refs = [...(ref === null ? [] : [ref]), ...within.refs];
  return { refs, why: left.length === 0 ? null : ignoredFilesText(at.place, left) };
}

function awayFrom(place: string): string {
  return besideWorktree(place, 'removed');
}

/**
 * Finishes a removal that was cut short: while git still knows the worktree its folder is moved back, after that it is removed. The
 * caller has the lock of the worktree. Throws IO_ERROR.
 */
export async function settleRemoval(env: GitEnv, place: string): Promise<void> {
  const away = awayFrom(place);
  const { kind, gitDir } = lookAtPlace(away, place);
  if (kind === 'nothing') return;
  if (lookAtPlace(place).kind === 'nothing' && (await listedAt(env, place)) !== undefined) {
    if (gitDir !== null && fs.existsSync(`${gitDir}/HEAD`)) return void moveFolder(away, place);
    // A git that was killed while it forgot the worktree.
    await unregister(env, place);
  }
  removeFolder(away);
}

/** Makes git forget a worktree whose folder is gone. Throws IO_ERROR when it cannot. */
async function unregister(env: GitEnv, place: string): Promise<void> {
  const result = await git(['worktree', 'remove', '--force', '--', place], gitIn(env));
  if (result.code !== 0 && (await listedAt(env, place)) !== undefined) {
    throw gitFailed(`removing worktree ${place}`, result);
  }
}

// --- all that a task has ---------------------------------------------------------------------------------------------

/**
 * Removes the worktree and the branch of a task that begins again from the start. What is in no other ref is rescued, and what can't be
 * rescued stays; both are warnings. Throws SETTINGS_INVALID without a repository, IO_ERROR.
 */
export async function clearWorkspace(env: WorktreeEnv, taskId: string): Promise<void> {
  const root = worktreesFolder(env);
  const path = root === null ? null : `${root}/${fileNameOf(taskId)}`;
  const branch = branchFor(env.settings, taskId);
  const place = path === null ? undefined : await listedAt(env, path);
  const gone: Removal[] = [];
  if (place !== undefined && place.head !== null)
    gone.push(await removeWorktree(env, { path: place.path, branch: place.branch, head: place.head }));
  const sha = await branchCommit(env, branch);
  if (sha !== null && gone.every(({ kind }) => kind === 'done'))
    gone.push(await pruneBranch(env, { branch, sha, merged: false }));
  for (const removal of gone) {
    if (removal.kind === 'skipped') env.warn(`task ${taskId} does not begin from its base: ${removal.why}`);
    else if (removal.rescued !== null) env.warn(`the work of before at task ${taskId} is kept in ${removal.rescued}`);
  }
}
