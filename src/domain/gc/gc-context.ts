/** What the rows of the gc table look things up in beside the task at hand, and the order of what they find. */

import { oneLine } from '../../lib/text.ts';
import { fromIso } from '../../lib/time.ts';
import type { GcPlanRow, GcRowId, GcSeverity, GcSnapshot, SeenIssue, TaskIdentity } from './gc-plan.ts';

export interface World {
  snapshot: GcSnapshot;
  nowMs: number;
  /** The issue of each task. */
  issues: ReadonlyMap<string, SeenIssue>;
  planned: ReadonlySet<string> | null;
}

export function worldOf(snapshot: GcSnapshot): World {
  const { plan, now } = snapshot;
  return {
    snapshot,
    nowMs: fromIso(now),
    issues: issuesOf(snapshot),
    planned: plan === null ? null : new Set(plan.map(({ id }) => id)),
  };
}

/**
 * The issue of each task: of several that name it the one with the lowest id, in whatever order the tracker lists them; else
 * the one that the plan names for it, unless that one names another task.
 */
export function issuesOf({ plan, tracker }: Pick<GcSnapshot, 'plan' | 'tracker'>): Map<string, SeenIssue> {
  const issues = new Map<string, SeenIssue>();
  if (tracker.kind !== 'up') return issues;
  const add = (taskId: string | null, issue: SeenIssue) => {
    const other = taskId === null ? undefined : issues.get(taskId);
    if (taskId !== null && (other === undefined || before(issue, other))) issues.set(taskId, issue);
  };
  for (const issue of tracker.issues) add(issue.task_id, issue);
  const unnamed = tracker.issues.filter(({ task_id }) => task_id === null);
  // Most trackers say themselves whose issue it is.
  if (unnamed.length === 0) return issues;
  const named = new Set(issues.keys());
  const tasks = taskOfIssue(plan ?? []);
  for (const issue of unnamed) {
    const taskId = tasks.get(issue.id) ?? null;
    if (taskId !== null && !named.has(taskId)) add(taskId, issue);
  }
  return issues;
}

/** Every task that a snapshot tells of in any way. */
export function tasksKnownTo(snapshot: GcSnapshot): Set<string> {
  return new Set([
    ...(snapshot.plan ?? []).map(({ id }) => id),
    ...snapshot.tasks.map(({ task_id }) => task_id),
    ...snapshot.branches.map(({ task_id }) => task_id),
    ...snapshot.worktrees.map(({ name }) => name),
    ...issuesOf(snapshot).keys(),
  ]);
}

/** Where several tasks name one issue the lowest id has it. */
function taskOfIssue(plan: NonNullable<GcSnapshot['plan']>): Map<string, string> {
  const tasks = new Map<string, string>();
  for (const { id, tracker_issue_id } of plan) {
    if (tracker_issue_id === null) continue;
    const other = tasks.get(tracker_issue_id);
    if (other === undefined || compare(id, other) < 0) tasks.set(tracker_issue_id, id);
  }
  return tasks;
}

function before(a: SeenIssue, b: SeenIssue): boolean {
  return (compare(a.id, b.id) || compare(JSON.stringify(a), JSON.stringify(b))) < 0;
}

export const isClosed = ({ state }: SeenIssue) => state === 'done' || state === 'cancelled';

export function item(
  row: GcRowId,
  task_id: string,
  action: GcPlanRow['action'],
  severity: GcSeverity,
  reason: string,
  payload: GcPlanRow['payload'],
  identity: TaskIdentity | null,
): GcPlanRow {
  return { row, task_id, action, severity, reason: oneLine(reason, 400), payload, identity } as GcPlanRow;
}

/** A name in a reason, cut so that it does not push the reason out. */
export function named(text: string): string {
  return oneLine(text, 120);
}

/** Row, task, path; then whatever else tells two items apart, so that the order never depends on who listed them. */
export function byOrder(a: GcPlanRow, b: GcPlanRow): number {
  return (
    a.row - b.row ||
    compare(a.task_id, b.task_id) ||
    compare(pathOf(a), pathOf(b)) ||
    compare(a.action, b.action) ||
    compare(JSON.stringify(a), JSON.stringify(b))
  );
}

function pathOf({ payload }: GcPlanRow): string {
  return 'path' in payload ? (payload.path ?? '') : '';
}

/** By code points. Strings compare by UTF-16 code units, which puts what needs two of them before U+E000 to U+FFFF. */
export function compare(a: string, b: string): number {
  if (a === b) return 0;
  let at = 0;
  while (at < a.length && at < b.length && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  if (at === a.length || at === b.length) return a.length - b.length;
  // Halves of pairs that differ only in the second one are in the right order by themselves.
  return (a.codePointAt(at) ?? 0) - (b.codePointAt(at) ?? 0);
}
