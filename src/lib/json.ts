/** Reads untrusted JSON. */

/** Limit of nested lists and objects; writing much deeper values would exhaust the stack. */
const MAX_DEPTH = 100;

/** More brackets than that many levels need. Nearly no record has them, so nearly none is walked. */
const MANY_BRACKETS = /^[^[{]*(?:[[{][^[{]*){101}/;

/** The value of `text`, or undefined when it is no JSON, or nested more than 100 deep. */
export function parseJson(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return MANY_BRACKETS.test(text) && isDeeperThan(MAX_DEPTH, value) ? undefined : value;
  } catch {
    return undefined;
  }
}

function isDeeperThan(levels: number, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((part) => isDeeperThan(levels - 1, part));
}
