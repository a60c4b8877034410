/** Backoff: the delay after a failed attempt, and the time at which it ends. */

import { ForgeError } from '../../lib/errors.ts';
import { isoTime } from '../../lib/time.ts';

/** How a delay is drawn. `equal` keeps half and draws the rest, `full` draws it all. */
export type Jitter = 'none' | 'equal' | 'full';

/** A source of numbers from 0 up to but not including 1. */
export type Random = () => number;

/** How delays grow. */
export interface BackoffCurve {
  /** Delay after the first failed attempt, in ms. */
  readonly baseMs: number;
  /** The longest delay, in ms. */
  readonly capMs: number;
  /** Default: 2. */
  readonly factor?: number;
  /** Default: none. */
  readonly jitter?: Jitter;
}

/**
 * The delay after attempt `attempt` (from 1) has failed, in whole ms: min(cap, base * factor^(attempt - 1)), then
 * jitter, then rounded down. Source of equal and full jitter: AWS Architecture Blog, "Exponential Backoff And Jitter".
 * Throws INVALID_ARGS when the curve has jitter and `random` is missing.
 */
export function backoffMs(attempt: number, curve: BackoffCurve, random?: Random): number {
  const { baseMs, capMs, factor = 2, jitter = 'none' } = curve;
  // A base of 0 stays 0: times a power that has overflowed to Infinity it would be NaN.
  const delay = baseMs === 0 ? 0 : Math.min(capMs, baseMs * factor ** Math.max(0, attempt - 1));
  if (jitter === 'none') return Math.floor(delay);
  if (random === undefined) {
    throw new ForgeError('INVALID_ARGS', `a backoff with ${jitter} jitter needs a random source`);
  }
  return Math.floor(jitter === 'full' ? random() * delay : delay / 2 + random() * (delay / 2));
}

/** When the next attempt may start, as ISO 8601 UTC with ms; never later than the end of the year 9999. */
export function nextEligibleAt(nowMs: number, delayMs: number): string {
  return isoTime(nowMs + delayMs);
}
