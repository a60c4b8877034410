import { describe, expect, test } from 'vitest';
import { parseRetryAfter, thrownRetryAfter } from '../../../src/domain/retry/retry-after.ts';

const NOW = Date.parse('2030-01-01T00:00:00.000Z');

describe('a time to try again', () => {
  test.each<[text: string, delayMs: number]>([
    ['120', 120_000],
    ['0', 0],
    ['1893456037', 37_000],
    ['1.5', 1500],
    [' 90s\n', 90_000],
    ['1h30m', 5_400_000],
    ['250ms', 250],
    ['90 s', 90_000],
    ['20 seconds', 20_000],
    ['5 Minutes', 300_000],
    ['1 hour and 5 mins', 3_900_000],
    ['1 day, 2 hrs', 93_600_000],
    ['1m26.4s', 86_400],
    ['500 milliseconds', 500],
    ['2030-01-01T00:01:00Z', 60_000],
    ['2030-01-01 00:01:00.500Z', 60_500],
    ['2030-01-01T01:01:00+01:00', 60_000],
    ['2029-12-31', -86_400_000],
    ['Tue, 01 Jan 2030 00:00:37 GMT', 37_000],
    ['Tuesday, 01-Jan-30 00:00:37 GMT', 37_000],
    ['Tue Jan  1 00:00:37 2030', 37_000],
  ])('is read from %j', (text, delayMs) => {
    expect(parseRetryAfter(text, NOW)).toBe(NOW + delayMs);
  });

  test.each([
    '',
    'soon',
    '-5',
    '1e3',
    '5 months',
    '5 minutes or so',
    'in 5 minutes',
    'and 5 s',
    '2030-13-01',
    '2030-01',
    'Tue, 41 Jan 2030 00:00:37 GMT',
    '1\n2',
  ])('is not read from %j', (text) => {
    expect(parseRetryAfter(text, NOW)).toBeNull();
  });

  test.each<[what: string, thrown: unknown, delayMs: number | undefined]>([
    ['milliseconds', { retryAfter: 1500 }, 1500],
    ['the name in lower case', { retry_after: 1500 }, 1500],
    ['a duration', { retryAfter: '90s' }, 90_000],
    ['the text of a header', { retryAfter: '120' }, 120_000],
    ['a time', { retryAfter: '2030-01-01T00:01:00Z' }, 60_000],
    ['a Date', Object.assign(new Error('no'), { retryAfter: new Date(NOW + 5) }), 5],
    ['a Date that is none', { retryAfter: new Date(Number.NaN) }, undefined],
    ['other text', { retryAfter: 'soon' }, undefined],
    ['a negative number', { retryAfter: -1 }, undefined],
    ['not a number', { retryAfter: Number.NaN }, undefined],
    ['nothing', { retryAfter: null }, undefined],
    ['an error without it', new Error('no'), undefined],
    ['null', null, undefined],
    ['text', 'retryAfter', undefined],
  ])('of what was thrown is read from %s', (_what, thrown, delayMs) => {
    expect(thrownRetryAfter(thrown, NOW)).toBe(delayMs === undefined ? undefined : NOW + delayMs);
  });
});
