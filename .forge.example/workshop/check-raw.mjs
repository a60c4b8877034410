// Says what is wrong with the raw readings, line by line, and stops the work when it is too much to be trusted.

import { data, fail, write } from './lib.mjs';
import { GAUGES, readings } from './readings.mjs';

const MOST_FAULTS = 0.05;

const gauges = {};
for (const gauge of GAUGES) {
  const lines = readings(gauge);
  const faulty = lines.filter(({ fault }) => fault !== null);
  const faults = { garbled: [], lost: [], repeated: [], late: [] };
  for (const { line, fault } of faulty) faults[fault].push(line);
  gauges[gauge] = { lines: lines.length, faults };
  const listed = Object.entries(faults).map(([fault, at]) => `${at.length} ${fault}`);
  console.log(`${gauge}: ${lines.length} readings, ${listed.join(', ')}`);
  if (faulty.length > MOST_FAULTS * lines.length) fail(1, `${gauge}: too many faults (lines ${faulty.map((r) => r.line)})`);
}
write(data('faults'), gauges);
