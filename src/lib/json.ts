/** Reads untrusted JSON. */

/** Limit of nested lists and objects; writing much deeper values would exhaust the stack. */
const MAX_DEPTH = 100;

/** Whether `text` has more brackets than that many levels need. Nearly no record has, so nearly none is walked. */
function hasManyBrackets(text: string): boolean {
  let left = MAX_DEPTH;
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if ((char === OPEN_LIST || char === OPEN_OBJECT) && --left < 0) return true;
  }
  return false;
}

const OPEN_LIST = 0x5b;
const OPEN_OBJECT = 0x7b;

/** The value of `text`, or undefined when it is not JSON, or nested more than 100 deep. */
export function parseJson(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return hasManyBrackets(text) && isDeeperThan(MAX_DEPTH, value) ? undefined : value;
  } catch {
    return undefined;
  }
}

function isDeeperThan(levels: number, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((part) => isDeeperThan(levels - 1, part));
}
