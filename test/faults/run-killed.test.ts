/** `run` is killed repeatedly, and the next one continues. */

import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { status } from '../../src/commands/status.ts';
import { auditTask, viewedVersion } from '../support/faults/audit.ts';
import { callOn } from '../support/faults/forge.ts';
import { ROUNDS, SEED, SHORT, seeded, sized } from '../support/faults/knobs.ts';
import { Play, type PlayTask } from '../support/faults/play.ts';
import { ofTest } from '../support/faults/plays.ts';
import { Sometimes } from '../support/faults/sometimes.ts';
import { until } from '../support/processes.ts';

/** Kills in one test. */
const KILLS = sized(4, 12, 20);
/** The longest that a run lives before it is killed, milliseconds. Half of it is a few tasks long. */
const LIFE_MS = 900;

const KINDS = ['plain', 'flaky', 'parent', 'plain', 'stubborn'] as const;

/** One that goes on until the last kill, and a web of short tasks. */
function tasks(): PlayTask[] {
  const web: PlayTask[] = Array.from({ length: 30 }, (_, at) => ({
    id: `t${at}`,
    kind: KINDS[at % KINDS.length] ?? 'plain',
    work: 0.02 + (at % 4) * 0.08,
    after: at < 6 ? [] : [`t${at - 6}`, `t${at - 5}`],
  }));
  return [{ id: 'long', kind: 'stubborn', gate: 'end' }, ...web];
}

/** No task fails for good, and no backoff is long. */
const AGENTS = { retry_attempts: 10_000, retry_backoff_ms_max: 20, kill_grace_ms: 200 };
const newPlay = () => ofTest(new Play(tasks(), AGENTS));

const met = new Sometimes(
  [
    'a claim without an attempt',
    'an attempt whose worker had not begun',
    'a worker that went on without its run',
    'a worker that ended when no run was there to see it',
    'a task in backoff',
    'views behind their record',
  ],
  ['a worker that went on without its run'],
);

/** What a kill has left, before anything else runs. */
function lookAt(play: Play): void {
  const started = new Set(play.started().map(({ attempt }) => attempt));
  met.saw('a worker that went on without its run', (play.leftovers() ?? ['unknown']).length > 0);
  for (const { id } of play.tasks) {
    const { record } = auditTask(play.dir, id);
    if (record === null) continue;
    const { state, current_attempt_id: attempt } = record.state;
    met.saw('a claim without an attempt', state === 'claimed');
    met.saw('a task in backoff', state === 'awaiting_respawn');
    met.saw('views behind their record', viewedVersion(play.dir, id) !== record.state.state_version);
    if (state !== 'dispatched' && state !== 'running') continue;
    met.saw('an attempt whose worker had not begun', !started.has(attempt ?? ''));
    met.saw('a worker that ended when no run was there to see it', play.has(`finished-${attempt}`));
  }
}

/** Starts a run and kills it at a random moment, `kills` times in a row. `alone`: no other run is at work. */
async function harass(play: Play, random: () => number, kills: number, alone: boolean): Promise<void> {
  for (let kill = 0; kill < kills; kill++) {
    const run = play.forge('run', '--max-parallel', '4');
    // The first kill finds a worker at work, however slow the machine is.
    if (kill === 0) await until('the long task', () => play.started().some(({ task }) => task === 'long'));
    // The moment is the fault; nothing else is waited for here.
    await sleep(random() * LIFE_MS);
    run.signal('SIGKILL');
    expect((await run.ended).signal, `kill ${kill + 1} has met a living run`).toBe('SIGKILL');
    if (alone) lookAt(play);
    expect((await status.run(callOn(play.dir), {})).tasks).toHaveLength(play.tasks.length);
  }
}

async function finished(play: Play, runs: number): Promise<void> {
  play.open('end');
  const last = Array.from({ length: runs }, () => play.forge('run', '--max-parallel', '4'));
  for (const run of last) expect(await run.ended, run.stderr).toEqual({ code: 0, signal: null });
  play.expectAllDone();
  expect(play.leftovers() ?? []).toEqual([]);
}

const seeds = Array.from({ length: ROUNDS }, (_, round) => SEED + round);

describe.each(seeds)('seed %i', (seed) => {
  test(`a run that is killed ${KILLS} times ends with every task done`, { timeout: 300_000 }, async () => {
    const play = newPlay();
    await harass(play, seeded(seed), KILLS, true);
    // Two at once have no test of their own in the short run.
    await finished(play, SHORT ? 2 : 1);
  });

  test.skipIf(SHORT)(
    `two runs at once that are killed ${KILLS} times end with every task done`,
    { timeout: 300_000 },
    async () => {
      const play = newPlay();
      const half = KILLS / 2;
      await Promise.all([harass(play, seeded(seed), half, false), harass(play, seeded(seed + 1_000_000), half, false)]);
      await finished(play, 2);
    },
  );
});

test('the kills have come at every kind of moment', () => met.expectMet());
