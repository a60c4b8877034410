// Turns one gauge's readings into metres above mean sea level, in order of time and without spikes.

import { data, metres, minute, readJson, write } from './lib.mjs';
import { readings } from './readings.mjs';

/** Metres. A spike stands out on one side of both its neighbours by more than this: no tide does that within the hour. */
const SPIKE = 0.5;

const gauge = process.env.GAUGE;
const { metres_per_unit, zero_m } = readJson(data('calibration')).gauges[gauge];

const series = readings(gauge)
  .filter(({ value }) => value !== undefined)
  .map(({ t, value }) => ({ t, level: value * metres_per_unit + zero_m }))
  .sort((a, b) => a.t - b.t);

// The worst one first: next to a spike a good reading stands out too.
const spikes = [];
for (;;) {
  const heights = series.map((_, i) => standout(i));
  const height = Math.max(...heights);
  if (height <= SPIKE) break;
  spikes.push(...series.splice(heights.indexOf(height), 1));
}
spikes.sort((a, b) => a.t - b.t);

write(data(gauge), { gauge, spikes, series });
for (const { t, level } of spikes) console.log(`${minute(t)}  ${metres(level)} is a spike`);
console.log(`${gauge}: ${series.length} good readings`);

/** How far a reading is above both its neighbours, or below both, metres. */
function standout(i) {
  const [before, { level }, after] = [series[i - 1], series[i], series[i + 1]];
  if (before === undefined || after === undefined) return 0;
  const [up, down] = [level - before.level, level - after.level];
  return Math.max(Math.min(up, down), Math.min(-up, -down));
}
