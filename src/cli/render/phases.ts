/** `phases`, `phases --ready` and `why`. */

import type { PhaseRow, PhasesData, ReadyData } from '../../commands/phases.ts';
import type { WhyData } from '../../commands/why.ts';
import { oneLine } from '../../lib/text.ts';
import { columnOf, cut, hang, pad } from '../layout.ts';
import type { Look } from '../look.ts';

export function renderPhases(data: PhasesData, look: Look): string {
  return 'phases' in data ? phaseTable(data.phases, look) : readyLists(data, look);
}

function phaseTable(phases: readonly PhaseRow[], look: Look): string {
  if (phases.length === 0) return 'No such phase.';
  const id = columnOf(
    phases.map(({ phase_id }) => phase_id),
    20,
  );
  const name = columnOf(
    phases.map((phase) => phase.name),
    Math.max(16, look.width - id - 42),
  );
  return phases.map((phase) => phaseLine(phase, id, name, look)).join('\n');
}

function phaseLine(phase: PhaseRow, id: number, name: number, { palette }: Look): string {
  const { green, dim, yellow, cyan } = palette;
  const sign = phase.finished ? green('✓') : phase.status === 'active' ? cyan('●') : yellow('‖');
  const status = phase.finished ? 'finished' : phase.status;
  const shipped = `${phase.shipped}/${phase.tasks} shipped`;
  const after = phase.blocked_by === null || phase.finished ? '' : dim(`after ${oneLine(phase.blocked_by, 20)}`);
  return `${sign} ${pad(phase.phase_id, id)}  ${pad(phase.name, name)}  ${pad(status, 8)}  ${pad(shipped, 13)} ${after}`.trimEnd();
}

function readyLists(data: ReadyData, look: Look): string {
  const lists = [readyList(data, look), waitingList(data, look), humanList(data, look)].filter(
    (list) => list.length > 0,
  );
  return lists.map((list) => list.join('\n')).join('\n\n');
}

function readyList({ ready }: ReadyData, { palette, width }: Look): string[] {
  if (ready.length === 0) return [palette.bold('Nothing is ready')];
  const id = columnOf(
    ready.map(({ task_id }) => task_id),
    24,
  );
  const phase = columnOf(
    ready.map(({ phase_id }) => phase_id),
    16,
  );
  const room = Math.max(16, width - id - phase - 10);
  return [
    palette.bold(`Ready (${ready.length})`),
    ...ready.map(
      (row) =>
        `  ${palette.green(row.priority)}  ${pad(row.task_id, id)}  ${palette.dim(pad(row.phase_id, phase))}  ${cut(row.title, room)}`,
    ),
  ];
}

function waitingList({ waiting }: ReadyData, { palette, width }: Look): string[] {
  if (waiting.length === 0) return [];
  const id = columnOf(
    waiting.map(({ task_id }) => task_id),
    24,
  );
  return [
    palette.bold(`Waiting (${waiting.length})`),
    ...waiting.flatMap(({ task_id, reason }) => hang(`  ${pad(task_id, id)}  `, reason, width)),
  ];
}

function humanList({ human }: ReadyData, { palette, width }: Look): string[] {
  if (human.length === 0) return [];
  const id = columnOf(
    human.map(({ task_id }) => task_id),
    24,
  );
  return [
    palette.bold(`For a person (${human.length})`),
    ...human.map(({ task_id, title }) => `  ${pad(task_id, id)}  ${cut(title, Math.max(16, width - id - 4))}`),
  ];
}

export function renderWhy({ task_id, ready, reasons }: WhyData, look: Look): string {
  const { bold, green, yellow } = look.palette;
  if (ready) return `${bold(task_id)} is ${green('ready')}`;
  const code = columnOf(
    reasons.map((reason) => reason.code),
    24,
  );
  const lines = reasons.flatMap((reason) => hang(`  ${pad(reason.code, code)}  `, reason.message, look.width));
  return [`${bold(task_id)} is ${yellow('not ready')}`, ...lines].join('\n');
}
