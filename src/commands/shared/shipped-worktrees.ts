/** Takes away the worktrees of tasks that were shipped long enough ago, and their merged branches, as `gc --shipped` does. */

import { planGc } from '../../domain/gc/plan-gc.ts';
import { applyGc } from '../../engine/gc/apply.ts';
import { buildSnapshot } from '../../engine/gc/snapshot.ts';
import { errorMessage } from '../../lib/errors.ts';
import { checkoutAround, isFolder } from '../../project/look.ts';
import type { Session } from './session.ts';

/**
 * Does nothing unless `worktrees.keep` says how long they are kept. A branch that is not merged keeps its worktree: other tasks start
 * from it. Never throws: what stays, and why, is a warning.
 */
export async function removeShippedWorktrees(session: Session): Promise<void> {
  const { keep_ms: removeShippedAfterMs } = session.settings.worktrees;
  const checkout = removeShippedAfterMs === null ? null : checkoutAround(session.paths.project);
  if (checkout === null) return;
  try {
    const { lookAtGit } = await import('../../git/gc-look.ts');
    const git = await lookAtGit(session, checkout);
    const { tasks, runs, seen } = await session.store.snapshot();
    const snapshot = await buildSnapshot(session, { plan: null, tasks, runs, seen, git });
    const { rows } = planGc(snapshot, { removeShippedAfterMs });
    const merged = new Set(
      rows.flatMap((row) => (row.action === 'prune_branch' && row.payload.merged ? [row.task_id] : [])),
    );
    const wanted = rows.filter(
      ({ action, task_id }) => (action === 'remove_worktree' || action === 'prune_branch') && merged.has(task_id),
    );
    const ports = { tracker: null, reverify: async () => false };
    const { skipped, failed } = await applyGc(session, { version: 1, rows: wanted }, ports);
    const left = [
      ...skipped.map((item) => [item, item.why ?? item.code] as const),
      ...failed.map((item) => [item, item.message] as const),
    ];
    for (const [item, why] of left) {
      // Where it is gone another process was first.
      if (item.action === 'remove_worktree' && 'path' in item.payload && isFolder(item.payload.path ?? ''))
        session.warn(`the worktree of shipped task ${item.task_id} stays: ${why}`);
    }
  } catch (error) {
    session.warn(`worktrees of shipped tasks stay: ${errorMessage(error)}`);
  }
}
