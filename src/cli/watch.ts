/** `status --watch` on the command line: the live view of `run`, from another terminal, until Ctrl-C. */

import { watch } from '../commands/watch.ts';
import { ForgeError } from '../lib/errors.ts';
import { listenToSignals } from '../process/interrupts.ts';
import { LiveView } from './live.ts';
import type { Cli } from './view.ts';

/** Returns the exit code; being told to stop watching is no failure. Throws INVALID_ARGS where nothing may be drawn. */
export async function watchStatus({ context, screen }: Cli, options: { run?: string | undefined }): Promise<number> {
  const why = screen.whyNotDrawn();
  if (why !== null) {
    throw new ForgeError('INVALID_ARGS', `status --watch draws on a terminal, and ${why}`, {
      hint: 'To see it once: `forge orchestrate status`, or for a script `forge orchestrate status --json`.',
    });
  }
  const stop = new AbortController();
  const interrupts = listenToSignals();
  interrupts.listen(() => stop.abort());
  screen.output.patient = true;
  screen.output.onClosed = () => stop.abort();
  let view = null as LiveView | null;
  try {
    const show: Parameters<typeof watch>[2] = (look) => {
      view = new LiveView(screen, { look, note: () => 'Ctrl-C ends the watching, and nothing else' });
    };
    await watch(context, options, show, stop.signal);
    return 0;
  } finally {
    view?.close();
    interrupts.stop();
  }
}
