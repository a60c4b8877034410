/**
 * gc: finds where a tree disagrees with itself, with git, or with the tracker, and says what to do about it.
 *
 * `planGc` is pure and total: no clock, no chance, no disk; the same snapshot gives the same plan, in whatever order it lists
 * things. A task goes through the rules in their order and takes along what the rules before have planned for it, so that
 * the plan as a whole leads to a tree in which nothing is left to do.
 */

import { compareCodePoints } from '../../lib/text.ts';
import { type GcContext, gcContext } from './context.ts';
import type { GcPlan, GcPlanRow, GcSnapshot } from './gc-plan.ts';
import { CHEAP_ROW_IDS, GC_RULES } from './rules.ts';
import { shortName, TaskProjection } from './task-projection.ts';
import { type GcOptions, type LostClaim, lostClaims } from './tree-rules.ts';

export {
  assertNeverGcRow,
  type GcAction,
  type GcPlan,
  type GcPlanRow,
  type GcRowId,
  type GcSnapshot,
  plannedRows,
  reportedRows,
} from './gc-plan.ts';
export { CHEAP_ROW_IDS } from './rules.ts';
export type { GcOptions } from './tree-rules.ts';

const TASK_RULES = GC_RULES.flatMap((rule) => (rule.of === 'task' ? [rule] : []));
const TREE_RULES = GC_RULES.flatMap((rule) => (rule.of === 'tree' ? [rule] : []));

/** What is to be done about a tree. Never throws. */
export function planGc(snapshot: GcSnapshot, options: GcOptions = {}): GcPlan {
  const context = gcContext(snapshot);
  const rows: GcPlanRow[] = [];
  const lost = lostClaims(context);
  const tree = { context, options, lost, tasks: planTasks(context, lost, rows), freed: new Set<string>(), rows };
  for (const { row, detect } of TREE_RULES) detect(tree, row);
  return { version: 1, rows: rows.sort(byOrder) };
}

/** What read verbs look for by themselves. */
export function detectCheapDivergences(snapshot: GcSnapshot): GcPlanRow[] {
  return planGc(snapshot).rows.filter(({ row }) => CHEAP_ROW_IDS.includes(row));
}

/** Plans for each task. Returns those that a lost claim, a branch or a worktree names; of a large tree they are few. */
function planTasks(
  context: GcContext,
  lost: readonly LostClaim[],
  rows: GcPlanRow[],
): ReadonlyMap<string, TaskProjection> {
  const { tasks, branches, worktrees } = context.snapshot;
  const names = new Set([...lost, ...branches].map(({ task_id }) => task_id));
  for (const { name } of worktrees) names.add(name);
  const named = new Map<string, TaskProjection>();
  for (const each of tasks) {
    const task = new TaskProjection(each, context, rows);
    planTask(task);
    if (names.has(each.task_id)) named.set(each.task_id, task);
  }
  return named;
}

function planTask(task: TaskProjection): void {
  const { problem, task_id } = task.task;
  if (task.context.planned?.has(task_id) === false && task.isKnown) {
    const reason = `${shortName(task_id)} is not in the plan; it is kept and cannot be claimed`;
    task.report(4, 'info', 'unplanned_task', reason);
  }
  if (problem === null) for (const { row, detect } of TASK_RULES) detect(task, row);
  else task.report(2, 'error', 'unreadable', `its record cannot be read: ${problem}`, { why: problem });
}

/** Row, task, path; then whatever else tells two items apart, so that the order does not depend on that of the snapshot. */
function byOrder(a: GcPlanRow, b: GcPlanRow): number {
  return (
    a.row - b.row ||
    compareCodePoints(a.task_id, b.task_id) ||
    compareCodePoints(pathOf(a), pathOf(b)) ||
    compareCodePoints(a.action, b.action) ||
    compareCodePoints(JSON.stringify(a), JSON.stringify(b))
  );
}

function pathOf({ payload }: GcPlanRow): string {
  return 'path' in payload ? (payload.path ?? '') : '';
}
