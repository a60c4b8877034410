/**
 * Regular expressions that a project brings along, in the syntax of RE2: a search takes time in proportion to the text, so
 * nothing that a worker prints can stop the process that looks at it. `spec/RETRY.md` says what may be written.
 */

import type * as re2js from 're2js';
import { once } from './once.ts';

/** In UTF-16 units; bounds what compiling costs. */
const MAX_LENGTH = 1000;

/** Steps of a compiled pattern: what a character of the text can cost. `.{0,100}` has about 200. */
const MAX_STEPS = 1000;

// Loaded by the first pattern, and so is what loads it: few projects have one, and loading takes longer than most verbs.
const engine = once(
  () => process.getBuiltinModule('node:module').createRequire(import.meta.filename)('re2js') as typeof re2js,
);

/** True when `pattern` matches anywhere in `text`; `^` and `$` match at every line. Throws for a pattern with a fault. */
export function matchesIn(pattern: string, text: string): boolean {
  const { RE2JS } = engine();
  return RE2JS.compile(pattern, RE2JS.MULTILINE).test(text);
}

/** What the named group of `pattern` has matched, where it matches last in `text`; null for nothing, and where it has no such group. */
export function lastGroupIn(pattern: string, name: string, text: string): string | null {
  if (!pattern.includes(`<${name}>`)) return null;
  const { RE2JS } = engine();
  const matcher = RE2JS.compile(pattern, RE2JS.MULTILINE).matcher(text);
  let last: string | null = null;
  while (matcher.find()) last = matcher.group(name) ?? last;
  return last;
}

/** What is wrong with a pattern, as the rest of a sentence about it; null when it can be used. */
export function patternFault(pattern: string): string | null {
  if (pattern.length > MAX_LENGTH) return `is longer than ${MAX_LENGTH} characters`;
  const { RE2JS, RE2JSSyntaxException } = engine();
  try {
    const steps = RE2JS.compile(pattern).programSize();
    return steps <= MAX_STEPS ? null : `repeats too much: it takes ${steps} steps, and ${MAX_STEPS} are allowed`;
  } catch (error) {
    if (!(error instanceof RE2JSSyntaxException)) throw error;
    return syntaxFault(error.getDescription(), error.getPattern() ?? pattern);
  }
}

/** JavaScript has two things that no search in linear time can have; they are named as what they are. */
function syntaxFault(description: string, part: string): string {
  const [lookAround] = /^\(\?<?[=!]/.exec(part) ?? [];
  if (lookAround !== undefined) return `uses look-around (${lookAround}), which RE2 does not have`;
  if (/^\\[1-9k]/.test(part)) return `uses a back-reference (${part}), which RE2 does not have`;
  return `is not a regular expression that RE2 can read: ${description}: ${part}`;
}
