/**
 * Ten tasks in a real repository, from their plan into the base: two that edit one line, two whose merge does not pass, one
 * that fails its own check, one that asks, one whose reviewer wants more. With one run, with two at once, and with runs
 * that are killed at random moments.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { LONG, ROUNDS, SEED, SHORT, seeded, sized } from '../support/faults/knobs.ts';
import { ShippingPlay } from '../support/faults/shipping-play.ts';

/** Kills in one test. */
const KILLS = sized(1, 3, 25);
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
  // One that was killed before it had sent its task back is done again.
  const reasons = new Set(Object.values(play.sentBack()).flat());
  expect(reasons).toEqual(new Set(['review.changes', 'ship.conflict', 'ship.verify']));
}

/** The base by turns; the sample has one round, and the other base in the test before. */
const rounds = Array.from({ length: ROUNDS }, (_, round) => ({
  seed: SEED + round,
  base: (SEED + round) % 2 === 1 ? ('trunk' as const) : ('main' as const),
}));

/** `main`: the branch of the main checkout; `trunk`: one that is not checked out. */
const UNDISTURBED = [
  ...(SHORT ? [] : ([{ runs: 2, base: 'main' }] as const)),
  ...(LONG
    ? ([
        { runs: 1, base: 'trunk' },
        { runs: 1, base: 'main' },
        { runs: 2, base: 'trunk' },
      ] as const)
    : []),
] as const;

describe('a run that takes ten tasks from the plan into the base', () => {
  test.each(UNDISTURBED)('$runs runs at once ship ten tasks into $base', { timeout: 300_000 }, ({ runs, base }) =>
    finish(newPlay(base), runs),
  );

  test.each(rounds)(
    `runs that are killed ${KILLS} times ship ten tasks into $base, seed $seed`,
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
      // Two at once have no test of their own in the short run.
      await finish(play, SHORT ? 2 : 1);
    },
  );
});
