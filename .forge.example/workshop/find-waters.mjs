// Finds every high and low water, and how far apart the two were on each day.

import { data, HOUR, metres, minute, readJson, write } from './lib.mjs';

/** Less than the time between two high waters, or two low ones: nothing nearer may be higher, or lower. */
const REACH = 5 * HOUR;

const { series } = readJson(data('levels'));
const [high, low] = [extremes('high', 1), extremes('low', -1)];
const waters = [...high, ...low].sort((a, b) => a.t - b.t);
const highest = high.reduce((a, b) => (b.level > a.level ? b : a));
const lowest = low.reduce((a, b) => (b.level < a.level ? b : a));

const days = new Map();
for (const { t, level } of series) {
  const day = minute(t).slice(0, 10);
  const { min, max } = days.get(day) ?? { min: level, max: level };
  days.set(day, { min: Math.min(min, level), max: Math.max(max, level) });
}
const ranges = [...days].map(([day, { min, max }]) => ({ day, range_m: max - min }));

write(data('waters'), { highest, lowest, waters, ranges });
console.log(`${high.length} high and ${low.length} low waters`);
console.log(`highest ${metres(highest.level)} at ${minute(highest.t)}, lowest ${metres(lowest.level)} at ${minute(lowest.t)}`);

/** Of equal readings on the top of a tide the first one counts. */
function extremes(kind, sign) {
  const within = series.filter(({ t }) => t - series[0].t > REACH && series.at(-1).t - t > REACH);
  const isExtreme = ({ t, level }) =>
    series.every((other) => {
      if (Math.abs(other.t - t) > REACH || other.t === t) return true;
      const above = sign * (level - other.level);
      return other.t < t ? above > 0 : above >= 0;
    });
  return within.filter(isExtreme).map(({ t, level }) => ({ kind, t, level }));
}
