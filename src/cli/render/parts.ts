/** Parts of several answers: task states, counts, times, lists of tasks and the commands that come next. */

import type { TaskState } from '../../domain/task/records.ts';
import { oneLine } from '../../lib/text.ts';
import { formatDuration, fromIso } from '../../lib/time.ts';
import { columnOf, cut, hang, padId } from '../layout.ts';
import type { Palette, RenderContext } from '../render-context.ts';

/** `done` and `dropped` are the plan's word; `skipped`: a condition can't come true; `unreadable`: the record can't be read. */
export type ShownState = TaskState | 'done' | 'dropped' | 'skipped' | 'unreadable';

interface Sign {
  sign: string;
  colour: keyof Palette;
}

/** A sign says enough without its colour. In the order in which counts are shown. */
const SIGNS: Record<ShownState, Sign> = {
  failed: { sign: '✗', colour: 'red' },
  unreadable: { sign: '!', colour: 'red' },
  blocked_on_question: { sign: '?', colour: 'yellow' },
  running: { sign: '●', colour: 'cyan' },
  dispatched: { sign: '●', colour: 'cyan' },
  claimed: { sign: '●', colour: 'cyan' },
  waiting: { sign: '~', colour: 'cyan' },
  awaiting_respawn: { sign: '↻', colour: 'yellow' },
  abandoned: { sign: '↻', colour: 'yellow' },
  ready_for_review: { sign: '◆', colour: 'yellow' },
  reviewed: { sign: '◆', colour: 'green' },
  merge_pending: { sign: '◆', colour: 'green' },
  unclaimed: { sign: '·', colour: 'dim' },
  shipped: { sign: '✓', colour: 'green' },
  done: { sign: '✓', colour: 'green' },
  dropped: { sign: '-', colour: 'dim' },
  skipped: { sign: '-', colour: 'dim' },
  cancelled: { sign: '-', colour: 'dim' },
};

function signOf(state: string): Sign {
  return Object.hasOwn(SIGNS, state) ? SIGNS[state as ShownState] : { sign: ' ', colour: 'dim' };
}

export function signFor(state: string, { palette }: RenderContext): string {
  const { sign, colour } = signOf(state);
  return palette[colour](sign);
}

/** A state, or `text` in its place, in the colour of the state. */
export function inColourOf(state: string, { palette }: RenderContext, text = state): string {
  return palette[signOf(state).colour](text);
}

/** `1 failed, 2 running, 3 shipped`; empty for no tasks at all. */
export function countsText(counts: Readonly<Record<string, number>>, context: RenderContext): string {
  const order = Object.keys(SIGNS);
  const rank = (state: string) => (order.indexOf(state) + order.length) % order.length;
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .sort(([a], [b]) => rank(a) - rank(b))
    .map(([state, count]) => inColourOf(state, context, `${count} ${state}`))
    .join(', ');
}

/** `12s ago`. */
export function ago(time: string, { nowMs }: RenderContext): string {
  return `${formatDuration(nowMs - fromIso(time))} ago`;
}

/** Milliseconds until then; negative when it is over, 0 without a time. */
export function timeLeft(time: string | null | undefined, { nowMs }: RenderContext): number {
  return time ? fromIso(time) - nowMs : 0;
}

type Row = { task_id: string } & ({ title: string } | { reason: string });

/** `for 42s more`, `over for 2m 10s`. */
export function leaseText(expiresAt: string, context: RenderContext): string {
  const left = timeLeft(expiresAt, context);
  return left >= 0 ? `for ${formatDuration(left)} more` : `over for ${formatDuration(-left)}`;
}

/** Whether the last failure is still of interest: a task that got past it has none any more. */
export function showsLastError(state: string): boolean {
  return !['ready_for_review', 'reviewed', 'merge_pending', 'shipped', 'cancelled'].includes(state);
}

/** A heading with the number of tasks, and below it each with its title, or with the whole reason for which it waits. */
export function taskList(title: string, rows: readonly Row[], { palette, width }: RenderContext): string[] {
  if (rows.length === 0) return [];
  const id = columnOf(24, rows, 'task_id');
  const lines = rows.flatMap((row) => {
    const first = `  ${padId(row.task_id, id)}  `;
    return 'reason' in row ? hang(first, row.reason, width) : [first + cut(row.title, Math.max(16, width - id - 4))];
  });
  return [palette.bold(`${title} (${rows.length})`), ...lines];
}

/** A command longer than the screen goes on in the next line, as a shell takes it. */
export function nextCommands(commands: readonly string[], context: RenderContext, title = 'Next'): string[] {
  return [context.palette.bold(title), ...commands.flatMap((command) => commandLines(oneLine(command, 1000), context))];
}

function commandLines(command: string, { palette, width }: RenderContext): string[] {
  if (command.length + 2 <= width) return [`  ${palette.cyan(command)}`];
  const [first = '', ...flags] = command.split(/ (?=--)/);
  const lines = [first, ...flags.map((flag) => `  ${flag}`)];
  return lines.map((line, i) => `  ${palette.cyan(line)}${i < lines.length - 1 ? ' \\' : ''}`);
}
