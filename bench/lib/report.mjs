/** Prints the figures as they come, and remembers whether a limit was missed. */

const missed = [];

export function heading(text) {
  console.log(`\n${text}`);
}

/** `limit` is what `figure` may be at most. */
export function figure(what, value, { limit = null, unit = 'x', detail = '' } = {}) {
  const ok = limit === null || value <= limit;
  const verdict = limit === null ? '' : `${ok ? 'ok' : 'MISSED'} (limit ${limit}${unit === 'x' ? ' x' : ` ${unit}`})`;
  if (!ok) missed.push(what);
  const shown = `${number(value)} ${unit}`;
  console.log(`  ${what.padEnd(52)} ${shown.padStart(10)}  ${verdict.padEnd(20)} ${detail}`.trimEnd());
}

/** Times behind a ratio, and the CPU time of all processes of both. */
export function times({ ours, base, cpu }) {
  return `${ms(ours)} / ${ms(base)}; CPU ${(cpu.ours / cpu.base).toFixed(2)} x, ${ms(cpu.ours)} / ${ms(cpu.base)}`;
}

/** Something that must hold whatever the machine. */
export function fact(what, holds, detail = '') {
  if (!holds) missed.push(what);
  console.log(`  ${what.padEnd(52)} ${(holds ? 'yes' : 'NO').padStart(10)}  ${''.padEnd(20)} ${detail}`.trimEnd());
}

export function ms(value) {
  return value >= 1000 ? `${(value / 1000).toFixed(2)} s` : `${value.toFixed(value < 10 ? 1 : 0)} ms`;
}

function number(value) {
  return Number.isInteger(value) ? String(value) : value.toFixed(value < 10 ? 2 : 1);
}

/** What was missed since the start. */
export function summary() {
  return [...missed];
}
