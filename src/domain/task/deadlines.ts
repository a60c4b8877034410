/**
 * Deadlines on two clocks. On the boot that wrote one the monotonic clock decides, so setting the wall clock brings none forward and
 * puts none off. Elsewhere, and for one that a person has edited, only the wall clock can tell. Pure.
 */

import * as z from 'zod/mini';
import { once } from '../../lib/once.ts';
import { fromIso, isoTime } from '../../lib/time.ts';

/** The moment on both clocks, in milliseconds, and the boot that the second one began with; '' when that is unknown. */
export interface Instant {
  nowMs: number;
  monoMs: number;
  bootId: string;
  /** The name of this machine, where one name is one machine. */
  host?: string | undefined;
}

/**
 * The monotonic twin of a deadline: `mono_ms` on the clock of boot `boot_id`. It counts only for the deadline `expires_at`. `delay_ms`:
 * how far off the deadline was when it was made; a tree of an earlier version does not say. `host`: the machine, where one name is one machine.
 */
export const DeadlineClockSchema = once(() =>
  z.looseObject({
    boot_id: z.string(),
    mono_ms: z.number(),
    expires_at: z.string(),
    delay_ms: z.optional(z.number()),
    host: z.optional(z.string()),
  }),
);
export type DeadlineClock = z.infer<ReturnType<typeof DeadlineClockSchema>>;

/** A deadline as it is kept. `clock` null: the wall clock alone decides. */
export const DeadlineSchema = once(() => z.looseObject({ at: z.string(), clock: z.nullable(DeadlineClockSchema()) }));
export type Deadline = z.infer<ReturnType<typeof DeadlineSchema>>;

/** Milliseconds until a deadline; never for none. */
export function msLeft(deadline: Deadline | null | undefined, now: Instant): number {
  return deadline ? msUntil(deadline.at, deadline.clock, now) : Number.POSITIVE_INFINITY;
}

/** A deadline `delayMs` from now. */
export function deadlineIn(
  delayMs: number,
  { nowMs, monoMs, bootId, host }: Instant,
): { at: string; clock: DeadlineClock } {
  const at = isoTime(nowMs + delayMs);
  const clock = { boot_id: bootId, mono_ms: Math.round(monoMs + delayMs), expires_at: at, delay_ms: delayMs };
  return { at, clock: host === undefined ? clock : { ...clock, host } };
}

/**
 * Milliseconds until the deadline `at`; negative once it has passed. Never more than the delay that it was made from: a wall clock that was
 * ahead then, and is right now, puts nothing off. Of a deadline that was made before this machine was restarted, the time since then is over.
 */
export function msUntil(at: string, clock: DeadlineClock | null | undefined, now: Instant): number {
  const byWall = fromIso(at) - now.nowMs;
  if (!clock || clock.expires_at !== at) return byWall;
  // With an unknown boot the clock may have restarted since.
  if (clock.boot_id !== '' && clock.boot_id === now.bootId) return clock.mono_ms - now.monoMs;
  const { delay_ms: delayMs = byWall } = clock;
  const restarted = clock.host !== undefined && clock.host === now.host && clock.boot_id !== '' && now.bootId !== '';
  return Math.min(byWall, restarted ? delayMs - now.monoMs : delayMs);
}

/** What sets the clock a little at a time moves deadlines by less, milliseconds. */
const DRIFT_MS = 1000;

/** When a deadline will have passed, for people: `at`, unless the clock was set since. */
export function dueAt(at: string, clock: DeadlineClock | null | undefined, now: Instant): string {
  const leftMs = msUntil(at, clock, now);
  return Math.abs(fromIso(at) - now.nowMs - leftMs) > DRIFT_MS ? isoTime(now.nowMs + leftMs) : at;
}

/** By how much a deadline lies further off than it can, milliseconds; 0 for one that does not. Only a clock that was ahead writes such. */
export function msTooFar(at: string, clock: DeadlineClock | null | undefined, { nowMs }: Instant): number {
  const bound = clock?.expires_at === at ? clock.delay_ms : undefined;
  return bound === undefined ? 0 : Math.max(0, fromIso(at) - nowMs - bound);
}
