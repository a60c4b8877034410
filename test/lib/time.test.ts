import { describe, expect, test } from 'vitest';
import { formatDuration, fromIso, isoTime, parseDuration } from '../../src/lib/time.ts';
import fc from '../support/properties.ts';

describe('parseDuration', () => {
  test.each<[unknown, number]>([
    [0, 0],
    [1500, 1500],
    ['0', 0],
    ['1500', 1500],
    ['500ms', 500],
    ['30s', 30_000],
    ['5m', 300_000],
    ['2h', 7_200_000],
    ['1d', 86_400_000],
    ['0s', 0],
    ['007s', 7000],
    ['1h30m', 5_400_000],
    ['1m30s', 90_000],
    ['2d12h', 216_000_000],
    ['1d2h3m4s5ms', 93_784_005],
    ['0h5m', 300_000],
    [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
    ['9007199254740991ms', Number.MAX_SAFE_INTEGER],
  ])('parseDuration reads %j as %i ms', (value, ms) => {
    expect(parseDuration(value)).toBe(ms);
  });

  test.each<[unknown]>([
    [-1],
    [1.5],
    [Number.NaN],
    [Number.POSITIVE_INFINITY],
    [2 ** 53],
    [''],
    ['-5s'],
    ['+5s'],
    ['1.5s'],
    ['5 s'],
    [' 5s'],
    ['5s\n'],
    ['5S'],
    ['5w'],
    ['s'],
    ['30m1h'],
    ['1h30'],
    ['1h1h'],
    ['1h 30m'],
    ['104249991d24h'],
    ['1e3'],
    ['0x10'],
    ['9007199254740992ms'],
    ['104249992d'],
    ['٣s'],
    [null],
    [undefined],
    [true],
    [['5s']],
  ])('parseDuration refuses %j', (value) => {
    expect(parseDuration(value)).toBeNull();
  });

  test('parseDuration multiplies by the unit', () => {
    const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
    const unit = fc.constantFrom(...(Object.keys(units) as (keyof typeof units)[]));
    fc.assert(
      fc.property(fc.nat(10_000_000), unit, (count, name) => {
        expect(parseDuration(`${count}${name}`)).toBe(count * units[name]);
      }),
    );
  });
});

describe('formatDuration', () => {
  test.each([
    [-5, '0.0s'],
    [0, '0.0s'],
    [49, '0.0s'],
    [50, '0.1s'],
    [400, '0.4s'],
    [1234, '1.2s'],
    [9_949, '9.9s'],
    [9_950, '10s'],
    [12_000, '12s'],
    [59_499, '59s'],
    [59_500, '1m 00s'],
    [185_000, '3m 05s'],
    [3_599_499, '59m 59s'],
    [3_599_500, '1h 00m'],
    [7_800_000, '2h 10m'],
    [86_399_000, '23h 59m'],
    [86_400_000, '1d 0h'],
    [100_800_000, '1d 4h'],
  ])('formatDuration shows %i ms as %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });

  test('formatDuration is never off by more than half of the smallest unit shown', () => {
    const unitMs: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
    fc.assert(
      fc.property(fc.nat(40 * 86_400_000), (ms) => {
        const parts = [...formatDuration(ms).matchAll(/([\d.]+)([smhd])/g)];
        const read = parts.reduce(
          (sum, [, count, unit]) => sum + Number(count) * (unitMs[unit ?? ''] ?? Number.NaN),
          0,
        );
        const smallest = unitMs[parts.at(-1)?.[2] ?? ''] ?? Number.NaN;
        expect(read - ms).toBeLessThanOrEqual(500);
        expect(ms - read).toBeLessThan(smallest + 500);
      }),
    );
  });
});

describe('ISO times', () => {
  test('isoTime writes UTC with milliseconds', () => {
    expect(isoTime(0)).toBe('1970-01-01T00:00:00.000Z');
    expect(isoTime(1_893_456_000_001)).toBe('2030-01-01T00:00:00.001Z');
  });

  test('fromIso reads what isoTime wrote, and the texts sort by time', () => {
    const moment = fc.integer({ min: 0, max: Date.UTC(9999, 11, 31) });
    fc.assert(
      fc.property(moment, moment, (a, b) => {
        expect(fromIso(isoTime(a))).toBe(a);
        expect(Math.sign(isoTime(a) < isoTime(b) ? -1 : isoTime(a) > isoTime(b) ? 1 : 0)).toBe(Math.sign(a - b));
      }),
    );
  });

  test.each([253_402_300_800_000, 8.64e15 + 1, Number.MAX_SAFE_INTEGER, Number.POSITIVE_INFINITY])(
    'isoTime is limited to the year 9999: %d',
    (ms) => {
      expect(isoTime(ms)).toBe('9999-12-31T23:59:59.999Z');
    },
  );

  test.each(['', 'soon', '2030-13-01T00:00:00Z'])('fromIso of %j is not a time', (text) => {
    expect(fromIso(text)).toBeNaN();
  });

  test('fromIso reads other time zones', () => {
    expect(fromIso('2030-01-01T02:00:00+02:00')).toBe(Date.UTC(2030, 0, 1));
  });
});
