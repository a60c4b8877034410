/** What the gc rules look things up in, beside the task at hand. */

import { compareCodePoints } from '../../lib/text.ts';
import { fromIso } from '../../lib/time.ts';
import type { GcSnapshot, TrackerIssue } from './gc-plan.ts';

export interface GcContext {
  snapshot: GcSnapshot;
  nowMs: number;
  /** The issue of each task. */
  issues: ReadonlyMap<string, TrackerIssue>;
  /** Null: the project has no plan. */
  planned: ReadonlySet<string> | null;
}

export function gcContext(snapshot: GcSnapshot): GcContext {
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
export function issuesOf({ plan, tracker }: Pick<GcSnapshot, 'plan' | 'tracker'>): Map<string, TrackerIssue> {
  const issues = new Map<string, TrackerIssue>();
  if (tracker.kind !== 'up') return issues;
  const add = (taskId: string, issue: TrackerIssue) => {
    const other = issues.get(taskId);
    if (other === undefined || before(issue, other)) issues.set(taskId, issue);
  };
  const unnamed: TrackerIssue[] = [];
  for (const issue of tracker.issues) {
    if (issue.task_id === null) unnamed.push(issue);
    else add(issue.task_id, issue);
  }
  if (unnamed.length === 0) return issues;
  const named = new Set(issues.keys());
  const tasks = taskOfIssue(plan ?? []);
  for (const issue of unnamed) {
    const taskId = tasks.get(issue.id);
    if (taskId !== undefined && !named.has(taskId)) add(taskId, issue);
  }
  return issues;
}

/** Where several tasks name one issue the lowest id has it. */
function taskOfIssue(plan: NonNullable<GcSnapshot['plan']>): Map<string, string> {
  const tasks = new Map<string, string>();
  for (const { id, tracker_issue_id } of plan) {
    if (tracker_issue_id === null) continue;
    const other = tasks.get(tracker_issue_id);
    if (other === undefined || compareCodePoints(id, other) < 0) tasks.set(tracker_issue_id, id);
  }
  return tasks;
}

function before(a: TrackerIssue, b: TrackerIssue): boolean {
  return (compareCodePoints(a.id, b.id) || compareCodePoints(JSON.stringify(a), JSON.stringify(b))) < 0;
}

export const isClosed = ({ state }: TrackerIssue) => state === 'done' || state === 'cancelled';

/** Every task that a snapshot names. */
export function tasksNamedIn(snapshot: GcSnapshot): Set<string> {
  return new Set([
    ...(snapshot.plan ?? []).map(({ id }) => id),
    ...snapshot.tasks.map(({ task_id }) => task_id),
    ...snapshot.branches.map(({ task_id }) => task_id),
    ...snapshot.worktrees.map(({ name }) => name),
    ...issuesOf(snapshot).keys(),
  ]);
}
