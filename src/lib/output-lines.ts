/** Output of commands, which comes in pieces, as whole lines. */

import { outputText } from './text.ts';

/** Longest line that is held back until its end, UTF-16 units; what is there of a longer one is given as a line. */
const MAX_LINE = 64 * 1024;

/** Text that comes in pieces as `outputText` of whole lines: what the rest of a line does to its beginning is not known before. */
export class OutputLines {
  #open = '';

  /** What can be shown now. */
  add(piece: string): string {
    const text = this.#open + piece;
    const end = text.lastIndexOf('\n') + 1;
    const rest = text.slice(end);
    // Of a long line that is drawn over and over the last is enough.
    const from = rest.length > MAX_LINE ? rest.lastIndexOf('\r', rest.length - 2) + 1 : 0;
    this.#open = rest.slice(from);
    return outputText(text.slice(0, end)) + (this.#open.length > MAX_LINE ? this.end() : '');
  }

  /** What is left without the end of a line. */
  end(): string {
    const rest = outputText(this.#open);
    this.#open = '';
    return rest;
  }
}
