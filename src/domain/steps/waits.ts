/** The waits of a worker: for a time, for a condition, for a signal. How each stands after a look at it. Pure. */

import { invalidArgs } from '../../lib/errors.ts';
import { durationText, fromIso, isoTime, isTime, parseDuration } from '../../lib/time.ts';
import type { ClassifiedError } from '../retry/classify.ts';
import { type Deadline, deadlineIn, type Instant, msLeft } from '../task/deadlines.ts';
import { budgetOf, type Counted, countedOf } from './budget.ts';
import { jsonBytes, VALUE_MAX_BYTES } from './context.ts';
import {
  type Entry,
  type Journal,
  type JournalView,
  type ReadJournal,
  requireKind,
  type Signal,
  type Step,
  type StepKind,
  stepRepeated,
} from './journal.ts';
import { afterFailure, type Failed, type StepPolicy } from './tries.ts';

/** How long `wait-until` waits in all, and between two looks, where nothing is said. */
export const TIMEOUT_DEFAULT = '1h';
export const EVERY_DEFAULT = '30s';

/** The class of a wait whose time is up. */
const WAIT_TIMEOUT = 'wait.timeout';

/** Who looks, and when. */
export interface Looker {
  name: string;
  attemptId: string;
  generation: number;
  instant: Instant;
  /** When the look began, where it took time. Default: `instant`. */
  began?: Instant;
}

/** How a wait stands. Not over: its `wake` says when to look again. */
export interface Standing {
  step: Step;
  over: boolean;
  /** What the journal has to keep beside the step. Default: nothing. */
  entries?: readonly Entry[];
}

/** A wait for a time. `until`: how long from when it is first reached, milliseconds, or an ISO 8601 time. */
export function afterWait(now: ReadJournal, looker: Looker, until: number | string): Standing {
  const before = reached(now, looker, 'wait');
  const fresh = () => (typeof until === 'number' ? deadlineIn(until, looker.instant) : { at: until, clock: null });
  const deadline = before?.deadline ?? fresh();
  return stands(
    now,
    looker,
    'wait',
    before,
    deadline,
    msLeft(deadline, looker.instant) <= 0 ? { value: null } : { wake: deadline },
  );
}

/** A wait for a signal. `timeoutMs` null: without end. `fallback`: what counts then instead of a failure; null: nothing. */
export function afterSignalLook(
  now: ReadJournal,
  looker: Looker,
  { timeoutMs, fallback }: { timeoutMs: number | null; fallback: { value: unknown } | null },
): Standing {
  const before = reached(now, looker, 'wait-for');
  const deadline = before?.deadline ?? (timeoutMs === null ? null : deadlineIn(timeoutMs, looker.instant));
  const signal = pendingSignal(now, looker.name);
  if (signal !== null) {
    const standing = stands(now, looker, 'wait-for', before, deadline, { value: signal.data });
    return { ...standing, entries: [{ signal: { ...signal, data: null, taken: true } }] };
  }
  if (msLeft(deadline, looker.instant) > 0)
    return stands(now, looker, 'wait-for', before, deadline, { wake: deadline });
  const error = timedOut(`signal ${looker.name} did not come`, timeoutMs);
  return stands(now, looker, 'wait-for', before, deadline, fallback ?? { error, status: 'timed_out' });
}

export interface Condition {
  everyMs: number;
  /** Null: without end. */
  timeoutMs: number | null;
  policy: StepPolicy;
  random: () => number;
}

/** How long a look may take: to the end of the wait; past that, as long as between two looks. Null: no limit. Milliseconds. */
export function lookLimit(
  before: Step | undefined,
  { everyMs, timeoutMs }: Condition,
  instant: Instant,
): number | null {
  const left =
    before?.deadline === undefined ? (timeoutMs ?? Number.POSITIVE_INFINITY) : msLeft(before.deadline, instant);
  if (left === Number.POSITIVE_INFINITY) return null;
  return left > 0 ? left : Math.max(1000, everyMs);
}

/** What a look at a condition has found. */
export type Found = { value: boolean } | Failed;

/** A wait for a condition, after a look at it. What is true counts even when it is seen late. Looks are no tries. */
export function afterLook(now: ReadJournal, looker: Looker, condition: Condition, found: Found): Standing {
  const { instant, name, began = instant } = looker;
  const { everyMs, timeoutMs, policy, random } = condition;
  const before = reached(now, looker, 'wait-until');
  // The time that the first look takes is part of the wait.
  const deadline = before?.deadline ?? (timeoutMs === null ? null : deadlineIn(timeoutMs, began));
  const wakeAfter = (delayMs: number) => ({ wake: deadlineIn(Math.min(delayMs, msLeft(deadline, instant)), instant) });
  const stand = (end: End, counted?: Counted) => stands(now, looker, 'wait-until', before, deadline, end, counted);
  if ('value' in found && found.value) return stand({ value: null });
  const isLate = msLeft(deadline, instant) <= 0;
  const late = (more = ''): End => ({
    error: timedOut(`${name} was not true`, timeoutMs, more),
    status: 'timed_out',
  });
  if ('value' in found) return stand(isLate ? late() : wakeAfter(everyMs));
  const { counted, delayMs, error } = afterFailure(budgetOf(before, now.journal), found, {
    policy,
    instant,
    random,
  });
  if (delayMs === null) return sayingWhen(stand({ error, status: 'failed' }, counted), found);
  if (isLate) return stand(late(`; the last look failed: ${error.message}`), counted);
  return stand({ ...wakeAfter(delayMs), error }, counted);
}

type End =
  | { value: unknown }
  | { wake: Deadline | null; error?: ClassifiedError }
  | { error: ClassifiedError; status: 'failed' | 'timed_out' };

/** Keeps with what has failed for good when that said to be tried again, which its attempt hands on to the task. */
export function sayingWhen<S extends Standing>(standing: S, { retryAfterMs }: Failed): S {
  const { step } = standing;
  if (step.status === 'failed' && retryAfterMs !== undefined) step.retry_after = isoTime(retryAfterMs);
  return standing;
}

/** Of a look that has not failed: none wait any more because of failures. */
function countedBefore(before: Step | undefined, journal: Journal): Counted {
  return countedOf({ ...budgetOf(before, journal), waited: null });
}

export function stands(
  { journal }: ReadJournal,
  { name, attemptId, generation, instant, began = instant }: Looker,
  kind: StepKind,
  before: Step | undefined,
  deadline: Deadline | null,
  end: End,
  counted: Counted = countedBefore(before, journal),
): Standing {
  const at = isoTime(instant.nowMs);
  const over = !('wake' in end);
  const error = 'error' in end ? end.error : undefined;
  const step: Step = {
    name,
    kind,
    status: 'value' in end ? 'completed' : 'wake' in end ? 'running' : end.status,
    ...counted,
    started_at: before?.started_at ?? isoTime(began.nowMs),
    ended_at: over ? at : null,
    ...(deadline === null ? {} : { deadline }),
    ...('wake' in end && end.wake !== null ? { wake: end.wake } : {}),
    result: 'value' in end ? end.value : null,
    last_error: error ?? null,
    attempt_id: attemptId,
    generation,
    epoch: journal.epoch,
  };
  return { step, over };
}

/**
 * The record of a wait that this one goes on with: not of one that ended without success in an earlier attempt. Throws STEP_REPEATED where it is
 * over by now, INVALID_ID.
 */
export function reached(
  { steps, journal }: ReadJournal,
  { name, attemptId }: Pick<Looker, 'name' | 'attemptId'>,
  kind: StepKind,
): Step | undefined {
  const before = steps.get(name);
  requireKind(before, kind);
  if (before?.status === 'completed') throw stepRepeated(name);
  return goneOnWith(before, journal, attemptId);
}

/** `before` where an attempt goes on with that wait; undefined where it begins anew. */
export function goneOnWith(
  before: Step | undefined,
  { epoch }: Pick<Journal, 'epoch'>,
  attemptId: string,
): Step | undefined {
  const isOfNow = before?.epoch === epoch && before.attempt_id === attemptId;
  return before?.status === 'running' || isOfNow ? before : undefined;
}

/** Its exit code is that of the verb: so its attempt is known to have failed by it. */
function timedOut(what: string, timeoutMs: number | null, more = ''): ClassifiedError {
  const within = timeoutMs === null ? 'in time' : `within ${durationText(timeoutMs)}`;
  return { class: WAIT_TIMEOUT, message: `${what} ${within}${more}`, exit_code: 1 };
}

// --- signals ---------------------------------------------------------------------------------------------------------

/** Most that waits to be taken, bytes. */
const PENDING_MAX_BYTES = 256 * 1024;

/** The oldest that no wait has got yet; null where there is none. */
export function pendingSignal({ signals }: JournalView, name: string): Signal | null {
  return signals.find((signal) => signal.name === name && signal.taken !== true) ?? null;
}

/** What the journal has to keep of a signal: nothing of one that has come before. Throws INVALID_ARGS for what is too large. */
export function signalEntries({ signals }: JournalView, signal: Signal): Entry[] {
  if (signals.some(({ name, id }) => name === signal.name && id === signal.id)) return [];
  const size = jsonBytes(signal.data);
  if (size > VALUE_MAX_BYTES)
    throw invalidArgs(`the data of a signal has ${size} bytes; at most ${VALUE_MAX_BYTES} are kept`);
  const pending = signals.filter(({ taken }) => taken !== true);
  if (jsonBytes([...pending, signal]) <= PENDING_MAX_BYTES) return [{ signal }];
  throw invalidArgs(
    `the task has ${pending.length} signals that it has not taken yet, and room for no more`,
    'Let the task run, or send less.',
  );
}

// --- what a caller says ----------------------------------------------------------------------------------------------

/** Milliseconds of a limit; null for `none`. Throws as `durationOf`. */
export function limitOf(value: number | string, what: string): number | null {
  return value === 'none' ? null : durationOf(value, what);
}

/** Milliseconds above 0. `what`: names it in the error. Throws INVALID_ARGS. */
export function durationOf(value: number | string, what: string): number {
  const ms = parseDuration(value);
  if (ms !== null && ms > 0) return ms;
  throw invalidArgs(`${what} ${JSON.stringify(value)}: expected a duration above 0 such as 30s, 5m, 2h`);
}

const TIME_PATTERN = /^(\d{4}-\d\d-\d\d)[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)$/;

/** As `timeOf` reads it, which refuses a date that is none. */
export function timeText(time: Date | string): string {
  return time instanceof Date && !Number.isNaN(time.getTime()) ? time.toISOString() : String(time);
}

/** A time with its zone, as ISO 8601 in UTC. Throws INVALID_ARGS. */
export function timeOf(value: string, what: string): string {
  const [, day = ''] = TIME_PATTERN.exec(value) ?? [];
  // Of a day that its month does not have JavaScript makes one of the next month.
  const isDay = isTime(day) && isoTime(fromIso(day)).startsWith(day);
  if (isDay && isTime(value)) return isoTime(fromIso(value));
  const found = JSON.stringify(value);
  throw invalidArgs(`${what} ${found}: expected a time with its zone such as 2027-01-31T09:00:00+01:00`);
}
