/**
 * The long version of the fault tests: a fault at every point instead of a sample, and the random ones with many seeds.
 *
 *   npm run faults -- --rounds 50 --seed 7
 */

import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { parseArgs } from 'node:util';

const repo = path.resolve(import.meta.dirname, '..');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '10' }, seed: { type: 'string', default: String(Date.now() % 1e6) } },
});

console.log(`${values.rounds} rounds from seed ${values.seed} on`);
const vitest = path.join(repo, 'node_modules/vitest/vitest.mjs');
// One file at a time: they keep every core busy by themselves.
const args = [vitest, 'run', '--no-file-parallelism', ...(positionals.length > 0 ? positionals : ['test/faults'])];
const { status } = spawnSync(process.execPath, args, {
  cwd: repo,
  stdio: 'inherit',
  env: { ...process.env, FAULT_ROUNDS: values.rounds, FAULT_SEED: values.seed },
});
process.exitCode = status ?? 1;
