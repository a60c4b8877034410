/** What the gc rules look things up in, beside the task at hand. */

import { fromIso } from '../../lib/time.ts';
import { issuesByTask, type TrackerIssue } from '../tracker-issues.ts';
import type { GcSnapshot } from './gc-plan.ts';

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

export function issuesOf({ plan, tracker }: Pick<GcSnapshot, 'plan' | 'tracker'>): GcContext['issues'] {
  return issuesByTask(plan ?? [], tracker.kind === 'up' ? tracker.issues : []);
}

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
