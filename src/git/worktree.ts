/**
 * The workspace of a task: a git worktree with a branch of its own. It is made once and kept, as the last attempt left it. Files of
 * people are never touched; what a killed git left is removed.
 */

import { branchFor, INITIALIZING, type ListedWorktree } from '../domain/task/workspaces.ts';
import { ForgeError } from '../lib/errors.ts';
import { copyMissing, makeFolders } from '../lib/fs/copy-missing.ts';
import { exclusively, type StillHeld } from '../lib/fs/locks.ts';
import { allStartedWith } from '../process/processes.ts';
import { branchBase, type WorkspaceTask } from './branch-base.ts';
import { CHECKOUT_TIMEOUT_MS, type GitOptions, type GitResult, git, gitOk, lastWords } from './git.ts';
import { settleRemoval } from './removal.ts';
import {
  branchCommit,
  gitIn,
  listWorktrees,
  type Repository,
  repositoryOf,
  untracked,
  type WorktreeEnv,
  worktreeAt,
} from './repository.ts';
import {
  absolutePath,
  besideWorktree,
  isThere,
  lookAtPlace,
  makeWorktreePlace,
  moveIfThere,
  removeFile,
  removeFolder,
  touchFile,
  worktreePlace,
  worktreesLock,
} from './worktree-files.ts';

export type { WorkspaceTask } from './branch-base.ts';
export { inspectWorkspace, type WorkspaceLook } from './inspect-worktree.ts';
export { headOf, type Repository, repositoryOf } from './repository.ts';

export interface Workspace {
  /** The top of the worktree. */
  path: string;
  /** The project's folder in it, where workers run. */
  cwd: string;
  /** The branch of the task. A worker may have checked out another one. */
  branch: string;
  /** False when it existed. */
  created: boolean;
}

/** Set for a git that makes a worktree and for its children, to recognize them after their forge was killed. */
const MARK = 'FORGE_MAKES_WORKTREE';

/**
 * The workspace of a task, made if there is none. Calls for one task take turns, in all processes.
 * Throws SETTINGS_INVALID when the project's repository or settings do not allow worktrees; IO_ERROR when files of a person are in
 * the way, which stay, and when git fails.
 */
export async function ensureWorkspace(env: WorktreeEnv, task: WorkspaceTask): Promise<Workspace> {
  const repository = await repositoryOf(env);
  env.store.ensureTree();
  const place = makeWorktreePlace(env.paths, env.settings.agents.worktree_root, task.id);
  return exclusively(besideWorktree(place, 'lock'), async (held) => {
    await settleRemoval(env, place);
    // Left aside by a process that was killed before the second check.
    if (!isThere(place)) moveIfThere(clearedAt(place), place);
    const created = !(await standsAlready(env, repository, place, held));
    if (created) await add(env, repository, task, place);
    await furnish(env, repository, place);
    removeFile(beganAt(place));
    return { path: place, cwd: cwdIn(place, repository), branch: branchFor(task.id), created };
  });
}

/** The workspace that `ensureWorkspace` would return. Makes nothing. Throws SETTINGS_INVALID, IO_ERROR. */
export async function expectedWorktree(env: WorktreeEnv, taskId: string): Promise<{ path: string; branch: string }> {
  const repository = await repositoryOf(env);
  const { worktree_root: root } = env.settings.agents;
  const place = worktreePlace(env.paths, root, taskId) ?? absolutePath(env.paths.project, `${root}/${taskId}`);
  return { path: cwdIn(place, repository), branch: branchFor(taskId) };
}

/** The folder of a worktree that workers run in. */
export function cwdIn(place: string, { prefix }: Repository): string {
  return prefix === '' ? place : `${place}/${prefix.slice(0, -1)}`;
}

/** Whether the worktree exists and is complete. If not, its place is free for a new one, or this throws. */
async function standsAlready(
  env: WorktreeEnv,
  repository: Repository,
  place: string,
  held: StillHeld,
): Promise<boolean> {
  if (await isWhole(env, repository, place)) return true;
  // The lock is ours, so the forge of any git that still makes it is gone.
  await stopMakers(place);
  if (await isWhole(env, repository, place)) return true;
  const entry = (await listWorktrees(env)).find(({ path }) => path === place);
  if (!isLeftover(repository, place, place, entry)) throw inTheWay(place);
  if (entry !== undefined) refuseLocked(entry);
  await clearAway(env, repository, place, held);
  // Only this one: other missing worktrees are for a person to prune.
  if (entry !== undefined) await gitOk(['worktree', 'remove', '--force', '--force', place], gitIn(env));
  return false;
}

/** Whether `at`, meant for `place`, has nothing, or what a killed git left. */
function isLeftover(repository: Repository, place: string, at: string, entry: ListedWorktree | undefined): boolean {
  const look = lookAtPlace(at);
  if (look.kind === 'nothing' || look.kind === 'empty') return true;
  // It was never handed out. A `.git` file is the first that git writes.
  return (
    look.kind === 'folder' &&
    leadsInto(repository, place, look.pointer) &&
    (look.alone || entry?.locked === INITIALIZING || isThere(beganAt(place)))
  );
}

/**
 * Removes what a killed git left. A process that was paused here has lost the lock, and the worktree may have been made and be in
 * use by now: so it is moved first, and checked again before anything is lost.
 */
async function clearAway(env: WorktreeEnv, repository: Repository, place: string, held: StillHeld): Promise<void> {
  const aside = clearedAt(place);
  removeFolder(aside);
  const moved = moveIfThere(place, aside);
  const entry = (await listWorktrees(env)).find(({ path }) => path === place);
  if (held() && isLeftover(repository, place, aside, entry)) {
    removeFolder(aside);
    return;
  }
  if (moved) moveIfThere(aside, place);
  throw new ForgeError('IO_ERROR', `another process has made ${place} meanwhile`, { hint: 'Repeat the command.' });
}

async function isWhole(env: WorktreeEnv, repository: Repository, place: string): Promise<boolean> {
  const entry = await worktreeAt(env, repository, place);
  if (entry === null || entry.locked === INITIALIZING) return false;
  if (entry.locked !== null) return true;
  const look = lookAtPlace(place);
  const hasIndex = look.kind === 'folder' && isThere(`${gitDirOf(place, look.pointer ?? '')}/index`);
  // Its git was killed, and may have left locks in it. It was never handed out; but a person may have used it.
  if (isThere(beganAt(place))) {
    return hasIndex && (await gitOk(['status', '--porcelain'], gitIn(env, place))).stdout !== '';
  }
  return hasIndex || look.kind !== 'folder' || !look.alone;
}

/** A file that exists from before git starts to make a worktree until forge has checked that it is complete. */
function beganAt(place: string): string {
  return besideWorktree(place, 'began');
}

/** Where a leftover is moved to for its second check. */
function clearedAt(place: string): string {
  return besideWorktree(place, 'cleared');
}

function inTheWay(place: string): ForgeError {
  return new ForgeError('IO_ERROR', `${place} is no worktree of this repository, so it was left alone`, {
    hint: `Move it away. If the project was moved, repair it with \`git worktree repair ${place}\` instead.`,
  });
}

/** Whether the text of the `.git` file there points to a worktree of this repository, or is incomplete. */
function leadsInto({ commonDir }: Repository, place: string, pointer: string | null): boolean {
  if (pointer === null || pointer === '') return pointer === '';
  return gitDirOf(place, pointer).startsWith(`${commonDir}/worktrees/`);
}

/** The folder that a `.git` file points to. Newer versions of git can write relative paths. */
function gitDirOf(place: string, pointer: string): string {
  return absolutePath(place, pointer.replace(/^gitdir: /, ''));
}

/** A worktree that a person has locked may be on a removable disk. */
function refuseLocked({ path, locked }: ListedWorktree): void {
  if (locked === null || locked === INITIALIZING) return;
  const why = locked === '' ? '' : ` (${locked})`;
  throw new ForgeError('IO_ERROR', `the worktree ${path} is locked${why}, but its folder is gone or empty`, {
    hint: `Bring the folder back, or give it up with \`git worktree unlock ${path}\`.`,
  });
}

async function add(env: WorktreeEnv, { commonDir }: Repository, task: WorkspaceTask, place: string): Promise<void> {
  const branch = branchFor(task.id);
  // Two that are made at the same moment can make git fail: each reads what the other has not written yet.
  await exclusively(worktreesLock(place), async () => {
    const elsewhere = (await listWorktrees(env)).find((each) => each.branch === branch && each.path !== place);
    if (elsewhere !== undefined) throw checkedOut(task.id, branch, elsewhere.path);
    const target =
      (await branchCommit(env, branch)) === null
        ? ['--no-track', '-b', branch, place, await branchBase(env, task)]
        : [place, branch];
    let result = await gitAdd(env, place, target);
    // Git has waited for that lock in vain: a git that was killed while it made this very branch left it.
    if (result.stderr.includes(`${branch}.lock'`) && removeFile(`${commonDir}/refs/heads/${branch}.lock`)) {
      result = await gitAdd(env, place, target);
    }
    if (result.code !== 0) await reportFailedAdd(env, task.id, place, result);
  });
}

function gitAdd(env: WorktreeEnv, place: string, target: readonly string[]): Promise<GitResult> {
  touchFile(beganAt(place));
  return git(['worktree', 'add', ...target], { ...making(gitIn(env), place), timeoutMs: CHECKOUT_TIMEOUT_MS });
}

/** The options of a git that makes a worktree, so that `stopMakers` finds it. */
export function making(options: GitOptions, place: string): GitOptions {
  return { ...options, env: { ...options.env, [MARK]: place } };
}

/** A failing hook makes git fail although the worktree exists: that is a warning. Anything else is thrown as IO_ERROR. */
async function reportFailedAdd(env: WorktreeEnv, taskId: string, place: string, result: GitResult): Promise<void> {
  const made = (await listWorktrees(env)).some(({ path, locked }) => path === place && locked === null);
  const words = `making the worktree of task ${taskId}: ${lastWords(result)}`;
  if (!made) {
    // Git has removed what it had begun; what appears there now is not its own.
    removeFile(beganAt(place));
    const hint =
      (await branchCommit(env, 'forge')) === null
        ? 'See what git says above. Fix it, then repeat the command.'
        : 'Rename the branch `forge`: git cannot have it beside branches such as forge/<task>.';
    throw new ForgeError('IO_ERROR', words, { hint });
  }
  env.warn(`${words} (exit code ${result.code}; the worktree is there)`);
}

function checkedOut(taskId: string, branch: string, where: string): ForgeError {
  return new ForgeError('IO_ERROR', `the branch of task ${taskId}, ${branch}, is checked out in ${where}`, {
    hint: `Check out another branch there, or remove that worktree with \`git worktree remove ${where}\`.`,
  });
}

/** Milliseconds between two checks of a killed process, and the number of checks. */
const LOOK = { pauseMs: 20, times: 250 };

/**
 * Stops a git that still makes this worktree although its forge is gone, with its hooks. On macOS they cannot be recognized, and
 * are left alone. Throws IO_ERROR when one is still there after five seconds.
 */
export async function stopMakers(place: string): Promise<void> {
  for (let look = 0; look < LOOK.times; look++) {
    const makers = allStartedWith(MARK, place).filter(({ pid }) => pid !== process.pid);
    if (makers.length === 0) return;
    for (const { pid } of makers) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended just now.
      }
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK.pauseMs));
  }
  throw new ForgeError('IO_ERROR', `a git that was left behind still makes ${place}, and can't be stopped`, {
    hint: 'End it, then repeat the command.',
  });
}

/** Makes the project's folder in the worktree if no commit has it, and copies the untracked files that workers need. */
export async function furnish(env: WorktreeEnv, repository: Repository, place: string): Promise<void> {
  const { prefix } = repository;
  if (!makeFolders(place, prefix)) {
    throw new ForgeError('IO_ERROR', `${cwdIn(place, repository)} is no folder, so no worker can run there`, {
      hint: `Put a folder at ${prefix} on branch ${branchFor(place.slice(place.lastIndexOf('/') + 1))}.`,
    });
  }
  const names = await untracked(env, env.paths.project);
  copyMissing({ from: env.paths.project, within: place, prefix, names, scratch: besideWorktree(place, 'copy') });
}
