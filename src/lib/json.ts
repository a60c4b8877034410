/** Reads untrusted JSON. */

/** Limit of nested lists and objects; writing much deeper values would exhaust the stack. */
const MAX_DEPTH = 100;

/** The value of `text`, or undefined when it is no JSON, or nested more than 100 deep. */
export function parseJson(text: string): unknown {
  if (opensMoreThan(text, MAX_DEPTH) && isDeep(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Whether there are enough brackets for so many levels. Nearly no record has them, and counting is fast. */
function opensMoreThan(text: string, levels: number): boolean {
  let count = 0;
  for (const bracket of ['{', '[']) {
    for (let at = text.indexOf(bracket); at !== -1 && count <= levels; at = text.indexOf(bracket, at + 1)) count++;
  }
  return count > levels;
}

function isDeep(text: string): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const letter = text[at];
    if (letter === '"') at = endOfString(text, at);
    else if (letter === '[' || letter === '{') depth++;
    else if (letter === ']' || letter === '}') depth--;
    if (depth > MAX_DEPTH) return true;
  }
  return false;
}

/** Where the string that begins at `start` ends. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at;
}
