/** Text of others inside forge's Markdown: made safe, cut to size, and fenced so that nothing in it passes for forge's own text. */

import { byteLength, oneLine, plainText } from './text.ts';

const encoder = new TextEncoder();
// A byte order mark is an ordinary character here: `plainText` has removed those of the input.
const decoder = () => new TextDecoder('utf-8', { ignoreBOM: true });

/** The beginning or the end of `text`, whole characters, at most `max` bytes of UTF-8. */
function cut(text: string, max: number, keep: 'head' | 'tail' = 'head'): string {
  const bytes = encoder.encode(text);
  if (bytes.length <= max) return text;
  // Streaming leaves out a character that is cut at the end; those cut at the beginning are skipped.
  if (keep === 'head') return decoder().decode(bytes.subarray(0, max), { stream: true });
  let from = bytes.length - max;
  while (((bytes[from] ?? 0) & 0b1100_0000) === 0b1000_0000) from++;
  return decoder().decode(bytes.subarray(from));
}

interface FenceOptions {
  /** Text after the opening fence. Without backticks. */
  info: string;
  /** Limit of the text, bytes; see `FENCE_BYTES`. */
  max: number;
  /** Which part of a longer text is kept. Default: its head. */
  keep?: 'head' | 'tail';
}

function cutNote(kept: 'head' | 'tail'): string {
  return `(Cut: this is only its ${kept === 'head' ? 'beginning' : 'end'}.)`;
}

/** What a fenced text may have beyond its `max`, bytes: the fence, and the line that says that it was cut. */
const FENCE_BYTES = 128;

/**
 * `text` as a fenced code block, plain and cut to size. The fence is longer than any run of backticks in it, so no line
 * of it can end the block. Source: CommonMark 0.31.2, section 4.5.
 */
export function fenced(text: string, { info, max, keep = 'head' }: FenceOptions): string {
  const plain = plainText(text).trimEnd();
  const block = (most: number) => {
    const kept = cut(plain, most, keep);
    const fence = '`'.repeat(Math.max(3, longestRun(kept) + 1));
    return `${fence}${info}\n${kept}\n${fence}${kept === plain ? '' : `\n\n${cutNote(keep)}`}`;
  };
  const whole = block(max);
  // Long runs of backticks make long fences; a third of `max` leaves room for both.
  return byteLength(whole) <= max + FENCE_BYTES ? whole : block(Math.floor(max / 3));
}

/** `text` on one line as a code span, whatever backticks are in it; at most `max` characters of it. */
export function codeSpan(text: string, max = 200): string {
  const flat = oneLine(text, max);
  const marks = '`'.repeat(longestRun(flat) + 1);
  const pad = flat.startsWith('`') || flat.endsWith('`') ? ' ' : '';
  return marks + pad + flat + pad + marks;
}

function longestRun(text: string): number {
  return (text.match(/`+/g) ?? []).reduce((longest, run) => Math.max(longest, run.length), 0);
}

/**
 * Markdown that is not fenced, plain and cut to `max` bytes. What may leave a block open is fenced instead: it would swallow
 * what follows, and later fences would no longer hold.
 */
export function ownMarkdown(text: string, max: number): string {
  const plain = plainText(text).trim();
  const kept = cut(plain, max);
  if (!leavesNothingOpen(kept)) return fenced(plain, { info: 'markdown', max });
  return kept === plain ? kept : `${kept}\n\n${cutNote('head')}`;
}

// Fences after a list or quote mark, or indented like code; HTML, in which fences do not count.
const DOUBTFUL = /^(?:[\s>*+.)\d-]+(?:`{3}|~{3})| {0,3}<[A-Za-z/!?])/;

/** Whether every code block certainly ends: by its own fence, in the same list or outside of any. False in doubt. */
function leavesNothingOpen(markdown: string): boolean {
  let open: { marks: string; indent: number } | null = null;
  for (const line of markdown.split('\n')) {
    const [, spaces = '', marks = '', rest = ''] = /^( {0,3})(`{3,}|~{3,})(.*)$/.exec(line) ?? [];
    const indent = line.length - line.trimStart().length;
    if (open === null) {
      if (marks !== '' && !(marks.startsWith('`') && rest.includes('`'))) open = { marks, indent: spaces.length };
      else if (DOUBTFUL.test(line)) return false;
    } else if (marks.startsWith(open.marks) && rest.trim() === '' && indent >= open.indent) open = null;
    // A list around the block may end here, and the block with it; or its fence may be indented like the list.
    else if (open.indent > 0 && line.trim() !== '' && (indent < open.indent || DOUBTFUL.test(line))) return false;
  }
  return open === null;
}
