/** How often a run says who works. */

import { expect, it } from 'vitest';
import { type OutputMode, stillRunningMs } from '../../../src/domain/run/output.ts';

it.each<[OutputMode, number[]]>([
  ['failures', [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]],
  ['grouped', [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]],
  ['prefixed', [30_000, 30_000, 30_000, 30_000, 30_000, 30_000, 30_000]],
])('with the output %s a run says after %j ms who works', (output, intervals) => {
  expect(intervals.map((_, nth) => stillRunningMs(output, nth))).toEqual(intervals);
  expect(stillRunningMs(output, 1e9)).toBe(30_000);
});
