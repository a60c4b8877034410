/**
 * `review` and `ship`, killed in place of each of their system calls on the tree, and with each of them failing
 * once. The same verb, or a run, continues at once: the base has the work by one merge, and nothing else is left.
 */

import fs from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { phases } from '../../src/commands/phases.ts';
import { show } from '../../src/commands/show.ts';
import { status } from '../../src/commands/status.ts';
import { why } from '../../src/commands/why.ts';
import { answerIn } from '../support/faults/forge.ts';
import { LONG, pooled, sampled, varied } from '../support/faults/knobs.ts';
import { dropProject, freshPlace, LOGS, listing } from '../support/faults/project.ts';
import { TASK } from '../support/faults/scenarios.ts';
import {
  ended,
  refusal,
  SETTINGS,
  SHIP_SCENARIOS,
  ShipPlay,
  type ShipScenario,
} from '../support/faults/shipping-scenarios.ts';
import {
  aroundCommits,
  callText,
  cleanRun,
  failures,
  faultyRun,
  isSteady,
  noStrace,
  type TracedCall,
} from '../support/faults/strace.ts';
import { describeUnless } from '../support/possible.ts';

/** Points of one command in the sample. */
const SAMPLE = 6;

interface Prepared {
  play: ShipPlay;
  /** Plays that were copied, by their folder. */
  copies: Map<string, ShipPlay>;
  copy(): string;
  command(dir: string): string[];
  calls: TracedCall[];
}

async function prepared({ verb, waiting, to }: ShipScenario): Promise<Prepared> {
  const copies = new Map<string, ShipPlay>();
  const play = new ShipPlay(waiting);
  onTestFinished(() => {
    for (const each of [play, ...copies.values()]) each.cleanUp();
  });
  await play.prepare();
  const copy = (): string => {
    const next = play.copy();
    copies.set(next.dir, next);
    return next.dir;
  };
  const command = (dir: string) => playIn(copies, dir).command(verb, TASK);
  const clean = copy();
  const { ran, calls } = await cleanRun(command(clean), clean);
  expect(answerIn(ran.stdout), ran.stderr).toMatchObject({ ok: true, data: { state: to } });
  playIn(copies, clean).expectStanding(to as 'shipped');
  return { play, copies, copy, command, calls: calls.filter(isSteady) };
}

function playIn(copies: ReadonlyMap<string, ShipPlay>, dir: string): ShipPlay {
  const play = copies.get(dir);
  if (play === undefined) throw new Error(`there is no play in ${dir}`);
  return play;
}

/** Reading works, and leaves every file as it is. */
async function expectReadable(play: ShipPlay): Promise<void> {
  const { call } = play;
  const tree = `${play.dir}/.forge`;
  const skip = new RegExp(`${LOGS.source}|^worktrees$|^logs$`);
  const before = listing(tree, skip);
  const { state } = play.record.state;
  expect((await status.run(call, {})).tasks).toMatchObject([{ task_id: TASK, state }]);
  expect((await show.run(call, { task: TASK })).state?.state).toBe(state);
  expect((await why.run(call, { task: TASK })).ready).toBe(false);
  await phases.run(call, { ready: true });
  expect(listing(tree, skip)).toEqual(before);
}

/** The task is brought into the base at once: by the same verb first, or by a run. */
async function expectGoesOn(play: ShipPlay, verb: 'review' | 'ship', byHand: boolean): Promise<void> {
  await expectReadable(play);
  play.endLocks();
  const { state } = play.record.state;
  const isDue = verb === 'review' ? state === 'ready_for_review' : state !== 'shipped';
  if (byHand && isDue) {
    const next = play.forge(verb, TASK);
    expect(await ended(next), next.stderr).toMatchObject({ code: 0 });
  }
  const run = play.forge('run');
  expect(await run.ended, run.stderr).toEqual({ code: 0, signal: null });
  play.expectShipped();
  expect(play.violations()).toBe('');
  expect(play.git('status', '--porcelain', '--', ':!.forge')).toBe('');
}

/** The commit of what the command has come to, and the call after it, are always among them; a merge has moved the base by then. */
function telling(calls: readonly TracedCall[]): readonly TracedCall[] {
  return sampled(calls, SAMPLE, aroundCommits(calls).slice(-2));
}

describeUnless(noStrace(), 'SIGKILL in place of a system call', () => {
  test.each(varied(SHIP_SCENARIOS, 2))(
    '$name survives SIGKILL in place of any system call',
    { timeout: LONG ? 1_800_000 : 180_000 },
    async (scenario) => {
      const { verb, to } = scenario;
      const { copies, copy, command, calls } = await prepared(scenario);
      const points = telling(calls).map((call, at) => ({ call, byHand: at % 2 === 0 }));
      expect(calls.length).toBeGreaterThan(SAMPLE);
      const stages = await pooled(points, async ({ call, byHand }) => {
        const { dir } = await faultyRun(copy, command, call, 'kill');
        const play = playIn(copies, dir);
        const { state } = play.record.state;
        const stage = state === to ? 'over' : play.gained().length > 0 ? 'moved' : 'before';
        await expectGoesOn(play, verb, byHand).catch((cause: unknown) => {
          throw new Error(`after SIGKILL at ${callText(call)}, ${stage}`, { cause });
        });
        dropProject(dir);
        return stage;
      });
      expect(stages).toContain('before');
      // Between the move of the base and the commit that says so.
      if (verb === 'ship') expect(stages).toContain('moved');
    },
  );
});

describeUnless(noStrace(), 'a system call that fails', () => {
  test.each(varied(SHIP_SCENARIOS))(
    '$name survives a failing system call',
    { timeout: LONG ? 1_800_000 : 180_000 },
    async (scenario) => {
      const { verb, to } = scenario;
      const { copies, copy, command, calls } = await prepared(scenario);
      const refused = await pooled(failures(calls, telling(calls)), async ({ call, fault }) => {
        const { ran, dir } = await faultyRun(copy, command, call, fault);
        const play = playIn(copies, dir);
        const where = `after ${fault} from ${callText(call)}`;
        const answer = answerIn(ran.stdout);
        if (answer === null) throw new Error(`${where} there was no answer:\n${ran.stderr}`);
        if (answer.ok) expect({ code: ran.code, state: answer.data['state'] }, where).toEqual({ code: 0, state: to });
        else {
          expect({ code: ran.code, error: answer.error }, where).toMatchObject({
            code: 1,
            error: { code: 'IO_ERROR' },
          });
          expect(play.record.state.failure_count, where).toBe(0);
        }
        await expectGoesOn(play, verb, true).catch((cause: unknown) => {
          throw new Error(where, { cause });
        });
        dropProject(dir);
        return !answer.ok;
      });
      expect(new Set(refused)).toEqual(new Set([true, false]));
    },
  );
});

describe('merge killed with its git', () => {
  test('a ship killed with its git during the checkout names the lock, and works once that is removed', async () => {
    // Its git is set up before there is work, which is held when that changes later.
    const play = new ShipPlay({ settings: SETTINGS }, freshPlace());
    onTestFinished(() => play.cleanUp());
    fs.writeFileSync(`${play.dir}/.git/info/attributes`, 'new.txt filter=fault\n');
    const kill = `test "$PWD" != "${play.dir}" || test -e "$FAULT_PLAY/killed" || { : > "$FAULT_PLAY/killed"; kill -9 $(cat "$FAULT_PLAY/forge") 0; }; cat`;
    play.git('config', 'filter.fault.smudge', kill);
    await play.prepare();
    const ship = play.forge('ship', TASK);
    play.mark('forge', String(ship.pid));
    expect(await ship.ended).toMatchObject({ signal: 'SIGKILL' });
    expect(play.gained()).toEqual([]);
    play.endLocks();
    const lock = play.repository.path('.git/index.lock');
    const first = await refusal(play.forge('ship', TASK), 4);
    expect(first).toMatchObject({ code: 'NOT_READY', message: expect.stringContaining('index.lock') });
    expect(first.hint).toContain('remove the lock');
    fs.rmSync(lock);
    play.git('reset', '--quiet', '--hard');
    play.git('clean', '--quiet', '-fdx', '--', 'new.txt', 'ignored.txt');
    expect(await ended(play.forge('ship', TASK))).toMatchObject({ code: 0 });
    play.expectShipped();
  });
});
