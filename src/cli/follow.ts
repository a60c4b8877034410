/** Verbs that print while they go on, until they are told to stop: `attach`, `logs` and `status --watch`. */

import { type AttachEvent, attach } from '../commands/attach.ts';
import { type LogEvent, logs } from '../commands/logs.ts';
import type { VerbInput } from '../commands/registry.ts';
import { LOGS_PRUNED } from '../domain/gc/retention.ts';
import { invalidArgs } from '../lib/errors.ts';
import { OutputLines } from '../lib/output-lines.ts';
import { plainJson } from '../lib/text.ts';
import { isoTime } from '../lib/time.ts';
import { listenToSignals } from '../process/interrupts.ts';
import { SHOWN_LOGS, type ShownLog } from '../store/port.ts';
import { ago } from './render/parts.ts';
import { questionLines, settledLine } from './render/questions.ts';
import type { Screen } from './screen.ts';
import type { Cli } from './view.ts';

/** Does `work` until a signal says stop, or nothing reads stdout any more: neither is a failure. Returns the exit code. */
async function untilStopped(screen: Screen, work: (signal: AbortSignal) => Promise<void>): Promise<number> {
  const stop = new AbortController();
  const interrupts = listenToSignals();
  interrupts.listen(() => stop.abort());
  screen.output.onClosed = () => stop.abort();
  try {
    await work(stop.signal);
    return 0;
  } finally {
    interrupts.stop();
  }
}

/** A run's questions as they come, until it is over. */
export function attachTo({ context, screen }: Cli, input: VerbInput<'attach'>): Promise<number> {
  const print = (text: string) => screen.print('stdout', text);
  const emit = ({ type, question }: AttachEvent) => {
    const rendering = screen.renderContext('stdout');
    if (screen.json) screen.output.json({ type, ts: isoTime(context.ctx.now()), ...question });
    else if (type === 'question_opened') print(`${questionLines(question, rendering).join('\n')}\n`);
    else print(settledLine(question, rendering));
  };
  return untilStopped(screen, async (signal) => {
    const data = await attach.run({ ...context, emit, signal }, input);
    if (!screen.json) screen.output.line('stderr', data.ended ? `run ${data.run_id} is over` : 'the run goes on');
  });
}

/** The live view of `run`, from another terminal, until Ctrl-C. Throws INVALID_ARGS where nothing may be drawn. */
export async function watchStatus({ context, screen }: Cli, input: VerbInput<'status'>): Promise<number> {
  const why = screen.whyNotDrawn();
  if (why !== null) {
    throw invalidArgs(
      `status --watch draws on a terminal, and ${why}`,
      'To see it once: `forge orchestrate status`, or for a script `forge orchestrate status --json`.',
    );
  }
  const { watch } = await import('../commands/watch.ts');
  const { showLive } = await import('./live.ts');
  screen.output.patient = true;
  const note = () => 'Ctrl-C ends the watching, and nothing else';
  let close = () => {};
  try {
    return await untilStopped(screen, (signal) =>
      watch({ ...context, signal }, input, (look) => {
        close = showLive(screen, { look, note });
      }),
    );
  } finally {
    close();
  }
}

/**
 * The text of logs line by line; of two, each part under its name as `tail` does it. Ctrl-C ends the process, as it does for
 * `tail`.
 */
export async function showLogs({ context, screen }: Cli, input: VerbInput<'logs'>): Promise<number> {
  const stop = new AbortController();
  screen.output.onClosed = () => stop.abort();
  const write = (text: string) => screen.output.write('stdout', text);
  let shown: string | null = null;
  const lines = new OutputLines();
  let isOpen = false;
  const print = (text: string) => {
    write(text);
    if (text !== '') isOpen = !text.endsWith('\n');
  };
  /** Also ends a line that the worker has not ended. */
  const endPart = () => {
    print(lines.end());
    if (isOpen) print('\n');
  };
  const emit = (event: LogEvent) => {
    if (event.type === 'opened') return;
    const { stream, text } = event;
    if (input.stream === undefined && stream !== shown) {
      endPart();
      write(`${shown === null ? '' : '\n'}==> ${stream} <==\n`);
    }
    shown = stream;
    print(lines.add(text));
    return screen.output.taken('stdout');
  };
  const { files, truncated, pruned_at } = await logs.run({ ...context, emit, signal: stop.signal }, input);
  endPart();
  if (truncated && input.tail === undefined)
    screen.output.line('stderr', 'the middle of the output was cut: `logs: max_bytes` of the settings is its limit');
  const places = input.stream === undefined ? `${files.stdout} or ${files.stderr}` : files[input.stream];
  const why = pruned_at === null ? '' : `: ${LOGS_PRUNED} ${ago(pruned_at, screen.renderContext('stderr'))}`;
  if (shown === null && input.tail !== 0) screen.output.line('stderr', `nothing in ${places}${why}`);
  return 0;
}

/** The logs as one line of JSON, printed while they are read: they may be larger than memory. With `--follow` at the end. */
export async function printLogs({ context, screen }: Cli, input: VerbInput<'logs'>): Promise<number> {
  const stop = new AbortController();
  screen.output.onClosed = () => stop.abort();
  const write = (text: string) => screen.output.write('stdout', text);
  const { signal } = stop;
  const over = input.follow ? await logs.run({ ...context, emit: () => {}, signal }, input) : null;
  /** The field whose text is being printed. */
  let field: ShownLog | null = null;
  /** Ends it and those before `next`, which have no text, and begins `next`. */
  const begin = (next: ShownLog) => {
    const open = SHOWN_LOGS.slice(field === null ? 0 : SHOWN_LOGS.indexOf(field) + 1, SHOWN_LOGS.indexOf(next) + 1);
    write(open.map((name) => `${name === SHOWN_LOGS[0] ? ',' : '",'}"${name}":"`).join(''));
    field = next;
  };
  const emit = (event: LogEvent) => {
    if (event.type === 'opened') {
      const { type: _, ...head } = event;
      write(plainJson({ ok: true, data: head }).slice(0, -2));
      begin(SHOWN_LOGS[0]);
      return;
    }
    begin(event.stream);
    write(plainJson(event.text).slice(1, -1));
    return screen.output.taken('stdout');
  };
  const attempt = over === null ? {} : { attempt: over.attempt_id };
  let truncated = false;
  try {
    ({ truncated } = await logs.run({ ...context, emit, signal }, { ...input, ...attempt, follow: false }));
  } catch (error) {
    // The error has a line of its own, behind one that is not JSON.
    if (field !== null) write('\n');
    throw error;
  }
  begin('stderr');
  write(`","truncated":${truncated}}}\n`);
  return 0;
}
