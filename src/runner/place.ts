/**
 * Where the worker of a task runs: in the project, or in the task's own worktree. Workspaces are loaded only where settings
 * ask for them: most projects have none, and every start would pay for git.
 */

import { ForgeError } from '../core/errors.ts';
import type { PlanTask } from '../core/plan.ts';
import type { Workspace } from '../core/prompt.ts';
import type { TaskRecord } from '../core/records.ts';
import { heartbeatTask } from '../core/task-ops.ts';
import { NO_WORK_FOUND, type WorkFound } from '../core/verification.ts';
import { changeTask } from '../store/change.ts';
import { type Env, instantOf } from './env.ts';
import { insist } from './insist.ts';
import { workspaceOf } from './prompt.ts';

export type Place = Workspace;

export function hasWorktrees(env: Pick<Env, 'settings'>): boolean {
  return env.settings.workspace === 'worktree';
}

/** Throws SETTINGS_INVALID where settings ask for worktrees and the project is in no repository; IO_ERROR. */
export async function requireWorktrees(env: Env): Promise<void> {
  if (!hasWorktrees(env)) return;
  const { repositoryOf } = await import('./workspace.ts');
  await repositoryOf(env);
}

/** There is no place to work on the task, and trying again would not make one: a person has to look. */
export class NoPlace extends ForgeError {
  constructor(taskId: string, cause: ForgeError) {
    super('IO_ERROR', `there is no place to work on task ${taskId}: ${cause.message}`, { hint: cause.hint, cause });
  }
}

/**
 * The place for the next attempt at a task that `claimId` holds, made if need be, and the lease renewed for as long as that
 * takes. A failure is tried again like any step. Throws NoPlace, SETTINGS_INVALID.
 */
export async function placeFor(env: Env, task: PlanTask, claimId: string, record: TaskRecord): Promise<Place> {
  if (!hasWorktrees(env)) return workspaceOf(env);
  const { workspaceForNext } = await import('./left-locks.ts');
  const ttlMs = env.settings.agents.self_lease_ttl_ms;
  const beat = () =>
    changeTask(env, task.id, (record) =>
      heartbeatTask(record, { attemptId: '', claimId, ttlMs, instant: instantOf(env) }),
    ).catch(() => {
      // Whoever has lost the lease hears of it when he goes on.
    });
  const timer = setInterval(() => void beat(), env.settings.agents.self_heartbeat_ms);
  try {
    const { cwd, branch } = await insist(env, () => workspaceForNext(env, task, record));
    return { path: cwd, branch };
  } catch (error) {
    throw error instanceof ForgeError && error.code === 'IO_ERROR' ? new NoPlace(task.id, error) : error;
  } finally {
    clearInterval(timer);
  }
}

/** The place that a task has, or would get. Makes nothing. Throws SETTINGS_INVALID, IO_ERROR. */
export async function foreseenPlace(env: Env, taskId: string): Promise<Place> {
  if (!hasWorktrees(env)) return workspaceOf(env);
  const { foreseenWorkspace } = await import('./workspace.ts');
  return foreseenWorkspace(env, taskId);
}

/** Where an attempt is verified, and what is found there. A string says why that can't be known. Throws IO_ERROR. */
export async function lookAround(
  env: Env,
  taskId: string,
  worktreePath: string | null,
): Promise<{ cwd: string; found: WorkFound } | string> {
  const { headOf, inspectWorkspace } = await import('./workspace.ts');
  const { project } = env.layout;
  if (worktreePath !== null) {
    try {
      const look = await inspectWorkspace(env, taskId, worktreePath);
      if (look === null) return `${worktreePath} is gone, or no worktree with a commit any more`;
      return { cwd: worktreePath, found: look };
    } catch (error) {
      // What a worker has broken in its own worktree is its failure, and keeps no other task from going on. Where git does
      // not work in the project either, it is not the worker's.
      const isItsOwn =
        error instanceof ForgeError && error.code === 'IO_ERROR' && (await headOf(env, project)) !== null;
      if (isItsOwn) return error.message;
      throw error;
    }
  }
  // A folder that is in no repository, or where there is no git at all, is verified as it stands.
  const head = await headOf(env, project).catch(() => null);
  return { cwd: project, found: { ...NO_WORK_FOUND, ...head } };
}
