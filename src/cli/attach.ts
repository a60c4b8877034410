/** `attach` on the command line: a run's questions as they come, until it is over. */

import { attach } from '../commands/questions.ts';
import { isoTime } from '../lib/time.ts';
import { listenToSignals } from '../process/interrupts.ts';
import { renderQuestion, renderSettled } from './render/questions.ts';
import type { Desk } from './spec.ts';

/** Returns the exit code; being told to stop watching is no failure. */
export async function attachTo({ call, screen }: Desk, options: { run: string }): Promise<number> {
  const stop = new AbortController();
  const interrupts = listenToSignals();
  interrupts.listen(() => stop.abort());
  screen.output.onClosed = () => stop.abort();
  try {
    const data = await attach(
      call,
      options,
      ({ type, question }) => {
        const look = screen.look('stdout');
        if (screen.json) {
          screen.output.line('stdout', JSON.stringify({ type, ts: isoTime(call.ctx.now()), ...question }));
        } else if (type === 'question_opened') {
          screen.output.line('stdout', `${renderQuestion(question, look).join('\n')}\n`);
        } else screen.output.line('stdout', renderSettled(question, look));
      },
      stop.signal,
    );
    if (!screen.json) screen.output.line('stderr', data.ended ? `run ${data.run_id} is over` : 'the run goes on');
    return 0;
  } finally {
    interrupts.stop();
  }
}
