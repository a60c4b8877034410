/** How a repeat stands after its ticks, and after those that were missed. */

import { describe, expect, test } from 'vitest';
import { coercePolicy } from '../../../src/domain/retry/retry.ts';
import { STEP_RETRY_DEFAULT } from '../../../src/domain/retry/schema.ts';
import { type Entry, type Journal, viewOf } from '../../../src/domain/steps/journal.ts';
import { readRepeat } from '../../../src/domain/steps/repeats.ts';
import {
  afterTick,
  type Repeat,
  type RepeatStanding,
  type TickEnd,
  upcoming,
} from '../../../src/domain/steps/ticks.ts';
import fc from '../../support/properties.ts';

const T0 = Date.parse('2030-01-01T00:00:00Z');
const MINUTE = 60_000;
const iso = (ms: number) => new Date(T0 + ms).toISOString();
const DONE: TickEnd = { done: true };
const failed = (name: string): TickEnd => ({
  error: { class: name, message: 'x' },
  told: { class: name, message: 'x' },
});

/** A repeat every ten minutes whose ticks may be ten minutes late, in a journal. */
function repeating(more: Partial<Repeat> = {}) {
  const repeat: Repeat = {
    ...readRepeat({ every: '10m', timeout: '10m' }),
    policy: coercePolicy({ max_attempts: 2, base: 1000, jitter: 'none' }, STEP_RETRY_DEFAULT),
    random: () => 0.5,
    ...more,
  };
  const entries: Entry[] = [];
  const now = () => ({ journal: { key: 'k', epoch: 0, chunks: [], tail: [] } as Journal, ...viewOf(entries) });
  const looker = (ms: number) => ({
    name: 'r',
    attemptId: 'a',
    generation: 1,
    instant: { nowMs: T0 + ms, monoMs: ms, bootId: 'b' },
  });
  const keep = (standing: RepeatStanding) => {
    entries.push({ step: standing.step }, ...(standing.entries ?? []));
    return standing;
  };
  return {
    look: (ms: number) => keep(upcoming(now(), looker(ms), repeat)),
    tick: (ms: number, end: TickEnd = DONE) => keep(afterTick(now(), looker(ms), repeat, end)),
    ticks: () => viewOf(entries).ticks.map(({ at, status, count, tries }) => ({ at, status, count, tries })),
  };
}

describe('a repeat', () => {
  test('a repeat is due at once, and then at the last due time plus its interval', () => {
    const { look, tick } = repeating();
    expect(look(0)).toMatchObject({ due: T0, over: false, step: { status: 'running', tries: 0 } });
    expect(tick(4 * MINUTE)).toMatchObject({ tickOver: true, step: { tries: 0, wake: { at: iso(10 * MINUTE) } } });
    expect(look(9 * MINUTE)).toMatchObject({ due: null, step: { wake: { at: iso(10 * MINUTE) } } });
    expect(look(12 * MINUTE)).toMatchObject({ due: T0 + 10 * MINUTE });
    tick(13 * MINUTE);
    expect(look(13 * MINUTE)).toMatchObject({ due: null, step: { wake: { at: iso(20 * MINUTE) } } });
  });

  test('a repeat begins at its start', () => {
    const { look } = repeating({ startMs: T0 + 5 * MINUTE });
    expect(look(0)).toMatchObject({ due: null, step: { wake: { at: iso(5 * MINUTE) } } });
    expect(look(5 * MINUTE)).toMatchObject({ due: T0 + 5 * MINUTE });
  });

  test('a repeat that was away does what may still be done one by one, and skips the rest at once', () => {
    const { look, tick, ticks } = repeating({ timeoutMs: 25 * MINUTE });
    look(0);
    tick(0);
    // Due at 10 ... 990 meanwhile; those from 980 on may still begin.
    expect(look(1005 * MINUTE)).toMatchObject({ due: T0 + 980 * MINUTE });
    for (const at of [980, 990, 1000]) {
      expect(look(1005 * MINUTE).due).toBe(T0 + at * MINUTE);
      tick(1005 * MINUTE);
    }
    expect(look(1005 * MINUTE)).toMatchObject({ due: null, step: { ticks: { ran: 4, skipped: 97, failed: 0 } } });
    expect(ticks()).toEqual([
      { at: iso(0), status: 'completed', count: 1, tries: 1 },
      { at: iso(10 * MINUTE), status: 'skipped', count: 97, tries: 0 },
      ...[980, 990, 1000].map((at) => ({ at: iso(at * MINUTE), status: 'completed', count: 1, tries: 1 })),
    ]);
  });

  test('a repeat tries a tick again by its policy, and goes on with the next when that gives up', () => {
    const { look, tick, ticks } = repeating();
    look(0);
    expect(tick(0, failed('network'))).toMatchObject({ tickOver: false, step: { tries: 1, wake: { at: iso(1000) } } });
    expect(look(500)).toMatchObject({ due: null });
    expect(look(1000)).toMatchObject({ due: T0, step: { tries: 1 } });
    expect(tick(1000, failed('network'))).toMatchObject({
      over: false,
      tickOver: true,
      step: { tries: 0, ticks: { ran: 0, failed: 1 }, last_error: { class: 'network' } },
    });
    expect(ticks()).toEqual([{ at: iso(0), status: 'failed', count: 1, tries: 2 }]);
  });

  test('a repeat fails with a tick where that is asked for', () => {
    const { look, tick } = repeating({ failsByTick: true });
    look(0);
    tick(0, failed('x'));
    look(1000);
    expect(tick(1000, failed('x'))).toMatchObject({
      over: true,
      step: { status: 'failed', last_error: { class: 'x' } },
    });
  });

  test('a repeat counts each error class of a tick on its own', () => {
    const policy = coercePolicy(
      [
        { retry_on: ['network'], max_attempts: 4, base: 1 },
        { retry_on: ['declined'], max_attempts: 1 },
      ],
      STEP_RETRY_DEFAULT,
    );
    const { look, tick, ticks } = repeating({ policy });
    look(0);
    const ends = ['network', 'network.dns', 'network', 'declined'].map((name, i) => {
      look(i * 100);
      return tick(i * 100, failed(name));
    });
    expect(ends.map(({ tickOver }) => tickOver)).toEqual([false, false, false, true]);
    expect(ticks()).toMatchObject([{ status: 'failed', tries: 4 }]);
    expect(ends[2]?.step.retry_counts).toEqual({ network: 3 });
  });

  test('a repeat gives a tick up whose time is over while it waits for its next try', () => {
    const { look, tick, ticks } = repeating();
    look(0);
    tick(0, failed('network'));
    expect(look(11 * MINUTE)).toMatchObject({ tickOver: true, step: { ticks: { failed: 1, next: iso(10 * MINUTE) } } });
    expect(look(11 * MINUTE)).toMatchObject({ due: T0 + 10 * MINUTE });
    expect(ticks()).toMatchObject([{ at: iso(0), status: 'timed_out', tries: 1 }]);
  });

  test('a repeat is over after so many ticks that were not skipped', () => {
    const { look, tick } = repeating({ times: 2 });
    look(0);
    tick(0);
    expect(look(55 * MINUTE)).toMatchObject({ due: T0 + 50 * MINUTE });
    expect(tick(55 * MINUTE)).toMatchObject({
      over: true,
      step: { status: 'completed', result: { ran: 2, failed: 0, skipped: 4 } },
    });
  });

  test('a repeat does every tick once or counts it as skipped, whenever it is looked at', () => {
    const jump = fc.integer({ min: 0, max: 90 * MINUTE });
    fc.assert(
      fc.property(fc.array(jump, { minLength: 1, maxLength: 30 }), (jumps) => {
        const { look, tick, ticks } = repeating();
        let ms = 0;
        for (const later of jumps) {
          ms += later;
          while (look(ms).due !== null) tick(ms);
        }
        const covered = ticks().flatMap(({ at, count }) =>
          Array.from({ length: count }, (_, i) => Date.parse(at) - T0 + i * 10 * MINUTE),
        );
        const first = jumps[0] ?? 0;
        const due = Array.from(
          { length: Math.floor((ms - first) / (10 * MINUTE)) + 1 },
          (_, i) => first + i * 10 * MINUTE,
        );
        expect(covered).toEqual(due);
      }),
    );
  });
});

test.each([
  [{}, /say when to repeat/],
  [{ every: '1h', cron: '0 9 * * *' }, /say when to repeat/],
  [{ every: 'often' }, /every "often": expected a duration/],
  [{ every: '36h', tz: 'UTC' }, /"36h" is not a number of days/],
  [{ every: '1d', tz: 'Mars' }, /there is no time zone "Mars"/],
  [{ every: '1h', start: 'noon' }, /expected a time with its zone/],
  [{ every: '1h', times: 0 }, /times 0: expected a number from 1 on/],
  [{ cron: 'daily' }, /not a cron expression of five fields/],
])('a repeat of %j is refused', (written, message) => {
  expect(() => readRepeat(written)).toThrow(message);
});
