/** `run` on the command line: signals stop it in good order, and every event is printed as it happens. */

import path from 'node:path';
import type { VerbInput } from '../commands/registry.ts';
import { runPlan } from '../commands/run.ts';
import type { CommandContext } from '../commands/shared/session.ts';
import type { RunEvent } from '../domain/run/events.ts';
import type { LiveModel } from '../domain/run/live-model.ts';
import { needsPerson } from '../domain/run/notifications.ts';
import type { OutputMode } from '../domain/run/output.ts';
import { isoTime } from '../lib/time.ts';
import { listenToSignals } from '../process/interrupts.ts';
import { findProject } from '../project/find-project.ts';
import { openStores } from '../store/open.ts';
import { runLog } from './run-log.ts';
import type { Screen } from './screen.ts';
import type { Cli } from './view.ts';

/** What the live view says of itself, by the level of interruption. */
const STOPPING = [null, 'stopping; Ctrl-C again does not wait for the workers', 'stopping at once'];

/** Returns the exit code. */
export async function watchRun({ context, screen }: Cli, input: VerbInput<'run'>): Promise<number> {
  const interrupts = listenToSignals();
  screen.output.patient = true;
  // A reader that has gone (`| head`) has seen enough, also of a run that ignores a closed terminal: stop in good order.
  screen.output.onClosed = (what) => {
    if (what === 'pipe') interrupts.raise(1);
    else process.kill(process.pid, 'SIGHUP');
  };
  const output = input.output ?? (screen.json ? 'prefixed' : 'failures');
  const log = screen.json ? jsonLines(context, screen) : humanLog(context, screen, output);
  const live = screen.whyNotDrawn() === null ? await import('./live.ts') : null;
  let close: (() => void) | undefined;
  let rings = false;
  const watched = (look: () => LiveModel | null, bell: boolean) => {
    rings = bell;
    close = live?.showLive(screen, { look, note: () => STOPPING[interrupts.level] ?? null });
  };
  const emit = (event: RunEvent) => {
    // The view says so all the time.
    if (close !== undefined && event.type === 'still_running') return;
    // It moves no cursor, so it may come while the view is drawn.
    if (rings && needsPerson(event)) screen.output.put('stdout', '\x07');
    if (event.type === 'run_finished') close?.();
    log(event);
  };
  try {
    // Source: GitHub's default environment variables.
    const isAction = context.ctx.env['GITHUB_ACTIONS'] === 'true';
    const annotate = (lines: readonly string[]) => {
      for (const line of lines) screen.output.line(screen.json ? 'stderr' : 'stdout', line);
    };
    const more = {
      output,
      person: screen.hasReader,
      watched: live === null ? undefined : watched,
      annotate: isAction ? annotate : undefined,
    };
    const { exit_code } = await runPlan({ ...context, interrupts: () => interrupts, emit, ...more }, input);
    return exit_code;
  } finally {
    close?.();
    screen.output.onClosed = () => {};
    interrupts.stop();
  }
}

/** One event a line; `run_finished` is the last. */
function jsonLines({ ctx }: CommandContext, { output }: Screen): (event: RunEvent) => void {
  return ({ type, ...rest }) => output.json({ type, ts: isoTime(ctx.now()), ...rest });
}

function humanLog({ ctx, dir }: CommandContext, screen: Screen, output: OutputMode): (event: RunEvent) => void {
  const project = findProject(ctx.cwd, dir)?.project ?? ctx.cwd;
  return runLog({
    line: (text) => screen.print('stdout', text),
    asIs: (text) => screen.output.line('stdout', text),
    output,
    warn: (message) => screen.warn(message),
    context: screen.renderContext('stdout'),
    whole: !process.stdout.isTTY,
    logOf: (taskId, attemptId, name) =>
      path.relative(ctx.cwd, openStores({ project }).artifacts.logPath({ taskId, attemptId }, name)),
  });
}
