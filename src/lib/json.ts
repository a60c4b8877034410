/** Reads JSON. */

/** Limit of nested lists and objects; writing much deeper values would exhaust the stack. */
const MAX_DEPTH = 100;

/** The value of a text of anyone, or undefined when it is no JSON, or nested more than 100 deep. */
export function parseJson(text: string): unknown {
  const value = parseOwn(text);
  return value === undefined || isDeeperThan(MAX_DEPTH, text) ? undefined : value;
}

/** The value of a text that a checksum shows to be forge's own, or undefined when it is no JSON. A step may have kept what is nested deep. */
export function parseOwn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const [QUOTE, BACKSLASH, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x22, 0x5c, 0x5b, 0x5d, 0x7b, 0x7d];

/** Of a text that is JSON; its values may be many. Without code that V8 has compiled, 250 KB take some 6 ms. */
function isDeeperThan(levels: number, text: string): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (char === QUOTE) at = endOfString(text, at);
    else if (char === OPEN_LIST || char === OPEN_OBJECT) depth++;
    else if (char === CLOSE_LIST || char === CLOSE_OBJECT) depth--;
    if (depth > levels) return true;
  }
  return false;
}

/** Index of the quote that ends the string which begins at `start`. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  for (let char = text.charCodeAt(at); char !== QUOTE; char = text.charCodeAt(at)) at += char === BACKSLASH ? 2 : 1;
  return at;
}
