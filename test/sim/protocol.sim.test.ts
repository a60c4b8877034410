import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundleWorker } from './bundle.ts';
import { MUTANTS } from './mutants.ts';
import { explain, simulate } from './pool.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const SCHEDULES = 500_000;
/** Schedules within which a mutant of the tests must be noticed. */
const MUTANT_SCHEDULES = 12_000;

/**
 * Mutants that 4,000 schedules do not tell from the protocol: they need a pause, a crash and a compaction, or a person, to
 * meet in one moment. `npm run simulate -- --mutant NAME` looks for them for as long as one likes.
 */
const RARE = [
  'a lost race is an error once its winner is compacted',
  'what is not durable replaces what is',
  'compaction takes its bound from the listing that it sweeps by',
  'compaction goes on after a sweep that failed',
  'compaction removes newer versions first',
  'a version that vanished is passed over',
  'only a vanished newest version restarts the read',
  'one look at a task without a version',
  'a view that the listing missed does not exist',
  'no fsync after an edit was moved aside',
  'a swept view is not written again',
];

const folder = mkdtempSync(join(tmpdir(), 'forge-simulation-'));
const threads = availableParallelism();
let worker = '';

beforeAll(async () => {
  worker = await bundleWorker(ROOT, join(folder, 'worker.mjs'), null);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test(`${SCHEDULES} schedules break no promise`, { timeout: 900_000 }, async () => {
  const setting = { subject: 'protocol', depth: 'mixed' } as const;
  const result = await simulate({ file: worker, setting, seed: 1, schedules: SCHEDULES, threads });
  expect(result.failures.map(explain)).toEqual([]);
  expect(result.schedules).toBe(SCHEDULES);
  // A harness in which nothing happens would pass as well.
  const { stats } = result;
  for (const count of [
    stats.crashes,
    stats.powerCuts,
    stats.faults,
    stats.compacted,
    stats.steals,
    stats.editsCommitted,
  ]) {
    expect(count).toBeGreaterThan(1000);
  }
});

test('a lock file in the place of the protocol fails the same harness', async () => {
  const setting = { subject: 'lock-file', depth: 'mixed' } as const;
  const result = await simulate({ file: worker, setting, seed: 1, schedules: MUTANT_SCHEDULES, threads });
  expect(result.failures.length).toBeGreaterThan(0);
});

describe('a mutant is noticed', () => {
  const quick = MUTANTS.filter((mutant) => mutant.survives === undefined && !RARE.includes(mutant.name));
  test.each(quick.map((mutant) => [mutant.name, mutant] as const))('%s', { timeout: 300_000 }, async (name, mutant) => {
    const file = await bundleWorker(ROOT, join(folder, `${name.replaceAll(/\W+/g, '-')}.mjs`), mutant);
    const setting = { subject: 'protocol', depth: mutant.depth ?? 'mixed' } as const;
    const result = await simulate({ file, setting, seed: 1, schedules: MUTANT_SCHEDULES, threads });
    expect(result.failures.length).toBeGreaterThan(0);
  });
});
