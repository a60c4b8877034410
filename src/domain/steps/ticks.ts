/** Repeats: which tick is due, how a repeat stands after one, and which were missed. Pure. */

import { fromIso, isoTime } from '../../lib/time.ts';
import { deadlineIn, msLeft } from '../task/deadlines.ts';
import type { LastError } from '../task/records.ts';
import { budgetOf, type Counted, countedOf } from './budget.ts';
import type { Entry, ReadJournal, Step, Tick, TicksOf } from './journal.ts';
import type { Schedule } from './schedule.ts';
import { afterFailure, type Failed, type StepPolicy } from './tries.ts';
import { type Looker, reached, type Standing, sayingWhen } from './waits.ts';

export interface Repeat {
  schedule: Schedule;
  /** Of the first tick, milliseconds since the epoch; null: as the schedule has it from when it is first reached. */
  startMs: number | null;
  /** It is over after so many ticks that were not skipped; null: never. */
  times: number | null;
  /** A tick is not begun so long after it was due, milliseconds. */
  timeoutMs: number;
  /** Whether a tick that fails ends the repeat, failed. */
  failsByTick: boolean;
  policy: StepPolicy;
  random: () => number;
}

/** How a repeat stands. `due`: the tick to do now, milliseconds since the epoch; null: its `wake` says when to look again, or it is over. */
export interface RepeatStanding extends Standing {
  due: number | null;
  /** Whether the tick that was done, if one was, is over. */
  tickOver: boolean;
}

/** Which tick is due; those that were missed for too long are skipped, all at once. */
export function upcoming(now: ReadJournal, looker: Looker, repeat: Repeat): RepeatStanding {
  const { nowMs } = looker.instant;
  const at = begun(now, looker, repeat);
  const { tries, waited } = at.counted;
  const isTried = tries > 0 || waited !== undefined;
  const nextMs = at.ticks.next === null ? null : fromIso(at.ticks.next);
  const endMs = nowMs - repeat.timeoutMs;
  if (nextMs === null || isEnough(at.ticks, repeat)) return over(now, looker, at);
  if (nextMs < endMs) {
    const error = at.before?.last_error ?? null;
    if (isTried && error !== null) return tickEnded(now, looker, repeat, at, { status: 'timed_out', error });
    const { count, next } = repeat.schedule.skip(nextMs, endMs, fromIso(at.ticks.start));
    const tick = tickOf(looker, at, { status: 'skipped', count, error: null });
    const ticks = { ...at.ticks, next: next === null ? null : isoTime(next), skipped: at.ticks.skipped + count };
    const standing = upcoming(withStep(now, stepOf(now, looker, at, { ticks, wakeAt: ticks.next })), looker, repeat);
    return { ...standing, entries: [{ tick }, ...(standing.entries ?? [])] };
  }
  const retryAt = isTried && msLeft(at.before?.wake, looker.instant) > 0 ? at.before?.wake : undefined;
  const step = stepOf(now, looker, at, { ticks: at.ticks, wakeAt: at.ticks.next });
  if (retryAt !== undefined) step.wake = retryAt;
  const isDue = nextMs <= nowMs && retryAt === undefined;
  return { step, over: false, due: isDue ? nextMs : null, tickOver: false };
}

/** The outcome of a try of a tick. */
export type TickEnd = { done: true } | Failed;

/** How a repeat stands after a try of the tick that was due. */
export function afterTick(now: ReadJournal, looker: Looker, repeat: Repeat, end: TickEnd): RepeatStanding {
  const at = begun(now, looker, repeat);
  if ('done' in end) return tickEnded(now, looker, repeat, at, { status: 'completed', error: null });
  const { instant } = looker;
  const { counted, delayMs, error } = afterFailure(at.counted, end, { ...repeat, instant });
  const later: At = { ...at, counted };
  if (delayMs === null) return sayingWhen(tickEnded(now, looker, repeat, later, { status: 'failed', error }), end);
  const step = stepOf(now, looker, later, { ticks: at.ticks, wakeAt: null });
  step.wake = deadlineIn(delayMs, instant);
  step.last_error = { ...error };
  return { step, over: false, due: null, tickOver: false };
}

/** Ends a repeat, which is done. */
export function ended(now: ReadJournal, looker: Looker, repeat: Repeat): RepeatStanding {
  return over(now, looker, begun(now, looker, repeat));
}

/** Ends a repeat of which could not be said whether it is over. It goes on with its ticks when an attempt reaches it again. */
export function tillFailed(now: ReadJournal, looker: Looker, repeat: Repeat, end: Failed): RepeatStanding {
  const at = begun(now, looker, repeat);
  const { ticks } = at;
  const open = stepOf(now, looker, at, { ticks, wakeAt: ticks.next ?? ticks.start });
  const step = closed(open, looker, { status: 'failed', last_error: { ...end.told } });
  return sayingWhen({ step, over: true, due: null, tickOver: false }, end);
}

interface At {
  before: Step | undefined;
  ticks: TicksOf;
  /** Tries of the present tick. */
  counted: Counted;
}

function begun(now: ReadJournal, looker: Looker, { schedule, startMs }: Repeat): At {
  const { name, instant } = looker;
  const known = now.steps.get(name);
  const before = reached(now, looker, 'repeat') ?? (known?.wake === undefined ? undefined : known);
  if (before?.ticks !== undefined)
    return { before, ticks: before.ticks, counted: countedOf(budgetOf(before, now.journal)) };
  const first = startMs ?? schedule.first(instant.nowMs);
  const start = isoTime(first ?? instant.nowMs);
  const ticks = { start, next: first === null ? null : start, ran: 0, failed: 0, skipped: 0 };
  return { before, ticks, counted: { tries: 0 } };
}

function isEnough({ ran, failed }: TicksOf, { times }: Repeat): boolean {
  return times !== null && ran + failed >= times;
}

function tickEnded(
  now: ReadJournal,
  looker: Looker,
  repeat: Repeat,
  at: At,
  { status, error }: { status: Tick['status']; error: LastError | null },
): RepeatStanding {
  const { schedule, failsByTick } = repeat;
  const { ticks } = at;
  const next = ticks.next === null ? null : schedule.next(fromIso(ticks.next), fromIso(ticks.start));
  const isDone = status === 'completed';
  const after: TicksOf = {
    ...ticks,
    next: next === null ? null : isoTime(next),
    ran: ticks.ran + (isDone ? 1 : 0),
    failed: ticks.failed + (isDone ? 0 : 1),
  };
  const entries: Entry[] = [{ tick: tickOf(looker, at, { status, error }) }];
  // A tick that is scheduled has used no try.
  const later: At = { ...at, ticks: after, counted: { tries: 0 } };
  if (!isDone && failsByTick) {
    const open = stepOf(now, looker, { ...later, counted: at.counted }, { ticks: after, wakeAt: null });
    const step = closed(open, looker, { status: 'failed', last_error: error });
    return { step, over: true, entries, due: null, tickOver: true };
  }
  if (after.next === null || isEnough(after, repeat)) return { ...over(now, looker, later), entries, tickOver: true };
  const step = stepOf(now, looker, later, { ticks: after, wakeAt: after.next });
  step.last_error = error;
  return { step, over: false, entries, due: null, tickOver: true };
}

function over(now: ReadJournal, looker: Looker, at: At): RepeatStanding {
  const { ran, failed, skipped } = at.ticks;
  const open = stepOf(now, looker, at, { ticks: { ...at.ticks, next: null }, wakeAt: null });
  const step = closed(open, looker, { status: 'completed', result: { ran, failed, skipped }, last_error: null });
  return { step, over: true, due: null, tickOver: false };
}

function closed(step: Step, { instant }: Looker, how: Partial<Step>): Step {
  return { ...step, ended_at: isoTime(instant.nowMs), ...how };
}

function stepOf(
  { journal }: ReadJournal,
  { name, attemptId, generation, instant }: Looker,
  { before, counted }: At,
  { ticks, wakeAt }: { ticks: TicksOf; wakeAt: string | null },
): Step {
  return {
    name,
    kind: 'repeat',
    status: 'running',
    ...counted,
    started_at: before?.started_at ?? isoTime(instant.nowMs),
    ended_at: null,
    // When it is due is said by the wall clock.
    ...(wakeAt === null ? {} : { wake: { at: wakeAt, clock: null } }),
    ticks,
    result: null,
    last_error: before?.last_error ?? null,
    attempt_id: attemptId,
    generation,
    epoch: journal.epoch,
  };
}

function withStep<J extends ReadJournal>(now: J, step: Step): J {
  return { ...now, steps: new Map([...now.steps, [step.name, step]]) };
}

function tickOf(
  { name, attemptId, generation, instant }: Looker,
  { ticks, counted }: At,
  { status, error, count = 1 }: { status: Tick['status']; error: LastError | null; count?: number },
): Tick {
  return {
    name,
    at: ticks.next ?? ticks.start,
    status,
    count,
    tries: counted.tries + (status === 'completed' ? 1 : 0),
    ended_at: isoTime(instant.nowMs),
    last_error: error && { ...error },
    attempt_id: attemptId,
    generation,
  };
}
