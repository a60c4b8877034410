/** `attach` on the command line: a run's questions as they come, until it is over. */

import { type AttachEvent, attach } from '../commands/attach.ts';
import { isoTime } from '../lib/time.ts';
import { listenToSignals } from '../process/interrupts.ts';
import { renderQuestion, renderSettled } from './render/questions.ts';
import type { Cli } from './view.ts';

/** Returns the exit code; being told to stop watching is no failure. */
export async function attachTo({ context, screen }: Cli, input: { run: string }): Promise<number> {
  const stop = new AbortController();
  const interrupts = listenToSignals();
  interrupts.listen(() => stop.abort());
  screen.output.onClosed = () => stop.abort();
  try {
    const emit = ({ type, question }: AttachEvent) => {
      const look = screen.look('stdout');
      if (screen.json) {
        screen.output.line('stdout', JSON.stringify({ type, ts: isoTime(context.ctx.now()), ...question }));
      } else if (type === 'question_opened') {
        screen.output.line('stdout', `${renderQuestion(question, look).join('\n')}\n`);
      } else screen.output.line('stdout', renderSettled(question, look));
    };
    const data = await attach.run({ ...context, emit, signal: stop.signal }, input);
    if (!screen.json) screen.output.line('stderr', data.ended ? `run ${data.run_id} is over` : 'the run goes on');
    return 0;
  } finally {
    interrupts.stop();
  }
}
