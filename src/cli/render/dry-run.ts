/** `run --dry-run`: what would be started now, and what would not. */

import type { DryRunData } from '../../commands/run.ts';
import { settingOf } from '../../domain/plan/task-command.ts';
import { oneLine } from '../../lib/text.ts';
import { columnOf, cut, hang, pad } from '../layout.ts';
import type { Look } from '../look.ts';

export function renderDryRun(data: DryRunData, look: Look): string {
  const lists = [
    wouldFinish(data, look),
    wouldStart(data, look),
    forAgents(data, look),
    waiting(data, look),
    forPeople(data, look),
  ];
  return [...lists.filter((list) => list.length > 0), ['Nothing was changed.']]
    .map((list) => list.join('\n'))
    .join('\n\n');
}

function idColumn(rows: readonly { task_id: string }[]): number {
  return columnOf(
    rows.map(({ task_id }) => task_id),
    24,
  );
}

function wouldFinish({ would_finish: rows }: DryRunData, look: Look): string[] {
  const of = (phase: 'review' | 'ship') => rows.filter((row) => row.phase === phase);
  return [...titled('Would merge', of('ship'), look), ...titled('Would review', of('review'), look)];
}

function wouldStart({ would_start: rows, max_parallel }: DryRunData, { palette, width }: Look): string[] {
  if (rows.length === 0) return [palette.bold('Nothing would start now')];
  const id = idColumn(rows);
  const room = Math.max(16, width - id - 4);
  return [
    palette.bold(`Would start now (${rows.length}, ${max_parallel} at a time)`),
    ...rows.flatMap(({ task_id, title, command, command_from }) => [
      `  ${pad(task_id, id)}  ${cut(title, room)}`,
      ...hang(`  ${' '.repeat(id)}  $ `, firstLine(command), width).map(palette.dim),
      ...(command_from === 'run' ? [] : [`  ${' '.repeat(id)}  ${palette.dim(`(${settingOf(command_from)})`)}`]),
    ]),
  ];
}

/** Lines of a script run together would read as one command. */
function firstLine(command: string): string {
  const [first = '', ...more] = command.trim().split('\n');
  return more.length === 0 ? oneLine(first, 1000) : `${oneLine(first, 1000)} …`;
}

function titled(
  heading: string,
  rows: readonly { task_id: string; title: string }[],
  { palette, width }: Look,
): string[] {
  if (rows.length === 0) return [];
  const id = idColumn(rows);
  return [
    palette.bold(`${heading} (${rows.length})`),
    ...rows.map(({ task_id, title }) => `  ${pad(task_id, id)}  ${cut(title, Math.max(16, width - id - 4))}`),
  ];
}

function forAgents(data: DryRunData, look: Look): string[] {
  return titled('Ready for an agent', data.for_agents, look);
}

function forPeople(data: DryRunData, look: Look): string[] {
  return titled('For a person', data.human, look);
}

function waiting({ waiting: rows }: DryRunData, { palette, width }: Look): string[] {
  if (rows.length === 0) return [];
  const id = idColumn(rows);
  return [
    palette.bold(`Would wait (${rows.length})`),
    ...rows.flatMap(({ task_id, reason }) => hang(`  ${pad(task_id, id)}  `, reason, width)),
  ];
}
