// Reads the raw files of the two gauges. Each writes in a format and a unit of its own.

import { read, shipped } from './lib.mjs';

const FORMATS = {
  pier: { file: 'pier-2025-03.csv', header: 1, parse: parseCsvLine },
  breakwater: { file: 'breakwater-2025-03.jsonl', header: 0, parse: parseJsonLine },
};
export const GAUGES = Object.keys(FORMATS);

/** What the pier writes down when it gets no echo from the water. */
const NO_ECHO = '-9999';

/** `16,00:30,2719`: day of the month, UTC, millimetres. */
function parseCsvLine(text) {
  const [, day, time, mm] = /^(\d\d),(\d\d:\d\d),(-?\d+)$/.exec(text) ?? [];
  return mm && { t: Date.parse(`2025-03-${day}T${time}Z`), value: mm === NO_ECHO ? null : Number(mm) };
}

/** `{"t":1742083200,"ft":10.3}`: seconds since 1970, feet. */
function parseJsonLine(text) {
  try {
    const { t, ft } = JSON.parse(text);
    return { t: t * 1000, value: ft };
  } catch {
    return undefined;
  }
}

/** Every line as {line, t, value, fault}: `garbled`, `lost` and `repeated` are of no use, `late` only stands too far down. */
export function readings(gauge) {
  const { file, header, parse } = FORMATS[gauge];
  const seen = new Set();
  let newest = 0;
  const lines = read(shipped('raw', file)).trimEnd().split('\n').slice(header);
  return lines.map((text, i) => {
    const line = header + i + 1;
    const reading = parse(text);
    if (!reading) return { line, fault: 'garbled' };
    const { t, value } = reading;
    if (value === null) return { line, fault: 'lost' };
    if (seen.has(t)) return { line, fault: 'repeated' };
    seen.add(t);
    const fault = t < newest ? 'late' : null;
    newest = Math.max(newest, t);
    return { line, t, value, fault };
  });
}
