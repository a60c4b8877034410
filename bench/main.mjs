/**
 * `npm run bench`: measures what `spec/PERFORMANCE.md` promises. Exits with 1 when a limit is missed.
 *
 * usage: node bench/main.mjs [--full] [PART...]    parts: see below; all of them when none is named.
 * --full adds what takes long: trees of 100,000 tasks.
 */

import { summary } from './lib/report.mjs';

const PARTS = ['startup', 'run', 'claims', 'status', 'gc', 'plan', 'recovery'];

const args = process.argv.slice(2);
const full = args.includes('--full');
const asked = args.filter((arg) => arg !== '--full');
const unknown = asked.filter((part) => !PARTS.includes(part));
if (unknown.length > 0) {
  console.error(`there is no part ${unknown.join(', ')}; parts are ${PARTS.join(', ')}`);
  process.exit(2);
}

for (const part of asked.length > 0 ? asked : PARTS) {
  const parts = await import(`./parts/${part}.mjs`);
  await parts[part]({ full });
}
const missed = summary();
console.log(missed.length === 0 ? '\nevery limit is met' : `\nmissed: ${missed.join('; ')}`);
process.exitCode = missed.length === 0 ? 0 : 1;
