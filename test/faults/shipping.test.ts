/**
 * Ten tasks in a real repository, from their plan into the base: two that edit one line, two whose merge does not pass, one
 * that fails its own check, one that asks, one whose reviewer wants more. In peace, with two runs at once, and with runs
 * that are killed at random moments.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { LONG, ROUNDS, SEED, seeded } from './support/knobs.ts';
import { ShippingPlay } from './support/shipping-play.ts';

/** Kills in one test. */
const KILLS = LONG ? 25 : 8;
/** The longest that a run lives before it is killed, milliseconds. All of the work takes some twenty seconds. */
const LIFE_MS = 4000;

function newPlay(base: 'main' | 'trunk'): ShippingPlay {
  const play = new ShippingPlay(base);
  onTestFinished(() => play.cleanUp());
  return play;
}

async function finish(play: ShippingPlay, runs: number): Promise<void> {
  for (const { run, end } of await play.runAll(runs)) expect(end, run.stderr).toEqual({ code: 0, signal: null });
  await play.expectShipped();
  const { picky, ...merges } = play.sentBack();
  expect(picky).toEqual(['review.changes']);
  // Whichever of the two came second.
  expect(Object.values(merges).flat().sort()).toEqual(['ship.conflict', 'ship.verify']);
}

/** Each seed with its base: in turn, so that the normal run has one of them. */
const rounds = Array.from({ length: ROUNDS }, (_, round) => ({
  seed: SEED + round,
  base: (SEED + round) % 2 === 1 ? ('main' as const) : ('trunk' as const),
}));

describe('ten tasks, from the plan into the base', () => {
  test('by one run, into the branch of the main checkout', { timeout: 300_000 }, () => finish(newPlay('main'), 1));

  test('by two runs, into a branch that nobody has checked out', { timeout: 300_000 }, () =>
    finish(newPlay('trunk'), 2),
  );

  test('by two runs, into the branch of the main checkout', { timeout: 300_000 }, () => finish(newPlay('main'), 2));

  test.each(rounds)(
    `with runs that are killed ${KILLS} times, into $base, seed $seed`,
    { timeout: 600_000 },
    async ({ seed, base }) => {
      const play = newPlay(base);
      const random = seeded(seed);
      for (let kill = 0; kill < KILLS; kill++) {
        const runs = Array.from({ length: 1 + (kill % 2) }, () => play.forge('run', '--max-parallel', '3'));
        // The moment is the fault; nothing is waited for here.
        await sleep(random() * LIFE_MS);
        for (const run of runs) run.signal('SIGKILL');
        await Promise.all(runs.map((run) => run.ended));
        await play.answerAll();
      }
      await finish(play, 1);
    },
  );
});
