/**
 * Parking: an attempt that has to wait gives its lease and its slot back, uncharged, and its task goes on with another one once what it waits
 * for is there. Pure.
 */

import { ForgeError } from '../../lib/errors.ts';
import { orList } from '../../lib/schema-issues.ts';
import { isoTime } from '../../lib/time.ts';
import { namesOfJoin, waitsForJoin } from '../fan-out/join.ts';
import { type Deadline, deadlineIn, type Instant, msLeft } from '../task/deadlines.ts';
import type { Lease, TaskRecord, TaskSummary, WaitsFor } from '../task/records.ts';
import { isTerminal } from '../task/states.ts';
import { changed, type Decision, refusal, repeated, starting, workedBy } from '../task/transition.ts';
import type { JournalView, Step } from './journal.ts';
import { pendingSignal } from './waits.ts';

export interface Park {
  waitsFor: readonly WaitsFor[];
  /** Null: it goes on as soon as what it waits for is there. */
  wake: Deadline | null;
}

/** A place at which a worker waits. */
export interface Sleeper {
  waitsFor: WaitsFor;
  /** Null: until what it waits for is there. */
  wake: Deadline | null;
  /** Whether what it waits for is there, by the journal. */
  isThere(read: JournalView): boolean;
}

/**
 * What ends an attempt whose task is parked: it holds nothing any more, and has nothing left to do. A program lets it pass; code that
 * catches everything throws it on.
 */
export class Parked extends ForgeError {
  /** When the task goes on, as ISO 8601; null: as soon as what it waits for is there. */
  readonly wakeAt: string | null;

  constructor({ waitsFor, wake }: Park) {
    const about = { waits_for: [...waitsFor], wake_at: wake?.at ?? null };
    super('PARKED', `the task is parked: ${parkedText(about)}`, { details: about });
    this.wakeAt = about.wake_at;
    // A program that ends by it says what it waits for, and not where.
    this.stack = `${this.name}: ${this.message}`;
  }
}

/** As `workedBy`. Throws `Parked` where this attempt has parked the task, and what that throws. */
export function workedOn(record: TaskRecord, attemptId: string): Lease {
  const { state, current_attempt_id, waits_for = [], wake_at = null } = record.state;
  if (state === 'waiting' && current_attempt_id === attemptId)
    throw new Parked({ waitsFor: waits_for, wake: wake_at === null ? null : { at: wake_at, clock: null } });
  return workedBy(record, attemptId);
}

/**
 * The other places at which calls of an attempt wait, by its journal: a wait of a shell script is a process of its own, and knows of no other.
 * One that was killed is among them, which lets the task go on too early at the worst.
 */
export function alsoAsleep(
  own: readonly Sleeper[],
  read: JournalView,
  { attemptId, instant }: { attemptId: string; instant: Instant },
): Sleeper[] {
  const known = new Set(own.map(({ waitsFor: { kind, name } }) => `${kind} ${name}`));
  const isAsleep = ({ attempt_id, status, wake }: Step) =>
    attempt_id === attemptId &&
    (status === 'running' || (status === 'failed' && wake !== undefined && msLeft(wake, instant) > 0));
  return [...read.steps.values()].filter(isAsleep).flatMap((step) => {
    const { kind, name } = step;
    const waitsFor = kind === 'join' ? waitsForJoin(namesOfJoin(step)) : { kind, name };
    if (known.has(`${waitsFor.kind} ${waitsFor.name}`)) return [];
    // It came just now: the task is parked, and goes on at once.
    const isThere = kind === 'wait-for' && pendingSignal(read, name) !== null;
    return [{ waitsFor, wake: isThere ? deadlineIn(0, instant) : (step.wake ?? null), isThere: () => false }];
  });
}

/** What a task is parked for whose worker only waits; null where something that it waits for is there by now. */
export function parkFor(sleepers: readonly Sleeper[], read: JournalView, instant: Instant): Park | null {
  if (sleepers.some(({ isThere }) => isThere(read))) return null;
  const wakes = sleepers.flatMap(({ wake }) => (wake === null ? [] : [wake]));
  const wake = wakes.toSorted((one, other) => msLeft(one, instant) - msLeft(other, instant))[0] ?? null;
  return { waitsFor: sleepers.map(({ waitsFor }) => waitsFor), wake };
}

/** Parks the task, which `lease` holds. */
export function parkTask(
  record: TaskRecord,
  { waitsFor, wake }: Park,
  { lease, nowMs }: { lease: Lease; nowMs: number },
): Decision<null> {
  return changed(record, null, {
    moves: [...starting(record), 'park'],
    lease: null,
    state: { next_eligible_at: null, wake_at: wake?.at ?? null, waits_for: [...waitsFor] },
    memo: { abandons: 0, backoff: wake?.clock ?? null },
    ends: { how: 'parked', reason: 'it waits' },
    by: lease,
    nowMs,
  });
}

/** What a parked task waits for, in words. `at`: when it goes on, for people; null: that is not known. */
export function parkedText(
  { wake_at = null, waits_for = [] }: Pick<TaskSummary['state'], 'wake_at' | 'waits_for'>,
  at = wake_at,
): string {
  const [first, ...others] = waits_for;
  if (first !== undefined && others.length === 0) return waitText(first, at);
  if (first !== undefined) {
    // The time is that of the first that is over.
    const latest = at === null ? '' : `; it goes on at ${at} at the latest`;
    return `it waits for ${orList(waits_for.map(placeText))}${latest}`;
  }
  // Written by hand.
  return at === null ? 'it waits, and its record does not say what for' : `it waits until ${at}`;
}

/** Throws ILLEGAL_TRANSITION for a task that takes no signal any more. One that has failed may be tried again. */
export function refuseSignal(record: TaskRecord): void {
  const { state, task_id } = record.state;
  if (!isTerminal(state) || state === 'failed') return;
  throw refusal('ILLEGAL_TRANSITION', record, `task ${task_id} is ${state}: nothing waits for a signal any more`);
}

/** Lets a parked task go on where it waits for what is meant. Whether it does. */
export function wakeFor(record: TaskRecord, isMeant: (wait: WaitsFor) => boolean, nowMs: number): Decision<boolean> {
  const { state, waits_for: waits = [] } = record.state;
  if (state !== 'waiting' || !waits.some(isMeant)) return repeated(false);
  const woken = { state: { wake_at: isoTime(nowMs) }, memo: { backoff: null } };
  return changed(record, true, { moves: [], lease: null, by: null, nowMs, ...woken });
}

function waitText(wait: WaitsFor, at: string | null): string {
  const { kind, name } = wait;
  if (kind === 'wait-for') return `it waits for ${placeText(wait)}${at === null ? '' : `, until ${at}`}`;
  if (kind === 'wait-until') return `it looks at ${name} again at ${at}`;
  if (kind === 'repeat') return `${name} runs again at ${at}`;
  if (kind === 'join') return `it waits for ${placeText(wait)}`;
  if (kind === 'step') return `step ${name} is tried again at ${at}`;
  return `it waits until ${at} (${name})`;
}

function placeText({ kind, name }: WaitsFor): string {
  if (kind === 'wait-for') return `signal ${name}`;
  if (kind === 'join') return `the children of ${name.replaceAll(' ', ', ')}`;
  return kind === 'step' ? `step ${name}` : name;
}
