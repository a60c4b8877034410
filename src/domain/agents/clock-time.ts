/** Times as agents say them to people: when a limit ends. Pure. */

import { DAY_MS } from '../../lib/time.ts';
import { clockOf } from '../../lib/zone-clock.ts';

/** A time on the clock of a place, as in `10:20pm (America/Edmonton)` or `Dec 3, 6am (Europe/Berlin)`. */
export interface ClockTime {
  /** Since midnight there. */
  minutes: number;
  /** Null: that of the machine. */
  zone: string | null;
  /** Null: the next day that has it. `month`: from 0; `year` null: the next one that has it. */
  date: { year: number | null; month: number; day: number } | null;
}

/** The last time that a Date can say. */
const TIME_MAX_MS = 8.64e15;

/** A time of day that has passed by no more, milliseconds, is over, and not a day away: the agent took so long to end. */
const JUST_OVER_MS = 600_000;

/** When that is, milliseconds since the epoch. Null where it is not said, for a zone that is not known, and for no time at all. */
export function untilMs(until: number | ClockTime | null, nowMs: number): number | null {
  if (until === null) return null;
  if (typeof until === 'number') return Math.abs(until) <= TIME_MAX_MS ? until : null;
  const { minutes, zone, date } = until;
  try {
    const clockAt = clockOf(zone);
    const shown = clockAt(nowMs);
    const clock = wantedClock(shown, minutes * 60_000, date);
    // By the offset that the zone has then.
    const about = clock - (shown - nowMs);
    return clock - (clockAt(about) - about);
  } catch {
    return null;
  }
}

function wantedClock(shown: number, timeMs: number, date: ClockTime['date']): number {
  if (date === null) {
    const today = shown - (shown % DAY_MS) + timeMs;
    return today < shown - JUST_OVER_MS ? today + DAY_MS : today;
  }
  const year = new Date(shown).getUTCFullYear();
  const at = Date.UTC(date.year ?? year, date.month, date.day) + timeMs;
  return date.year === null && at < shown - DAY_MS ? Date.UTC(year + 1, date.month, date.day) + timeMs : at;
}

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];

/** The number of a month from 0, by its English name or the beginning of that; -1 for another word. */
export function monthOf(name: string): number {
  return MONTHS.indexOf(name.slice(0, 3).toLowerCase());
}

/** Minutes since midnight of `10:20pm`. */
export function minutesOf(hour: string, minute: string, half: string): number {
  return ((Number(hour) % 12) + (half.toLowerCase() === 'pm' ? 12 : 0)) * 60 + Number(minute);
}
