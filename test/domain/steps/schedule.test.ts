/** When a repeat is due, over the changes of clocks and over many missed ticks. */

import { describe, expect, test } from 'vitest';
import { cronSchedule, dailySchedule, everySchedule, type Schedule } from '../../../src/domain/steps/schedule.ts';
import fc from '../../support/properties.ts';

const BERLIN = 'Europe/Berlin';
const ms = Date.parse;
const iso = (at: number | null) => (at === null ? null : new Date(at).toISOString());

/** The first ticks from `from` on. */
function ticks(schedule: Schedule, from: string, count: number): (string | null)[] {
  const start = schedule.first(ms(from)) ?? 0;
  const found = [start];
  while (found.length < count) found.push(schedule.next(found.at(-1) ?? 0, start) ?? 0);
  return found.map(iso);
}

test.each<[string, Schedule, string, string[]]>([
  [
    'every 90 minutes',
    everySchedule(5_400_000),
    '2030-01-01T00:10:00Z',
    ['2030-01-01T00:10:00.000Z', '2030-01-01T01:40:00.000Z', '2030-01-01T03:10:00.000Z'],
  ],
  [
    'every day at the time of day of the first, over the beginning of summer time',
    dailySchedule(1, BERLIN),
    '2030-03-30T08:00:00Z',
    ['2030-03-30T08:00:00.000Z', '2030-03-31T07:00:00.000Z', '2030-04-01T07:00:00.000Z'],
  ],
  [
    'every day at a time that the clock skips once, and again at that time the day after',
    dailySchedule(1, BERLIN),
    '2030-03-30T01:30:00Z',
    ['2030-03-30T01:30:00.000Z', '2030-03-31T01:30:00.000Z', '2030-04-01T00:30:00.000Z'],
  ],
  [
    'every day at a time that the clock skips past midnight, and on that day too',
    dailySchedule(1, 'America/Nuuk'),
    '2026-03-28T01:30:00Z',
    ['2026-03-28T01:30:00.000Z', '2026-03-29T01:30:00.000Z', '2026-03-30T00:30:00.000Z'],
  ],
  [
    'every week over the end of summer time',
    dailySchedule(7, BERLIN),
    '2030-10-24T07:00:00Z',
    ['2030-10-24T07:00:00.000Z', '2030-10-31T08:00:00.000Z'],
  ],
  [
    'by cron in a zone, over the beginning of summer time',
    cronSchedule('0 9 * * *', BERLIN),
    '2030-03-30T00:00:00Z',
    ['2030-03-30T08:00:00.000Z', '2030-03-31T07:00:00.000Z', '2030-04-01T07:00:00.000Z'],
  ],
  [
    'by cron on weekdays',
    cronSchedule('30 6 * * 1-5', 'UTC'),
    '2030-01-04T06:30:00Z',
    ['2030-01-04T06:30:00.000Z', '2030-01-07T06:30:00.000Z'],
  ],
])('%s', (_, schedule, from, expected) => {
  expect(ticks(schedule, from, expected.length)).toEqual(expected);
});

describe('ticks that were missed', () => {
  const zone = fc.constantFrom(BERLIN, 'America/New_York', 'UTC', 'Asia/Kolkata', 'Australia/Lord_Howe');
  const schedule = fc.oneof(
    fc.integer({ min: 60_000, max: 10_000_000 }).map(everySchedule),
    fc.tuple(fc.integer({ min: 1, max: 8 }), zone).map(([days, where]) => dailySchedule(days, where)),
    fc
      .tuple(fc.constantFrom('*/30 * * * *', '15 3 * * *', '0 0 1 * *', '20 2,3 * * 0', '0 12 29 2 *'), zone)
      .map(([expression, where]) => cronSchedule(expression, where)),
  );
  const from = fc.integer({ min: ms('2029-09-01T00:00:00Z') / 60_000, max: ms('2031-01-01T00:00:00Z') / 60_000 });

  test('ticks that were missed are counted at once as they would be one by one', () => {
    fc.assert(
      fc.property(schedule, from, fc.integer({ min: 0, max: 40 * 1440 }), (made, minute, minutes) => {
        const start = made.first(minute * 60_000);
        if (start === null) return true;
        const end = start + minutes * 60_000;
        let [count, at]: [number, number | null] = [0, start];
        for (; at !== null && at < end; at = made.next(at, start)) count++;
        expect({ ...made.skip(start, end, start) }).toEqual({ count, next: at });
        return true;
      }),
      { numRuns: 60 },
    );
  });

  test('of a day that its zone has left out no tick is counted as missed', () => {
    // Samoa has had no 30 December 2011.
    const [start, end] = [ms('2011-12-27T19:00:00Z'), ms('2012-01-03T12:00:00Z')];
    for (const made of [dailySchedule(1, 'Pacific/Apia'), cronSchedule('0 9 * * *', 'Pacific/Apia')])
      expect(made.skip(start, end, start)).toEqual({ count: 7, next: ms('2012-01-03T19:00:00Z') });
  });

  test('ticks that were missed are counted in about the time of one, however many they are', () => {
    const [start, end] = [ms('2030-01-01T00:00:00Z'), ms('2030-01-01T00:00:00Z') + 100_000 * 60_000];
    for (const made of [everySchedule(60_000), cronSchedule('* * * * *', BERLIN)]) {
      expect(made.skip(start, end, start)).toEqual({ count: 100_000, next: end });
    }
  });
});

test('a cron expression that is none is refused, and a zone', () => {
  expect(() => cronSchedule('0 9 * *', 'UTC')).toThrow(/not a cron expression of five fields/);
  expect(() => cronSchedule('0 0 9 * * *', 'UTC')).toThrow(/not a cron expression of five fields/);
  expect(() => cronSchedule('0 9 * * *', 'Mars/Base')).toThrow(/no time zone "Mars\/Base"/);
  expect(() => dailySchedule(1, 'Nowhere')).toThrow(/no time zone/);
});

test('a cron expression that is never due is refused', () => {
  expect(() => cronSchedule('0 0 31 2 *', 'UTC')).toThrow(/"0 0 31 2 \*" is never due/);
});
