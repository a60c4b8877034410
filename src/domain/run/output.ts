/** What a run shows of its workers' output. */

/**
 * `failures`: the end of what has failed, and a last line of what works. `prefixed`: each line as it comes. `grouped`: that of an attempt in
 * one piece at its end. `none`: nothing.
 */
export const OUTPUTS = ['failures', 'prefixed', 'grouped', 'none'] as const;
export type OutputMode = (typeof OUTPUTS)[number];

/** The first interval at which a run says who works, and the longest; each is twice the one before. Milliseconds. */
const FIRST_MS = 1000;
const LONGEST_MS = 30_000;

/** One that has worked for less may be over soon, milliseconds. */
export const WORTH_SAYING_MS = FIRST_MS;

/** How long after it has said for the `nth` time (from 0) who works it says so again, milliseconds. */
export function stillRunningMs(output: OutputMode, nth: number): number {
  // Lines that come by themselves say more.
  return output === 'prefixed' ? LONGEST_MS : Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(nth, 10));
}
