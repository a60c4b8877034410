/**
 * Hands the worktree of a task on to its next attempt. A worker that was killed in the middle of a git command has left a
 * lock there on which every later git fails; it is removed where provably nobody holds it.
 */

import { rebootedSince, sameMachine } from '../domain/task/identity.ts';
import type { TaskRecord } from '../domain/task/records.ts';
import { unlessInvalid } from '../lib/errors.ts';
import { holdingOf } from '../process/holders.ts';
import { gitOk } from './git.ts';
import { gitIn, type WorktreeEnv } from './repository.ts';
import { ensureWorkspace, type Workspace, type WorkspaceTask } from './worktree.ts';
import { isThere, removeFile } from './worktree-files.ts';

/** What git locks in a worktree of its own: what is staged there, and what is checked out. */
const LOCKS = ['index.lock', 'HEAD.lock'];

/**
 * `ensureWorkspace` for an attempt that is about to begin; `record` is the task's before it. What is known of the former
 * worker must be stopped by then. Throws as `ensureWorkspace` does.
 */
export async function workspaceForNext(env: WorktreeEnv, task: WorkspaceTask, record: TaskRecord): Promise<Workspace> {
  const workspace = await ensureWorkspace(env, task);
  if (!workspace.created) await clearLeftLocks(env, workspace.path, record);
  return workspace;
}

async function clearLeftLocks(env: WorktreeEnv, place: string, record: TaskRecord): Promise<void> {
  const gitDir = (await gitOk(['rev-parse', '--absolute-git-dir'], gitIn(env, place))).stdout.trimEnd();
  const locks = LOCKS.map((name) => `${gitDir}/${name}`).filter(isThere);
  if (locks.length === 0) return;
  const seenFromHere = await wasWorkedOnHere(env, record);
  for (const lock of locks) {
    if (seenFromHere && holdingOf(lock, [place, gitDir]) === 'free') {
      removeFile(lock);
      env.warn(`removed ${lock}, which a git that was killed has left`);
    } else {
      env.warn(`${lock} is in the way of every git in ${place}; if no git runs there any more, remove it`);
    }
  }
}

/** Only the processes of this machine can be looked at: whoever works on another one, or in a container, is not seen. */
async function wasWorkedOnHere(env: WorktreeEnv, { state }: TaskRecord): Promise<boolean> {
  const { current_attempt_id: last, task_id } = state;
  if (last === null) return false;
  const { machine } = (await unlessInvalid(() => env.store.readManifest(task_id, last))) ?? {};
  const here = env.ctx.machine();
  return machine != null && (sameMachine(machine, here) || rebootedSince(machine, here));
}
