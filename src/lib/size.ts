/** Sizes as people write them. */

/** Bytes in a unit, by its name in lower case and without the B. */
const UNIT_BYTES: Record<string, number> = {
  '': 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  ki: 2 ** 10,
  mi: 2 ** 20,
  gi: 2 ** 30,
};

/** A size as text; capitals do not matter. */
export const SIZE_PATTERN = /^\d{1,15} ?([kKmMgG]i?)?[bB]?$/;

/** As people read it: `3 B`, `14 kB`, `3.1 MB`, `11 GB`. */
export function sizeText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 999.5 && unit < units.length - 1; unit++) value /= 1000;
  return `${unit > 0 && value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** Bytes of `500kB`, `50MB`, `1GB`, `64KiB` or bare digits, as text or as a number; null for anything else. */
export function parseSize(value: unknown): number | null {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : null;
  if (typeof value !== 'string' || !SIZE_PATTERN.test(value)) return null;
  const [, digits = '', unit = ''] = /^(\d+) ?(.*)$/.exec(value) ?? [];
  const bytes = Number(digits) * (UNIT_BYTES[unit.toLowerCase().replace('b', '')] ?? Number.NaN);
  return Number.isSafeInteger(bytes) ? bytes : null;
}
