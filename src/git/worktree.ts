/**
 * The workspace of a task: a git worktree with a branch of its own. It is made once and kept, as the last attempt left it. Files of
 * people are never touched; what a killed git left is removed.
 */

import fs from 'node:fs';
import { rerunOf } from '../domain/task/by-hand.ts';
import { rebootedSince, sameMachine } from '../domain/task/identity.ts';
import type { TaskRecord } from '../domain/task/records.ts';
import {
  type Behind,
  behindText,
  branchFor,
  INITIALIZING,
  inTheWayText,
  type ListedWorktree,
} from '../domain/task/workspaces.ts';
import { ForgeError, orNull } from '../lib/errors.ts';
import { ifThere } from '../lib/fs/io-errors.ts';
import type { StillHeld } from '../lib/fs/locks.ts';
import { copyMissing, createFile, makeFolders } from '../lib/fs/new-file.ts';
import { fileNameOf, taskOfFileName } from '../lib/ids.ts';
import { firstOf } from '../lib/text.ts';
import { send } from '../process/groups.ts';
import { holdingOf } from '../process/holders.ts';
import { allStartedWith } from '../process/processes.ts';
import { branchBase, followBase, type WorkspaceTask } from './branch-start.ts';
import { filterFailed } from './filters.ts';
import {
  CHECKOUT_TIMEOUT_MS,
  type GitOptions,
  type GitResult,
  git,
  gitFailed,
  gitIn,
  gitOk,
  gitText,
  lastWords,
} from './git.ts';
import { inTurn } from './in-turn.ts';
import { clearWorkspace, settleRemoval } from './removal.ts';
import {
  baseOf,
  branchCommit,
  copySources,
  listedAt,
  listWorktrees,
  projectIn,
  type Repository,
  repositoryOf,
  takenNames,
  type WorktreeEnv,
  worktreeAt,
} from './repository.ts';
import { NOT_WITHIN } from './submodule-changes.ts';
import { fillSubmodules, sourceOf } from './submodules.ts';
import {
  besideWorktree,
  lookAtPlace,
  makeWorktreePlace,
  moveFolder,
  removeFile,
  removeFolder,
  worktreeRoot,
  worktreesFolder,
  worktreesLock,
} from './worktree-files.ts';

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
  const place = makeWorktreePlace(env, task.id);
  return inTurn(env, besideWorktree(place, 'lock'), async (held) => {
    await settleRemoval(env, place);
    // Left aside by a process that was killed before the second check.
    if (!fs.existsSync(place)) moveFolder(clearedAt(place), place);
    const created = !(await standsAlready(env, repository, place, held));
    if (created) await add(env, repository, task, place);
    const left = await furnish(env, repository, place);
    if (created && left.length > 0)
      env.warn(
        `not copied into the worktree of task ${task.id}: ${firstOf(left)}; of links only those are copied that stay in the project`,
      );
    removeFile(beganAt(place));
    return { path: place, cwd: cwdIn(place, repository), branch: branchFor(env.settings, task.id), created };
  });
}

/** The workspace that `ensureWorkspace` would return. Makes nothing. Throws SETTINGS_INVALID, IO_ERROR. */
export async function expectedWorktree(env: WorktreeEnv, taskId: string): Promise<{ path: string; branch: string }> {
  const repository = await repositoryOf(env);
  const place = `${worktreesFolder(env) ?? worktreeRoot(env)}/${fileNameOf(taskId)}`;
  return { path: cwdIn(place, repository), branch: branchFor(env.settings, taskId) };
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
  const entry = await listedAt(env, place);
  if (!isLeftover(repository, place, place, entry)) {
    throw new ForgeError('IO_ERROR', `${place} is not a worktree of this repository, so it was left alone`, {
      hint: `Move it away. If the project was moved, repair it with \`git worktree repair ${place}\` instead.`,
    });
  }
  // One that a person has locked may be on a removable disk.
  const locked = entry?.locked ?? INITIALIZING;
  if (locked !== INITIALIZING) {
    const why = locked === '' ? '' : ` (${locked})`;
    throw new ForgeError('IO_ERROR', `the worktree ${place} is locked${why}, but its folder is gone or empty`, {
      hint: `Bring the folder back, or give it up with \`git worktree unlock ${place}\`.`,
    });
  }
  await clearAway(env, repository, place, held);
  // Only this one: other missing worktrees are for a person to prune.
  if (entry !== undefined) await gitOk(['worktree', 'remove', '--force', '--force', place], gitIn(env));
  return false;
}

/** Whether `at`, meant for `place`, has nothing, or what a killed git left. */
function isLeftover({ commonDir }: Repository, place: string, at: string, entry: ListedWorktree | undefined): boolean {
  const { kind, gitDir, alone } = lookAtPlace(at, place);
  if (kind === 'nothing' || kind === 'empty') return true;
  // A `.git` file is the first that git writes, and may be incomplete.
  if (gitDir === null || !(gitDir === '' || gitDir.startsWith(`${commonDir}/worktrees/`))) return false;
  // It was never handed out.
  return alone || entry?.locked === INITIALIZING || fs.existsSync(beganAt(place));
}

/**
 * Removes what a killed git left. A process that was paused here has lost the lock, and the worktree may have been made and be in
 * use by now: so it is moved first, and checked again before anything is lost.
 */
async function clearAway(env: WorktreeEnv, repository: Repository, place: string, held: StillHeld): Promise<void> {
  const aside = clearedAt(place);
  removeFolder(aside);
  const moved = moveFolder(place, aside);
  const entry = await listedAt(env, place);
  if (held() && isLeftover(repository, place, aside, entry)) {
    removeFolder(aside);
    return;
  }
  if (moved) moveFolder(aside, place);
  throw new ForgeError('IO_ERROR', `another process has made ${place} meanwhile`, { hint: 'Repeat the command.' });
}

async function isWhole(env: WorktreeEnv, repository: Repository, place: string): Promise<boolean> {
  const entry = await worktreeAt(env, repository, place);
  if (entry === null || entry.locked === INITIALIZING) return false;
  if (entry.locked !== null) return true;
  const { gitDir, alone } = lookAtPlace(place);
  const hasIndex = gitDir !== null && fs.existsSync(`${gitDir}/index`);
  // Its git was killed, and may have left locks in it. It was never handed out; but a person may have used it.
  if (fs.existsSync(beganAt(place))) {
    return hasIndex && (await gitText(['status', '--porcelain', NOT_WITHIN], gitIn(env, place))) !== '';
  }
  return hasIndex || !alone;
}

/** A file that exists from before git starts to make a worktree until forge has checked that it is complete. */
function beganAt(place: string): string {
  return besideWorktree(place, 'began');
}

/** Where a leftover is moved to for its second check. */
function clearedAt(place: string): string {
  return besideWorktree(place, 'cleared');
}

async function add(env: WorktreeEnv, { commonDir }: Repository, task: WorkspaceTask, place: string): Promise<void> {
  const branch = branchFor(env.settings, task.id);
  // Two that are made at the same moment can make git fail: each reads what the other has not written yet.
  await inTurn(env, worktreesLock(place), async () => {
    const elsewhere = (await listWorktrees(env)).find((each) => each.branch === branch && each.path !== place);
    if (elsewhere !== undefined) {
      const { path } = elsewhere;
      throw new ForgeError('IO_ERROR', `the branch of task ${task.id}, ${branch}, is checked out in ${path}`, {
        hint: `Check out another branch there, or remove that worktree with \`git worktree remove ${path}\`.`,
      });
    }
    const target =
      (await branchCommit(env, branch)) === null
        ? ['--no-track', '-b', branch, place, await branchBase(env, task, (await baseOf(env)).sha)]
        : [place, branch];
    const attempt = () => {
      const began = beganAt(place);
      ifThere(`making ${began}`, () => createFile(began, ''), ['EEXIST']);
      return git(['worktree', 'add', ...target], making(gitIn(env), place));
    };
    let result = await attempt();
    // Git has waited for that lock and not got it: a git that was killed while it made this very branch left it.
    if (result.stderr.includes(`${branch}.lock'`) && removeFile(`${commonDir}/refs/heads/${branch}.lock`)) {
      result = await attempt();
    }
    if (result.code !== 0) await reportFailedAdd(env, task.id, place, result);
  });
}

/** The options of a git that makes a worktree, so that `stopMakers` finds it. */
export function making(options: GitOptions, place: string): GitOptions {
  return { ...options, env: { ...options.env, [MARK]: place }, timeoutMs: CHECKOUT_TIMEOUT_MS, acts: true };
}

/** A failing hook makes git fail although the worktree exists: that is a warning. Anything else is thrown: NOT_READY when a branch is in the way, or a filter
 * can't run, else IO_ERROR. */
async function reportFailedAdd(env: WorktreeEnv, taskId: string, place: string, result: GitResult): Promise<void> {
  const made = (await listWorktrees(env)).some(({ path, locked }) => path === place && locked === null);
  const what = `making the worktree of task ${taskId}`;
  if (!made) {
    // Git has removed what it had begun; what appears there now is not its own.
    removeFile(beganAt(place));
    const branch = branchFor(env.settings, taskId);
    const [taken] = await takenNames(env, [branch]);
    if (taken === undefined) throw filterFailed(what, result) ?? gitFailed(what, result);
    const { message, hint } = inTheWayText(taken, branch);
    throw new ForgeError('NOT_READY', message, { hint });
  }
  env.warn(`${what}: ${lastWords(result)} (exit code ${result.code}; the worktree is there)`);
}

/** Milliseconds between two checks of a killed process, and the number of checks. */
const LOOK = { pauseMs: 20, times: 250 };

/**
 * Stops a git that still makes this worktree although its forge is gone, with its hooks. On macOS they cannot be recognized, and
 * are left alone. Throws IO_ERROR when one is still there after five seconds.
 */
export async function stopMakers(place: string): Promise<void> {
  for (let look = 0; look < LOOK.times; look++) {
    const makers = allStartedWith({ [MARK]: place }).found.filter(({ pid }) => pid !== process.pid);
    if (makers.length === 0) return;
    for (const { pid } of makers) send(pid, 'SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, LOOK.pauseMs));
  }
  throw new ForgeError('IO_ERROR', `a git that was left behind still makes ${place}, and can't be stopped`, {
    hint: 'End it, then repeat the command.',
  });
}

/**
 * Makes the project's folder in the worktree if no commit has it, and fills the submodules, and copies the untracked files that workers need.
 * Returns those that were
 * left out.
 */
export async function furnish(env: WorktreeEnv, repository: Repository, place: string): Promise<string[]> {
  const { prefix } = repository;
  if (!makeFolders(place, prefix)) {
    const name = place.slice(place.lastIndexOf('/') + 1);
    throw new ForgeError('IO_ERROR', `${cwdIn(place, repository)} is not a folder, so no worker can run there`, {
      hint: `Put a folder at ${prefix} on branch ${branchFor(env.settings, taskOfFileName(name) ?? name)}.`,
    });
  }
  for (const why of await fillSubmodules(env, place, sourceOf(repository), { run: making(gitIn(env), place) }))
    env.warn(`a submodule is empty in ${place}: ${why}`);
  const from = projectIn(repository);
  if (from === null) return [];
  const names = await copySources(env, repository);
  return copyMissing({ from, within: place, prefix, names, scratch: besideWorktree(place, 'copy') });
}

// --- handing a worktree to the next attempt --------------------------------------------------------------------------

/** What git locks in a worktree of its own: the index, and HEAD. */
const LOCKS = ['index.lock', 'HEAD.lock'];

/**
 * `ensureWorkspace` for an attempt that is about to start; `record` is the task's before it. The previous worker must be stopped by
 * then; of a task that was begun again from the start what it had goes first. One that was killed during a git command has left a lock on which every later git fails; it is removed if it provably has no
 * holder. A branch without commits of its own is moved to the base of now, `begunFor` as in `baseOf`; `behind`: one that has some and
 * lacks commits of the base. Throws as `ensureWorkspace` does.
 */
export async function workspaceForNext(
  env: WorktreeEnv,
  task: WorkspaceTask,
  record: TaskRecord,
  begunFor: string | null,
): Promise<Workspace & { behind: Behind | null }> {
  if (rerunOf(record)?.clears === true) await clearWorkspace(env, task.id);
  const workspace = await ensureWorkspace(env, task);
  if (!workspace.created) await clearLocks(env, workspace.path, record);
  const behind = await followBase(env, task, workspace.path, begunFor);
  if (behind !== null) env.warn(behindText(behind));
  return { ...workspace, behind };
}

async function clearLocks(env: WorktreeEnv, place: string, record: TaskRecord): Promise<void> {
  const gitDir = await gitText(['rev-parse', '--absolute-git-dir'], gitIn(env, place));
  const locks = LOCKS.map((name) => `${gitDir}/${name}`).filter((lock) => fs.existsSync(lock));
  const isVisible = locks.length > 0 && (await ranOnThisMachine(env, record));
  for (const lock of locks) {
    if (isVisible && holdingOf(lock, [place, gitDir]) === 'free') {
      removeFile(lock);
      env.warn(`removed ${lock}, which a git that was killed has left`);
    } else {
      env.warn(`${lock} blocks every git command in ${place}; if none is running there, remove it`);
    }
  }
}

/** Only processes of this machine are visible, not those of another one or of a container. */
async function ranOnThisMachine(env: WorktreeEnv, { state }: TaskRecord): Promise<boolean> {
  const { current_attempt_id: last, task_id } = state;
  if (last === null) return false;
  const { machine } = (await orNull(() => env.store.readDocument('manifest', task_id, last))) ?? {};
  const here = env.ctx.machine();
  return machine != null && (sameMachine(machine, here) || rebootedSince(machine, here));
}
