/** `ensure-worktree`: make the git worktree of a task, whatever `workspace` says. A repeat finds it. */

import { ensureWorkspace } from '../git/worktree.ts';
import { requirePlan } from '../project/plan-file.ts';
import { plannedTask } from './shared/reads.ts';
import { type Call, openSession } from './shared/session.ts';

export interface EnsureWorktreeData {
  task_id: string;
  /** Where in the worktree the project is. */
  worktree_path: string;
  /** The task's own; what is checked out may be another. */
  branch: string;
  /** False when it was there already. */
  created: boolean;
}

/** Throws TASK_NOT_FOUND, SETTINGS_INVALID when the project is in no repository, IO_ERROR when something is in the way. */
export async function ensureWorktree(call: Call, { task }: { task: string }): Promise<EnsureWorktreeData> {
  const session = openSession(call);
  const planned = plannedTask(requirePlan(session), task);
  const { cwd, branch, created } = await ensureWorkspace(session, planned);
  return { task_id: planned.id, worktree_path: cwd, branch, created };
}
