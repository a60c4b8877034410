/** `gc --prune`: what tasks that ended long ago have no use for any more is shown or removed. */

import type { RetentionPolicy, RetentionView } from '../../domain/gc/retention.ts';
import { applyPrune, type PrunePlan, type PruneResult, planPrune } from '../../engine/gc/prune.ts';
import { errorMessage } from '../../lib/errors.ts';
import { type Room, sumOf } from '../../lib/fs/folders.ts';
import { checkoutAround } from '../../project/look.ts';
import type { TaskSummaryRead } from '../../store/port.ts';
import { lookAtTracker } from '../../trackers/open.ts';
import type { Session } from './session.ts';

export interface PruneRequest {
  policy: RetentionPolicy;
  /** Only of these tasks, and no runs; empty: all. */
  tasks: readonly string[];
  /** Nothing is removed. */
  dryRun: boolean;
}

/** With `dryRun` what would be removed. */
export interface Pruned extends PruneResult, Room {
  /** Tasks that are old enough, and that something keeps. */
  kept: { task_id: string; why: string }[];
}

/** Throws TASK_NOT_FOUND by `requireKnown`, IO_ERROR; nothing has changed then. */
export async function prune(
  session: Session,
  { policy, tasks: wanted, dryRun }: PruneRequest,
  requireKnown: (known: Iterable<string>) => Promise<void>,
): Promise<Pruned> {
  const view = await viewOf(session);
  await requireKnown(view.tasks.map(({ task_id }) => task_id));
  const whole = await planPrune(session, view, policy);
  const plan = wanted.length === 0 ? whole : only(whole, new Set(wanted));
  const { runs, failed } = plan;
  const result = dryRun
    ? { tasks: plan.due.map(({ task }) => task), runs, skipped: [], failed }
    : await applyPrune(session, plan);
  return { ...result, kept: plan.kept, ...sumOf(result.tasks) };
}

/**
 * Removes at the end of a run what the settings call old. Returns what it has removed; null: nothing. Never throws: what stays, and why,
 * is a warning.
 */
export async function pruneByRetention(
  session: Session,
  policy: RetentionPolicy,
): Promise<{ tasks: number; runs: number; files: number; bytes: number } | null> {
  try {
    const { tasks, runs, files, bytes, failed } = await prune(
      session,
      { policy, tasks: [], dryRun: false },
      async () => {},
    );
    for (const { task_id, message } of failed)
      session.warn(`what ${task_id === null ? 'old runs have' : `task ${task_id} has`} left stays: ${message}`);
    return files + runs.length === 0 ? null : { tasks: tasks.length, runs: runs.length, files, bytes };
  } catch (error) {
    session.warn(`what is old stays: ${errorMessage(error)}`);
    return null;
  }
}

async function viewOf(session: Session): Promise<RetentionView<TaskSummaryRead>> {
  const { tasksInGit } = await import('../../git/gc-look.ts');
  const { branches, worktrees } = await tasksInGit(session, checkoutAround(session.paths.project));
  const tracker = await lookAtTracker(session);
  if (tracker.kind === 'down') session.warn(`${tracker.why}; all runs stay, since its issues may name them`);
  const issues = tracker.kind === 'up' ? tracker.issues : [];
  const claimants = new Set(issues.flatMap(({ claimed_by }) => claimed_by ?? []));
  const { tasks, runs } = await session.store.snapshot();
  return {
    nowMs: session.now(),
    tasks,
    runs,
    branches,
    worktrees,
    claimants: tracker.kind === 'down' ? null : claimants,
  };
}

function only({ due, kept, failed }: PrunePlan, wanted: ReadonlySet<string>): PrunePlan {
  return {
    due: due.filter(({ task }) => wanted.has(task.task_id)),
    kept: kept.filter(({ task_id }) => wanted.has(task_id)),
    runs: [],
    failed: failed.filter(({ task_id }) => task_id !== null && wanted.has(task_id)),
  };
}
