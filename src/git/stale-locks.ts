/**
 * Hands the worktree of a task to its next attempt. A worker that was killed during a git command has left a lock on which every
 * later git fails; it is removed if it provably has no holder.
 */

import { rebootedSince, sameMachine } from '../domain/task/identity.ts';
import type { TaskRecord } from '../domain/task/records.ts';
import { orNull } from '../lib/errors.ts';
import { holdingOf } from '../process/holders.ts';
import { gitOk } from './git.ts';
import { gitIn, type WorktreeEnv } from './repository.ts';
import { ensureWorkspace, type Workspace, type WorkspaceTask } from './worktree.ts';
import { isThere, removeFile } from './worktree-files.ts';

/** What git locks in a worktree of its own: the index, and HEAD. */
const LOCKS = ['index.lock', 'HEAD.lock'];

/**
 * `ensureWorkspace` for an attempt that is about to start; `record` is the task's before it. The previous worker must be stopped by
 * then. Throws as `ensureWorkspace` does.
 */
export async function workspaceForNext(env: WorktreeEnv, task: WorkspaceTask, record: TaskRecord): Promise<Workspace> {
  const workspace = await ensureWorkspace(env, task);
  if (!workspace.created) await clearStaleLocks(env, workspace.path, record);
  return workspace;
}

async function clearStaleLocks(env: WorktreeEnv, place: string, record: TaskRecord): Promise<void> {
  const gitDir = (await gitOk(['rev-parse', '--absolute-git-dir'], gitIn(env, place))).stdout.trimEnd();
  const locks = LOCKS.map((name) => `${gitDir}/${name}`).filter(isThere);
  if (locks.length === 0) return;
  const isVisible = await ranOnThisMachine(env, record);
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
