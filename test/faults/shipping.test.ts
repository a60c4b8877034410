/**
 * Ten tasks in a real repository, from their plan into the base: two that edit one line, two whose merge does not pass, one
 * that fails its own check, one that asks, one whose reviewer wants more. With one run, with two at once, and with runs
 * that are killed at random moments.
 */

import { describe, expect, test } from 'vitest';
import { phaseDue } from '../../src/domain/task/states.ts';
import { auditTask } from '../support/faults/audit.ts';
import { LONG, ROUNDS, SEED, SHORT, seeded, sized } from '../support/faults/knobs.ts';
import { ofTest } from '../support/faults/plays.ts';
import { ShippingPlay } from '../support/faults/shipping-play.ts';
import { Sometimes } from '../support/faults/sometimes.ts';

/** Kills in one test. */
const KILLS = sized(1, 3, 25);
/** The longest that a run lives before it is killed, milliseconds. All of the work takes some twenty seconds. */
const LIFE_MS = 4000;

const newPlay = (base: 'main' | 'trunk') => ofTest(new ShippingPlay(base));

const met = new Sometimes([
  'a merge in the base that no record says is shipped',
  'a merge that was named and not landed',
  'a checkout that a merge was verified in',
  'a review or a merge whose forge is gone',
]);

/** What a kill has left, before anything else runs. */
function lookAt(play: ShippingPlay): void {
  const merges = play.git('log', '--first-parent', '--format=%s', play.base);
  met.saw('a merge that was named and not landed', play.git('for-each-ref', 'refs/forge/ship') !== '');
  met.saw('a checkout that a merge was verified in', play.git('worktree', 'list').includes('scratch'));
  for (const id of play.ids) {
    const { record } = auditTask(play.dir, id);
    if (record === null) continue;
    const { state } = record.state;
    met.saw(
      'a merge in the base that no record says is shipped',
      state !== 'shipped' && merges.includes(`Merge branch 'forge/${id}' into`),
    );
    met.saw('a review or a merge whose forge is gone', phaseDue(state) !== null && record.lease !== null);
  }
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
    `a run that takes ten tasks from the plan into the base runs that are killed ${KILLS} times ship ten tasks into $base, seed $seed`,
    { timeout: 600_000 },
    async ({ seed, base }) => {
      const play = newPlay(base);
      const args = ['run', '--max-parallel', '3'];
      await play.killRuns(args, { kills: KILLS, lifeMs: LIFE_MS, random: seeded(seed) }, async () => {
        lookAt(play);
        await play.answerAll();
      });
      // Two at once have no test of their own in the short run.
      await finish(play, SHORT ? 2 : 1);
    },
  );

  test('the kills have come at every kind of moment', () => met.expectMet());
});
