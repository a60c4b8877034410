/** `run` on the command line: signals stop it in good order, and every event is printed as it happens. */

import path from 'node:path';
import type { RunEvent } from '../core/run-events.ts';
import { isoTime } from '../core/time.ts';
import { listenToSignals } from '../runner/interrupts.ts';
import { findProject } from '../store/project.ts';
import { type RunVerbOptions, run } from '../verbs/run.ts';
import type { Call } from '../verbs/session.ts';
import { RunLog } from './run-log.ts';
import type { Screen } from './screen.ts';
import type { Desk } from './spec.ts';

/** Returns the exit code. */
export async function runPlan({ call, screen }: Desk, options: RunVerbOptions): Promise<number> {
  const interrupts = listenToSignals();
  screen.output.patient = true;
  // A reader that has gone (`| head`) has seen enough. It is the same as a terminal that was closed: stop in good order.
  screen.output.onClosed = () => process.kill(process.pid, 'SIGHUP');
  try {
    const { exit_code } = await run(
      call,
      { ...options, output: screen.json },
      interrupts,
      screen.json ? jsonLines(call, screen) : humanLog(call, screen),
    );
    return exit_code;
  } finally {
    screen.output.onClosed = () => {};
    interrupts.stop();
  }
}

/** One event a line; `run_finished` is the last. */
function jsonLines({ ctx }: Call, { output }: Screen): (event: RunEvent) => void {
  return ({ type, ...rest }) => output.line('stdout', JSON.stringify({ type, ts: isoTime(ctx.now()), ...rest }));
}

function humanLog({ ctx, dir }: Call, screen: Screen): (event: RunEvent) => void {
  const layout = findProject(ctx.cwd, dir);
  const log = new RunLog({
    line: (text) => screen.output.line('stdout', text),
    warn: (message) => screen.warn(message),
    look: screen.look('stdout'),
    logOf: (taskId, attemptId, log) =>
      path.relative(ctx.cwd, `${layout?.attempt(taskId, attemptId) ?? ''}/logs/${log}`),
  });
  return (event) => log.event(event);
}
