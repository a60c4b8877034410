import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SHORT, sized } from '../support/faults/knobs.ts';
import { bundleWorker } from './bundle.ts';
import { MUTANTS } from './mutants.ts';
import { explain, simulate } from './pool.ts';

const ROOT = resolve(import.meta.dirname, '../..');
/** The long version is `npm run simulate`. */
const SCHEDULES = sized(6_000, 140_000, 140_000);
const QUESTION_SCHEDULES = sized(1_500, 8_000, 8_000);
const STEP_SCHEDULES = sized(1_000, 10_000, 10_000);
/** In how many schedules each thing happens once at least; more often in those of questions. */
const EVERY = 170;
const QUESTION_EVERY = 10;
const STEP_EVERY = 20;
const JOIN_EVERY = 120;
/** Seeds of schedules that once broke a promise. */
const FOUND = [7_374_811, 11_028_804, 104_232_074, 104_801_809];
/** Seed of a schedule of journals in which a claim is made twice, and both are lost: no promise that the oracle may see broken. */
const LOST_TWICE = 50_058_771;
/** A mutant must be noticed within so many schedules, unless it says otherwise. */
const MUTANT_SCHEDULES = 12_000;

const folder = mkdtempSync(join(tmpdir(), 'forge-simulation-'));
const threads = availableParallelism();
let worker = '';

beforeAll(async () => {
  worker = await bundleWorker(ROOT, join(folder, 'worker.mjs'), null);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test(`the commit protocol keeps its promises in ${SCHEDULES} random schedules`, { timeout: 900_000 }, async () => {
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
    expect(count).toBeGreaterThan(SCHEDULES / EVERY);
  }
});

test(`the commit protocol keeps its promises in ${QUESTION_SCHEDULES} random schedules of questions and answers`, {
  timeout: 300_000,
}, async () => {
  const setting = { subject: 'protocol', depth: 'mixed', focus: 'questions' } as const;
  const { failures, stats } = await simulate({
    file: worker,
    setting,
    seed: 1,
    schedules: QUESTION_SCHEDULES,
    threads,
  });
  expect(failures.map(explain)).toEqual([]);
  expect(stats.asked).toBeGreaterThan(QUESTION_SCHEDULES / QUESTION_EVERY);
  expect(stats.answered).toBeGreaterThan(QUESTION_SCHEDULES / QUESTION_EVERY);
});

test(`a journal and a parked task keep their promises in ${STEP_SCHEDULES} random schedules of steps, waits and signals`, {
  timeout: 300_000,
}, async () => {
  const setting = { subject: 'protocol', depth: 'mixed', focus: 'steps' } as const;
  const { failures, stats } = await simulate({ file: worker, setting, seed: 1, schedules: STEP_SCHEDULES, threads });
  expect(failures.map(explain)).toEqual([]);
  for (const count of [stats.stepsDone, stats.chunks, stats.parked, stats.goneOn, stats.signalsTaken])
    expect(count).toBeGreaterThan(STEP_SCHEDULES / STEP_EVERY);
});

test(`ticks are recorded once, and sets of children sealed once and joined, in ${STEP_SCHEDULES} random schedules`, {
  timeout: 300_000,
}, async () => {
  const setting = { subject: 'protocol', depth: 'mixed', focus: 'fan-outs' } as const;
  const { failures, stats } = await simulate({ file: worker, setting, seed: 1, schedules: STEP_SCHEDULES, threads });
  expect(failures.map(explain)).toEqual([]);
  for (const count of [stats.ticks, stats.fannedOut, stats.parked, stats.goneOn])
    expect(count).toBeGreaterThan(STEP_SCHEDULES / STEP_EVERY);
  expect(stats.joined).toBeGreaterThan(STEP_SCHEDULES / JOIN_EVERY);
});

test(`a claim that is lost twice leaves its generations to others, as in schedule ${LOST_TWICE} of journals`, async () => {
  const setting = { subject: 'protocol', depth: 'mixed', focus: 'steps' } as const;
  const { failures } = await simulate({ file: worker, setting, seed: LOST_TWICE, schedules: 1, threads: 1 });
  expect(failures.map(explain)).toEqual([]);
});

test.each(FOUND)('the commit protocol keeps its promises in schedule %i, which once broke one', async (seed) => {
  const setting = { subject: 'protocol', depth: 'mixed' } as const;
  const { failures } = await simulate({ file: worker, setting, seed, schedules: 1, threads: 1 });
  expect(failures.map(explain)).toEqual([]);
});

test('the simulator finds broken promises in a lock file that replaces the protocol', async () => {
  const setting = { subject: 'lock-file', depth: 'mixed' } as const;
  const result = await simulate({ file: worker, setting, seed: 1, schedules: MUTANT_SCHEDULES, threads });
  expect(result.failures.length).toBeGreaterThan(0);
});

describe('mutants of the protocol', () => {
  const mortal = MUTANTS.filter(({ survives, late }) => survives === undefined && !(SHORT && late));
  test.each(mortal.map((mutant) => [mutant.name, mutant] as const))(
    'the simulator notices the mutant: %s',
    { timeout: 300_000 },
    async (name, mutant) => {
      const file = await bundleWorker(ROOT, join(folder, `${name.replaceAll(/\W+/g, '-')}.mjs`), mutant);
      const setting = { subject: 'protocol', depth: mutant.depth ?? 'mixed', focus: mutant.focus } as const;
      const schedules = mutant.seed === undefined ? (mutant.schedules ?? MUTANT_SCHEDULES) : 1;
      // Most are noticed in the first thousand schedules, so a second thread would play its own for nothing.
      const result = await simulate({ file, setting, seed: mutant.seed ?? 1, schedules, threads: 1 });
      expect(result.failures.length).toBeGreaterThan(0);
    },
  );
});
