/**
 * `npm run bench`: measures what `spec/PERFORMANCE.md` promises. Exits with 1 when a limit is missed.
 *
 * Without a PART all of them are measured, but for `steps`, `reuse` and `peers`, which are to be named.
 * --full        adds what takes long: trees of 100,000 tasks, runs of 10,000
 * --nodes       for `startup`: with newer versions of Node too, which are installed into a scratch folder
 * --others      for `steps`: against DBOS and Absurd too, for `reuse`: against turbo; these are installed into a scratch folder
 * --absurd-sql  the file that makes the tables of Absurd
 */

import os from 'node:os';
import { optionsOf } from '../scripts/options.mjs';
import { summary } from './lib/report.mjs';
import { fileSystem } from './lib/scratch.mjs';

const PARTS = ['startup', 'run', 'growth', 'idle', 'claims', 'status', 'gc', 'plan', 'recovery'];
const NAMED = [...PARTS, 'steps', 'reuse', 'peers'];

const USAGE = 'npm run bench -- [--full] [--nodes] [--others [--absurd-sql FILE]] [PART...]';
const { values, positionals: asked } = optionsOf(USAGE, {
  allowPositionals: true,
  options: {
    full: { type: 'boolean', default: false },
    nodes: { type: 'boolean', default: false },
    others: { type: 'boolean', default: false },
    'absurd-sql': { type: 'string' },
  },
});
const unknown = asked.filter((part) => !NAMED.includes(part));
if (unknown.length > 0) {
  console.error(`there is no part ${unknown.join(', ')}; parts are ${NAMED.join(', ')}`);
  process.exit(2);
}

console.log(
  `Node ${process.version}; scratch projects on ${fileSystem()}; ${os.availableParallelism()} cores, load ${os.loadavg()[0].toFixed(1)}`,
);
for (const part of asked.length > 0 ? asked : PARTS) {
  const parts = await import(`./parts/${part}.mjs`);
  await parts[part]({ ...values, absurdSql: values['absurd-sql'] });
}
const missed = summary();
console.log(missed.length === 0 ? '\nevery limit is met' : `\nmissed: ${missed.join('; ')}`);
process.exitCode = missed.length === 0 ? 0 : 1;
