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

/** Shows it until what this returns is called. Whether the screen may be drawn on is for the caller to ask. */
export function showLive(screen: Screen, { look, note }: LiveOptions): () => void {
  const { output } = screen;
  const painter = new Painter({
    size: terminalSize,
    put: (name, text) => output.put(name, text),
    isFull: () => output.isFull('stdout'),
    lines: (size) => {
      // Elsewhere the shell has the terminal, and the person types there.
      const model = inForeground() ? look() : null;
      const { palette, nowMs } = screen.renderContext('stdout');
      return model === null ? [] : liveLines(model, { ...size, nowMs, palette, note: note() });
    },
    failed: (error) => screen.warn(`the live view has ended: ${errorMessage(error)}`),
    now: () => performance.now(),
    later: (callback, ms) => {
      const timer = setTimeout(callback, ms).unref();
      return () => clearTimeout(timer);
    },
  });
  const touch = () => painter.touch();
  const resume = () => painter.resume();
  // Ctrl-Z: the shell writes where the window was.
  const suspend = () => {
    painter.pause();
    // What the signal does to a process that does not listen to it.
    process.kill(process.pid, 'SIGSTOP');
  };
  const close = () => {
    painter.close();
    output.detour = () => false;
    clearInterval(tick);
    process.stdout.off('resize', touch);
    process.off('SIGTSTP', suspend);
    process.off('SIGCONT', resume);
    process.off('exit', close);
  };
  output.detour = (name, text) => painter.above(name, text);
  const tick = setInterval(touch, TICK_MS).unref();
  process.stdout.on('resize', touch);
  process.on('SIGTSTP', suspend);
  process.on('SIGCONT', resume);
  process.on('exit', close);
  touch();
  return close;
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
