// Holds the two gauges against each other. They see the same water, so the shift in time at which they agree best is the
// error of the breakwater's clock. With that set right, it fills the gaps of the pier.

import { data, HOUR, readJson, write } from './lib.mjs';

const MINUTE = HOUR / 60;
const pier = readJson(data('pier')).series;
const breakwater = readJson(data('breakwater')).series;

const shifts = Array.from({ length: 121 }, (_, i) => i - 60);
const tried = shifts.map((shift) => ({ shift, rms: disagreement(shift) }));
const best = tried.reduce((a, b) => (b.rms < a.rms ? b : a));
const before = tried.find(({ shift }) => shift === 0);

const corrected = breakwater.map(({ t, level }) => ({ t: t + best.shift * MINUTE, level }));
const end = pier.at(-1).t;
const series = [];
let filled = 0;
for (let t = pier[0].t; t <= end; t += HOUR / 2) {
  const own = levelAt(pier, t, HOUR / 2);
  const level = own ?? levelAt(corrected, t, HOUR);
  if (level === null) continue;
  if (own === null) filled++;
  series.push({ t, level, from: own === null ? 'breakwater' : 'pier' });
}
const clock = { error_min: -best.shift, rms_before_m: before.rms, rms_after_m: best.rms };
write(data('levels'), { clock, filled, series });
console.log(`the breakwater's clock is ${-best.shift} minutes ahead of the pier's`);
console.log(`the gauges differ by ${cm(before.rms)} as they are, by ${cm(best.rms)} once it is set right`);
console.log(`${filled} half-hours without a reading at the pier filled from the breakwater`);

/** Root mean square of the difference between the gauges, metres, with the breakwater moved by `shift` minutes. */
function disagreement(shift) {
  const squares = breakwater.flatMap(({ t, level }) => {
    const other = levelAt(pier, t + shift * MINUTE, HOUR / 2);
    return other === null ? [] : [(level - other) ** 2];
  });
  return Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / squares.length);
}

/** On the straight line between the readings around `t`; null where they are more than `reach` apart. */
function levelAt(series, t, reach) {
  let [low, high] = [0, series.length - 1];
  if (t < series[low].t || t > series[high].t) return null;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (series[middle].t <= t) low = middle;
    else high = middle;
  }
  const [a, b] = [series[low], series[high]];
  if (t === a.t || t === b.t) return (t === a.t ? a : b).level;
  return b.t - a.t > reach ? null : a.level + ((b.level - a.level) * (t - a.t)) / (b.t - a.t);
}

function cm(value) {
  return `${(value * 100).toFixed(1)} cm`;
}
