/**
 * Removes branches and worktrees as planned by gc. What would be in no ref any more is rescued first; what has changed since the
 * plan, or cannot be rescued, stays. Every call can be repeated, wherever the last one was killed.
 */

import type { GcPayload } from '../domain/gc/gc-plan.ts';
import { type ListedWorktree, taskOfBranch } from '../domain/task/workspaces.ts';
import { exclusively } from '../lib/fs/locks.ts';
import { git, gitFailed, gitOk } from './git.ts';
import {
  branchCommit,
  commitOf,
  type GitEnv,
  gitIn,
  headOf,
  listWorktrees,
  type Repository,
  repositoryOf,
  worktreeAt,
} from './repository.ts';
import { rescueCommit, rescueWork, type WorktreeFiles } from './rescue.ts';
import {
  absolutePath,
  besideWorktree,
  isOwnName,
  isThere,
  lookAtPlace,
  makeWorktreePlace,
  nameBelow,
  realPath,
  removeFile,
  removeFolder,
  worktreesFolder,
} from './worktree-files.ts';
import { branchesUnderWay, moveFolder, removeEmptyFolder, repositoryWithin, underWay } from './worktree-removal.ts';

export type Removal =
  /** `rescued`: the rescue ref of what was removed; null when other refs lead to all of it. */
  | { kind: 'done'; rescued: string | null }
  /** Nothing was removed; `why` is for a person. */
  | { kind: 'skipped'; why: string };

const skipped = (why: string): Removal => ({ kind: 'skipped', why });

// --- branches --------------------------------------------------------------------------------------------------------

/** Why a branch must stay: it is checked out, or a rebase or bisect will return to it. Null when it is free. */
export type BranchUses = (branch: string, taskId: string) => string | null;

/** Reads the uses of all branches. Throws IO_ERROR. */
export async function branchUses(env: GitEnv, { commonDir }: Repository): Promise<BranchUses> {
  const worktrees = await listWorktrees(env);
  const pending = branchesUnderWay(commonDir);
  const root = worktreesFolder(env.paths, env.settings.agents.worktree_root);
  return (branch, taskId) => {
    const holder = worktrees.find((each) => each.branch === branch);
    if (holder !== undefined) return `${branch} is checked out in ${holder.path}`;
    const own = worktrees.find(({ path }) => root !== null && path === `${root}/${taskId}`);
    if (own !== undefined) return `the task has a worktree, ${own.path}`;
    return pending.has(branch) ? `a rebase or a bisect of ${branch} is not finished` : null;
  };
}

/**
 * Deletes the branch of a task, if it is still at `sha` and nothing uses it. A commit that no other ref leads to is rescued
 * first, merged or not. Throws SETTINGS_INVALID without a repository, IO_ERROR when git fails.
 */
export async function pruneBranch(env: GitEnv, { branch, sha }: GcPayload<'prune_branch'>): Promise<Removal> {
  const taskId = taskOfBranch(branch);
  if (taskId === null) return skipped(`${JSON.stringify(branch)} is the branch of no task`);
  const repository = await repositoryOf(env);
  const place = makeWorktreePlace(env.paths, env.settings.agents.worktree_root, taskId);
  // One at a time in the repository: of two branches at the same commit, each would count as keeping the other's.
  return exclusively(besideWorktree(place, 'lock'), () =>
    exclusively(`${repository.commonDir}/forge-pruning.lock`, async () => {
      await settleRemoval(env, place);
      const why = await whyBranchStays(env, repository, { branch, sha, taskId });
      if (why !== null) return skipped(why);
      const rescued = await rescueCommit(env, taskId, sha, `refs/heads/${branch}`);
      return deleteBranch(env, repository, { branch, sha, rescued });
    }),
  );
}

async function whyBranchStays(
  env: GitEnv,
  repository: Repository,
  { branch, sha, taskId }: { branch: string; sha: string; taskId: string },
): Promise<string | null> {
  const ref = `refs/heads/${branch}`;
  const { code, stdout } = await git(['symbolic-ref', '--quiet', ref], gitIn(env));
  if (code === 0) return `${branch} is another name of ${stdout.trim()}`;
  const at = await branchCommit(env, branch);
  if (at === null) return `there is no branch ${branch}`;
  if (at !== sha) return `${branch} is at ${at} by now`;
  return (await branchUses(env, repository))(branch, taskId);
}

async function deleteBranch(
  env: GitEnv,
  { commonDir }: Repository,
  { branch, sha, rescued }: { branch: string; sha: string; rescued: string | null },
): Promise<Removal> {
  const ref = `refs/heads/${branch}`;
  const attempt = () => git(['update-ref', '--no-deref', '-d', ref, sha], gitIn(env));
  let result = await attempt();
  // Git has waited for that lock in vain: a git that was killed while it deleted this very branch left it.
  if (result.stderr.includes(`${ref}.lock'`) && removeFile(`${commonDir}/${ref}.lock`)) result = await attempt();
  if (result.code === 0) return { kind: 'done', rescued };
  const at = await branchCommit(env, branch);
  if (at !== sha) return skipped(at === null ? `there is no branch ${branch}` : `${branch} is at ${at} by now`);
  throw gitFailed(`deleting branch ${branch}`, result);
}

// --- worktrees -------------------------------------------------------------------------------------------------------

/**
 * Removes a worktree directly below the worktree root, if it is still at `head` and `branch` and nothing in it would be lost. Its
 * branch stays. Throws SETTINGS_INVALID without a repository, IO_ERROR when git or the disk fails; the worktree then still
 * exists, or all of it is rescued.
 */
export async function removeWorktree(env: GitEnv, payload: GcPayload<'remove_worktree'>): Promise<Removal> {
  const repository = await repositoryOf(env);
  const root = worktreesFolder(env.paths, env.settings.agents.worktree_root);
  const name = root === null ? null : nameBelow(root, payload.path);
  if (name === null || isOwnName(name)) return skipped(`${payload.path} is not directly below the worktree root`);
  const place = payload.path;
  return exclusively(besideWorktree(place, 'lock'), async () => {
    await settleRemoval(env, place);
    const listed = await listWorktrees(env);
    const why = whyWorktreeStays(env, listed, payload) ?? (await whyFolderStays(env, repository, payload));
    if (why !== null) return skipped(why);
    const pointer = pointerAt(place);
    if (pointer === null) {
      // Only git still lists it: the folder is gone, or empty.
      const rescued = await rescueCommit(env, name, payload.head);
      if (lookAtPlace(place).kind === 'empty') removeEmptyFolder(place);
      await unregister(env, place);
      return { kind: 'done', rescued };
    }
    const gitDir = absolutePath(place, pointer);
    return takeAway(env, repository, name, { place, files: place, gitDir, head: payload.head });
  });
}

/** The text of the file `.git` in a worktree, a path; null when there is no such file. */
function pointerAt(dir: string): string | null {
  const look = lookAtPlace(dir);
  return look.kind === 'folder' && look.pointer !== null ? look.pointer.replace(/^gitdir: /, '') : null;
}

function whyWorktreeStays(
  env: GitEnv,
  listed: readonly ListedWorktree[],
  { path, branch, head }: GcPayload<'remove_worktree'>,
): string | null {
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
  const { kind } = lookAtPlace(path);
  if (kind === 'nothing' || kind === 'empty') return null;
  const pointer = pointerAt(path);
  if (pointer === null || (await worktreeAt(env, repository, path)) === null) {
    return `what is at ${path} is not the worktree that git knows`;
  }
  const here = await headOf(env, path);
  if (here?.head !== head || here.branch !== branch) return `what is at ${path} is not the worktree that git knows`;
  const pending = underWay(absolutePath(path, pointer));
  if (pending !== null) return `${pending} is not finished in ${path}`;
  const { stdout } = await gitOk(['ls-files', '--unmerged'], gitIn(env, path));
  if (stdout !== '') return `there are unresolved conflicts in ${path}`;
  const within = repositoryWithin(path);
  return within === null ? null : `${path}/${within} is a repository of its own`;
}

async function takeAway(env: GitEnv, repository: Repository, name: string, at: WorktreeFiles): Promise<Removal> {
  const first = await rescueWork(env, repository, name, at);
  if (first.left.length > 0) return skipped(ignoredFilesText(at.place, first.left));
  // All of it is moved at once, so that a killed removal leaves no partial folder.
  const away = awayFrom(at.place);
  moveFolder(at.place, away);
  try {
    // It has no known name any more, so what was written until now is complete.
    const last = await rescueWork(env, repository, name, { ...at, files: away });
    if (last.left.length > 0) {
      moveFolder(away, at.place);
      return skipped(ignoredFilesText(at.place, last.left));
    }
    await unregister(env, at.place);
    removeFolder(away);
    return { kind: 'done', rescued: last.ref };
  } catch (error) {
    await settleRemoval(env, at.place);
    throw error;
  }
}

function awayFrom(place: string): string {
  return besideWorktree(place, 'removed');
}

/** How many of the files that keep a worktree are shown. */
const SHOWN = 5;

function ignoredFilesText(place: string, left: readonly string[]): string {
  const more = left.length > SHOWN ? ` and ${left.length - SHOWN} more` : '';
  const files = left.length === 1 ? '1 file' : `${left.length} files`;
  return `git ignores ${files} in ${place} that would be lost: ${left.slice(0, SHOWN).join(', ')}${more}`;
}

/**
 * Finishes a removal that was cut short: while git still knows the worktree its folder is moved back, after that it is removed. The
 * caller has the lock of the worktree. Throws IO_ERROR.
 */
export async function settleRemoval(env: GitEnv, place: string): Promise<void> {
  const away = awayFrom(place);
  if (lookAtPlace(away).kind === 'nothing') return;
  const known = (await listWorktrees(env)).some(({ path }) => path === place);
  const isFree = lookAtPlace(place).kind === 'nothing';
  if (known && isFree && isThere(`${absolutePath(place, pointerAt(away) ?? '')}/HEAD`)) {
    moveFolder(away, place);
    return;
  }
  // A git that was killed while it forgot the worktree.
  if (known && isFree) await unregister(env, place);
  removeFolder(away);
}

/** Makes git forget a worktree whose folder is gone. Throws IO_ERROR when it cannot. */
async function unregister(env: GitEnv, place: string): Promise<void> {
  const result = await git(['worktree', 'remove', '--force', '--', place], gitIn(env));
  if (result.code === 0) return;
  if ((await listWorktrees(env)).some(({ path }) => path === place)) {
    throw gitFailed(`removing worktree ${place}`, result);
  }
}
