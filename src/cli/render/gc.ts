/** `gc`: what is to be done or was, a line an item, and the totals. */

import { type GcData, isPreview } from '../../commands/gc.ts';
import type { VerbInput } from '../../commands/registry.ts';
import { oneLine } from '../../lib/text.ts';
import { columnOf, hang, pad, plural } from '../layout.ts';
import type { Look } from '../look.ts';

interface Line {
  sign: string;
  task: string;
  what: string;
  why: string;
}

export function renderGc(data: GcData, input: VerbInput<'gc'>, look: Look): string {
  const dryRun = isPreview(input);
  const lines = dryRun ? previewLines(data) : outcomeLines(data);
  const moved = data.legacy.moved.map(({ from, to }) => `  ${from} -> ${to}`);
  const legacy =
    moved.length === 0 ? [] : [look.palette.bold(dryRun ? 'Old layout, to be moved' : 'Old layout, moved'), ...moved];
  if (lines.length === 0 && legacy.length === 0) return 'no divergences found';
  const columns = {
    task: columnOf(
      lines.map(({ task }) => task),
      24,
    ),
    what: columnOf(
      lines.map(({ what }) => what),
      28,
    ),
  };
  return [
    ...legacy,
    ...lines.flatMap(({ sign, task, what, why }) =>
      hang(`${sign} ${pad(task, columns.task)}  ${pad(what, columns.what)}  `, why, look.width),
    ),
    '',
    dryRun ? previewTotals(data, input.out) : outcomeTotals(data),
  ].join('\n');
}

function previewLines({ planned, reported }: GcData): Line[] {
  return [
    ...planned.map(({ row, task_id, action, reason }) => line('~', row, task_id, action, reason)),
    ...reported.map(({ row, task_id, action, reason }) => line('!', row, task_id, action, reason)),
  ];
}

function outcomeLines({ applied, skipped, failed, reported }: GcData): Line[] {
  return [
    ...applied.map((item) => line('✓', item.row, item.task_id, item.action, `${item.reason}${rescuedBy(item)}`)),
    ...skipped.map(({ row, task_id, action, code, why }) =>
      line('-', row, task_id, action, why === undefined ? SKIPPED[code] : `skipped: ${why}`),
    ),
    ...failed.map(({ row, task_id, action, code, message }) => line('✗', row, task_id, action, `${code}: ${message}`)),
    ...reported.map(({ row, task_id, action, reason }) => line('!', row, task_id, action, reason)),
  ];
}

/** Where to find what was in no other place, once a branch or a worktree is gone. */
function rescuedBy({ payload }: GcData['applied'][number]): string {
  const { rescued } = payload as { rescued?: unknown };
  return typeof rescued === 'string' ? `; kept as ${rescued}` : '';
}

function line(sign: string, row: number, task: string, action: string, why: string): Line {
  return { sign, task: oneLine(task, 64), what: `${action} (row ${row})`, why: oneLine(why, 400) };
}

const SKIPPED: Record<GcData['skipped'][number]['code'], string> = {
  LEASE_IDENTITY_MISMATCH: 'skipped: another lease is there now',
  LEASE_STATE_NOT_TERMINAL: 'skipped: the task is not over any more',
  LEASE_NOT_FOUND: 'skipped: the lease is gone',
  STATE_VERSION_CONFLICT: 'skipped: it has changed since it was looked at',
  reclaimed: 'skipped: the tracker has taken the claim again',
};

function previewTotals({ planned, reported }: GcData, out: string | undefined): string {
  const next = out === undefined ? 'forge orchestrate gc' : `forge orchestrate gc --plan ${out}`;
  const apply = planned.length === 0 ? '' : `; apply with \`${next}\``;
  return `${planned.length} to do, ${plural(reported.length, 'report')}${apply}`;
}

function outcomeTotals({ applied, skipped, failed, reported }: GcData): string {
  return `${applied.length} applied, ${skipped.length} skipped, ${failed.length} failed, ${plural(reported.length, 'report')}`;
}
