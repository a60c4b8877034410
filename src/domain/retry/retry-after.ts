/** When a failure says that it may be tried again, in the forms that programs write. Pure. */

import { thrownField } from '../../lib/errors.ts';
import { fromIso, parseDuration, UNIT_MS } from '../../lib/time.ts';

const SECONDS = /^\d{1,15}(?:\.\d{1,9})?$/;
/** From here on seconds are a Unix time, as in X-RateLimit-Reset: as a delay they would be 31 years. */
const UNIX_TIME_FROM = 1e9;

/** A date, or a date and a time of day. */
const ISO_TIME = /^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?$/;

/** The three forms of RFC 9110, 5.6.7; of the last one GMT is not written. */
const HTTP_DATES = [
  /^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/,
  /^[A-Z][a-z]+day, \d\d-[A-Z][a-z]{2}-\d\d \d\d:\d\d:\d\d GMT$/,
  /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}$/,
];

/** As services word it: `20 seconds`, `1 hour and 5 minutes`, `1m26.4s`. */
const WORDED =
  /(\d{1,15}(?:\.\d{1,9})?)\s*(ms|s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:(?:ou)?rs?)?|d(?:ays?)?|milliseconds?)(?![a-z])[\s,]*(?:and\s+)?/giy;

export const RETRY_AFTER_FORMS =
  'seconds (120), a duration (90s, 1h30m, 5 minutes), an ISO 8601 time, a Unix time or a date of HTTP';

/** Milliseconds since the epoch of `RETRY_AFTER_FORMS`; null for any other text. */
export function parseRetryAfter(text: string, nowMs: number): number | null {
  const said = text.trim();
  if (SECONDS.test(said)) {
    const ms = Math.round(Number(said) * 1000);
    return Number(said) < UNIX_TIME_FROM ? nowMs + ms : ms;
  }
  const delayMs = parseDuration(said) ?? wordedMs(said);
  if (delayMs !== null) return nowMs + delayMs;
  const isHttp = HTTP_DATES.some((form) => form.test(said));
  if (!isHttp && !ISO_TIME.test(said)) return null;
  const atMs = fromIso(isHttp && !said.endsWith('GMT') ? `${said} GMT` : said);
  return Number.isNaN(atMs) ? null : atMs;
}

function wordedMs(said: string): number | null {
  const parts = [...said.matchAll(WORDED)];
  if (parts.length === 0 || parts.map(([all]) => all).join('') !== said) return null;
  const each = parts.map(([, count, unit = '']) => {
    const isMs = /^m(s$|illi)/i.test(unit);
    return Number(count) * (isMs ? 1 : (UNIT_MS[unit.charAt(0).toLowerCase()] ?? Number.NaN));
  });
  return Math.round(each.reduce((sum, ms) => sum + ms, 0));
}

/** The same of what was thrown: its field `retryAfter` or `retry_after`, text, a Date or milliseconds from `nowMs` on. undefined: it has none of these. */
export function thrownRetryAfter(thrown: unknown, nowMs: number): number | undefined {
  if (typeof thrown !== 'object' || thrown === null) return undefined;
  const retry_after = thrownField(thrown, 'retry_after') ?? thrownField(thrown, 'retryAfter');
  if (typeof retry_after === 'string') return parseRetryAfter(retry_after, nowMs) ?? undefined;
  const atMs = retry_after instanceof Date ? retry_after.getTime() : nowMs + delayOf(retry_after);
  return Number.isNaN(atMs) ? undefined : atMs;
}

function delayOf(value: unknown): number {
  return typeof value === 'number' && value >= 0 ? value : Number.NaN;
}
