/** The sections that forge adds to AGENTS.md and CLAUDE.md, between two lines that mark them. */

import { shippedText } from './build.ts';

export const AGENTS_FILE = 'AGENTS.md';
export const CLAUDE_FILE = 'CLAUDE.md';

type Eol = '\n' | '\r\n';

/** A section with these line ends, including the last line's. It is ASCII, so that it fits into any encoding but UTF-16. */
export type Section = (eol: Eol) => string;

/** Of AGENTS.md: how an agent takes part. */
export const agentsSection: Section = (eol) => shippedText('templates/AGENTS.md').replaceAll('\n', eol);

/** Of CLAUDE.md: Claude Code reads AGENTS.md only where that says so. */
export const claudeSection: Section = (eol) =>
  ['<!-- forge:begin -->', `@${AGENTS_FILE}`, '<!-- forge:end -->', ''].join(eol);

/** Where a file has the section. */
export type Located =
  | { kind: 'none' }
  /** From the first character of its first line to the end of its last line; `own`: it is exactly as forge writes it. */
  | { kind: 'found'; start: number; end: number; eol: Eol; own: boolean }
  /** The markers are not one pair. Lines count from 1. */
  | { kind: 'unclear'; why: string };

/** A marker counts only on a line of its own. */
export function locateSection(text: string, section: Section = agentsSection): Located {
  const marks = [...text.matchAll(/^<!-- forge:(begin|end) -->[ \t]*(\r?\n|\r?(?![\s\S]))/gm)];
  const [begin, end, more] = marks;
  if (begin === undefined) return { kind: 'none' };
  if (begin[1] !== 'begin' || end === undefined || end[1] !== 'end' || more !== undefined) {
    const lines = marks.map((mark) => `forge:${mark[1]} in line ${text.slice(0, mark.index).split('\n').length}`);
    return { kind: 'unclear', why: lines.join(', ') };
  }
  const eol = begin[2] === '\r\n' ? '\r\n' : '\n';
  const stop = end.index + end[0].length;
  const found = text.slice(begin.index, stop);
  const written = section(eol);
  const own = found === written || found === written.slice(0, -eol.length);
  return { kind: 'found', start: begin.index, end: stop, eol, own };
}

/**
 * `text` with the section: in its place, or else at the end, after an empty line. A file that is all section has nothing before
 * it, so `withoutSection` can tell a file that did not exist (null) from an empty one.
 */
export function withSection(text: string | null, located: Located, section: Section = agentsSection): string {
  if (text === null) return section('\n');
  if (located.kind === 'found') {
    return text.slice(0, located.start) + section(located.eol) + text.slice(located.end);
  }
  const eol = /^[^\n]*\r\n/.test(text) ? '\r\n' : '\n';
  return text + eol + section(eol);
}

/** The text before `withSection`; null when there was no file. Text that was added around the section since stays. */
export function withoutSection(text: string, located: Located): string | null {
  if (located.kind !== 'found') return text;
  const before = text.slice(0, located.start);
  const after = text.slice(located.end);
  if (before === '' && after === '') return null;
  return (before.endsWith(located.eol) ? before.slice(0, -located.eol.length) : before) + after;
}
