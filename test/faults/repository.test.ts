/**
 * Ten tasks in a real repository: workers that edit, commit, fail a test, forget to commit, crash, ask, get answered or
 * not, and come back. With one run, with two at once, and with runs that are killed at random moments.
 */

import fs from 'node:fs';
import { describe, expect, test } from 'vitest';
import { pendingVerification } from '../../src/domain/verify/verification.ts';
import { auditTask } from '../support/faults/audit.ts';
import { LONG, ROUNDS, SEED, SHORT, seeded, sized } from '../support/faults/knobs.ts';
import { ofTest } from '../support/faults/plays.ts';
import { RepositoryPlay, UNANSWERED } from '../support/faults/repository-play.ts';
import { Sometimes } from '../support/faults/sometimes.ts';

/** Kills in one test. */
const KILLS = sized(2, 4, 20);
/** The longest that a run lives before it is killed, milliseconds. All of the work takes a few seconds. */
const LIFE_MS = 2000;

const newPlay = () => ofTest(new RepositoryPlay());

const met = new Sometimes([
  'a worktree half made',
  'a result that is not verified yet',
  'a task that waits for an answer',
  'a worker that went on without its run',
]);

/** What a kill has left, before anything else runs. */
function lookAt(play: RepositoryPlay): void {
  const worktrees = `${play.dir}/.forge/worktrees`;
  const beside = fs.existsSync(worktrees) ? fs.readdirSync(worktrees) : [];
  met.saw(
    'a worktree half made',
    beside.some((name) => name.startsWith('.forge-began-')),
  );
  met.saw('a worker that went on without its run', (play.leftovers() ?? ['unknown']).length > 0);
  for (const id of play.ids) {
    const { record } = auditTask(play.dir, id);
    if (record === null) continue;
    met.saw('a result that is not verified yet', pendingVerification(record) !== null);
    met.saw('a task that waits for an answer', record.state.state === 'blocked_on_question');
  }
}

/** Runs to the end, answering what is asked. One task fails, so the run does. */
async function finish(play: RepositoryPlay, runs: number): Promise<void> {
  for (const { run, end } of await play.runAll(runs, UNANSWERED))
    expect(end, run.stderr).toEqual({ code: 1, signal: null });
  play.expectDone();
  expect(play.leftovers() ?? []).toEqual([]);
}

const seeds = Array.from({ length: ROUNDS }, (_, round) => SEED + round);

describe('ten tasks in a repository', () => {
  // One run alone ends what those that are killed have begun, below.
  test.runIf(LONG)('one run works on, verifies and answers ten tasks in a repository', { timeout: 300_000 }, () =>
    finish(newPlay(), 1),
  );

  test.skipIf(SHORT)('two runs share ten tasks in a repository', { timeout: 300_000 }, () => finish(newPlay(), 2));

  test.each(seeds)(
    `ten tasks in a repository end the same when runs are killed ${KILLS} times, seed %i`,
    { timeout: 300_000 },
    async (seed) => {
      const play = newPlay();
      const args = ['run', '--wait', '--max-parallel', '3'];
      await play.killRuns(args, { kills: KILLS, lifeMs: LIFE_MS, random: seeded(seed) }, async () => {
        lookAt(play);
        await play.answerAll(UNANSWERED);
      });
      // Two at once have no test of their own in the short run.
      await finish(play, SHORT ? 2 : 1);
    },
  );

  test('the kills have come at every kind of moment', () => met.expectMet());
});
