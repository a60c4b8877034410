/** How large the log of a command may get, and what stands where its middle was cut. Pure. */

/** More would take longer to move than a worker takes to write as much again, bytes. */
const TAIL_MAX_BYTES = 4 * 1024 * 1024;

/** How much of a log of at most `maxBytes` is left at its beginning and at its end when it has got larger; the rest it may grow again. */
export function partsOf(maxBytes: number): { head: number; tail: number } {
  return { head: Math.floor(maxBytes / 2), tail: Math.min(TAIL_MAX_BYTES, Math.floor(maxBytes / 4)) };
}

export const cutMark = (bytes: number): string => `[forge: ${bytes} bytes cut here]`;

const MARK = /^\[forge: \d+ bytes cut here\]$/m;

/** Whether it has the mark of a cut. */
export const isCut = (text: string): boolean => MARK.test(text);

/** UTF-16 units that a mark takes at most with the ends of lines around it: a text that comes in pieces may break it. */
export const MARK_MAX = 60;
