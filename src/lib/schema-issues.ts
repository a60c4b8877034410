/** Issues of a zod schema in plain words, and the paths and values that they are about. */

import type * as z from 'zod/mini';
import { oneLine } from './text.ts';

/** From the root of a value to a part of it. */
type Path = readonly (string | number)[];

/** A path as people write it: `agents.question_budget.soft`, `depends_on[0]`. */
export function pathText(path: Path): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`;
    return text === '' ? key : `${text}.${key}`;
  }, '');
}

/** The value at a path, undefined when there is none. */
export function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((part, key) => {
    const inside = typeof part === 'object' && part !== null && Object.hasOwn(part, key);
    return inside ? (part as Record<string | number, unknown>)[key] : undefined;
  }, value);
}

/** The list at a key; empty where there is none. */
export function listAt(value: unknown, key: string): unknown[] {
  const list = valueAt(value, [key]);
  return Array.isArray(list) ? list : [];
}

/** A value from YAML in words: `text "a"`, `the number 5`, `a list`, `nothing`. */
export function inWords(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (typeof value === 'string') return `text ${JSON.stringify(oneLine(value, 40))}`;
  if (typeof value === 'number') return `the number ${value}`;
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'a mapping' : String(value);
}

/** Passed to `safeParse` so that an empty message marks an issue without its own words. */
export const WITHOUT_WORDS = { error: () => '' };

/** The first issue of `value`, with its place in front; parsed with WITHOUT_WORDS. */
export function issueText([issue]: readonly z.core.$ZodIssue[], value: unknown): string {
  if (issue === undefined) return 'invalid';
  const path = issue.path.filter((key) => typeof key !== 'symbol');
  const at = path.length === 0 ? '' : `${pathText(path)}: `;
  return `${at}${issue.message === '' ? sentence(issue, valueAt(value, path)) : issue.message}`;
}

/** What is wrong with `found`, without its place. */
export function sentence(issue: z.core.$ZodIssue, found: unknown): string {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${typeWord(issue.expected)}, found ${inWords(found)}`;
    case 'invalid_value':
      return `expected ${orList(issue.values.map(String))}, found ${inWords(found)}`;
    case 'too_small':
      if (issue.origin === 'string') return 'may not be empty';
      return issue.origin === 'array' && issue.minimum === 1
        ? 'may not be an empty list'
        : `expected ${issue.minimum} or more, found ${inWords(found)}`;
    case 'too_big':
      return `expected ${issue.maximum} or less, found ${inWords(found)}`;
    default:
      return `${inWords(found)} is not valid here`;
  }
}

export function typeWord(expected: string): string {
  const words: Record<string, string> = {
    string: 'text',
    number: 'a number',
    int: 'a whole number',
    array: 'a list',
    object: 'a mapping',
    record: 'a mapping',
    boolean: 'true or false',
    null: 'nothing',
  };
  return words[expected] ?? expected;
}

export function orList(words: readonly string[]): string {
  const unique = [...new Set(words)];
  return unique.length < 2 ? unique.join('') : `${unique.slice(0, -1).join(', ')} or ${unique.at(-1)}`;
}
