/** `status`: a line a task, by phase; a second line where there is more to say. */

import type { VerbData } from '../../commands/registry.ts';
import { countBy } from '../../commands/shared/data.ts';
import { errorText, shortErrorText } from '../../domain/retry/classify.ts';
import { parkedText } from '../../domain/steps/parking.ts';
import { heldText } from '../../domain/task/held.ts';
import { usedText } from '../../domain/task/spending.ts';
import { isTerminal } from '../../domain/task/states.ts';
import { oneLine, plainText, plural } from '../../lib/text.ts';
import { formatDuration } from '../../lib/time.ts';
import { columnOf, cut, fitting, hang, pad, padId, widest, widthOf } from '../layout.ts';
import type { RenderContext } from '../render-context.ts';
import type { Renderers } from '../view.ts';
import { foldChildren } from './children.ts';
import { ago, countsText, inColourOf, leaseText, type ShownState, showsLastError, signFor, timeLeft } from './parts.ts';

type Data = VerbData<'status'>;
type Row = Data['tasks'][number];

/** Open runs that are listed. */
const RUNS_SHOWN = 5;

/** Columns below which a title is left out, and the second line of a task begins further left. */
const NARROWEST = { title: 16, detail: 30 };

interface Columns {
  id: number;
  state: number;
}

export const STATUS = {
  status(data, context, { children = false }) {
    const { bold, dim } = context.palette;
    const phases = [...new Set(data.tasks.map(({ phase_id }) => phase_id))].map((phase) => {
      const rows = data.tasks.filter(({ phase_id }) => phase_id === phase);
      return { phase, items: foldChildren(rows, shownState, children) };
    });
    const listed = phases.flatMap(({ items }) => items.flatMap((item) => ('row' in item ? item.row : [])));
    const columns = { id: columnOf(24, listed, 'task_id'), state: widest(19, listed.map(shownState)) };
    const head = `${bold(oneLine(data.project))}  ${plural(data.tasks.length, 'task')}`;
    const counts = countsText(countBy(data.tasks.map(shownState)), context);
    const fits = widthOf(plainText(`${head}: ${counts}`)) <= context.width;
    const lines = counts === '' ? [head] : fits ? [`${head}: ${counts}`] : [head, `  ${counts}`];
    const used = usedText(data.spent);
    if (used !== '') lines.push(`  used ${used}`);
    for (const { message } of data.agents) lines.push(...hang('  ', oneLine(message, 500), context.width));
    const dead = new Set<string | null>(data.runs.flatMap((run) => (run.standing === 'dead' ? [run.run_id] : [])));
    for (const { phase, items } of phases) {
      lines.push(
        '',
        phase === null
          ? `${bold('not in the plan')} ${dim('(`forge orchestrate forget TASK` removes what is kept)')}`
          : bold(oneLine(phase)),
      );
      for (const item of items)
        lines.push(...('row' in item ? taskLines(item.row, columns, dead.has(item.row.run_id), context) : [item.text]));
    }
    return [...lines, ...openRuns(data, context)].join('\n');
  },
} satisfies Partial<Renderers>;

/** Those that hold a task first, then the newest: an agent that claims without a run opens one each time. */
function openRuns({ runs, tasks }: Data, context: RenderContext): string[] {
  const open = runs.filter(({ standing }) => standing === 'open').reverse();
  if (open.length === 0) return [];
  const busy = new Set(tasks.map(({ run_id }) => run_id));
  const ordered = [...open.filter(({ run_id }) => busy.has(run_id)), ...open.filter(({ run_id }) => !busy.has(run_id))];
  const shown = ordered.slice(0, RUNS_SHOWN).map(({ run_id, name, started_at }) => {
    const idle = busy.has(run_id) ? '' : '  idle';
    return `  ${run_id}  opened ${ago(started_at, context)}${idle}${name === null ? '' : `  ${cut(name, 14)}`}`;
  });
  const more = open.length - shown.length;
  return [
    '',
    context.palette.bold(plural(open.length, 'open run')),
    ...shown,
    ...(more > 0 ? [`  and ${more} more: \`forge orchestrate run list\``] : []),
  ];
}

/** What the plan calls done or dropped is over, whatever its record says: `run` counts the same way. */
function shownState({ state, planned, skipped }: Row): ShownState {
  return planned === 'done' || planned === 'dropped' ? planned : skipped !== null ? 'skipped' : state;
}

function taskLines(row: Row, columns: Columns, ownerGone: boolean, context: RenderContext): string[] {
  const { palette, width } = context;
  const state = shownState(row);
  const tries = row.attempt_count === 0 ? '' : `${row.attempt_count}x`;
  const start = 4 + columns.id + 2;
  const room = width - start - columns.state - 6;
  const title = room < NARROWEST.title ? '' : cut(row.title ?? '', room);
  const id = `${signFor(state, context)} ${padId(row.task_id, columns.id)}`;
  const first = `  ${id}  ${inColourOf(state, context, pad(state, columns.state))} ${tries.padStart(3)}  ${title}`;
  const more = detail(row, ownerGone, context);
  if (more.length === 0) return [first.trimEnd()];
  const indent = width - start < NARROWEST.detail ? 4 : start;
  return [first.trimEnd(), `${' '.repeat(indent)}${palette.dim(fitting(more, width - indent))}`];
}

/** Who works on it, or when and why it is tried again: at length, then, if there is one, its error alone. Empty for nothing. */
function detail(row: Row, ownerGone: boolean, context: RenderContext): string[] {
  const { state, verifying, lease_expires_at: expires, last_error: error } = row;
  const parts: string[] = [];
  if (verifying !== null) parts.push(expires === null ? 'handed in, still to be verified' : `verified by ${verifying}`);
  if (row.doing !== null) parts.push(row.doing);
  if (row.last_output_at !== null) parts.push(lastOutput(row.last_output_at, context));
  if (ownerGone) parts.push('its owner is gone; the next run takes it over');
  else if (expires !== null)
    parts.push(`${FINISHING[state] ?? 'lease'} ${leaseText(expires, context)}, run ${row.run_id ?? 'unknown'}`);
  if (row.failure_reason !== null) parts.push(row.failure_reason);
  if (state === 'failed' && row.continue_on_error) parts.push('others go on');
  if (row.skipped !== null) parts.push(row.skipped);
  const left = timeLeft(row.next_eligible_at, context);
  if (left > 0) parts.push(`again in ${formatDuration(left)}`);
  const isDue = row.wake_at !== null && timeLeft(row.wake_at, context) <= 0;
  if (state === 'waiting') parts.push(isDue ? 'its wait is over' : parkedText(row));
  if (row.unchanged) parts.push('unchanged');
  const shown = error !== null && showsLastError(state) ? error : null;
  if (shown === null && row.summary !== null) parts.push(row.summary);
  if (row.branch !== null) parts.push(`branch ${row.branch}`);
  if (row.held !== null) parts.push(`given up ${ago(row.held.at, context)}: ${heldText(row.held)}`);
  if (shown !== null) parts.push(errorText(shown));
  const isOver = state !== 'unreadable' && isTerminal(state);
  if (parts.length === 0 && row.human && row.planned === 'active' && !isOver) parts.push('for a person');
  if (parts.length === 0 && row.planned === 'paused') parts.push('paused in the plan');
  return parts.length === 0
    ? []
    : [parts.join('; '), ...(shown === null ? [] : [errorText(shown), shortErrorText(shown)])];
}

/** Silence up to this is not shown, milliseconds. */
const SILENT_MS = 60_000;

function lastOutput(at: string, context: RenderContext): string {
  const silentMs = -timeLeft(at, context);
  return silentMs < SILENT_MS ? `last output ${ago(at, context)}` : `quiet for ${formatDuration(silentMs)}`;
}

/** What the owner of a task in such a state does. */
const FINISHING: Partial<Record<Row['state'], string>> = {
  ready_for_review: 'being reviewed, lease',
  merge_pending: 'being merged, lease',
};
