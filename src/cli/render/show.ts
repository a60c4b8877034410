/** `show`: everything about one task, in paragraphs. */

import type { ShowData } from '../../commands/show.ts';
import { settingOf } from '../../domain/plan/task-command.ts';
import { findingText } from '../../domain/review/findings.ts';
import { writtenTexts } from '../../domain/verify/guardrails.ts';
import { oneLine, plainText } from '../../lib/text.ts';
import { formatDuration, fromIso } from '../../lib/time.ts';
import { hang, plural } from '../layout.ts';
import type { Look } from '../look.ts';
import { inColourOf } from './states.ts';
import { ago, leaseText, showsLastError } from './status.ts';

/** Columns of the names on the left. */
const NAMES = 14;
/** Reasons not to start a task that its state, its lease or the plan's word for it show by themselves. */
const TOLD_BY_STATE = ['TASK_FINISHED', 'TASK_FAILED', 'TASK_CANCELLED', 'TASK_IN_FLIGHT'];

export function renderShow(data: ShowData, look: Look): string {
  const { bold } = look.palette;
  const title = data.task === null ? '' : `  ${oneLine(data.task.title)}`;
  const parts = [
    [bold(data.task_id) + title, ...standing(data, look)],
    planned(data, look),
    description(data),
    attempts(data, look),
    history(data, look),
  ];
  return parts
    .filter((part) => part.length > 0)
    .map((part) => part.join('\n'))
    .join('\n\n');
}

function field(name: string, value: string | null | undefined, look: Look): string[] {
  if (value === null || value === undefined || value === '') return [];
  return hang(`  ${name.padEnd(NAMES)}`, value, look.width);
}

function standing({ state, lease, verifying, ready, reasons, task }: ShowData, look: Look): string[] {
  const shown = state?.state ?? 'unclaimed';
  const error = state?.last_error ?? null;
  const wait = state?.next_eligible_at ? fromIso(state.next_eligible_at) - look.nowMs : 0;
  const [stateLine = ''] = field('state', shown, look);
  return [
    inColourOf(shown, stateLine, look),
    ...field('failed as', state?.failure_reason, look),
    ...field('last error', error === null || !showsLastError(shown) ? null : `${error.class}: ${error.message}`, look),
    ...field('tried again', wait > 0 ? `in ${formatDuration(wait)}` : null, look),
    ...field(
      'lease',
      lease === null ? null : `${leaseText(lease.expires_at, look)}, generation ${lease.generation}`,
      look,
    ),
    ...field('verified by', verifying && `${verifying.command ?? '?'}, since ${ago(verifying.since, look)}`, look),
    ...field('run', lease?.owner_run_id, look),
    ...field('claim', lease?.claim_id, look),
    ...(ready ? field('ready', 'yes', look) : []),
    ...(task === null ? [] : waiting(reasons, look)),
  ];
}

/** Why it cannot start. The state alone explains a task that is over or has an owner. */
function waiting(reasons: ShowData['reasons'], look: Look): string[] {
  const shown = reasons.filter(({ code }) => !TOLD_BY_STATE.includes(code));
  return shown.flatMap(({ message }, i) => field(i === 0 ? 'waits because' : '', message, look));
}

function planned({ task, command }: ShowData, look: Look): string[] {
  if (task === null) return [];
  return [
    ...field('phase', task.phase_id, look),
    ...field('priority', task.priority, look),
    ...field('in the plan', task.status === 'active' ? null : task.status, look),
    ...field('done by', task.human ? 'a person' : task.owner_type, look),
    ...field('depends on', task.depends_on.join(', '), look),
    ...field('writes', task.write_globs.join(', '), look),
    ...(command?.command ?? '')
      .trimEnd()
      .split('\n')
      .flatMap((line, i) => field(i === 0 ? 'runs' : '', line, look)),
    ...field('by', command === null || command.from === 'run' ? null : settingOf(command.from), look),
    ...field('verified by', task.verify.join('; '), look),
    ...field('timeout', task.timeout_ms === null ? null : formatDuration(task.timeout_ms), look),
    ...task.acceptance.flatMap((text, i) => field(i === 0 ? 'accepted when' : '', text, look)),
  ];
}

function description({ task }: ShowData): string[] {
  const text = plainText(task?.description ?? '').trim();
  return text === '' ? [] : text.split('\n').map((line) => `  ${line}`);
}

function attempts({ task_id, attempts: rows, state }: ShowData, look: Look): string[] {
  if (rows.length === 0) return [];
  const { bold, dim } = look.palette;
  const lines = rows.flatMap((row) => [
    `  ${labelOf(row).padStart(2)}  ${row.attempt_id}  ${ago(row.dispatched_at, look)}${row.current ? '  current' : ''}`,
    ...outcomes(row).flatMap((text) => hang(' '.repeat(6), text, look.width)),
  ]);
  const logs = dim(`  forge orchestrate logs ${task_id} --attempt <id>`);
  return [bold(plural(state?.attempt_count ?? rows.length, 'attempt')), ...lines, logs];
}

type Row = ShowData['attempts'][number];

function labelOf({ attempt_number, phase }: Row): string {
  return attempt_number === null && phase !== 'implement' ? phase : String(attempt_number ?? '?');
}

/** What came of an attempt, of whichever kind. */
function outcomes({ verified, review, ship }: Row): string[] {
  if (verified !== null) return [verifiedText(verified), ...writtenTexts(verified)];
  if (review !== null) {
    const { error, verdict, summary, findings } = review;
    const said = summary === '' ? '' : `: ${summary}`;
    const first = error === null ? `${verdict ?? '?'}${said}` : `${error.class}: ${error.message}`;
    return [first, ...findings.map((finding) => `${finding.severity}  ${findingText(finding)}`)];
  }
  if (ship === null) return [];
  if (ship.error !== null) return [`${ship.error.class}: ${ship.error.message}`];
  const how = ship.merge_sha === null ? 'had its work already' : `has it by ${ship.merge_sha.slice(0, 12)}`;
  return [`${ship.base ?? 'the base'} ${how}`];
}

function verifiedText({
  failure,
  commands,
  target_sha,
}: NonNullable<ShowData['attempts'][number]['verified']>): string {
  if (failure !== null) return `${failure.class}: ${failure.message}`;
  const at = target_sha === null ? '' : ` at ${target_sha.slice(0, 12)}`;
  if (commands.length === 0) return `handed in${at}`;
  return `verified${at} by ${commands.map(({ command }) => oneLine(command, 60)).join('; ')}`;
}

function history({ history: rows }: ShowData, look: Look): string[] {
  if (rows.length === 0) return [];
  return [look.palette.bold('Claims'), ...rows.map((row) => historyLine(row, look))];
}

/** A log that others may have written into: whatever is missing is left out. */
function historyLine(row: Readonly<Record<string, unknown>>, look: Look): string {
  const text = (name: string) => {
    const value = row[name];
    return typeof value === 'string' || typeof value === 'number' ? oneLine(String(value), 60) : '';
  };
  const when = Number.isNaN(fromIso(text('ts'))) ? '' : ago(text('ts'), look);
  const generation = text('generation') === '' ? '' : `generation ${text('generation')}`;
  const parts = [text('event').padEnd(14), generation, when, text('reason')];
  return `  ${parts.filter((part) => part !== '').join('  ')}`.trimEnd();
}
