/**
 * gc: finds where a tree disagrees with itself, with git, or with the tracker, and says what to do about it.
 *
 * `planGc` is pure and total: no clock, no chance, no disk; the same snapshot gives the same plan, in whatever order it lists
 * things. Every row of the table is a function, here or in `gc-rows.ts`. A task goes through them in order and takes along
 * what the rows before have planned for it, so that the plan as a whole leads to a tree in which nothing is left to do.
 */

import { byOrder, isClosed, item, named, type World, worldOf } from './gc-context.ts';
import { CHEAP_ROW_IDS, type GcPlan, type GcPlanRow, type GcRowId, type GcSnapshot } from './gc-plan.ts';
import { TaskPlanner } from './task-rows.ts';

export {
  assertNeverGcRow,
  CHEAP_ROW_IDS,
  type GcAction,
  type GcPlan,
  type GcPlanRow,
  type GcRowId,
  type GcSnapshot,
  plannedRows,
  reportedRows,
} from './gc-plan.ts';

export interface GcOptions {
  /** Worktrees without a task are removed instead of only reported. Default: false. */
  removeOrphanWorktrees?: boolean;
}

/** What is to be done about a tree. Never throws. */
export function planGc(snapshot: GcSnapshot, options: GcOptions = {}): GcPlan {
  const world = worldOf(snapshot);
  const rows: GcPlanRow[] = [];
  const lost = lostClaims(world);
  const tasks = planTasks(world, lost, rows);
  planUntouched(world, lost, tasks, rows);
  const freed = planWorktrees(world, tasks, options, rows);
  planBranches(world, tasks, freed, rows);
  return { version: 1, rows: rows.sort(byOrder) };
}

/** What read verbs look for by themselves. */
export function detectCheapDivergences(snapshot: GcSnapshot): GcPlanRow[] {
  const cheap: readonly GcRowId[] = CHEAP_ROW_IDS;
  return planGc(snapshot).rows.filter(({ row }) => cheap.includes(row));
}

/** Tasks that a lost claim, a branch or a worktree names, as the rows about them alone have left them. */
type Named = ReadonlyMap<string, TaskPlanner>;

function planTasks(world: World, lost: readonly LostClaim[], rows: GcPlanRow[]): Named {
  const { tasks, branches, worktrees } = world.snapshot;
  const names = new Set<string>();
  for (const { task_id } of lost) names.add(task_id);
  for (const { task_id } of branches) names.add(task_id);
  for (const { name } of worktrees) names.add(name);
  const found = new Map<string, TaskPlanner>();
  for (const seen of tasks) {
    const task = new TaskPlanner(seen, world, rows);
    task.plan();
    if (names.has(seen.task_id)) found.set(seen.task_id, task);
  }
  return found;
}

/** A task that the tracker has claimed by a run of ours that is gone. */
interface LostClaim {
  task_id: string;
  issue_id: string;
  run_id: string;
}

function lostClaims({ snapshot, issues }: World): LostClaim[] {
  const gone = new Set(snapshot.runs.filter(({ standing }) => standing !== 'open').map(({ run_id }) => run_id));
  const lost: LostClaim[] = [];
  if (gone.size === 0) return lost;
  for (const [task_id, issue] of issues) {
    const { id: issue_id, claimed_by: run_id } = issue;
    if (run_id !== null && gone.has(run_id) && !isClosed(issue)) lost.push({ task_id, issue_id, run_id });
  }
  return lost;
}

/** Row 4: such a claim, and nobody's here. A task that was unclaimed while the tracker was down is found so, too. */
function planUntouched({ planned }: World, lost: readonly LostClaim[], tasks: Named, rows: GcPlanRow[]): void {
  for (const { task_id, issue_id, run_id } of lost) {
    const task = tasks.get(task_id);
    if (task?.isKnown === true && !task.isUnclaimed) continue;
    const identity = task?.identity ?? null;
    const here = task?.isUnclaimed === true ? 'the task is unclaimed here' : 'nothing has happened to the task here';
    const reason = `issue ${issue_id} is claimed by run ${run_id}, which is gone, and ${here}`;
    if (planned?.has(task_id) !== false) {
      rows.push(item(4, task_id, 'recover', 'warning', reason, { issue_id, run_id }, identity));
    } else {
      const payload = { kind: 'tracker_claimed_no_local' as const, issue_id, run_id };
      rows.push(item(4, task_id, 'report_orphan', 'warning', `${reason}; it is not in the plan`, payload, identity));
    }
  }
}

/** Row 10: a worktree of no task. Returns the branches that no worktree has any more once those are removed. */
function planWorktrees(
  { snapshot, planned }: World,
  tasks: Named,
  options: GcOptions,
  rows: GcPlanRow[],
): ReadonlySet<string> {
  const freed = new Set<string>();
  const inUse = new Set<string>();
  for (const { path, name, branch, head, registered } of snapshot.worktrees) {
    const task = tasks.get(name);
    const orphan = planned !== null && !planned.has(name) && task?.isKnown !== true;
    const removed = orphan && registered && options.removeOrphanWorktrees === true;
    if (branch !== null) (removed ? freed : inUse).add(branch);
    if (!orphan) continue;
    const identity = task?.identity ?? null;
    const reason = `${named(path)} is ${registered ? 'the worktree of no task' : 'no worktree that git knows'}`;
    if (removed) {
      rows.push(item(10, name, 'remove_worktree', 'info', reason, { path, branch, head }, identity));
    } else {
      rows.push(item(10, name, 'report_orphan', 'info', reason, { kind: 'worktree', path }, identity));
    }
  }
  for (const branch of inUse) freed.delete(branch);
  return freed;
}

/** Row 9: a branch of a task that nobody works on any more. What is in flight, or may be claimed, goes on from its branch. */
function planBranches({ snapshot }: World, tasks: Named, freed: ReadonlySet<string>, rows: GcPlanRow[]): void {
  for (const { name, task_id, sha, has_worktree, merged } of snapshot.branches) {
    const task = tasks.get(task_id);
    const inUse = has_worktree && !freed.has(name);
    if (inUse || task?.keepsBranch === true || !(merged || task?.isShipped === true)) continue;
    const where = has_worktree ? 'has the worktree of no task' : 'has no worktree';
    const reason = `${named(name)} ${where}, and ${merged ? 'all of it is merged' : 'its task is shipped'}`;
    rows.push(item(9, task_id, 'prune_branch', 'info', reason, { branch: name, sha, merged }, task?.identity ?? null));
  }
}
