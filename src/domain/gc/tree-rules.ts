/** The gc rules that start from git or the tracker instead of a task: lost claims, worktrees and branches. */

import { fromIso } from '../../lib/time.ts';
import { isClosed } from '../tracker-issues.ts';
import type { GcRowId } from './gc-plan.ts';
import { shortName, type TreeProjection } from './projection.ts';

export type DetectInTree = (tree: TreeProjection, row: GcRowId) => void;

/** A claim in the tracker by a run of this tree that is gone. A task that was unclaimed while the tracker was down is found here, too. */
export const lostClaim: DetectInTree = (tree, row) => {
  const gone = new Set(tree.snapshot.runs.flatMap(({ run_id, standing }) => (standing === 'open' ? [] : [run_id])));
  for (const [task_id, issue] of gone.size === 0 ? [] : tree.issues) {
    const { id: issue_id, claimed_by: run_id } = issue;
    if (run_id === null || !gone.has(run_id) || isClosed(issue)) continue;
    const task = tree.tasks.get(task_id);
    const isUnclaimed = task?.isUnclaimed === true;
    if (task?.isKnown === true && !isUnclaimed) continue;
    const here = isUnclaimed ? 'the task is unclaimed here' : 'nothing has happened to the task here';
    const reason = `issue ${issue_id} is claimed by run ${run_id}, which is gone, and ${here}`;
    if (tree.planned?.has(task_id) !== false) {
      tree.add(row, task_id, 'recover', 'warning', reason, { issue_id, run_id });
    } else {
      const payload = { kind: 'tracker_claimed_no_local' as const, issue_id, run_id };
      tree.add(row, task_id, 'report_orphan', 'warning', `${reason}; it is not in the plan`, payload);
    }
  }
};

export const orphanWorktree: DetectInTree = (tree, row) => {
  const { snapshot, planned, options, freed } = tree;
  const inUse = new Set<string>();
  for (const { path, name, branch, head, registered } of snapshot.worktrees) {
    const isOrphan = planned !== null && !planned.has(name) && tree.tasks.get(name)?.isKnown !== true;
    const isDone = isShippedLongAgo(tree, name);
    const isRemoved = registered && (isDone || (isOrphan && options.removeOrphanWorktrees === true));
    if (branch !== null) (isRemoved ? freed : inUse).add(branch);
    if (!isOrphan && !isRemoved) continue;
    const whose = isDone ? 'the worktree of a shipped task' : 'the worktree of no task';
    const reason = `${shortName(path)} is ${registered ? whose : 'not a worktree that git knows'}`;
    if (isRemoved) tree.add(row, name, 'remove_worktree', 'info', reason, { path, branch, head });
    else tree.add(row, name, 'report_orphan', 'info', reason, { kind: 'worktree', path });
  }
  for (const branch of inUse) freed.delete(branch);
};

/** Whether the worktree of this task may go by now. */
function isShippedLongAgo({ tasks, options, nowMs }: TreeProjection, taskId: string): boolean {
  const task = tasks.get(taskId);
  const afterMs = options.removeShippedAfterMs ?? null;
  if (afterMs === null || task?.state !== 'shipped' || task.task.problem !== null) return false;
  // One that this plan ships was shipped just now.
  const ageMs = task.task.state === 'shipped' ? nowMs - fromIso(task.task.updated_at ?? '') : 0;
  return ageMs >= afterMs;
}

/** A task that is in flight, or may be claimed, goes on from its branch. */
export const finishedBranch: DetectInTree = (tree, row) => {
  for (const { name, task_id, sha, has_worktree, merged } of tree.snapshot.branches) {
    const task = tree.tasks.get(task_id);
    const inUse = has_worktree && !tree.freed.has(name);
    if (inUse || task?.keepsBranch === true || !(merged || task?.state === 'shipped')) continue;
    const where = has_worktree ? 'loses its worktree' : 'has no worktree';
    const reason = `${shortName(name)} ${where}, and ${merged ? 'all of it is merged' : 'its task is shipped'}`;
    tree.add(row, task_id, 'prune_branch', 'info', reason, { branch: name, sha, merged });
  }
};
