/** What gc makes of a task's record. Pure, like `task-ops.ts`; each is decided on the record that the plan was made on. */

import { abandonTask, cancelTask } from '../task/operations.ts';
import type { Lease, TaskRecord, TaskState } from '../task/records.ts';
import type { Move } from '../task/states.ts';
import { changed, type Decision, repeated } from '../task/transition.ts';

const TO_SHIPPED: Partial<Record<TaskState, readonly Move[]>> = {
  claimed: ['verify', 'pass_review', 'ship'],
  dispatched: ['start', 'verify', 'pass_review', 'ship'],
  running: ['verify', 'pass_review', 'ship'],
  ready_for_review: ['pass_review', 'ship'],
};

/** Ends a task as its tracker says. Throws ILLEGAL_TRANSITION from a state that does not lead there. */
export function markTerminal(
  record: TaskRecord,
  { state, reason, nowMs }: { state: 'cancelled' | 'shipped'; reason: string; nowMs: number },
): Decision<null> {
  if (state === 'cancelled') return { ...cancelTask(record, { reason, nowMs }), result: null };
  const moves = TO_SHIPPED[record.state.state] ?? ['ship'];
  return letGo(record, moves, { reason, nowMs });
}

/** Takes a task from an owner that is gone. Changes nothing when its lease counts again. */
export function markAbandoned(record: TaskRecord, request: Parameters<typeof abandonTask>[1]): Decision<boolean> {
  const decision = abandonTask(record, request);
  return decision === null ? repeated(false) : { ...decision, result: true };
}

/** Adopts a task as it stands, with a stray as its own lease, or without one. */
export function adoptTask(record: TaskRecord, lease: Lease | null, nowMs: number): Decision<null> {
  return changed(record, null, { moves: [], lease, by: null, nowMs });
}

/** Takes the lease off a task, by `moves`: by none where it is over. */
export function letGo(
  record: TaskRecord,
  moves: readonly Move[],
  { reason, nowMs }: { reason: string; nowMs: number },
): Decision<null> {
  const ends = { how: 'released', reason };
  const state = { next_eligible_at: null };
  return changed(record, null, { moves, lease: null, state, ends, by: null, nowMs });
}
