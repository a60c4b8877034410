import { describe, expect, test } from 'vitest';
import { nextEligibleAt } from '../../../src/domain/retry/next-try.ts';
import { type BackoffCurve, backoffMs } from '../../../src/domain/retry/retry.ts';
import fc from '../../support/properties.ts';

const NOW = Date.parse('2030-01-01T00:00:00.000Z');

describe('backoffMs', () => {
  const doubling = { baseMs: 1000, capMs: 30_000 };
  const cases: [string, BackoffCurve, number, number[]][] = [
    ['doubles up to the cap', doubling, 0, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]],
    ['another factor', { ...doubling, factor: 3 }, 0, [1000, 3000, 9000, 27_000, 30_000]],
    ['factor 1 is constant', { ...doubling, factor: 1 }, 0, [1000, 1000, 1000]],
    ['a broken ms is rounded down', { baseMs: 5, capMs: 100, factor: 1.5 }, 0, [5, 7, 11, 16]],
    ['a base of 0 never waits', { baseMs: 0, capMs: 30_000 }, 0, [0, 0, 0]],
    ['a base above the cap waits the cap', { baseMs: 5000, capMs: 1000 }, 0, [1000, 1000]],
    ['equal jitter at its least', { ...doubling, jitter: 'equal' }, 0, [500, 1000, 2000, 4000, 8000, 15_000]],
    ['equal jitter in the middle', { ...doubling, jitter: 'equal' }, 0.5, [750, 1500, 3000, 6000, 12_000, 22_500]],
    ['equal jitter near its most', { ...doubling, jitter: 'equal' }, 0.9999, [999, 1999, 3999, 7999, 15_999, 29_998]],
    ['full jitter at its least', { ...doubling, jitter: 'full' }, 0, [0, 0, 0]],
    ['full jitter in the middle', { ...doubling, jitter: 'full' }, 0.5, [500, 1000, 2000, 4000, 8000, 15_000]],
  ];
  test.each(cases)('backoffMs: %s', (_name, curve, draw, expected) => {
    expect(expected.map((_, index) => backoffMs(index + 1, curve, () => draw))).toEqual(expected);
  });

  test('backoffMs of an attempt whose power overflows is the cap', () => {
    expect(backoffMs(5000, doubling)).toBe(30_000);
    expect(backoffMs(5000, { baseMs: 0, capMs: 30_000 })).toBe(0);
  });

  test('backoffMs treats an attempt before the first as the first', () => {
    expect(backoffMs(0, doubling)).toBe(1000);
  });

  test('backoffMs refuses jitter without a random source', () => {
    expect(() => backoffMs(1, { ...doubling, jitter: 'equal' })).toThrow('equal jitter needs a random source');
  });

  const curves = fc.record({
    baseMs: fc.nat(10_000_000),
    capMs: fc.nat(10_000_000),
    factor: fc.double({ min: 1, max: 1000, noNaN: true }),
  });
  const draws = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  const attempts = fc.integer({ min: 1, max: 2000 });

  test('backoffMs without jitter never decreases and never exceeds the cap', () => {
    fc.assert(
      fc.property(curves, attempts, (curve, attempt) => {
        const delay = backoffMs(attempt, curve);
        expect(delay).toBeGreaterThanOrEqual(0);
        expect(delay).toBeLessThanOrEqual(curve.capMs);
        expect(backoffMs(attempt + 1, curve)).toBeGreaterThanOrEqual(delay);
      }),
    );
  });

  test('jitter only shortens a delay, and equal jitter keeps half', () => {
    fc.assert(
      fc.property(curves, attempts, draws, (curve, attempt, draw) => {
        const plain = backoffMs(attempt, curve);
        const equal = backoffMs(attempt, { ...curve, jitter: 'equal' }, () => draw);
        const full = backoffMs(attempt, { ...curve, jitter: 'full' }, () => draw);
        expect([equal, full].every(Number.isSafeInteger)).toBe(true);
        expect(equal).toBeGreaterThanOrEqual(Math.floor(plain / 2));
        expect(equal).toBeLessThanOrEqual(plain);
        expect(full).toBeGreaterThanOrEqual(0);
        expect(full).toBeLessThanOrEqual(plain);
      }),
    );
  });
});

describe('nextEligibleAt', () => {
  test('nextEligibleAt adds the delay', () => {
    expect(nextEligibleAt(NOW, 1500)).toBe('2030-01-01T00:00:01.500Z');
  });
  test('nextEligibleAt is limited to the calendar', () => {
    expect(nextEligibleAt(NOW, Number.MAX_SAFE_INTEGER)).toBe('9999-12-31T23:59:59.999Z');
  });
});
