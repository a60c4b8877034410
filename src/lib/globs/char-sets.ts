/** Sets of characters in globs. */

/** Code points as pairs of first and last, ascending, none touching the next. */
export type CharSet = readonly (readonly [first: number, last: number])[];

const SLASH = 0x2f;
const LAST = 0x10ffff;

export const NOT_SLASH: CharSet = [
  [1, SLASH - 1],
  [SLASH + 1, LAST],
];
export const ANY: CharSet = [[1, LAST]];

export function codeOf(char: string): number {
  return char.codePointAt(0) ?? 0;
}

export function single(char: string): CharSet {
  return [[codeOf(char), codeOf(char)]];
}

function isOne(set: CharSet): set is readonly [readonly [number, number]] {
  const [first] = set;
  return set.length === 1 && first !== undefined && first[0] === first[1];
}

/** The only character of a set; null when it has several. */
export function onlyOne(set: CharSet): string | null {
  return isOne(set) ? String.fromCodePoint(set[0][0]) : null;
}

export function merged(ranges: readonly (readonly [number, number])[]): CharSet {
  const result: [number, number][] = [];
  for (const [first, last] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const before = result.at(-1);
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else result.push([first, last]);
  }
  return result;
}

export function complement(set: CharSet): CharSet {
  const result: [number, number][] = [];
  let from = 1;
  for (const [first, last] of set) {
    if (first > from) result.push([from, first - 1]);
    from = last + 1;
  }
  return from <= LAST ? [...result, [from, LAST]] : result;
}

const NOTHING: CharSet = [];

export function intersection(a: CharSet, b: CharSet): CharSet {
  if (a === b || b === ANY) return a;
  if (a === ANY) return b;
  // Most have one character, and need no new set.
  if (isOne(a)) return holds(b, a[0][0]) ? a : NOTHING;
  if (isOne(b)) return holds(a, b[0][0]) ? b : NOTHING;
  const result: [number, number][] = [];
  for (const [first, last] of a) {
    for (const [other, end] of b) {
      const [low, high] = [Math.max(first, other), Math.min(last, end)];
      if (low <= high) result.push([low, high]);
    }
  }
  return result;
}

export function holds(set: CharSet, code: number): boolean {
  for (const [first, last] of set) if (first <= code && code <= last) return true;
  return false;
}

/** A sample character for people, a letter if there is one. */
export function sample(set: CharSet): number {
  if (isOne(set)) return set[0][0];
  for (const [low, high] of [
    [0x61, 0x7a],
    [0x41, 0x5a],
    [0x30, 0x39],
    [0x21, 0x7e],
  ] as const) {
    const [found] = intersection(set, [[low, high]]);
    if (found !== undefined) return found[0];
  }
  return set[0]?.[0] ?? 0;
}
