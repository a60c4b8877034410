/** What a caller says of a repeat. Pure. */

import { invalidArgs } from '../../lib/errors.ts';
import { DAY_MS, fromIso } from '../../lib/time.ts';
import { cronSchedule, dailySchedule, everySchedule, type Schedule } from './schedule.ts';
import type { Repeat } from './ticks.ts';
import { durationOf, TIMEOUT_DEFAULT, timeOf } from './waits.ts';

export interface RepeatWritten {
  every?: string | number | undefined;
  cron?: string | undefined;
  /** Default: UTC. */
  tz?: string | undefined;
  start?: string | undefined;
  times?: number | undefined;
  /** Default: 1 h. */
  timeout?: string | number | undefined;
  /** Default: continue. */
  onError?: 'continue' | 'fail' | undefined;
}

/** `dashes`: stands before the names of options in errors. Throws INVALID_ARGS. */
export function readRepeat(written: RepeatWritten, dashes = ''): Omit<Repeat, 'policy' | 'random'> {
  const { start, times, timeout = TIMEOUT_DEFAULT, onError } = written;
  if (times !== undefined && !(Number.isSafeInteger(times) && times > 0))
    throw invalidArgs(`${dashes}times ${times}: expected a number from 1 on`);
  return {
    schedule: scheduleOf(written, dashes),
    startMs: start === undefined ? null : fromIso(timeOf(start, `${dashes}start`)),
    times: times ?? null,
    timeoutMs: durationOf(timeout, `${dashes}timeout`),
    failsByTick: onError === 'fail',
  };
}

function scheduleOf({ every, cron, tz }: RepeatWritten, dashes: string): Schedule {
  if ((every === undefined) === (cron === undefined))
    throw invalidArgs(
      `say when to repeat, by ${dashes}every or by ${dashes}cron`,
      `For example ${dashes}every 10m, or ${dashes}cron '0 9 * * *'.`,
    );
  if (cron !== undefined) return cronSchedule(cron, tz ?? 'UTC');
  const everyMs = durationOf(every ?? '', `${dashes}every`);
  if (tz === undefined) return everySchedule(everyMs);
  if (everyMs % DAY_MS === 0) return dailySchedule(everyMs / DAY_MS, tz);
  throw invalidArgs(
    `${dashes}tz is for ${dashes}cron and for days, and ${JSON.stringify(every)} is not a number of days`,
    `Leave ${dashes}tz out, or write days such as 1d or 7d.`,
  );
}
