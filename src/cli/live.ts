/** The live view on this terminal, for `run` and `status --watch`: painted over and over, gone at the end. */

import type { LiveModel } from '../domain/run/live-model.ts';
import { errorMessage } from '../lib/errors.ts';
import { inForeground } from '../process/processes.ts';
import { Painter, type Size } from './painter.ts';
import { liveLines } from './render/live.ts';
import type { Screen } from './screen.ts';

/** How often what is shown may have changed by itself, milliseconds: time passes, and workers write. */
const TICK_MS = 250;

export interface LiveOptions {
  /** Null: there is nothing to show yet. */
  look(): LiveModel | null;
  /** What is said of it on its first line; null: nothing. */
  note(): string | null;
}

export class LiveView {
  readonly #painter: Painter;
  readonly #screen: Screen;
  readonly #tick: NodeJS.Timeout;
  readonly #touch = () => this.#painter.touch();
  readonly #resume = () => this.#painter.resume();
  readonly #close = () => this.close();

  /** Whether the screen may be drawn on is for the caller to ask. */
  constructor(screen: Screen, options: LiveOptions) {
    this.#screen = screen;
    const { output } = screen;
    this.#painter = new Painter({
      size: terminalSize,
      put: (name, text) => output.put(name, text),
      lines: (size) => linesOf(options, size, screen),
      failed: (error) => screen.warn(`the live view has ended: ${errorMessage(error)}`),
      now: () => performance.now(),
      later: (callback, ms) => {
        const timer = setTimeout(callback, ms).unref();
        return () => clearTimeout(timer);
      },
    });
    output.detour = (name, text) => this.#painter.above(name, text);
    this.#tick = setInterval(this.#touch, TICK_MS).unref();
    process.stdout.on('resize', this.#touch);
    process.on('SIGTSTP', this.#suspend);
    process.on('SIGCONT', this.#resume);
    process.on('exit', this.#close);
    this.#painter.touch();
  }

  /** Nothing of it is left on the screen then. */
  close(): void {
    this.#painter.close();
    this.#screen.output.detour = () => false;
    clearInterval(this.#tick);
    process.stdout.off('resize', this.#touch);
    process.off('SIGTSTP', this.#suspend);
    process.off('SIGCONT', this.#resume);
    process.off('exit', this.#close);
  }

  /** Ctrl-Z: the shell writes where the window was. */
  readonly #suspend = () => {
    this.#painter.pause();
    // What the signal does to a process that does not listen to it.
    process.kill(process.pid, 'SIGSTOP');
  };
}

function linesOf({ look, note }: LiveOptions, size: Size, screen: Screen): string[] {
  // The shell has the terminal, and the person types there.
  if (!inForeground()) return [];
  const model = look();
  const { palette, nowMs } = screen.look('stdout');
  return model === null ? [] : liveLines(model, { ...size, nowMs, palette, note: note() });
}

/** Asked of the terminal itself: what the stream knows may be older than the last change. */
function terminalSize(): Size {
  try {
    const [columns, rows] = process.stdout.getWindowSize();
    return { columns, rows };
  } catch {
    return { columns: 0, rows: 0 };
  }
}
