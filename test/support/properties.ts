/**
 * fast-check, for every property test. It draws the same cases in every run, so that a failure is caused
 * by the change at hand. `PROPERTY_SEED`, an integer from 1 on, draws others.
 */

import fc from 'fast-check';
import { SHORT } from './faults/knobs.ts';

const given = process.env['PROPERTY_SEED'] || '1';
if (!/^[1-9]\d{0,8}$/.test(given)) throw new Error(`PROPERTY_SEED must be a whole number from 1 on, not ${given}`);
fc.configureGlobal({ seed: Number(given) });

/** How many cases a property that has many is tried with: a quarter of them in the short run, all in the sample and the long run. */
export function runs(all: number): { numRuns: number } {
  return { numRuns: SHORT ? Math.ceil(all / 4) : all };
}

export default fc;
