/** `steps`, `context` and `fan-out`. */

import type { VerbData } from '../../commands/registry.ts';
import { errorText } from '../../domain/retry/classify.ts';
import { oneLine, plainJson, plural } from '../../lib/text.ts';
import { formatDuration, fromIso } from '../../lib/time.ts';
import { columnOf, hang, pad } from '../layout.ts';
import type { RenderContext } from '../render-context.ts';
import type { Renderers } from '../view.ts';
import { ago } from './parts.ts';

export const STEPS = {
  steps(data, context) {
    const { steps, context: values, task_id } = data;
    const lines = stepLines(steps, context);
    const kept = Object.entries(values).flatMap(([key, value]) =>
      hang(`  ${key}  `, oneLine(plainJson(value), 200), context.width),
    );
    return [
      `${context.palette.bold(task_id)}  ${plural(steps.length, 'step')}`,
      ...lines,
      ...tickLines(data.ticks ?? [], context),
      ...(kept.length === 0 ? [] : ['', context.palette.bold('Context'), ...kept]),
    ].join('\n');
  },
  wait: () => '',
  'wait-for'({ data, status }) {
    return status === 'completed' ? plainJson(data) : '';
  },
  signal({ task_id, signal, sent, wakes }, { palette }) {
    const what = sent ? 'is sent' : 'had come before';
    const next = wakes ? `; it wakes task ${task_id}` : '';
    return `signal ${palette.bold(signal)} ${what}${next}`;
  },
  context({ value, found, values }, _context, { action }) {
    // In a script its output would be in the way.
    if (action === 'set' || action === 'merge') return '';
    if (values !== null) return plainJson(values);
    return found ? plainJson(value) : '';
  },
  'fan-out'({ name, children, recorded }) {
    return `${name}: ${plural(children, 'child', 'children')}${recorded ? ', made before' : ''}`;
  },
} satisfies Partial<Renderers>;

type Step = VerbData<'steps'>['steps'][number];

function tickLines(ticks: NonNullable<VerbData<'steps'>['ticks']>, context: RenderContext): string[] {
  if (ticks.length === 0) return [];
  const lines = ticks.flatMap(({ name, at, status, count, last_error }) => {
    const times = count > 1 ? ` and ${count - 1} after it` : '';
    const why = last_error === null ? '' : `: ${errorText(last_error)}`;
    return hang(`  ${name}  `, `${at}${times}  ${status}${why}`, context.width);
  });
  return ['', context.palette.bold('Ticks'), ...lines];
}

/** A line for each step: its name, and how it stands. */
export function stepLines(steps: readonly Step[], context: RenderContext): string[] {
  const width = columnOf(32, steps, 'name');
  return steps.flatMap((step) => hang(`  ${pad(step.name, width)}  `, standing(step, context), context.width));
}

function standing(step: Step, context: RenderContext): string {
  const { kind, status, tries, started_at, last_error } = step;
  const why = last_error === null ? '' : `: ${errorText(last_error)}`;
  if (step.ticks !== undefined) return repeatText(step, step.ticks, context) + why;
  const tried = tries > 1 ? `, ${plural(tries, 'try', 'tries')}` : '';
  if (step.ended_at === null) return `${kind} since ${ago(started_at, context)}${untilText(step)}${tried}${why}`;
  const took = `in ${formatDuration(fromIso(step.ended_at) - fromIso(started_at))}`;
  if (status === 'completed') return `${childrenText(step)}done ${took}${tried}, ${ago(step.ended_at, context)}`;
  const next = step.wake === undefined ? '' : `, again at ${step.wake.at}`;
  return `${status === 'failed' ? 'failed' : 'timed out'} ${ago(step.ended_at, context)}${tried}${next}${why}`;
}

/** How many children a fan-out has, or of a join how many of them were shipped; empty for any other step. */
function childrenText({ kind, result }: Step): string {
  if (kind !== 'fan-out' && kind !== 'join') return '';
  const { children, not_shipped = {} } = result as { children: number; not_shipped?: object };
  const all = plural(children, 'child', 'children');
  return kind === 'join' ? `${children - Object.keys(not_shipped).length} of ${all} shipped, ` : `${all}, `;
}

function repeatText({ status, ended_at }: Step, ticks: NonNullable<Step['ticks']>, context: RenderContext): string {
  const { ran, failed, skipped, next } = ticks;
  const counts = [
    `ran ${plural(ran, 'time')}`,
    failed > 0 ? `${failed} failed` : '',
    skipped > 0 ? `${skipped} skipped` : '',
  ];
  const end = ended_at === null ? `next at ${next}` : `${status} ${ago(ended_at, context)}`;
  return [...counts.filter((text) => text !== ''), end].join(', ');
}

function untilText({ wake, deadline }: Step): string {
  const looks = wake !== undefined && wake.at !== deadline?.at ? `, looks again at ${wake.at}` : '';
  return `${looks}${deadline === undefined ? '' : `, until ${deadline.at}`}`;
}
