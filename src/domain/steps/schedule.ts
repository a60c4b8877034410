/** When a repeat is due: every so often, by the calendar of a zone, or by a cron expression. Pure. */

import { Cron } from 'croner';
import { ForgeError, invalidArgs } from '../../lib/errors.ts';
import { DAY_MS } from '../../lib/time.ts';
import { clockOf } from '../../lib/zone-clock.ts';

/** Times are milliseconds since the epoch. `startMs`: of the first tick. Null: never again. */
export interface Schedule {
  /** The first tick at or after `fromMs`. */
  first(fromMs: number): number | null;
  /** The tick after the one that was due at `lastMs`. */
  next(lastMs: number, startMs: number): number | null;
  /** How many ticks there are from the one at `atMs` to before `endMs`, and the first that is not among them; in about the time of one. */
  skip(atMs: number, endMs: number, startMs: number): { count: number; next: number | null };
}

/** Every `everyMs` milliseconds. */
export function everySchedule(everyMs: number): Schedule {
  return {
    first: (fromMs) => fromMs,
    next: (lastMs) => lastMs + everyMs,
    skip(atMs, endMs) {
      const count = Math.max(0, Math.ceil((endMs - atMs) / everyMs));
      return { count, next: atMs + count * everyMs };
    },
  };
}

/** Every `days` days at the time of day of the first tick, as clocks in `zone` show it. */
export function dailySchedule(days: number, zone: string): Schedule {
  const zoned = zoneOf(zone);
  const after = (lastMs: number, startMs: number, times: number) => {
    const start = zoned.wall(startMs);
    // One that clocks put forward have moved past midnight is of the day before.
    const daysSince = Math.round((zoned.wall(lastMs) - start) / DAY_MS);
    return zoned.utc(start + (daysSince + times * days) * DAY_MS);
  };
  return {
    first: (fromMs) => fromMs,
    next: (lastMs, startMs) => after(lastMs, startMs, 1),
    skip(atMs, endMs, startMs) {
      // A clock that is put forward or back makes it one off at the most. Of a day that a zone has left out there is no tick.
      const isWhole = Math.abs(zoned.wall(endMs) - zoned.wall(atMs) - (endMs - atMs)) < DAY_MS / 2;
      let count = isWhole ? Math.max(0, Math.floor((endMs - atMs) / (days * DAY_MS)) - 1) : 0;
      let next = count === 0 ? atMs : after(atMs, startMs, count);
      for (; next < endMs; count++) next = after(next, startMs, 1);
      return { count, next };
    },
  };
}

/** By a cron expression of five fields, as clocks in `zone` show it. Throws INVALID_ARGS. */
export function cronSchedule(expression: string, zone: string): Schedule {
  const zoned = zoneOf(zone);
  const cron = parsed(expression, zone);
  const after = (ms: number) => cron.nextRun(new Date(ms))?.getTime() ?? null;
  if (after(0) === null) throw invalidArgs(`${JSON.stringify(expression)} is never due`, 'No month has such a day.');
  /** Ticks from `fromMs` to before `endMs`, one by one. */
  const within = (fromMs: number, endMs: number) => {
    let count = 0;
    for (let at = after(fromMs - 1); at !== null && at < endMs; at = after(at)) count++;
    return count;
  };
  return {
    first: (fromMs) => after(fromMs - 1),
    next: after,
    skip(atMs, endMs) {
      if (atMs >= endMs) return { count: 0, next: atMs };
      const dayAfter = (ms: number) => zoned.utc((Math.floor(zoned.wall(ms) / DAY_MS) + 1) * DAY_MS);
      const firstDay = Math.min(dayAfter(atMs), endMs);
      let count = within(atMs, firstDay);
      // All days of 24 hours that have a tick have as many.
      let each: number | null = null;
      let day = firstDay;
      for (let next = dayAfter(day); next <= endMs; next = dayAfter(day)) {
        const tick = after(day - 1);
        if (tick === null || tick >= endMs) return { count, next: tick };
        if (tick >= next) {
          day = zoned.utc(Math.floor(zoned.wall(tick) / DAY_MS) * DAY_MS);
          continue;
        }
        const isRegular = next - day === DAY_MS;
        if (isRegular) each ??= within(day, next);
        count += isRegular ? (each ?? 0) : within(day, next);
        day = next;
      }
      return { count: count + within(day, endMs), next: after(endMs - 1) };
    },
  };
}

function parsed(expression: string, zone: string): Cron {
  try {
    return new Cron(expression, { timezone: zone, mode: '5-part', paused: true });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : '';
    throw new ForgeError(
      'INVALID_ARGS',
      `${JSON.stringify(expression)} is not a cron expression of five fields: ${why}`,
      {
        hint: 'Minute, hour, day of the month, month, day of the week: 0 9 * * 1-5.',
        cause,
      },
    );
  }
}

/**
 * Clocks of a zone. `wall`: what they show at a moment, as if that were UTC. `utc`: the moment at which they show that; of two the first, and of
 * none as much later as they are put forward. Throws INVALID_ARGS for no zone.
 */
function zoneOf(zone: string) {
  let wall: (ms: number) => number;
  try {
    wall = clockOf(zone);
  } catch (cause) {
    throw new ForgeError('INVALID_ARGS', `there is no time zone ${JSON.stringify(zone)}`, {
      hint: 'Zones have names such as Europe/Berlin, America/New_York or UTC.',
      cause,
    });
  }
  const offset = (ms: number) => wall(ms) - ms;
  const utc = (shown: number) => {
    const before = shown - offset(shown - DAY_MS);
    if (wall(before) === shown) return before;
    const behind = shown - offset(shown + DAY_MS);
    return wall(behind) === shown ? behind : before;
  };
  return { wall, utc };
}
