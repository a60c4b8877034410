/** Text on a grid of columns: how wide it is, cut or filled to a width, broken into lines. */

import { oneLine } from '../lib/text.ts';
import { COLOURS, COMMAND, isAsWritten, withLocalTimes } from './local-times.ts';

const ASCII = /^[\x20-\x7e]*$/;

/** Columns that `text` takes on a terminal; it must hold no colours. */
export function widthOf(text: string): number {
  if (ASCII.test(text)) return text.length;
  // Zero columns: combining marks and variation selectors. Two columns: East Asian wide and emoji. Source: Unicode UAX #11,
  // in ranges coarse enough for a table of task titles. In here, because making them takes long and most text is ASCII.
  const narrowest = /\p{M}|[\u{fe00}-\u{fe0f}]/u;
  const wide =
    /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}|[\u{1f300}-\u{1faff}]|[\u{20000}-\u{3fffd}]/u;
  let width = 0;
  for (const character of text) width += narrowest.test(character) ? 0 : wide.test(character) ? 2 : 1;
  return width;
}

/** `text` from somewhere else on one line, in at most `width` columns; broken between words unless one is long. */
export function cut(text: string, width: number): string {
  const flat = oneLine(text, 10_000);
  if (widthOf(flat) <= width) return flat;
  let kept = '';
  let used = 0;
  for (const character of flat) {
    used += widthOf(character);
    if (used > width - 1) break;
    kept += character;
  }
  const words = flat[kept.length] === ' ' ? kept : kept.slice(0, kept.lastIndexOf(' ') + 1);
  // A long word is broken all the same, where leaving it out would leave little.
  return `${(widthOf(words) > width / 2 ? words : kept).trimEnd()}…`;
}

/** The first of `texts`, from the longest on, that `width` columns have room for; the last of them cut where none fits. */
export function fitting(texts: readonly string[], width: number): string {
  return cut(texts.find((text) => widthOf(oneLine(text, 10_000)) <= width) ?? texts.at(-1) ?? '', width);
}

/** `text` in exactly `width` columns. */
export function pad(text: string, width: number): string {
  const short = cut(text, width);
  return short + ' '.repeat(Math.max(0, width - widthOf(short)));
}

/** `pad` for an id, cut in its middle: those of a matrix or a fan-out differ at their ends. */
export function padId(id: string, width: number): string {
  const tail = Math.floor((width - 1) / 2);
  const isLong = widthOf(id) > width && tail > 0;
  return pad(isLong ? `${id.slice(0, width - 1 - tail)}…${id.slice(-tail)}` : id, width);
}

/** The width of a column that holds all of `texts`, at most `max`. */
export function widest(max: number, texts: readonly string[]): number {
  return texts.reduce((width, text) => Math.max(width, Math.min(max, widthOf(oneLine(text, max + 1)))), 0);
}

/** The width of the column that shows `key` of the rows, at most `max`. */
export function columnOf<K extends PropertyKey>(max: number, rows: readonly Readonly<Record<K, string>>[], key: K) {
  const texts = rows.map((row) => row[key]);
  return widest(max, texts);
}

/** `text` broken at spaces into lines of at most `width` columns. A longer word stays whole, and so does a command in backquotes. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of oneLine(text, 10_000).match(/(?:`[^`]*`|[^\s`])+|`/g) ?? []) {
    if (line !== '' && widthOf(line) + 1 + widthOf(word) > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/** Columns that text has at least beside other text. */
const ROOM = 20;

/** `wrap`, with `first` (in a colour) before the first line and as much space before the others; below it where there is no room beside it. */
export function hang(first: string, given: string, width: number, colour = (plain: string) => plain): string[] {
  const indent = widthOf(first);
  // A time takes less room on the wall than in data.
  const text = isAsWritten(first) ? given : withLocalTimes(given, Date.now());
  const room = width - indent;
  // Text in a narrow column is hard to read.
  if (room < ROOM && widthOf(text) > room) {
    const below = ' '.repeat(widthOf(/^ */.exec(first)?.[0] ?? '') + 4);
    return [colour(first.trimEnd()), ...wrap(text, width - below.length).map((line) => below + line)];
  }
  const lines = wrap(text, Math.max(ROOM, room));
  return lines.map((line, i) => (i === 0 ? colour(first) : ' '.repeat(indent)) + line);
}

/**
 * The text with every line that is wider than the terminal broken between words; the rest of it is indented by 2 more. A longer word stays
 * whole, and so does a command.
 */
export function fold(text: string, width: number): string {
  const wide = (part: string) => widthOf(part.replaceAll(COLOURS, ''));
  const foldLine = (line: string): string => {
    if (wide(line) <= width || COMMAND.test(line.replaceAll(COLOURS, ''))) return line;
    const [, indent = '', rest = ''] = /^( *)(.*)$/.exec(line) ?? [];
    const lines: string[] = [];
    let last = '';
    for (const [, space = '', word = ''] of rest.matchAll(/( *)((?:`[^`]*`|[^ `])+|`)/g)) {
      if (last !== '' && wide(last + space + word) <= width) last += space + word;
      else {
        if (last !== '') lines.push(last);
        // A word that has too much before it begins further left.
        const before = Math.min(indent.length + (last === '' ? 0 : 2), width - wide(word));
        last = ' '.repeat(Math.max(0, before)) + word;
      }
    }
    return [...lines, last].join('\n');
  };
  return text.split('\n').map(foldLine).join('\n');
}

/** Those that have lines, with an empty line between them. */
export function paragraphs(parts: readonly (readonly string[])[]): string {
  const filled = parts.filter((lines) => lines.length > 0);
  return filled.map((lines) => lines.join('\n')).join('\n\n');
}
