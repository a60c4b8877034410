/**
 * Adds to the text of a JSON file, and takes away again, without touching any other byte. What is added is the last of its object or
 * list. In an object or a list that was empty before, an empty line stands first: by that it is known later that it was there.
 */

import { parseJson } from './json.ts';

/** Where a value stands in a text. */
export interface Place {
  start: number;
  end: number;
  /** How many objects and lists are around it. */
  depth: number;
  kind: 'object' | 'list' | 'other';
  /** Of an object or a list. */
  members: Member[];
}

interface Member {
  /** Null in a list. */
  key: string | null;
  /** Where its key begins; in a list its value. */
  start: number;
  value: Place;
}

/** UTF-8's mark, in a text of one character a byte. */
const BOM = '\u00ef\u00bb\u00bf';

/** The places in a JSON text; null when it is none. */
export function placesIn(text: string): Place | null {
  let at = text.startsWith(BOM) ? BOM.length : 0;
  return parseJson(text.slice(at)) === undefined ? null : value(0);

  function value(depth: number): Place {
    skip();
    const start = at;
    const first = text[start];
    if (first !== '{' && first !== '[') {
      take(/"(?:[^"\\]|\\.)*"|[^\s,\]}]+/y);
      return { start, end: at, depth, kind: 'other', members: [] };
    }
    at++;
    const members: Member[] = [];
    for (skip(); !/[\]}]/.test(text[at] ?? '}'); skip()) {
      const begin = at;
      members.push({ key: first === '[' ? null : keyHere(), start: begin, value: value(depth + 1) });
    }
    at++;
    return { start, end: at, depth, kind: first === '{' ? 'object' : 'list', members };
  }

  function keyHere(): string {
    const key = JSON.parse(take(/"(?:[^"\\]|\\.)*"/y)) as string;
    skip();
    return key;
  }

  /** What stands between values. */
  function skip(): void {
    take(/[\s,:]*/y);
  }

  function take(pattern: RegExp): string {
    pattern.lastIndex = at;
    const [found = ''] = pattern.exec(text) ?? [];
    at += found.length;
    return found;
  }
}

/** The value of the last member of that key, which is the one that counts. */
export function memberOf({ members }: Place, key: string): Place | null {
  return members.findLast((member) => member.key === key)?.value ?? null;
}

export function valueAt(text: string, { start, end }: Pick<Place, 'start' | 'end'>): unknown {
  return parseJson(text.slice(start, end));
}

/** The line ends of a text, and one step of its indentation. */
export interface Style {
  eol: string;
  unit: string;
}

export function styleOf(text: string): Style {
  return { eol: /^[^\n]*\r\n/.test(text) ? '\r\n' : '\n', unit: /\n([ \t]+)\S/.exec(text)?.[1] ?? '  ' };
}

/** `text` with `value` as the last of `into`; `key` in an object. */
export function withLast(text: string, into: Place, key: string | null, value: unknown, { eol, unit }: Style): string {
  const indent = unit.repeat(into.depth + 1);
  const lines = JSON.stringify(value, null, unit).split('\n');
  const added = `${key === null ? '' : `${JSON.stringify(key)}: `}${lines.join(`${eol}${indent}`)}`;
  const before = into.members.at(-1)?.value.end;
  if (before !== undefined) return `${text.slice(0, before)},${eol}${indent}${added}${text.slice(before)}`;
  const open = into.start + 1;
  return `${text.slice(0, open)}${eol}${eol}${indent}${added}${eol}${unit.repeat(into.depth)}${text.slice(open)}`;
}

/** Whether it was there, and empty, when something was added to it. */
export function wasEmpty(text: string, { kind, start }: Place): boolean {
  return kind !== 'other' && /^\r?\n\r?\n/.test(text.slice(start + 1, start + 5));
}

/** `text` with another value in this place. */
export function withValue(text: string, at: Place, value: unknown, { eol, unit }: Style): string {
  const lines = JSON.stringify(value, null, unit).split('\n');
  return text.slice(0, at.start) + lines.join(`${eol}${unit.repeat(at.depth)}`) + text.slice(at.end);
}

/** `text` without a member of `from`, and what `withLast` put around it. */
export function withoutMember(text: string, from: Place, index: number): string {
  const { eol } = styleOf(text);
  const [before, member, after] = [from.members[index - 1], from.members[index], from.members[index + 1]];
  if (member === undefined) return text;
  const { end } = member.value;
  if (before !== undefined) return text.slice(0, before.value.end) + text.slice(end);
  if (after !== undefined) return text.slice(0, member.start) + text.slice(after.start);
  const indent = /[ \t]*$/.exec(text.slice(0, member.start))?.[0] ?? '';
  const close = `${eol}${indent.slice(0, (indent.length / (from.depth + 1)) * from.depth)}`;
  const rest = text.slice(end);
  return text.slice(0, from.start + 1) + (rest.startsWith(close) ? rest.slice(close.length) : rest);
}
