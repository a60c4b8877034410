/** `status`: a line a task, by phase; a second line where there is more to say. */

import type { StatusData, StatusRow } from '../../commands/status.ts';
import { oneLine } from '../../lib/text.ts';
import { formatDuration, fromIso } from '../../lib/time.ts';
import { columnOf, cut, pad, plural } from '../layout.ts';
import type { Look } from '../look.ts';
import { countsText, inColourOf, type ShownState, signFor } from './states.ts';

/** Open runs that are listed. */
const RUNS_SHOWN = 5;

interface Columns {
  id: number;
  state: number;
}

export function renderStatus(data: StatusData, look: Look): string {
  const { bold } = look.palette;
  const columns: Columns = {
    id: columnOf(
      data.tasks.map(({ task_id }) => task_id),
      24,
    ),
    state: columnOf(data.tasks.map(shownState), 19),
  };
  const head = `${bold(oneLine(data.project))}  ${plural(data.tasks.length, 'task')}`;
  const counts = countsText(countsOf(data.tasks), look);
  const lines = [counts === '' ? head : `${head}: ${counts}`];
  const dead = new Set<string | null>(data.runs.flatMap((run) => (run.standing === 'dead' ? [run.run_id] : [])));
  for (const [phase, rows] of byPhase(data.tasks)) {
    lines.push('', bold(phase === null ? 'not in the plan' : oneLine(phase)));
    for (const row of rows) lines.push(...taskLines(row, columns, dead.has(row.run_id), look));
  }
  lines.push(...openRuns(data, look));
  return lines.join('\n');
}

/** Those that hold a task first, then the newest: an agent that claims without a run opens one each time. */
function openRuns({ runs, tasks }: StatusData, look: Look): string[] {
  const open = runs.filter(({ standing }) => standing === 'open').reverse();
  if (open.length === 0) return [];
  const busy = new Set(tasks.map(({ run_id }) => run_id));
  const ordered = [...open.filter(({ run_id }) => busy.has(run_id)), ...open.filter(({ run_id }) => !busy.has(run_id))];
  const shown = ordered.slice(0, RUNS_SHOWN).map(({ run_id, name, started_at }) => {
    const idle = busy.has(run_id) ? '' : '  idle';
    return `  ${run_id}  opened ${ago(started_at, look)}${idle}${name === null ? '' : `  ${cut(name, 14)}`}`;
  });
  const more = open.length - shown.length;
  return [
    '',
    look.palette.bold(plural(open.length, 'open run')),
    ...shown,
    ...(more > 0 ? [`  and ${more} more: \`forge orchestrate run list\``] : []),
  ];
}

function byPhase(rows: readonly StatusRow[]): Map<string | null, StatusRow[]> {
  const phases = new Map<string | null, StatusRow[]>();
  for (const row of rows) {
    const group = phases.get(row.phase_id);
    if (group === undefined) phases.set(row.phase_id, [row]);
    else group.push(row);
  }
  return phases;
}

/** What the plan calls done or dropped is over, whatever its record says: `run` counts the same way. */
function shownState({ state, planned }: StatusRow): ShownState {
  return planned === 'done' || planned === 'dropped' ? planned : state;
}

function countsOf(rows: readonly StatusRow[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const state of rows.map(shownState)) counts[state] = (counts[state] ?? 0) + 1;
  return counts;
}

function taskLines(row: StatusRow, columns: Columns, ownerGone: boolean, look: Look): string[] {
  const { palette, width } = look;
  const state = shownState(row);
  const tries = row.attempt_count === 0 ? '' : `${row.attempt_count}x`;
  const start = 4 + columns.id + 2;
  const room = Math.max(16, width - start - columns.state - 6);
  const title = cut(row.title ?? '', room);
  const first = [
    `  ${signFor(state, look)} ${pad(row.task_id, columns.id)}  `,
    `${inColourOf(state, pad(state, columns.state), look)} ${tries.padStart(3)}  `,
    title,
  ];
  const more = detail(row, ownerGone, look);
  const lines = [first.join('').trimEnd()];
  if (more !== '') lines.push(`    ${' '.repeat(columns.id)}  ${palette.dim(cut(more, Math.max(20, width - start)))}`);
  return lines;
}

/** Who works on it, or when and why it is tried again. */
function detail(row: StatusRow, ownerGone: boolean, look: Look): string {
  const parts: string[] = [];
  if (row.verifying !== null) {
    parts.push(row.lease_expires_at === null ? 'handed in, still to be verified' : `verified by ${row.verifying}`);
  }
  if (ownerGone) parts.push('its owner is gone; the next run takes it over');
  else if (row.lease_expires_at !== null) {
    const doing = FINISHING[row.state] ?? 'lease';
    parts.push(`${doing} ${leaseText(row.lease_expires_at, look)}, run ${row.run_id ?? 'unknown'}`);
  }
  if (row.failure_reason !== null) parts.push(row.failure_reason);
  if (row.next_eligible_at !== null) {
    const left = fromIso(row.next_eligible_at) - look.nowMs;
    if (left > 0) parts.push(`again in ${formatDuration(left)}`);
  }
  if (row.last_error !== null && showsLastError(row.state))
    parts.push(`${row.last_error.class}: ${row.last_error.message}`);
  if (parts.length === 0 && row.human && row.planned === 'active') parts.push('for a person');
  if (parts.length === 0 && row.planned === 'paused') parts.push('paused in the plan');
  return parts.join('; ');
}

/** What the owner of a task in such a state does. */
const FINISHING: Partial<Record<StatusRow['state'], string>> = {
  ready_for_review: 'being reviewed, lease',
  merge_pending: 'being merged, lease',
};

/** Whether the last failure is still of interest: a task that got past it has none any more. */
export function showsLastError(state: StatusRow['state']): boolean {
  return !['ready_for_review', 'reviewed', 'merge_pending', 'shipped', 'cancelled'].includes(state);
}

/** `for 42s more`, `over for 2m 10s`. */
export function leaseText(expiresAt: string, { nowMs }: Look): string {
  const left = fromIso(expiresAt) - nowMs;
  return left >= 0 ? `for ${formatDuration(left)} more` : `over for ${formatDuration(-left)}`;
}

/** `12s ago`. */
export function ago(time: string, { nowMs }: Look): string {
  return `${formatDuration(nowMs - fromIso(time))} ago`;
}
