/** Finds, makes and prepares the place where the next worker of a task runs. */

import { builtOn, type PlanTask } from '../../domain/plan/plan.ts';
import type { Workspace } from '../../domain/prompt/worker-prompt.ts';
import type { TaskRecord } from '../../domain/task/records.ts';
import { ForgeError } from '../../lib/errors.ts';
import type { Env } from '../env.ts';
import { retryIo } from '../retry-io.ts';
import type { CommandsFor } from './commands.ts';
import { keepLease } from './lease-keeper.ts';
import { begunFor, CanNotStart, hasWorktrees, workAt, workspaceOf } from './workspace.ts';
import type { Prepared, SetupHeard } from './worktree-setup.ts';

export interface AttemptWorkspace extends Workspace, Prepared {}

/**
 * The place for the next attempt at a task that a claim holds, made and prepared if need be, and the lease renewed for as long as that
 * takes. What can't be made is tried again like any step. Throws CanNotStart, SETTINGS_INVALID, and what `beginWork` throws.
 */
export async function resolveWorkspace(
  env: Env,
  task: PlanTask,
  attempt: { claimId: string; attemptId: string },
  record: TaskRecord,
  heard: SetupHeard,
): Promise<AttemptWorkspace> {
  // A lost lease shows when the attempt begins.
  const keeper = keepLease(env, { taskId: task.id, attemptId: '', claimId: attempt.claimId }, record.lease);
  const whom = { ...attempt, taskId: task.id, task };
  try {
    if (!hasWorktrees(env)) return { ...workspaceOf(env), ...(await beginWork(env, whom, record, null, heard)) };
    const built = { id: task.id, depends_on: builtOn(task) };
    const { workspaceForNext } = await import('../../git/worktree.ts');
    const place = await retryIo(env, async () => workspaceForNext(env, built, record, await begunFor(env, record)));
    const { cwd: path, branch, behind } = place;
    return { path, branch, behind, ...(await beginWork(env, whom, record, place, heard)) };
  } catch (error) {
    const needsPerson = error instanceof ForgeError && (error.code === 'IO_ERROR' || error.code === 'NOT_READY');
    throw needsPerson ? CanNotStart.since(error, `there is no place to work on task ${task.id}`) : error;
  } finally {
    keeper.stop();
  }
}

/** Prepares the place of an attempt where the settings ask for that, and looks at it; `place` null: the project. Throws as `prepareWorktree` and `workAt` do. */
export async function beginWork(
  env: Env,
  whom: CommandsFor,
  record: TaskRecord,
  place: { cwd: string; created: boolean } | null,
  heard: SetupHeard = {},
): Promise<Prepared> {
  if (place === null || env.settings.agents.setup.length === 0)
    return { work: await workAt(env, record, place?.cwd ?? null, place?.created), fault: null, trusted: false };
  const { prepareWorktree } = await import('./worktree-setup.ts');
  return prepareWorktree(env, whom, record, place, heard);
}
