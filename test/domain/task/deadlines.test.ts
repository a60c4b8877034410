import { describe, expect, test } from 'vitest';
import { deadlineIn, dueAt, type Instant, msTooFar, msUntil } from '../../../src/domain/task/deadlines.ts';
import { isoTime } from '../../../src/lib/time.ts';
import fc from '../../support/properties.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const made: Instant = { nowMs: Date.UTC(2030, 0, 1), monoMs: 1_000, bootId: 'b1', host: 'mill' };

describe('msUntil', () => {
  test.each<[string, Instant, number]>([
    ['a moment later on the same boot', { ...made, nowMs: made.nowMs + 1_000, monoMs: 2_000 }, 3_000],
    ['with the clock set a year ahead', { ...made, nowMs: made.nowMs + 365 * DAY_MS, monoMs: 2_000 }, 3_000],
    ['with the clock set a year back', { ...made, nowMs: made.nowMs - 365 * DAY_MS, monoMs: 2_000 }, 3_000],
    ['on another boot', { nowMs: made.nowMs + 1_000, monoMs: 5, bootId: 'b2' }, 3_000],
    ['on another boot after it has passed', { nowMs: made.nowMs + DAY_MS, monoMs: 5, bootId: 'b2' }, 4_000 - DAY_MS],
    [
      'on another boot whose clock is a year behind',
      { nowMs: made.nowMs - 365 * DAY_MS, monoMs: 5, bootId: 'b2' },
      4_000,
    ],
    ['on a boot without an id whose clock is behind', { nowMs: made.nowMs - DAY_MS, monoMs: 5, bootId: '' }, 4_000],
    [
      'after a restart of its machine, whose clock was a year ahead before',
      { nowMs: made.nowMs - 365 * DAY_MS, monoMs: 3_000, bootId: 'b2', host: 'mill' },
      1_000,
    ],
    [
      'on another machine whose clock is a year behind',
      { nowMs: made.nowMs - 365 * DAY_MS, monoMs: 3_000, bootId: 'b2', host: 'barn' },
      4_000,
    ],
  ])('of a deadline in 4 s, %s', (_, now, left) => {
    const { at, clock } = deadlineIn(4_000, made);
    expect(msUntil(at, clock, now)).toBe(left);
  });

  test('msUntil is never more than the delay that the deadline was made from', () => {
    const times = fc.integer({ min: 0, max: 4_000_000_000_000 });
    const monotonic = fc.integer({ min: 1_000, max: 1_000_000_000 });
    fc.assert(
      fc.property(
        times,
        times,
        fc.integer({ min: 0, max: 10 * DAY_MS }),
        monotonic,
        fc.constantFrom('b1', 'b2', ''),
        (then, now, delay, monoMs, bootId) => {
          const { at, clock } = deadlineIn(delay, { ...made, nowMs: then });
          expect(msUntil(at, clock, { nowMs: now, monoMs, bootId })).toBeLessThanOrEqual(delay);
        },
      ),
    );
  });

  test('msUntil is what a person has made of the deadline', () => {
    const { clock } = deadlineIn(4_000, made);
    const at = new Date(made.nowMs + DAY_MS).toISOString();
    expect(msUntil(at, clock, made)).toBe(DAY_MS);
    expect(msTooFar(at, clock, made)).toBe(0);
  });
});

test('dueAt is the deadline as it is written, unless the clock was set since by more than a second', () => {
  const { at, clock } = deadlineIn(4_000, made);
  const setTo = (nowMs: number) => dueAt(at, clock, { ...made, nowMs });
  expect(setTo(made.nowMs + 900)).toBe(at);
  expect(setTo(made.nowMs - DAY_MS)).toBe(isoTime(made.nowMs - DAY_MS + 4_000));
  expect(setTo(made.nowMs + DAY_MS)).toBe(isoTime(made.nowMs + DAY_MS + 4_000));
});

test('msTooFar says by how much the clock was ahead when a deadline was written', () => {
  const { at, clock } = deadlineIn(4_000, made);
  expect(msTooFar(at, clock, made)).toBe(0);
  expect(msTooFar(at, clock, { ...made, nowMs: made.nowMs - DAY_MS })).toBe(DAY_MS);
  expect(msTooFar(at, { boot_id: 'b1', mono_ms: 1, expires_at: at }, { ...made, nowMs: 0 })).toBe(0);
});
