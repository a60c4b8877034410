/** `show`: everything about one task, in paragraphs. */

import type { VerbData } from '../../commands/registry.ts';
import { LOGS_PRUNED } from '../../domain/gc/retention.ts';
import { conditionText, type PlanTask } from '../../domain/plan/plan.ts';
import { settingOf } from '../../domain/plan/task-command.ts';
import { errorText } from '../../domain/retry/classify.ts';
import { findingText } from '../../domain/review/findings.ts';
import { heldText } from '../../domain/task/held.ts';
import { usedText } from '../../domain/task/spending.ts';
import { writtenTexts } from '../../domain/verify/guardrails.ts';
import { oneLine, plainText, plural } from '../../lib/text.ts';
import { formatDuration, fromIso } from '../../lib/time.ts';
import { hang, paragraphs } from '../layout.ts';
import type { RenderContext } from '../render-context.ts';
import type { Renderers } from '../view.ts';
import { ago, inColourOf, leaseText, showsLastError, timeLeft } from './parts.ts';
import { stepLines } from './steps.ts';

type Data = VerbData<'show'>;
type Attempt = Data['attempts'][number];

/** Columns of the names on the left. */
const NAMES = 14;
/** Reasons not to start a task that its state, its lease or the plan's word for it show by themselves. */
const TOLD_BY_STATE = ['TASK_FINISHED', 'TASK_FAILED', 'TASK_CANCELLED', 'TASK_IN_FLIGHT'];

export const SHOW = {
  show(data, context) {
    const title = data.task === null ? '' : `  ${oneLine(data.task.title)}`;
    const description = plainText(data.task?.description ?? '').trim();
    const history = data.history.map((row) => historyLine(row, context));
    return paragraphs([
      [context.palette.bold(data.task_id) + title, ...standing(data, context)],
      planned(data, context),
      description === '' ? [] : description.split('\n').map((line) => `  ${line}`),
      data.steps.length === 0 ? [] : [context.palette.bold('Steps'), ...stepLines(data.steps, context)],
      attempts(data, context),
      history.length === 0 ? [] : [context.palette.bold('Claims'), ...history],
    ]);
  },
} satisfies Partial<Renderers>;

type Value = string | null | undefined;

/** A line for each that has a value: its name, and its value; of a list, the name at the first only. */
function fields(rows: readonly (readonly [name: string, value: Value | readonly Value[]])[], width: number): string[] {
  return rows.flatMap(([name, value]) =>
    [value].flat().flatMap((text, i) => (text ? hang(`  ${(i === 0 ? name : '').padEnd(NAMES)}`, text, width) : [])),
  );
}

function standing(data: Data, context: RenderContext): string[] {
  const { state, lease, verifying, ready, reasons, held, task, done_by_hand: byHand, rerun } = data;
  const { branch, worktree_path, summary } = data;
  const isSkipped = reasons.some(({ code }) => code === 'TASK_SKIPPED');
  const shown = isSkipped ? 'skipped' : (state?.state ?? 'unclaimed');
  const error = state?.last_error ?? null;
  const wait = timeLeft(state?.next_eligible_at, context);
  // The state alone explains a task that is over or has an owner.
  const waits = reasons.filter(({ code }) => !TOLD_BY_STATE.includes(code)).map(({ message }) => message);
  const [stateLine = '', ...lines] = fields(
    [
      ['state', data.unchanged ? `${shown} (unchanged)` : shown],
      ['done by hand', byHand && [ago(byHand.at, context), byHand.note].filter(Boolean).join(': ')],
      [
        'begun again',
        rerun && [ago(rerun.at, context), rerun.times > 1 && `${rerun.times} times by now`].filter(Boolean).join(', '),
      ],
      [
        'failed as',
        state?.failure_reason &&
          [state.failure_reason, task?.continue_on_error && 'others go on'].filter(Boolean).join(', '),
      ],
      ['last error', error !== null && showsLastError(shown) ? errorText(error) : null],
      ['tried again', wait > 0 ? `in ${formatDuration(wait)}` : null],
      ['lease', lease && `${leaseText(lease.expires_at, context)}, generation ${lease.generation}`],
      ['verified by', verifying && `${verifying.command ?? '?'}, since ${ago(verifying.since, context)}`],
      ['run', lease?.owner_run_id],
      ['claim', lease?.claim_id],
      ['ready', ready ? 'yes' : null],
      ['waits because', task === null ? [] : waits],
      ['result', summary],
      ['branch', branch],
      ['worktree', worktree_path],
      ['given up', held && `${ago(held.at, context)}: ${heldText(held)}`],
    ],
    context.width,
  );
  return [inColourOf(shown, context, stateLine), ...lines];
}

function planned({ task, command }: Data, { width }: RenderContext): string[] {
  if (task === null) return [];
  const rows: Parameters<typeof fields>[0] = [
    ['phase', task.phase_id],
    ['priority', task.priority],
    ['in the plan', task.status === 'active' ? null : task.status],
    ['done by', task.human ? 'a person' : task.owner_type],
    ['depends on', task.depends_on.map((id) => dependencyText(task, id)).join(', ')],
    ['if it fails', task.continue_on_error ? 'others go on' : null],
    ['found in', task.discovered_from],
    ['matrix of', task.matrix?.task],
    ['in folder', task.cwd],
    ['writes', task.write_globs.join(', ')],
    ['runs', command?.command.trimEnd().split('\n')],
    ['by', command === null || command.from === 'run' ? null : settingOf(command.from)],
    ['verified by', task.verify.join('; ')],
    ['timeout', task.timeout_ms === null ? null : formatDuration(task.timeout_ms)],
    ['accepted when', task.acceptance],
  ];
  return fields(rows, width);
}

function dependencyText(task: Pick<PlanTask, 'conditions'>, id: string): string {
  const when = conditionText(task, id);
  return when === '' ? id : `${id} (${when})`;
}

function attempts({ task_id, attempts: rows, state, resume }: Data, context: RenderContext): string[] {
  if (rows.length === 0) return [];
  const { bold, dim } = context.palette;
  const lines = rows.flatMap((row) => [
    `  ${labelOf(row).padStart(2)}  ${row.attempt_id}  ${ago(row.dispatched_at, context)}  ${endText(row)}${row.current ? '  current' : ''}`,
    ...[
      ...errorTexts(row),
      ...sessionTexts(row),
      ...outcomes(row),
      ...(row.pruned_at === null ? [] : [LOGS_PRUNED]),
    ].flatMap((text) => hang(' '.repeat(6), text, context.width)),
  ]);
  const gone = (state?.attempt_count ?? 0) - rows.filter(({ attempt_number }) => attempt_number !== null).length;
  const pruned =
    gone > 0 && rows[0]?.pruned_at != null ? [`  ${plural(gone, 'earlier attempt')} removed by gc --prune`] : [];
  const byHand = resume === null ? [] : [dim('  to go on with the last session by hand:'), `  ${resume}`];
  const logs = dim(`  forge orchestrate logs ${task_id} --attempt <number>`);
  return [bold(plural(state?.attempt_count ?? rows.length, 'attempt')), ...pruned, ...lines, ...byHand, logs];
}

function labelOf({ attempt_number, phase }: Attempt): string {
  return attempt_number === null && phase !== 'implement' ? phase : String(attempt_number ?? '?');
}

/** `failed after 2.1s`. */
function endText({ outcome, duration_ms }: Attempt): string {
  const words = outcome.replaceAll('_', ' ');
  if (duration_ms === null) return words;
  return `${words} ${outcome === 'running' ? 'for' : 'after'} ${formatDuration(duration_ms)}`;
}

/** What went wrong, unless a check, a review or a merge says it itself. */
function errorTexts({ error, verified, review, ship }: Attempt): string[] {
  const isTold = verified?.failure != null || review?.error != null || ship?.error != null;
  if (error === null || isTold) return [];
  return [error.message === '' ? error.class : errorText(error)];
}

function sessionTexts({ session }: Attempt): string[] {
  if (session === null) return [];
  const { agent, session_id, model, input_tokens, output_tokens, cost } = session;
  if (session_id === null && input_tokens + output_tokens === 0) return [];
  const used = usedText({ tokens: input_tokens + output_tokens, cost });
  return [[agent, model, session_id === null ? null : `session ${session_id}`, used].filter(Boolean).join(', ')];
}

/** What came of an attempt, of whichever kind. */
function outcomes({ verified, review, ship }: Attempt): string[] {
  if (verified !== null) return [verifiedText(verified), ...writtenTexts(verified)];
  if (review !== null) {
    const { error, verdict, summary, findings } = review;
    const said = summary === '' ? '' : `: ${summary}`;
    const first = error === null ? `${verdict ?? '?'}${said}` : errorText(error);
    return [first, ...findings.map((finding) => `${finding.severity}  ${findingText(finding)}`)];
  }
  if (ship === null) return [];
  if (ship.error !== null) return [errorText(ship.error)];
  const how = ship.merge_sha === null ? 'had its work already' : `has it by ${ship.merge_sha.slice(0, 12)}`;
  return [`${ship.base ?? 'the base'} ${how}`];
}

function verifiedText({ failure, commands, target_sha }: NonNullable<Attempt['verified']>): string {
  if (failure !== null) return errorText(failure);
  const at = target_sha === null ? '' : ` at ${target_sha.slice(0, 12)}`;
  if (commands.length === 0) return `handed in${at}`;
  return `verified${at} by ${commands.map(({ command }) => oneLine(command, 60)).join('; ')}`;
}

/** A log that others may have written into: whatever is missing is left out. */
function historyLine(row: Readonly<Record<string, unknown>>, context: RenderContext): string {
  const text = (name: string) => {
    const value = row[name];
    return typeof value === 'string' || typeof value === 'number' ? oneLine(String(value), 60) : '';
  };
  const when = Number.isNaN(fromIso(text('ts'))) ? '' : ago(text('ts'), context);
  const generation = text('generation') === '' ? '' : `generation ${text('generation')}`;
  const parts = [text('event').padEnd(14), generation, when, text('reason')];
  return `  ${parts.filter((part) => part !== '').join('  ')}`.trimEnd();
}
