/** `gc`: what is to be done or was, a line an item, and the totals. */

import { type GcInput, isPreview } from '../../commands/gc.ts';
import type { VerbData } from '../../commands/registry.ts';
import { sizeText } from '../../lib/size.ts';
import { oneLine, plainText, plural, shellWords } from '../../lib/text.ts';
import { columnOf, hang, pad, padId } from '../layout.ts';
import type { Renderers } from '../view.ts';

type Data = VerbData<'gc'>;
type Item = Data['planned'][number];

interface Line {
  sign: string;
  task: string;
  what: string;
  why: string;
}

export const GC = {
  gc(data, { palette, width }, input) {
    const dryRun = isPreview(input);
    if (data.pruned !== null) return prunedLines(data.pruned, dryRun, width).join('\n');
    const lines = dryRun ? previewLines(data) : outcomeLines(data);
    const { moved } = data.legacy;
    const { removed } = data.litter;
    if (lines.length + moved.length + removed.length === 0) return 'no divergences found';
    const task = columnOf(24, lines, 'task');
    const what = columnOf(28, lines, 'what');
    return [
      ...(moved.length === 0 ? [] : [palette.bold(dryRun ? 'Old layout, to be moved' : 'Old layout, moved')]),
      ...moved.map(({ from, to }) => `  ${from} -> ${to}`),
      ...(removed.length === 0
        ? []
        : [palette.bold(`Unfinished files of killed processes, ${dryRun ? 'to be ' : ''}removed`)]),
      ...removed.map((file) => `  ${plainText(file)}`),
      ...lines.flatMap((line) =>
        hang(`${line.sign} ${padId(line.task, task)}  ${pad(line.what, what)}  `, line.why, width),
      ),
      '',
      dryRun ? previewTotals(data, input) : outcomeTotals(data),
    ].join('\n');
  },
} satisfies Partial<Renderers>;

/** Tasks that are listed one by one, those with the most first. */
const MOST_LISTED = 20;

function prunedLines(pruned: NonNullable<Data['pruned']>, dryRun: boolean, width: number): string[] {
  const { tasks, runs, kept, skipped, failed, files, bytes } = pruned;
  const listed = tasks.toSorted((a, b) => b.bytes - a.bytes).slice(0, MOST_LISTED);
  const lines = [
    ...listed.map((task) => ({ sign: dryRun ? '~' : '✓', id: task.task_id, text: whatOf(task) })),
    ...kept.slice(0, MOST_LISTED).map(({ task_id, why }) => ({ sign: ' ', id: task_id, text: `kept: ${why}` })),
    ...skipped.map(({ task_id, why }) => ({ sign: '-', id: task_id, text: `skipped: ${why}` })),
    ...failed.map(({ task_id, code, message }) => ({ sign: '✗', id: task_id ?? 'runs', text: `${code}: ${message}` })),
  ];
  if (lines.length + runs.length === 0) return ['nothing is old enough to be removed'];
  const id = columnOf(24, lines, 'id');
  const more = tasks.length - listed.length + Math.max(0, kept.length - MOST_LISTED);
  const what = `${plural(files, 'file')} of ${plural(tasks.length, 'task')}, ${sizeText(bytes)}`;
  const andRuns = runs.length === 0 ? '' : `, and ${plural(runs.length, 'run')}`;
  const rest = kept.length === 0 ? '' : `; ${plural(kept.length, 'task')} kept`;
  return [
    ...lines.flatMap((line) =>
      hang(`${line.sign} ${padId(oneLine(line.id, 64), id)}  `, oneLine(line.text, 400), width),
    ),
    ...(more === 0 ? [] : [`  and ${more} more; --json has all`]),
    ...(lines.length === 0 ? [] : ['']),
    `${dryRun ? 'to be removed' : 'removed'}: ${what}${andRuns}${rest}`,
  ];
}

function whatOf(task: NonNullable<Data['pruned']>['tasks'][number]): string {
  const { state, ended_at, attempts, children, files, bytes } = task;
  if (ended_at === null) return `${state}: ticks of its repeats, ${plural(files, 'file')}, ${sizeText(bytes)}`;
  const and = children === 0 ? '' : `${plural(children, 'child', 'children')}, `;
  return `${state} ${ended_at.slice(0, 10)}: ${plural(attempts, 'attempt')}, ${and}${plural(files, 'file')}, ${sizeText(bytes)}`;
}

function previewLines({ planned, reported }: Data): Line[] {
  return [...planned.map((item) => line('~', item)), ...reported.map((item) => line('!', item))];
}

function outcomeLines({ applied, skipped, failed, reported }: Data): Line[] {
  return [
    ...applied.map((item) => line('✓', item, `${item.reason}${rescuedBy(item)}`)),
    ...skipped.map((item) => line('-', item, `skipped: ${item.why ?? SKIPPED[item.code]}`)),
    ...failed.map((item) => line('✗', item, `${item.code}: ${item.message}`)),
    ...reported.map((item) => line('!', item)),
  ];
}

/** Where to find what was in no other place, once a branch or a worktree is gone. */
function rescuedBy({ payload }: Item): string {
  const { rescued } = payload as { rescued?: unknown };
  return typeof rescued === 'string' ? `; kept as ${rescued}` : '';
}

function line(sign: string, { row, task_id, action, reason }: Item, why = reason): Line {
  return { sign, task: oneLine(task_id, 64), what: `${action} (row ${row})`, why: oneLine(why, 400) };
}

const SKIPPED: Record<Data['skipped'][number]['code'], string> = {
  LEASE_IDENTITY_MISMATCH: 'another lease is there now',
  LEASE_STATE_NOT_TERMINAL: 'the task is not over any more',
  LEASE_NOT_FOUND: 'the lease is gone',
  STATE_VERSION_CONFLICT: 'it has changed since it was looked at',
  reclaimed: 'the tracker has taken the claim again',
};

function previewTotals({ planned, reported }: Data, input: GcInput): string {
  const apply =
    planned.length === 0 ? '' : `; apply with \`${shellWords(['forge', 'orchestrate', 'gc', ...applying(input)])}\``;
  return `${planned.length} to do, ${plural(reported.length, 'report')}${apply}`;
}

/** The flags with which `gc` does what the preview has shown, and no more. */
function applying({ out, plan, task = [], row = [], remove_orphan_worktrees, shipped, older_than }: GcInput): string[] {
  if (out !== undefined) return ['--plan', out];
  return [
    ...(plan === undefined ? [] : ['--plan', plan]),
    ...task.flatMap((id) => ['--task', id]),
    ...row.flatMap((number) => ['--row', String(number)]),
    ...(remove_orphan_worktrees === true ? ['--remove-orphan-worktrees'] : []),
    ...(shipped === true ? ['--shipped'] : []),
    ...(older_than === undefined ? [] : ['--older-than', older_than]),
  ];
}

function outcomeTotals({ applied, skipped, failed, reported }: Data): string {
  return `${applied.length} applied, ${skipped.length} skipped, ${failed.length} failed, ${plural(reported.length, 'report')}`;
}
