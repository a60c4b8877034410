/**
 * Deadlines on two clocks. On the boot that wrote one the monotonic clock decides, so setting the wall clock brings none forward and
 * puts none off. Elsewhere, and for one that a person has edited, only the wall clock can tell. Pure.
 */

import * as z from 'zod/mini';
import { once } from '../../lib/once.ts';
import { fromIso, isoTime } from '../../lib/time.ts';

/** The moment on both clocks, in milliseconds, and the boot that the second one belongs to; '' when that is unknown. */
export interface Instant {
  nowMs: number;
  monoMs: number;
  bootId: string;
}

/** The monotonic twin of a deadline: `mono_ms` on the clock of boot `boot_id`. It counts only for the deadline `expires_at`. */
export const DeadlineClockSchema = once(() =>
  z.looseObject({ boot_id: z.string(), mono_ms: z.number(), expires_at: z.string() }),
);
export type DeadlineClock = z.infer<ReturnType<typeof DeadlineClockSchema>>;

/** A deadline `delayMs` from now. */
export function deadlineIn(delayMs: number, { nowMs, monoMs, bootId }: Instant): { at: string; clock: DeadlineClock } {
  const at = isoTime(nowMs + delayMs);
  return { at, clock: { boot_id: bootId, mono_ms: Math.round(monoMs + delayMs), expires_at: at } };
}

/** Milliseconds until the deadline `at`; negative once it has passed. */
export function msUntil(at: string, clock: DeadlineClock | null | undefined, now: Instant): number {
  // With an unknown boot the clock may have restarted since.
  const sameBoot = clock && clock.boot_id !== '' && clock.boot_id === now.bootId;
  return sameBoot && clock.expires_at === at ? clock.mono_ms - now.monoMs : fromIso(at) - now.nowMs;
}
