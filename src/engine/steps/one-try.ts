/** One call of a function of a program, within its time, and for as long as its attempt holds the task. */

import { type ClassifiedError, errorClassSchema, overLimit } from '../../domain/retry/classify.ts';
import { thrownRetryAfter } from '../../domain/retry/retry-after.ts';
import { Parked } from '../../domain/steps/parking.ts';
import { errorMessage, ForgeError, invalidArgs, thrownField } from '../../lib/errors.ts';
import { isDeeperThan } from '../../lib/json.ts';
import { oneLine } from '../../lib/text.ts';
import { durationText } from '../../lib/time.ts';
import { timerOf } from '../timer.ts';
import { isMistake, MESSAGE_MAX_CHARS } from './mistakes.ts';
import type { Place } from './through.ts';
import type { WorkerJournal } from './worker-journal.ts';

/** Largest result of a step, bytes of JSON. */
const RESULT_MAX_BYTES = 1024 * 1024;

/** The time of a try is over. */
export class TimeUp extends Error {
  readonly class = 'timeout';
}

/**
 * Calls `fn` once: what it returned, as JSON, or what it threw; `TimeUp` when its time was over first. `signalOf` gives a signal of this try, which
 * few functions ask for: Node takes longer to make one than for the rest of a call. Throws `Parked` where a wait in `fn` has parked the task.
 */
export async function tryOnce(
  fn: (signalOf: () => AbortSignal) => unknown,
  { own, lost }: Place,
  { name, timeoutMs }: { name: string; timeoutMs: number | null },
): Promise<{ value: unknown } | { error: unknown }> {
  const stopped = new AbortController();
  const signalOf = () => stopped.signal;
  const made = new Set<Promise<unknown>>();
  let stop = (_why: unknown) => {};
  const over = new Promise<never>((_, reject) => {
    stop = (why) => {
      stopped.abort(why);
      reject(why);
    };
  });
  over.catch(() => {});
  const limit = timeoutMs === null ? null : durationText(timeoutMs);
  const timer = timerOf(timeoutMs, () => stop(new TimeUp(`${name} ${overLimit(limit)}`)));
  const lose = () => stop(lost.reason);
  if (lost.aborted) lose();
  lost.addEventListener('abort', lose, { once: true });
  try {
    const value = asJson(
      await Promise.race([
        Promise.resolve().then(() => own.call(() => fn(signalOf), { stopped: signalOf, made })),
        over,
      ]),
    );
    const bytes = Buffer.byteLength(JSON.stringify(value));
    if (bytes <= RESULT_MAX_BYTES) return { value };
    throw invalidArgs(
      `the result of step ${name} has ${bytes} bytes; at most ${RESULT_MAX_BYTES} are kept`,
      'Keep it in a file of your own, and return its path.',
    );
  } catch (error) {
    // A wait within it has ended the attempt: that is no try.
    if (error instanceof Parked) throw error;
    // What it has left would be in the way of the next try, and nothing may await it any more.
    stopped.abort(error);
    await Promise.allSettled(made);
    return { error };
  } finally {
    clearTimeout(timer);
    lost.removeEventListener('abort', lose);
  }
}

/** Programs in JavaScript may give the work itself in place of a function that does it. Throws INVALID_ARGS. */
export function requireFunction(fn: unknown, name: string): void {
  if (typeof fn === 'function') return;
  const given = fn instanceof Promise ? 'a promise, of work that has begun' : `what is none: ${typeof fn}`;
  throw invalidArgs(`${name} takes a function, and was given ${given}`, `Write '${name}', () => ...`);
}

/** What a function has thrown, as a policy matches it and as it is kept. */
export function failureEnd(error: unknown, { instant }: WorkerJournal) {
  const retryAfterMs = thrownRetryAfter(error, instant().nowMs);
  // To a policy a text is a class, and here it is what went wrong.
  const matched = typeof error === 'string' ? new Error(error) : error;
  return { error: matched, told: toldOf(error), final: isMistake(error), retryAfterMs };
}

/** Anything may be thrown. A class that is none could not be named by a policy of the task. */
function toldOf(error: unknown): ClassifiedError {
  const name = errorClassSchema().safeParse(thrownField(error, 'class'));
  return { class: name.success ? name.data : 'error', message: oneLine(textOf(error), MESSAGE_MAX_CHARS) };
}

/** Most errors within an error that are told of. */
const INNER_MAX = 3;

/** With what it was caused by, and the errors that it stands for: `fetch failed` says nothing by itself, and others have no text of their own. */
function textOf(error: unknown, levels = INNER_MAX): string {
  const text = errorMessage(error);
  const [cause, errors] = [thrownField(error, 'cause'), thrownField(error, 'errors')];
  const inner = [...(cause === undefined || cause === null ? [] : [cause]), ...(Array.isArray(errors) ? errors : [])];
  const why =
    levels === 0
      ? ''
      : inner
          .slice(0, INNER_MAX)
          .map((each) => textOf(each, levels - 1))
          .join('; ');
  return text === '' || text.includes(why) ? text || why : `${text}: ${why}`;
}

/** Levels of lists and objects in a value that a program keeps. */
const KEPT_LEVELS_MAX = 500;

/** The value as it is read again: `undefined` is null. Throws INVALID_ARGS for what JSON has no form for, and what is nested over 500 deep. */
export function asJson(value: unknown): unknown {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    throw new ForgeError('INVALID_ARGS', `a step can keep JSON alone: ${errorMessage(cause)}`, { cause });
  }
  if (text === undefined) return null;
  const kept: unknown = JSON.parse(text);
  if (!isDeeperThan(KEPT_LEVELS_MAX, kept)) return kept;
  throw invalidArgs(`a step can keep what is nested ${KEPT_LEVELS_MAX} levels deep at most`);
}

/** A value of JSON that the program may change. Node 20 takes 10 µs to copy a number. */
export function copyOf(value: unknown): unknown {
  return typeof value === 'object' ? structuredClone(value) : value;
}
