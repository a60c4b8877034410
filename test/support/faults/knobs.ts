/**
 * How much of the fault tests is run. `npm test` is the short run. `scripts/faults.mjs` sets FAULT_ROUNDS: 1 is the sample,
 * from 2 on it is the long run, which has every point. `spec/FAULTS.md` says what each covers.
 */

import { availableParallelism } from 'node:os';

function whole(name: string, fallback: number): number {
  const text = process.env[name];
  if (text === undefined || text === '') return fallback;
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new Error(`${name} must be a whole number from 1 on, not ${text}`);
  return Number(text);
}

/** How often the random tests are repeated, each time with another seed. */
export const ROUNDS = whole('FAULT_ROUNDS', 1);
/** The first seed; a failure names the seed that it was found with. */
export const SEED = whole('FAULT_SEED', 1);
/** Every point instead of some. */
export const LONG = ROUNDS > 1;
/** The short run leaves out what varies a case that it has. */
export const SHORT = (process.env['FAULT_ROUNDS'] ?? '') === '';
/** Processes of this machine that a test may keep busy. */
export const WIDTH = Math.max(2, availableParallelism());

/** The amount of something for the run that this is. */
export function sized<T>(short: T, sample: T, long: T): T {
  if (LONG) return long;
  return SHORT ? short : sample;
}

/**
 * Items of `all`, in their order: both ends and what is `telling` in the short run; in the sample `count` that are spread
 * evenly, and what is telling; all of them in the long run.
 */
export function sampled<T>(all: readonly T[], count: number, telling: readonly T[] = []): readonly T[] {
  const some = sized(2, count, all.length);
  if (all.length <= some) return all;
  const spread = Array.from({ length: some }, (_, at) => all[Math.round((at * (all.length - 1)) / (some - 1))] as T);
  const taken = new Set([...spread, ...telling]);
  return all.filter((each) => taken.has(each));
}

/** Cases of which those after the first `count` only vary what is in the short run already, and are left out there. */
export function varied<T>(all: readonly T[], count = 1): readonly T[] {
  return SHORT ? all.slice(0, count) : all;
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
