/**
 * More of the fault tests than `npm test` has. One round is a sample, also of the simulator and of what varies in other tests;
 * from two on there is a fault at every point, and the random ones have that many seeds.
 *
 *   npm run faults -- --rounds 50 --seed 7
 *   npm run faults -- --other ../forge-0.1/bin/forge.cjs test/faults/two-versions.test.ts
 */

import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { optionsOf } from './options.mjs';

const repo = path.resolve(import.meta.dirname, '..');
const { values, positionals } = optionsOf('npm run faults -- [--rounds N] [--seed N] [--other PROGRAM] [FILE]...', {
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Date.now() % 1e6) },
    /** Another build, for the tests in which two share a tree. */
    other: { type: 'string' },
  },
});

console.log(`${values.rounds} rounds from seed ${values.seed} on`);
const vitest = path.join(repo, 'node_modules/vitest/vitest.mjs');
// Every folder whose tests have a short run, or those whose tests have a long one.
const all = values.rounds === '1' ? ['test/sim', 'test/faults', 'test/git', 'test/cli'] : ['test/faults'];
const files = positionals.length > 0 ? positionals : all;
// With every point, a file keeps every core busy by itself.
const args = [vitest, 'run', ...(values.rounds === '1' ? [] : ['--no-file-parallelism']), ...files];
const { status } = spawnSync(process.execPath, args, {
  cwd: repo,
  stdio: 'inherit',
  env: {
    ...process.env,
    FAULT_ROUNDS: values.rounds,
    FAULT_SEED: values.seed,
    FAULT_OTHER: values.other === undefined ? '' : path.resolve(values.other),
  },
});
process.exitCode = status ?? 1;
