/** Times as a person has them on the wall. Data and JSON stay in UTC. */

import { isTime } from '../lib/time.ts';

// With milliseconds, as forge writes them all: times of a person in a title or a question hardly have these. In backquotes stands a command, in quotes what was written: both stay as they are, and so does a time within a name.
const TIMES = /`[^`]*`|"[^"]*"|(?<![\w.:/-])\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z(?![.:/-]?\w)/g;

/** A command to copy, on a line of its own: it stays as it is, and on one line, since a newline would run the first half of it. */
export const COMMAND = /^[ $]*(?:(?:npx )?forge[ -]|cd )/;

/** Colours, which take no columns. */
export const COLOURS = /\x1b\[[\d;]*m/g;

/** What begins a line, and those below it that are further right, in which all is as it was written: what a task runs, and the output of a worker. */
const AS_WRITTEN = /^ *(?:\$ |│|(?:runs|verified by) {2,}|\S+ +\| )/;

export function isAsWritten(line: string): boolean {
  return AS_WRITTEN.test(line.replaceAll(COLOURS, ''));
}

/** `text` with each time as forge writes it, ISO 8601 in UTC with milliseconds, in the zone of this process: `14:05:18` where that is today, else with its date. */
export function withLocalTimes(text: string, nowMs: number): string {
  if (!text.includes('Z')) return text;
  // No time of any day, or no time alone.
  const isNone = (found: string) => !isTime(found);
  const local = (found: string) => (isNone(found) ? found : localTime(new Date(found), new Date(nowMs)));
  let written = Number.POSITIVE_INFINITY;
  const shown = (line: string) => {
    const indent = line.length - line.trimStart().length;
    if (indent > written) return line;
    written = isAsWritten(line) ? indent : Number.POSITIVE_INFINITY;
    return written === indent || COMMAND.test(line) ? line : line.replace(TIMES, local);
  };
  return text.split('\n').map(shown).join('\n');
}

function localTime(at: Date, now: Date): string {
  const two = (part: number) => String(part).padStart(2, '0');
  const date = (day: Date) => `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}`;
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return date(at) === date(now) ? time : `${date(at)} ${time}`;
}
