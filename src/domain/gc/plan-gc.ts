/**
 * gc: finds where a tree disagrees with itself, with git, or with the tracker, and says what to do about it.
 *
 * `planGc` is pure and total: no clock, no chance, no disk; the same snapshot gives the same plan, in whatever order it lists
 * things. A task goes through the rules in their order and takes along what the rules before have planned for it, so that
 * the plan as a whole leads to a tree in which nothing is left to do.
 */

import { ancestorsOf } from '../../lib/ids.ts';
import { compareCodePoints } from '../../lib/text.ts';
import { isTerminal } from '../task/states.ts';
import type { GcAction, GcPlan, GcPlanRow, GcRowId, GcSnapshot, GcTask } from './gc-plan.ts';
import { type GcOptions, issuesOf, shortName, type TaskProjection, TreeProjection } from './projection.ts';
import * as task from './task-rules.ts';
import * as tree from './tree-rules.ts';

type GcRule = {
  row: GcRowId;
  name: string;
  /** Needs neither git nor a tracker: read verbs look for it by themselves. */
  cheap: boolean;
  actions: readonly GcAction[];
} & ({ of: 'task'; detect: task.DetectInTask } | { of: 'tree'; detect: tree.DetectInTree });

/** A worktree is removed before its branch, which git would not give up before. */
// biome-ignore format: a table
export const GC_RULES: readonly GcRule[] = [
  { row: 1, name: 'closed issue', cheap: false, of: 'task', detect: task.closedIssue, actions: ['mark_terminal', 'report_orphan'] },
  { row: 2, name: 'stale lease', cheap: true, of: 'task', detect: task.staleLease, actions: ['mark_abandoned'] },
  { row: 3, name: 'unclaimed issue', cheap: false, of: 'task', detect: task.unclaimedIssue, actions: ['mark_unclaimed'] },
  { row: 4, name: 'lost claim', cheap: false, of: 'tree', detect: tree.lostClaim, actions: ['recover', 'report_orphan'] },
  { row: 5, name: 'settled question', cheap: true, of: 'task', detect: task.settledQuestion, actions: ['resume_answered', 'apply_default_answer', 'expire_question'] },
  { row: 6, name: 'accepted issue', cheap: false, of: 'task', detect: task.acceptedIssue, actions: ['mark_terminal', 'report_orphan'] },
  { row: 7, name: 'open issue of a shipped task', cheap: false, of: 'task', detect: task.shippedButOpen, actions: ['close_tracker_issue', 'report_orphan'] },
  { row: 8, name: 'unverified verdict', cheap: true, of: 'task', detect: task.unverifiedVerdict, actions: ['reverify_verdict'] },
  { row: 10, name: 'orphan worktree', cheap: false, of: 'tree', detect: tree.orphanWorktree, actions: ['report_orphan', 'remove_worktree'] },
  { row: 9, name: 'finished branch', cheap: false, of: 'tree', detect: tree.finishedBranch, actions: ['prune_branch'] },
  { row: 11, name: 'unneeded question', cheap: true, of: 'task', detect: task.unneededQuestion, actions: ['archive_question'] },
  { row: 12, name: 'stray answer', cheap: true, of: 'task', detect: task.strayAnswer, actions: ['archive_answer'] },
  { row: 13, name: 'stray lease', cheap: true, of: 'task', detect: task.strayLease, actions: ['release_lease_admin'] },
  { row: 14, name: 'lease of a finished task', cheap: true, of: 'task', detect: task.leaseOfFinishedTask, actions: ['release_lease_admin'] },
];

export const CHEAP_ROW_IDS: readonly GcRowId[] = GC_RULES.flatMap(({ row, cheap }) => (cheap ? [row] : []));

/** When an item is applied, as a number to sort by. */
export function turnOf(row: GcRowId): number {
  return GC_RULES.findIndex((rule) => rule.row === row);
}

const TASK_RULES = GC_RULES.flatMap((rule) => (rule.of === 'task' ? [rule] : []));
const TREE_RULES = GC_RULES.flatMap((rule) => (rule.of === 'tree' ? [rule] : []));

export function planGc(snapshot: GcSnapshot, options: GcOptions = {}): GcPlan {
  const projection = new TreeProjection(snapshot, options);
  for (const each of projection.tasks.values()) planTask(each);
  for (const { row, detect } of TREE_RULES) detect(projection, row);
  return { version: 1, rows: projection.rows.sort(byOrder) };
}

export function detectCheapDivergences(snapshot: GcSnapshot): GcPlanRow[] {
  return planGc(snapshot).rows.filter(({ row }) => CHEAP_ROW_IDS.includes(row));
}

/** Whether no cheap row finds anything at a task: of a project that goes on for long most are over, with nothing left beside their records. */
export function isAtRest({ problem, state, lease, lease_files, attempts }: TaskAtRest): boolean {
  const isAlone = problem === null && lease === null && lease_files.length === 0 && attempts.length === 0;
  return isAlone && state !== null && isTerminal(state);
}

type TaskAtRest = Pick<GcTask, 'problem' | 'state' | 'lease_files' | 'attempts'> & { lease: object | null };

function planTask(projection: TaskProjection): void {
  const { problem, task_id } = projection.task;
  const { planned } = projection.tree;
  // Of a parent that was begun again the children of before wait until it makes them again. One without a record knows of none.
  const isThere = (id: string) => planned?.has(id) === true && projection.tree.tasks.get(id)?.isKnown === true;
  const isOfBefore = () => !projection.isHeld && ancestorsOf(task_id).some(isThere);
  if (planned?.has(task_id) === false && projection.isKnown && !isOfBefore()) {
    const reason = `${shortName(task_id)} is not in the plan; it is kept and cannot be claimed`;
    projection.report(4, 'info', 'unplanned_task', reason);
  }
  if (problem === null) for (const { row, detect } of TASK_RULES) detect(projection, row);
  else projection.report(2, 'error', 'unreadable', `its record cannot be read: ${problem}`, { why: problem });
}

export function tasksNamedIn(snapshot: GcSnapshot): Set<string> {
  return new Set([
    ...(snapshot.plan ?? []).map(({ id }) => id),
    ...snapshot.tasks.map(({ task_id }) => task_id),
    ...snapshot.branches.map(({ task_id }) => task_id),
    ...snapshot.worktrees.map(({ name }) => name),
    ...issuesOf(snapshot).keys(),
  ]);
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
