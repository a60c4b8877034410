/** Times as a person has them on the wall. Data and JSON stay in UTC. */

import { isTime } from '../lib/time.ts';

// In backquotes stands a command, in quotes what was written: both stay as they are, and so does a time within a name.
const TIMES = /`[^`]*`|"[^"]*"|(?<![\w.:/-])\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z(?![.:/-]?\w)/g;

/** A command to copy, on a line of its own: it stays as it is, and on one line, since a newline would run the first half of it. */
export const COMMAND = /^[ $]*(?:forge|cd) /;

/** `text` with each ISO 8601 time in UTC in the zone of this process: `14:05:18` where that is today, else with its date. */
export function withLocalTimes(text: string, nowMs: number): string {
  if (!text.includes('Z')) return text;
  // No time of any day, or no time alone.
  const isNone = (found: string) => !isTime(found);
  const local = (found: string) => (isNone(found) ? found : localTime(new Date(found), new Date(nowMs)));
  return text
    .split('\n')
    .map((line) => (COMMAND.test(line) ? line : line.replace(TIMES, local)))
    .join('\n');
}

function localTime(at: Date, now: Date): string {
  const two = (part: number) => String(part).padStart(2, '0');
  const date = (day: Date) => `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}`;
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return date(at) === date(now) ? time : `${date(at)} ${time}`;
}
