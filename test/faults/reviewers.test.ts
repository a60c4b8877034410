/** Reviewers with background processes, deaf to SIGTERM, too slow, or without their forge; Ctrl-C at a review or merge. */

import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, type TestContext, test } from 'vitest';
import { groupMembers } from '../../src/process/processes.ts';
import { varied } from '../support/faults/knobs.ts';
import { ofTest } from '../support/faults/plays.ts';
import { TASK } from '../support/faults/scenarios.ts';
import { ended, refusal, ShipPlay } from '../support/faults/shipping-scenarios.ts';
import { until } from '../support/processes.ts';

const SETTINGS = 'agents: {kill_grace_ms: 300}';
/** Longer than a test may take, so a test that waits for it fails. */
const PATIENT = 'agents: {kill_grace_ms: 600000}';

const newPlay = (onTestFinished: TestContext['onTestFinished'], settings = SETTINGS, review = true) =>
  ofTest(new ShipPlay({ review, settings }), onTestFinished).prepare();

/** The process group of the command that notes itself there, once it runs. */
async function running(play: ShipPlay, notes: string, count = 1): Promise<number> {
  const lines = await until(`${notes} ${count}`, () => (play.lines(notes).length === count ? play.lines(notes) : null));
  return Number(lines.at(-1));
}

describe.concurrent('reviewer', () => {
  test('background processes of a reviewer are stopped with it', async ({ onTestFinished }) => {
    const play = await newPlay(onTestFinished);
    expect(await ended(play.forge('review', TASK))).toMatchObject({ code: 0, answer: { data: { state: 'reviewed' } } });
    expect(groupMembers(await running(play, 'reviews'))).toEqual([]);
    play.expectStanding('reviewed');
  });

  test.each(varied([true, false]))(
    'a reviewer that takes too long is stopped (deaf: %s), and the task waits',
    async (deaf) => {
      const play = new ShipPlay({ review: true, settings: SETTINGS });
      try {
        await play.prepare();
        const file = play.repository.path('.forge/settings.yaml');
        writeFileSync(file, readFileSync(file, 'utf8').replace('timeout: 5m', 'timeout: 300ms'));
        play.mark('wait');
        if (deaf) play.mark('deaf');
        const error = await refusal(play.forge('review', TASK), 4);
        expect(error).toMatchObject({ code: 'NOT_READY', details: { class: 'timeout' } });
        expect(groupMembers(await running(play, 'reviews'))).toEqual([]);
        play.expectStanding('ready_for_review');
      } finally {
        play.cleanUp();
      }
    },
  );

  test.each(varied([true, false]))(
    'a reviewer whose forge was killed is stopped before the next begins (deaf: %s)',
    async (deaf) => {
      const play = new ShipPlay({ review: true, settings: SETTINGS });
      try {
        await play.prepare();
        play.mark('wait');
        if (deaf) play.mark('deaf');
        const first = play.forge('review', TASK);
        const group = await running(play, 'reviews');
        first.signal('SIGKILL');
        await first.ended;
        expect(groupMembers(group), 'it goes on by itself').not.toEqual([]);
        const next = play.forge('review', TASK);
        await running(play, 'reviews', 2);
        expect(groupMembers(group)).toEqual([]);
        play.mark('gate');
        expect(await ended(next)).toMatchObject({ code: 0 });
        expect(play.violations()).toBe('');
        play.expectStanding('reviewed');
        expect(play.record.memo.generation).toBe(3);
      } finally {
        play.cleanUp();
      }
    },
  );

  test('a reviewer whose task is cancelled is stopped and changes nothing', async ({ onTestFinished }) => {
    const play = await newPlay(onTestFinished);
    play.mark('wait');
    const review = play.forge('review', TASK);
    const group = await running(play, 'reviews');
    expect(await ended(play.forge('cancel', TASK))).toMatchObject({ code: 0 });
    expect(await refusal(review, 3)).toMatchObject({ code: 'LEASE_STOLEN' });
    expect(groupMembers(group)).toEqual([]);
    play.expectStanding('cancelled');
  });
});

/** What runs when Ctrl-C comes: by which verb, noted where, and how the task waits. */
const STEPS = [
  { what: 'a review', verb: 'review', review: true, notes: 'reviews', waits: 'ready_for_review' },
  { what: 'a merge of a run', verb: 'run', review: false, notes: 'checks', waits: 'merge_pending' },
  { what: 'a review of a run', verb: 'run', review: true, notes: 'reviews', waits: 'ready_for_review' },
  { what: 'a merge', verb: 'ship', review: false, notes: 'checks', waits: 'merge_pending' },
] as const;

describe.concurrent.each(varied(STEPS, 2))('Ctrl-C at $what', ({ verb, review, notes, waits }) => {
  const args = verb === 'run' ? ['run'] : [verb, TASK];

  test('Ctrl-C during a review or merge ends its command, and the task waits as before', async ({ onTestFinished }) => {
    const play = await newPlay(onTestFinished, SETTINGS, review);
    play.mark('wait');
    const live = play.forge(...args);
    const group = await running(play, notes);
    live.signal('SIGINT');
    expect(await live.ended, live.stderr).toEqual({ code: 130, signal: null });
    expect(groupMembers(group)).toEqual([]);
    play.expectStanding(waits);
    expect(play.gained()).toEqual([]);
    play.mark('gate');
    expect(await play.forge('run').ended).toEqual({ code: 0, signal: null });
    play.expectShipped();
  });

  test('a second Ctrl-C during a review or merge does not wait for the grace', async ({ onTestFinished }) => {
    const play = await newPlay(onTestFinished, PATIENT, review);
    play.mark('wait');
    play.mark('deaf');
    const live = play.forge(...args);
    const group = await running(play, notes);
    live.signal('SIGINT');
    await until('the command was told to end', () => play.has('termed'));
    expect(groupMembers(group)).not.toEqual([]);
    live.signal('SIGINT');
    expect(await live.ended, live.stderr).toEqual({ code: 130, signal: null });
    expect(groupMembers(group)).toEqual([]);
    play.expectStanding(waits);
  });
});
