// Splits the level into what moon and sun do, a sum of four waves of known period, and what is left: the weather.
// Least squares by the normal equations. Periods: Schureman (1958), Manual of Harmonic Analysis and Prediction of Tides.

import { data, HOUR, metres, minute, readJson, write } from './lib.mjs';

const WAVES = [
  { name: 'M2', cause: 'the moon, twice a day', period_h: 12.4206 },
  { name: 'S2', cause: 'the sun, twice a day', period_h: 12 },
  { name: 'K1', cause: 'moon and sun, once a day', period_h: 23.9345 },
  { name: 'O1', cause: 'the moon, once a day', period_h: 25.8193 },
];
/** Metres. Beyond this it is weather, which the second fit must not mistake for tide. */
const WEATHER = 0.25;

const { series } = readJson(data('levels'));
const start = series[0].t;
const rough = fit(series);
const fitted = fit(series.filter(({ t, level }) => Math.abs(level - at(rough, t)) < WEATHER));

const waves = WAVES.map((wave, i) => {
  const [cos, sin] = fitted.slice(1 + 2 * i);
  return { ...wave, amplitude_m: Math.hypot(cos, sin) };
});
const split = series.map(({ t, level, from }) => {
  const tide = at(fitted, t);
  return { t, level, from, tide, weather: level - tide };
});
const surge = split.reduce((a, b) => (b.weather > a.weather ? b : a));

write(data('tide'), { mean_m: fitted[0], waves, surge, series: split });
for (const { name, amplitude_m, cause } of waves) console.log(`${name}  ${metres(amplitude_m)}  ${cause}`);
console.log(`the weather added most at ${minute(surge.t)}: ${metres(surge.weather)}`);

/** 1, then cosine and sine of each wave. */
function terms(t) {
  const hours = (t - start) / HOUR;
  const angles = WAVES.map(({ period_h }) => (2 * Math.PI * hours) / period_h);
  return [1, ...angles.flatMap((angle) => [Math.cos(angle), Math.sin(angle)])];
}

function at(coefficients, t) {
  return terms(t).reduce((sum, term, i) => sum + term * coefficients[i], 0);
}

/** The coefficients that come closest to the readings. Each row of `m` is one equation, its right side last. */
function fit(readings) {
  const size = terms(start).length;
  const m = Array.from({ length: size }, () => new Array(size + 1).fill(0));
  for (const { t, level } of readings) {
    const x = terms(t);
    for (let i = 0; i < size; i++) [...x, level].forEach((value, j) => (m[i][j] += x[i] * value));
  }
  for (let i = 0; i < size; i++) {
    m[i] = m[i].map((value) => value / m[i][i]);
    for (let k = 0; k < size; k++) {
      const factor = m[k][i];
      if (k !== i) m[k] = m[k].map((value, j) => value - factor * m[i][j]);
    }
  }
  return m.map((row) => row[size]);
}
