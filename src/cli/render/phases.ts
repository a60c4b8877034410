/** `phases`, `why` and `run --dry-run`: how far the plan is, what can start now, and what the rest waits for. */

import type { VerbData } from '../../commands/registry.ts';
import { settingOf } from '../../domain/plan/task-command.ts';
import { heldText } from '../../domain/task/held.ts';
import { oneLine } from '../../lib/text.ts';
import { columnOf, cut, hang, pad, padId, paragraphs } from '../layout.ts';
import type { RenderContext } from '../render-context.ts';
import type { Renderers } from '../view.ts';
import { ago, taskList } from './parts.ts';

type Phase = Extract<VerbData<'phases'>, { phases: unknown }>['phases'][number];
type Ready = Extract<VerbData<'phases'>, { ready: unknown }>['ready'][number];
type DryRun = Extract<VerbData<'run'>, { would_start: unknown }>;

export const PHASES = {
  phases(data, context) {
    if ('phases' in data) return phaseTable(data.phases, context);
    return paragraphs([
      readyList(data.ready, context),
      taskList('Waiting', data.waiting, context),
      taskList('For a person', data.human, context),
    ]);
  },

  why({ task_id, ready, reasons, held, notes }, context) {
    const { palette, width } = context;
    const { bold, green, yellow } = palette;
    const column = columnOf(24, reasons, 'code');
    const lines = reasons.flatMap(({ code, message }) => hang(`  ${pad(code, column)}  `, message, width));
    const gaveUp = held === null ? [] : [`given up ${ago(held.at, context)}: ${heldText(held)}`];
    const more = [...gaveUp, ...notes].flatMap((note) => hang('  ', note, width));
    return [`${bold(task_id)} is ${ready ? green('ready') : yellow('not ready')}`, ...lines, ...more].join('\n');
  },

  run(data, context) {
    if (!('would_start' in data)) return '';
    const finish = (phase: string) => data.would_finish.filter((row) => row.phase === phase);
    return paragraphs([
      [...taskList('Would merge', finish('ship'), context), ...taskList('Would review', finish('review'), context)],
      startList(data, context),
      taskList('Unchanged, not done again', data.unchanged, context),
      taskList('Ready for an agent', data.for_agents, context),
      taskList('Would wait', data.waiting, context),
      taskList('For a person', data.human, context),
      ['Nothing was changed.'],
    ]);
  },
} satisfies Partial<Renderers>;

function phaseTable(phases: readonly Phase[], { palette, width }: RenderContext): string {
  if (phases.length === 0) return 'No such phase.';
  const { green, dim, yellow, cyan } = palette;
  const idWidth = columnOf(20, phases, 'phase_id');
  const nameWidth = columnOf(Math.max(16, width - idWidth - 42), phases, 'name');
  const lines = phases.map(({ phase_id, name, status, blocked_by, finished, tasks, shipped }) => {
    const sign = finished ? green('✓') : status === 'active' ? cyan('●') : yellow('‖');
    const texts = [
      pad(phase_id, idWidth),
      pad(name, nameWidth),
      pad(finished ? 'finished' : status, 8),
      pad(`${shipped}/${tasks} shipped`, 13),
    ];
    const after = blocked_by === null || finished ? '' : dim(`after ${oneLine(blocked_by, 20)}`);
    return `${sign} ${texts.join('  ')} ${after}`.trimEnd();
  });
  return lines.join('\n');
}

function readyList(ready: readonly Ready[], { palette, width }: RenderContext): string[] {
  if (ready.length === 0) return [palette.bold('Nothing is ready')];
  const id = columnOf(24, ready, 'task_id');
  const phase = columnOf(16, ready, 'phase_id');
  const lines = ready.map(({ priority, task_id, phase_id, title }) => {
    const texts = [palette.green(priority), padId(task_id, id), palette.dim(pad(phase_id, phase))];
    return `  ${texts.join('  ')}  ${cut(title, Math.max(16, width - id - phase - 10))}`;
  });
  return [palette.bold(`Ready (${ready.length})`), ...lines];
}

function startList({ would_start: rows, max_parallel }: DryRun, { palette, width }: RenderContext): string[] {
  if (rows.length === 0) return [palette.bold('Nothing would start now')];
  const id = columnOf(24, rows, 'task_id');
  const room = Math.max(16, width - id - 4);
  const indent = ' '.repeat(id + 4);
  return [
    palette.bold(`Would start now (${rows.length}, ${max_parallel} at a time)`),
    ...rows.flatMap(({ task_id, title, command, command_from }) => [
      `  ${padId(task_id, id)}  ${cut(title, room)}`,
      ...hang(`${indent}$ `, firstLine(command), width).map(palette.dim),
      ...(command_from === 'run' ? [] : [`${indent}${palette.dim(`(${settingOf(command_from)})`)}`]),
    ]),
  ];
}

/** Lines of a script run together would read as one command. */
function firstLine(command: string): string {
  const [first = '', ...more] = command.trim().split('\n');
  return more.length === 0 ? oneLine(first, 1000) : `${oneLine(first, 1000)} …`;
}
