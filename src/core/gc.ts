/**
 * gc: finds where a tree disagrees with itself, with git, or with the tracker, and says what to do about it.
 *
 * `planGc` is pure and total: no clock, no chance, no disk; the same snapshot gives the same plan, in whatever order it lists
 * things. Every row of the table is a function, here or in `gc-rows.ts`. A task goes through them in order and takes along
 * what the rows before have planned for it, so that the plan as a whole leads to a tree in which nothing is left to do.
 */

import { CHEAP_ROW_IDS, type GcPlan, type GcPlanRow, type GcRowId, type GcSnapshot } from './gc-plan.ts';
import { compare, isClosed, item, TaskPlanner, type World, worldOf } from './gc-rows.ts';
import { isTerminal } from './task-state.ts';

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
  const tasks = snapshot.tasks.map((seen) => new TaskPlanner(seen, world));
  for (const task of tasks) task.plan();
  const rows = [
    ...tasks.flatMap((task) => task.rows),
    ...untouchedRows(world),
    ...branchRows(world, tasks),
    ...worktreeRows(world, options),
  ];
  return { version: 1, rows: rows.sort(byOrder) };
}

/** What read verbs look for by themselves. */
export function detectCheapDivergences(snapshot: GcSnapshot): GcPlanRow[] {
  const cheap: readonly GcRowId[] = CHEAP_ROW_IDS;
  return planGc(snapshot).rows.filter(({ row }) => cheap.includes(row));
}

// --- order -----------------------------------------------------------------------------------------------------------

function byOrder(a: GcPlanRow, b: GcPlanRow): number {
  return a.row - b.row || compare(a.task_id, b.task_id) || compare(keyOf(a), keyOf(b));
}

/** Whatever else tells two items of one row and task apart. */
function keyOf({ payload, action }: GcPlanRow): string {
  const path = 'path' in payload ? (payload.path ?? '') : '';
  return `${path}\u0000${action}\u0000${JSON.stringify(payload)}`;
}

// --- rows without a record -------------------------------------------------------------------------------------------

/** Row 4: claimed in the tracker by a run of ours that is gone, and nothing has happened to the task here. */
function untouchedRows({ snapshot, issues, known, planned }: World): GcPlanRow[] {
  const gone = new Set(snapshot.runs.filter(({ standing }) => standing !== 'open').map(({ run_id }) => run_id));
  return [...issues].flatMap(([taskId, issue]) => {
    const { id: issue_id, claimed_by: run_id } = issue;
    if (known.has(taskId) || isClosed(issue) || run_id === null || !gone.has(run_id)) return [];
    const reason = `issue ${issue_id} is claimed by run ${run_id}, which is gone, and nothing has happened to the task here`;
    if (planned?.has(taskId) !== false)
      return [item(4, taskId, 'recover', 'warning', reason, { issue_id, run_id }, null)];
    const payload = { kind: 'tracker_claimed_no_local' as const, issue_id, run_id };
    return [item(4, taskId, 'report_orphan', 'warning', `${reason}; it is not in the plan`, payload, null)];
  });
}

/** Row 9: a branch of a task that nobody works on any more. */
function branchRows({ snapshot }: World, tasks: readonly TaskPlanner[]): GcPlanRow[] {
  const states = new Map(tasks.map(({ id, state }) => [id, state]));
  return snapshot.branches.flatMap(({ name, task_id, sha, has_worktree, merged }) => {
    const shipped = states.get(task_id) === 'shipped';
    const busy = states.get(task_id) !== undefined && !shipped && !merged;
    if (has_worktree || busy || !(shipped || merged)) return [];
    // What is in flight, or may be claimed, goes on from its branch.
    const state = states.get(task_id) ?? null;
    if (state !== null && !isTerminal(state)) return [];
    const reason = `${name} has no worktree, and ${merged ? 'all of it is merged' : 'its task is shipped'}`;
    return [item(9, task_id, 'prune_branch', 'info', reason, { branch: name, sha, merged }, null)];
  });
}

/** Row 10: a worktree of no task. */
function worktreeRows({ snapshot, known, planned }: World, options: GcOptions): GcPlanRow[] {
  return snapshot.worktrees.flatMap(({ path, name, branch, head, registered }) => {
    if (known.has(name) || planned === null || planned.has(name)) return [];
    const reason = `${path} is the worktree of no task`;
    if (registered && options.removeOrphanWorktrees === true) {
      return [item(10, name, 'remove_worktree', 'info', reason, { path, branch, head }, null)];
    }
    const payload = { kind: 'worktree' as const, path };
    return [
      item(
        10,
        name,
        'report_orphan',
        'info',
        registered ? reason : `${path} is no worktree that git knows`,
        payload,
        null,
      ),
    ];
  });
}
