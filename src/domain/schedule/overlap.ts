/**
 * Overlap: two tasks that would write the same file. Decides which overlap excludes and which only warns, and what happens to a
 * claim made at the same moment as another.
 */

import { commonPath, type Glob, globsOf, mayMeet } from '../../lib/globs/globs.ts';
import { madeIn } from '../../lib/once.ts';
import { oneLine } from '../../lib/text.ts';
import type { Plan, PlanTask } from '../plan/plan.ts';
import type { AgentSettings } from '../settings/settings.ts';
import { type LeaseObserver, leaseStanding } from '../task/leases.ts';
import type { TaskRecord, TaskSummary } from '../task/records.ts';
import { isInFlight } from '../task/states.ts';
import { changed, type Decision, heldBy, repeated } from '../task/transition.ts';

export type OverlapRules = Pick<AgentSettings, 'overlap' | 'hard_lock_globs'>;

export interface Overlap {
  /** A glob of the one task and a glob of the other. */
  mine: string;
  theirs: string;
  /** An example of a path that both match, as short as possible. */
  path: string;
  /** The glob that locks it; null when it is not locked. */
  lock: string | null;
}

type Writer = Pick<PlanTask, 'write_globs'>;

/** Whether, and where, one of the two has to wait for the other. A task without `write_globs` overlaps with none. */
export function holdsBack(mine: Writer, theirs: Writer, rules: OverlapRules): Overlap | null {
  if (rules.overlap === 'strict') return overlapOf(mine, theirs);
  const locks = globsOf(rules.hard_lock_globs);
  // Most tasks write nothing that is locked, and need no comparison.
  const writesLocked = ({ write_globs }: Writer) =>
    globsOf(write_globs).some((glob) => locks.some((lock) => shared(lock, glob) !== null));
  return writesLocked(theirs) && writesLocked(mine) ? overlapIn(mine, theirs, locks) : null;
}

/** Any overlap, whether it excludes or not. */
export function overlapOf(mine: Writer, theirs: Writer): Overlap | null {
  return overlapIn(mine, theirs, null);
}

/** The first overlap, in a file that one of `locks` locks; null: in any file. */
function overlapIn(mine: Writer, theirs: Writer, locks: readonly Glob[] | null): Overlap | null {
  for (const glob of globsOf(mine.write_globs)) {
    for (const other of globsOf(theirs.write_globs)) {
      const anywhere = shared(glob, other);
      if (anywhere === null) continue;
      const globs = { mine: glob.source, theirs: other.source };
      if (locks === null) return { ...globs, path: anywhere, lock: null };
      for (const lock of locks) {
        const path = shared(lock, glob, other);
        if (path !== null) return { ...globs, path, lock: lock.source };
      }
    }
  }
  return null;
}

const found = new Map<string, string | null>();

/** `commonPath`, cached: many tasks have the same few globs, which are compared at every look of a run. */
function shared(...globs: readonly Glob[]): string | null {
  if (!mayMeet(globs)) return null;
  // No glob has a newline.
  const key = globs.map(({ source }) => source).join('\n');
  return madeIn(found, key, () => commonPath(globs));
}

/** The tasks of the plan that cannot be worked on while this one is. */
export function rivalsOf(task: PlanTask, plan: Pick<Plan, 'tasks'>, rules: OverlapRules): PlanTask[] {
  if (task.write_globs.length === 0) return [];
  return plan.tasks.filter((other) => other.id !== task.id && holdsBack(task, other, rules) !== null);
}

/**
 * Whether the task is in flight under a lease that still counts. A review or a merge does not write the task's files.
 */
export function isWorkedOn({ state, lease }: TaskSummary, observer: LeaseObserver): boolean {
  return isInFlight(state.state) && lease !== null && leaseStanding(lease, observer).kind !== 'stale';
}

export function overlapText(other: string, { mine, theirs, path, lock }: Overlap): string {
  const globs = mine === theirs ? mine : `here ${mine}, there ${theirs}`;
  return oneLine(`task ${other} may write ${path}${lock === null ? '' : ', a locked file,'} too (${globs})`, 600);
}

// --- a claim that is still to be looked at ---------------------------------------------------------------------------

export function isUnchecked(record: TaskRecord): boolean {
  return record.lease?.overlap_unchecked === true;
}

/** Records that the overlap check passed: the claim may be dispatched. Throws LEASE_STOLEN. */
export function clearClaim(record: TaskRecord, { claimId, nowMs }: { claimId: string; nowMs: number }): Decision<null> {
  const { overlap_unchecked: unchecked, ...lease } = heldBy(record, claimId);
  if (unchecked !== true) return repeated(null);
  return changed(record, null, { moves: [], lease, by: lease, nowMs });
}

/**
 * Gives back a claim that was never dispatched, because of `reason`. It charges nothing, and the same claim may be tried again.
 * Throws LEASE_STOLEN.
 */
export function yieldClaim(
  record: TaskRecord,
  { claimId, reason, nowMs }: { claimId: string; reason: string; nowMs: number },
): Decision<null> {
  const lease = heldBy(record, claimId);
  const ends = { how: 'yielded', reason };
  return changed(record, null, { moves: ['unclaim'], lease: null, ends, by: lease, nowMs });
}
