/** Why a run could not go on with a task, kept in its record until the task moves on: the run's output may be gone a day later. Pure. */

import * as z from 'zod/mini';
import { once } from '../../lib/once.ts';
import { oneLine } from '../../lib/text.ts';
import { isoTime } from '../../lib/time.ts';
import { memoPart, type TaskRecord, type TaskSummary } from './records.ts';
import { isClaimable, phaseDue } from './states.ts';
import { changed, type Decision, repeated } from './transition.ts';

export const HeldSchema = once(() =>
  z.strictObject({
    /** What kept the run from it. */
    message: z.string(),
    /** What a person can do about it. */
    hint: z.string(),
    /** When, in ISO 8601. */
    at: z.string(),
  }),
);
export type Held = z.infer<ReturnType<typeof HeldSchema>>;

/** Null where nothing holds the task, and while it has an owner. */
export function heldOf({ memo, lease }: TaskSummary): Held | null {
  return lease === null ? memoPart(HeldSchema, memo.held) : null;
}

export function heldText({ message, hint }: Held): string {
  return /[.!?]$/.test(message) ? `${message} ${hint}` : `${message}. ${hint}`;
}

/** Notes why a run has given the task up. Changes nothing when it has an owner by now, or it is over. */
export function holdTask(record: TaskRecord, why: { message: string; hint: string }, nowMs: number): Decision<null> {
  const { state } = record.state;
  if (record.lease !== null || !(isClaimable(state) || phaseDue(state) !== null)) return repeated(null);
  const held: Held = { message: oneLine(why.message, 600), hint: oneLine(why.hint, 400), at: isoTime(nowMs) };
  return changed(record, null, { moves: [], lease: null, memo: { held }, by: null, nowMs });
}
