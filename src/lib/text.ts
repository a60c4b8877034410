/** Text from elsewhere: made safe to show, cut to size, or compared with what was probably meant. */

// C0 and C1 controls but tab and newline, then the characters that reorder or hide text (bidi, zero width, BOM, line separators).
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
// CSI, OSC and the other escape sequences, whole: removing only the ESC would leave their parameters on the screen.
const ESCAPES =
  /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[PX^_][^\u001b]*(?:\u001b\\)?|[ -/]*[0-~])/g;

/** Removes everything that could move the cursor, colour, reorder or hide text on a terminal. Keeps tab and newline. */
export function plainText(text: string): string {
  return text.replace(/\r\n/g, '\n').replace(ESCAPES, '').replace(UNSAFE, '');
}

// `\r`, and the escape sequence for "to the first column", which some tools write in its place. Not the `\r` of a name, as shells report
// a script with line ends of Windows: `sh: 1: npm\r: not found`.
const LINE_STARTS = /\r(?!: |['’])|\u001b\[[01]?G/;

/**
 * What a terminal shows of a command's output, as `plainText`: of a line that was drawn again and again, as progress is, what it showed
 * last. Only for output: in other text a carriage return would hide what is before it.
 */
export function outputText(output: string): string {
  const text = output.replace(/\r\n/g, '\n');
  return plainText(LINE_STARTS.test(text) ? text.split('\n').map(shownLast).join('\n') : text);
}

function shownLast(line: string): string {
  if (!LINE_STARTS.test(line)) return line;
  return line.split(LINE_STARTS).findLast((state) => plainText(state).trim() !== '') ?? '';
}

/** `value` as JSON on one line. What `plainText` removes is escaped: the value is the same, and a terminal shows it as it is. */
export function plainJson(value: unknown): string {
  return JSON.stringify(value).replace(UNSAFE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** `plainText` on one line, cut to `max` characters with an ellipsis. */
export function oneLine(text: string, max = 200): string {
  const flat = plainText(text).replace(/\s+/g, ' ').trim();
  return flat.length <= max ? flat : `${flat.slice(0, max - 1)}…`;
}

/** `oneLine` of the last line that shows anything. A carriage return ends a line too, since progress bars use it. */
export function lastLine(text: string, max = 200): string {
  const lines = text.split(/[\r\n]+/);
  return oneLine(lines.findLast((line) => oneLine(line) !== '') ?? '', max);
}

/** The first of some names, 5 by default, and how many more of `all` there are: `a, b and 3 more`. */
export function firstOf(names: readonly string[], most = 5, all = names.length): string {
  const shown = names.slice(0, most);
  return `${shown.join(', ')}${all > shown.length ? ` and ${all - shown.length} more` : ''}`;
}

/** `1 task`, `2 tasks`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** Bytes of `text` in UTF-8. */
export function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** `words` as a shell reads them back, each as one argument. */
export function shellWords(words: readonly string[]): string {
  return words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(' ');
}

/** Order by code points. Strings compare by UTF-16 units, which sorts surrogate pairs before U+E000 to U+FFFF. */
export function compareCodePoints(a: string, b: string): number {
  if (a === b) return 0;
  let at = 0;
  while (at < a.length && at < b.length && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  if (at === a.length || at === b.length) return a.length - b.length;
  // Surrogate pairs that differ in the second half must be compared by that half.
  return (a.codePointAt(at) ?? 0) - (b.codePointAt(at) ?? 0);
}

/** Of a word that `closest` compares, in UTF-16 units: comparing takes time in proportion to the product of both lengths. */
const MAX_WORD = 100;

/** Of a shorter word the beginning says too little. */
const MIN_BEGINNING = 3;

/**
 * The candidate that `word` probably is a misspelling of, else the only one that begins so; null when none is close.
 */
export function closest(word: string, candidates: Iterable<string>): string | null {
  if (word.length > MAX_WORD) return null;
  const limit = Math.max(1, Math.floor(word.length / 3));
  const given = word.toLowerCase();
  const longer: string[] = [];
  let best: string | null = null;
  let bestDistance = limit + 1;
  for (const candidate of candidates) {
    const other = candidate.toLowerCase();
    if (word.length >= MIN_BEGINNING && longer.length < 2 && other.startsWith(given)) longer.push(candidate);
    if (Math.abs(candidate.length - word.length) >= bestDistance) continue;
    const distance = editDistance(given, other);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best ?? (longer.length === 1 ? (longer[0] ?? null) : null);
}

/** `Did you mean "x"?` as the suggestion of a finding, or nothing when no candidate is close. */
export function didYouMean(word: string, candidates: Iterable<string>): { suggestion?: string } {
  const best = closest(word, candidates);
  return best === null ? {} : { suggestion: `Did you mean "${best}"?` };
}

/** Optimal string alignment distance: insertions, deletions, replacements and swaps of neighbours. Source: Damerau (1964). */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let value = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        value = Math.min(value, (beforeLast[j - 2] ?? 0) + 1);
      }
      row.push(value);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
