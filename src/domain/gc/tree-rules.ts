/** The gc rules that start from git or the tracker instead of a task: lost claims, worktrees and branches. */

import { isClosed } from '../tracker-issues.ts';
import type { GcContext } from './context.ts';
import type { GcPlanRow, GcRowId } from './gc-plan.ts';
import { planRow, shortName, type TaskProjection } from './task-projection.ts';

export interface GcOptions {
  /** Worktrees without a task are removed instead of only reported. Default: false. */
  removeOrphanWorktrees?: boolean;
}

/** A task that the tracker has claimed by a run of this tree that is gone. */
export interface LostClaim {
  task_id: string;
  issue_id: string;
  run_id: string;
}

export interface TreeProjection {
  context: GcContext;
  options: GcOptions;
  lost: readonly LostClaim[];
  /** Tasks that a lost claim, a branch or a worktree names, as the rules about a task have left them. */
  tasks: ReadonlyMap<string, TaskProjection>;
  /** Branches of worktrees that are removed. */
  freed: Set<string>;
  rows: GcPlanRow[];
}

export type DetectInTree = (tree: TreeProjection, row: GcRowId) => void;

export function lostClaims({ snapshot, issues }: GcContext): LostClaim[] {
  const gone = new Set(snapshot.runs.filter(({ standing }) => standing !== 'open').map(({ run_id }) => run_id));
  const lost: LostClaim[] = [];
  if (gone.size === 0) return lost;
  for (const [task_id, issue] of issues) {
    const { id: issue_id, claimed_by: run_id } = issue;
    if (run_id !== null && gone.has(run_id) && !isClosed(issue)) lost.push({ task_id, issue_id, run_id });
  }
  return lost;
}

/** A task that was unclaimed while the tracker was down is found here, too. */
export const lostClaim: DetectInTree = ({ context, lost, tasks, rows }, row) => {
  for (const { task_id, issue_id, run_id } of lost) {
    const task = tasks.get(task_id);
    const isUnclaimed = task?.isUnclaimed === true;
    if (task?.isKnown === true && !isUnclaimed) continue;
    const identity = task?.task.identity ?? null;
    const here = isUnclaimed ? 'the task is unclaimed here' : 'nothing has happened to the task here';
    const reason = `issue ${issue_id} is claimed by run ${run_id}, which is gone, and ${here}`;
    if (context.planned?.has(task_id) !== false) {
      rows.push(planRow(row, task_id, 'recover', 'warning', reason, { issue_id, run_id }, identity));
    } else {
      const payload = { kind: 'tracker_claimed_no_local' as const, issue_id, run_id };
      rows.push(
        planRow(row, task_id, 'report_orphan', 'warning', `${reason}; it is not in the plan`, payload, identity),
      );
    }
  }
};

export const orphanWorktree: DetectInTree = ({ context, options, tasks, freed, rows }, row) => {
  const { snapshot, planned } = context;
  const inUse = new Set<string>();
  for (const { path, name, branch, head, registered } of snapshot.worktrees) {
    const task = tasks.get(name);
    const isOrphan = planned !== null && !planned.has(name) && task?.isKnown !== true;
    const isRemoved = isOrphan && registered && options.removeOrphanWorktrees === true;
    if (branch !== null) (isRemoved ? freed : inUse).add(branch);
    if (!isOrphan) continue;
    const identity = task?.task.identity ?? null;
    const reason = `${shortName(path)} is ${registered ? 'the worktree of no task' : 'no worktree that git knows'}`;
    rows.push(
      isRemoved
        ? planRow(row, name, 'remove_worktree', 'info', reason, { path, branch, head }, identity)
        : planRow(row, name, 'report_orphan', 'info', reason, { kind: 'worktree', path }, identity),
    );
  }
  for (const branch of inUse) freed.delete(branch);
};

/** A task that is in flight, or may be claimed, goes on from its branch. */
export const finishedBranch: DetectInTree = ({ context, tasks, freed, rows }, row) => {
  for (const { name, task_id, sha, has_worktree, merged } of context.snapshot.branches) {
    const task = tasks.get(task_id);
    const inUse = has_worktree && !freed.has(name);
    if (inUse || task?.keepsBranch === true || !(merged || task?.state === 'shipped')) continue;
    const where = has_worktree ? 'has the worktree of no task' : 'has no worktree';
    const reason = `${shortName(name)} ${where}, and ${merged ? 'all of it is merged' : 'its task is shipped'}`;
    const identity = task?.task.identity ?? null;
    rows.push(planRow(row, task_id, 'prune_branch', 'info', reason, { branch: name, sha, merged }, identity));
  }
};
