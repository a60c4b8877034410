/** Durations and times as people write and read them. */

export const DAY_MS = 86_400_000;

/** Milliseconds in a unit of time. */
export const UNIT_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: DAY_MS };

/** A number of milliseconds in digits, or units from the largest down: `90s`, `1h30m`. */
export const DURATION_PATTERN = /^(?:\d+|(?=\d)(?:\d+d)?(?:\d+h)?(?:\d+m)?(?:\d+s)?(?:\d+ms)?)$/;

/**
 * Reads a duration: an integer in milliseconds (as a number or in digits) or digits with units, `500ms` `30s` `5m` `2h` `1d` `1h30m`.
 * Returns milliseconds, or null when it is neither.
 */
export function parseDuration(value: unknown): number | null {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : null;
  if (typeof value !== 'string' || !DURATION_PATTERN.test(value)) return null;
  if (/^\d+$/.test(value)) return parseDuration(Number(value));
  let sum = 0;
  for (const [, digits = '', unit = ''] of value.matchAll(/(\d+)([a-z]+)/g))
    sum += Number(digits) * (UNIT_MS[unit] ?? 0);
  return Number.isSafeInteger(sum) ? sum : null;
}

/** Milliseconds as `parseDuration` reads them, in the largest unit of which they are a whole number: `90s`, `2h`. */
export function durationText(ms: number): string {
  const unit = ['d', 'h', 'm', 's'].find((name) => ms > 0 && ms % (UNIT_MS[name] ?? 1) === 0) ?? 'ms';
  return `${ms / (UNIT_MS[unit] ?? 1)}${unit}`;
}

/** A duration for a person: `0.4s`, `12s`, `3m 05s`, `2h 10m`, `1d 4h`. */
export function formatDuration(ms: number): string {
  if (ms < 9_950) return `${(Math.max(0, ms) / 1000).toFixed(1)}s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m ${String(seconds % 60).padStart(2, '0')}s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}h ${String(minutes % 60).padStart(2, '0')}m`;
  return `${Math.floor(hours / 24)}d ${hours % 24}h`;
}

// The last time with a four-digit year: later ones would not sort as text, and much later ones are invalid dates.
const LAST_TIME_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** ISO 8601 in UTC with milliseconds, the only form of time in the state tree; never later than the end of the year 9999. */
export function isoTime(ms: number): string {
  return new Date(Math.min(LAST_TIME_MS, ms)).toISOString();
}

/** Whether it can be read as a time. */
export const isTime = (text: string): boolean => !Number.isNaN(fromIso(text));

/** Milliseconds since the epoch of an ISO 8601 time; NaN when it is not one. */
export function fromIso(time: string): number {
  return Date.parse(time);
}
