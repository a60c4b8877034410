/** Mistakes of a worker, noted for the attempt that fails over them: calls of steps that are refused however often they are made, as of a name that comes twice, and an end that comes too early. */

import type { ClassifiedError } from '../../domain/retry/classify.ts';
import { masked } from '../../domain/secrets.ts';
import { errorMessage, ForgeError, kindOf, orNull } from '../../lib/errors.ts';
import { oneLine } from '../../lib/text.ts';
import { fromIso, isoTime } from '../../lib/time.ts';
import type { AttemptRef } from '../../store/port.ts';
import { type Env, secretsOf } from '../env.ts';

const TYPE = 'forge.refused';

/** Most of what a worker's mistake or failure says that is kept, characters: a record has no room for any length. */
export const MESSAGE_MAX_CHARS = 2000;

/** The class of an attempt that fails over such a call: its policy is not asked. */
const CLASS = 'fatal.step';

/** What is wrong in the worker itself, which trying again does not mend. */
export function isMistake(error: unknown): error is ForgeError {
  return error instanceof ForgeError && kindOf(error) === 'usage';
}

/** Notes a mistake of the worker, which ends with `exitCode` unless it goes on all the same. Never throws. */
export async function noteMistake(env: Env, attempt: AttemptRef, error: ForgeError, exitCode: number): Promise<void> {
  await orNull(async () => {
    // An attempt that there is not gets no folder by that.
    const { record } = await env.store.read(attempt.taskId);
    if (record?.state.current_attempt_id !== attempt.attemptId) return;
    const message = oneLine(masked(errorMessage(error), secretsOf(env, null)), MESSAGE_MAX_CHARS);
    await note(env, attempt, { code: error.code, message, exit_code: exitCode });
  });
}

/**
 * Notes that a worker, which ends with `exitCode` unless it goes on, would end with steps of it at work. Written when it returns: a process
 * that exits waits for nothing. Never throws.
 */
export async function noteUnended(
  env: Env,
  attempt: AttemptRef,
  error: ClassifiedError,
  exitCode: number,
): Promise<void> {
  await note(env, attempt, { ...error, exit_code: exitCode }).catch(() => {});
}

async function note(env: Env, attempt: AttemptRef, data: object): Promise<void> {
  await env.eventLog.append({ log: 'events', ...attempt }, { ts: isoTime(env.now()), type: TYPE, data });
}

/** The last mistake of a worker that has ended with this code, and when it was, milliseconds since the epoch; null for none. */
export async function lastMistake(
  env: Env,
  attempt: AttemptRef,
  exitCode: number | null,
): Promise<{ error: ClassifiedError; atMs: number } | null> {
  const events = (await orNull(() => env.eventLog.read({ log: 'events', ...attempt }))) ?? [];
  const last = events.findLast(({ type }) => type === TYPE);
  const data = last?.['data'] as
    | { code?: unknown; class?: unknown; message?: unknown; exit_code?: unknown }
    | undefined;
  if (last === undefined || data?.exit_code !== exitCode || exitCode === null) return null;
  return {
    error:
      typeof data.class === 'string'
        ? { class: data.class, message: String(data.message), exit_code: exitCode }
        : { class: CLASS, message: `${data.code}: ${data.message}`, exit_code: exitCode },
    atMs: fromIso(String(last['ts'])),
  };
}
