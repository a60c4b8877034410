/**
 * A window of a few lines at the bottom of what a terminal shows, below lines that scroll by.
 *
 * The cursor rests at the beginning of the window's last line, and is not hidden: whatever ends the process leaves a
 * terminal that works. What is to stand above is held until the window is painted next, a tenth of a second at most, so
 * that both go out together.
 */

import { plainText } from '../lib/text.ts';
import { widthOf } from './layout.ts';
import type { StreamName } from './output.ts';

export interface Size {
  /** 0 when the terminal does not say. */
  columns: number;
  rows: number;
}

export interface PainterOptions {
  /** Asked right before each painting. */
  size(): Size;
  put(name: StreamName, text: string): void;
  /** The terminal takes nothing at present: what is painted would only pile up. */
  isFull(): boolean;
  /** What the window is to show now, a line each; none: no window. Must fit into `size`. */
  lines(size: Size): string[];
  /** Called with what `lines` threw; the window is gone then. */
  failed(error: unknown): void;
  /** Milliseconds on a clock that only goes forward. */
  now(): number;
  /** Calls back once, after `ms`. Returns what takes that back. */
  later(callback: () => void, ms: number): () => void;
}

/** The least time between two paintings, milliseconds. */
const GAP_MS = 100;
/** And the least in times of what the last one took: a window must not slow down a plan of many thousand tasks. */
const GAP_TIMES = 20;

// Source: xterm's control sequences; a terminal ignores those that it does not know.
/** Until the second one, nothing of what is written is shown: no flicker. */
const TOGETHER = ['\x1b[?2026h', '\x1b[?2026l'] as const;
/** A line that is wider than we believe is cut off, and does not take a second row. */
const UNWRAPPED = ['\x1b[?7l', '\x1b[?7h'] as const;
const CLEAR_BELOW = '\x1b[J';

export class Painter {
  readonly #options: PainterOptions;
  #shown: string[] = [];
  #size: Size = { columns: 0, rows: 0 };
  #held: { name: StreamName; text: string }[] = [];
  #paintedMs = Number.NEGATIVE_INFINITY;
  #gapMs = GAP_MS;
  #cancel: (() => void) | null = null;
  #state: 'on' | 'paused' | 'closed' = 'on';

  constructor(options: PainterOptions) {
    this.#options = options;
  }

  /** What the window shows may have changed, or the terminal's size. Paints now, or as soon as it may be painted again. */
  touch(): void {
    if (this.#state !== 'on' || this.#cancel !== null || this.#options.isFull()) return;
    const wait = this.#paintedMs + this.#gapMs - this.#options.now();
    if (wait <= 0) {
      this.#paint();
      return;
    }
    this.#cancel = this.#options.later(() => {
      this.#cancel = null;
      this.#paint();
    }, wait);
  }

  /** Takes whole lines that are to stand above the window. False when there is none, and they may be written as usual. */
  above(name: StreamName, text: string): boolean {
    if (this.#state !== 'on') return false;
    this.#held.push({ name, text });
    this.touch();
    return true;
  }

  /** Takes the window away until `resume`. */
  pause(): void {
    if (this.#state === 'on') this.#end('paused');
  }

  resume(): void {
    if (this.#state !== 'paused') return;
    this.#state = 'on';
    this.touch();
  }

  /** Takes the window away for good. */
  close(): void {
    if (this.#state === 'on') this.#end('closed');
    this.#state = 'closed';
  }

  #end(state: 'paused' | 'closed'): void {
    this.#cancel?.();
    this.#cancel = null;
    this.#state = state;
    if (this.#shown.length > 0 || this.#held.length > 0) this.#write([], this.#options.size());
  }

  #paint(): void {
    const began = this.#options.now();
    const size = this.#options.size();
    let lines: string[];
    try {
      lines = this.#options.lines(size);
    } catch (error) {
      this.close();
      this.#options.failed(error);
      return;
    }
    if (this.#held.length > 0 || !this.#isShown(lines, size)) this.#write(lines, size);
    this.#paintedMs = this.#options.now();
    this.#gapMs = Math.max(GAP_MS, GAP_TIMES * (this.#paintedMs - began));
  }

  #isShown(lines: readonly string[], { columns, rows }: Size): boolean {
    if (this.#size.columns !== columns || this.#size.rows !== rows) return false;
    return lines.length === this.#shown.length && lines.every((line, i) => line === this.#shown[i]);
  }

  #write(lines: readonly string[], size: Size): void {
    // Without a window, before or after, what is written is written as it is.
    const [begin, end] = this.#shown.length + lines.length > 0 ? TOGETHER : ['', ''];
    const drawn = lines.length === 0 ? '' : `${UNWRAPPED[0]}${lines.join('\r\n')}${UNWRAPPED[1]}\r`;
    const parts: { name: StreamName; text: string }[] = [
      { name: 'stdout', text: begin + this.#erased(size) },
      ...this.#held,
      { name: 'stdout', text: drawn + end },
    ];
    this.#held = [];
    this.#shown = [...lines];
    this.#size = size;
    // As few writes as there are changes of stream.
    let text = '';
    for (const [i, part] of parts.entries()) {
      text += part.text;
      if (parts[i + 1]?.name === part.name) continue;
      if (text !== '') this.#options.put(part.name, text);
      text = '';
    }
  }

  /**
   * Clears the window. A terminal that has become narrower has broken its lines into several rows; the last line need not
   * be counted, because the cursor is at its beginning.
   */
  #erased({ columns }: Size): string {
    if (this.#shown.length === 0) return '';
    const rows = (line: string) => (columns > 0 ? Math.max(1, Math.ceil(widthOf(plainText(line)) / columns)) : 1);
    const up = this.#shown.slice(0, -1).reduce((sum, line) => sum + rows(line), 0);
    return `\r${up === 0 ? '' : `\x1b[${up}A`}${CLEAR_BELOW}`;
  }
}
