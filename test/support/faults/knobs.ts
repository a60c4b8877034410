/**
 * How much of the fault tests is run. The normal run takes a sample that fits into a minute or two; `scripts/faults.mjs`
 * runs all of it. `spec/FAULTS.md` says what that covers.
 */

import { availableParallelism } from 'node:os';

function whole(name: string, fallback: number): number {
  const text = process.env[name];
  if (text === undefined || text === '') return fallback;
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new Error(`${name} must be a whole number from 1 on, not ${text}`);
  return Number(text);
}

/** How often the random tests are repeated, each time with another seed. From 2 on nothing is sampled any more. */
export const ROUNDS = whole('FAULT_ROUNDS', 1);
/** The first seed; a failure names the seed that it was found with. */
export const SEED = whole('FAULT_SEED', 1);
/** Every point instead of a sample. */
export const LONG = ROUNDS > 1;
/** Processes of this machine that a test may keep busy. */
export const WIDTH = Math.max(2, availableParallelism());

/** `count` items of `all`, spread evenly and with both ends; all of them in the long run. */
export function sampled<T>(all: readonly T[], count: number): readonly T[] {
  if (LONG || all.length <= count) return all;
  return Array.from({ length: count }, (_, at) => all[Math.round((at * (all.length - 1)) / (count - 1))] as T);
}

/** Runs `work` over `items`, `width` at a time, and returns the results in the order of the items. */
export async function pooled<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
  width: number = WIDTH,
): Promise<R[]> {
  const results: R[] = new Array(items.length);
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let at = next++; at < items.length; at = next++) results[at] = await work(items[at] as T);
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane));
  return results;
}

/** A small seeded generator of numbers in [0, 1). Source: mulberry32, public domain. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
