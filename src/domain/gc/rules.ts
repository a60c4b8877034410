/** The gc table. Rules are applied in its order: a worktree is removed before its branch, which git would not give up before. */

import type { GcAction, GcRowId } from './gc-plan.ts';
import * as task from './task-rules.ts';
import * as tree from './tree-rules.ts';

export type GcRule = {
  row: GcRowId;
  name: string;
  /** Needs neither git nor a tracker: read verbs look for it by themselves. */
  cheap: boolean;
  actions: readonly GcAction[];
} & ({ of: 'task'; detect: task.DetectInTask } | { of: 'tree'; detect: tree.DetectInTree });

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

export const GC_ROW_IDS: readonly GcRowId[] = GC_RULES.map(({ row }) => row).sort((a, b) => a - b);

/** Rows that need neither git nor a tracker. */
export const CHEAP_ROW_IDS: readonly GcRowId[] = GC_RULES.flatMap(({ row, cheap }) => (cheap ? [row] : []));

/** When an item is applied, as a number to sort by. */
export function turnOf(row: GcRowId): number {
  return GC_RULES.findIndex((rule) => rule.row === row);
}
