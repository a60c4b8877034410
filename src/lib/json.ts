/** Reads JSON. */

/** Limit of nested lists and objects in what others give. */
const MAX_LEVELS = 100;

/** The same of what forge keeps, in which such a value lies. Writing much deeper values would exhaust the stack. */
export const KEPT_LEVELS = 1000;

/** The value of `text`, or undefined when it is no JSON, or nested more than `levels` deep; default: 100. */
export function parseJson(text: string, levels = MAX_LEVELS): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return levels < Number.POSITIVE_INFINITY && isDeeperThan(levels, text) ? undefined : value;
  } catch {
    return undefined;
  }
}

/** Whether it is an object of JSON, a mapping of YAML. */
export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const [QUOTE, BACKSLASH, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x22, 0x5c, 0x5b, 0x5d, 0x7b, 0x7d];

/** Of a text that is JSON; its values may be many. */
export function isDeeperThan(levels: number, text: string): boolean {
  // Most texts have no more lists and objects than that. To go through one takes longer than to parse it: 250 KB at a start some 6 ms.
  const opened = ['[', '{'].reduce((sum, bracket) => sum + text.split(bracket, levels + 2).length - 1, 0);
  if (opened <= levels) return false;
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
