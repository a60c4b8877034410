/** Issues of a tracker, and which task each belongs to. */

import { parentOf } from '../lib/ids.ts';
import { compareCodePoints } from '../lib/text.ts';
import type { PlannedTask } from './plan/plan.ts';

export const ISSUE_STATES = ['open', 'in_progress', 'in_review', 'done', 'cancelled'] as const;
export type IssueState = (typeof ISSUE_STATES)[number];

export interface TrackerIssue {
  id: string;
  /** Null when it names no task. */
  task_id: string | null;
  state: IssueState;
  /** A run; null when it is not claimed. */
  claimed_by: string | null;
}

export type TrackerSnapshot =
  /** The settings have none, or it was not asked. */
  { kind: 'none' } | { kind: 'down'; why: string } | { kind: 'up'; issues: readonly TrackerIssue[] };

export const isClosed = ({ state }: TrackerIssue) => state === 'done' || state === 'cancelled';

/**
 * The issue of each task: of several that name it the one with the lowest id, in whatever order they are listed; else the
 * one that the plan names for it, unless that one names another task. Children have none.
 */
export function issuesByTask(
  plan: readonly PlannedTask[],
  issues: readonly TrackerIssue[],
): ReadonlyMap<string, TrackerIssue> {
  const named = new Map<string, TrackerIssue>();
  const unnamed = new Map<string, TrackerIssue>();
  const addLowest = (to: Map<string, TrackerIssue>, key: string, issue: TrackerIssue) => {
    const other = to.get(key);
    if (other === undefined || before(issue, other)) to.set(key, issue);
  };
  for (const issue of issues) {
    if (issue.task_id !== null && parentOf(issue.task_id) !== null) continue;
    if (issue.task_id === null) addLowest(unnamed, issue.id, issue);
    else addLowest(named, issue.task_id, issue);
  }
  if (unnamed.size === 0) return named;
  for (const { id, tracker_issue_id } of plan) {
    const issue = tracker_issue_id === null ? undefined : unnamed.get(tracker_issue_id);
    if (issue !== undefined && !named.has(id)) named.set(id, issue);
  }
  return named;
}

/** Ids differ but in a tracker that contradicts itself. */
function before(a: TrackerIssue, b: TrackerIssue): boolean {
  return (compareCodePoints(a.id, b.id) || compareCodePoints(JSON.stringify(a), JSON.stringify(b))) < 0;
}
