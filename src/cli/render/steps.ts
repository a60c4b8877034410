/** `steps` and `context`. */

import type { VerbData } from '../../commands/registry.ts';
import { errorText } from '../../domain/retry/classify.ts';
import { oneLine, plainJson } from '../../lib/text.ts';
import { formatDuration, fromIso } from '../../lib/time.ts';
import { columnOf, hang, pad, plural } from '../layout.ts';
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
      ...(kept.length === 0 ? [] : ['', context.palette.bold('Context'), ...kept]),
    ].join('\n');
  },
  context({ value, found, values }, _context, { action }) {
    // In a script its output would be in the way.
    if (action === 'set' || action === 'merge') return '';
    if (values !== null) return plainJson(values);
    return found ? plainJson(value) : '';
  },
} satisfies Partial<Renderers>;

type Step = VerbData<'steps'>['steps'][number];

/** A line for each step: its name, and how it stands. */
export function stepLines(steps: readonly Step[], context: RenderContext): string[] {
  const width = columnOf(32, steps, 'name');
  return steps.flatMap((step) => hang(`  ${pad(step.name, width)}  `, standing(step, context), context.width));
}

function standing(step: Step, context: RenderContext): string {
  const { status, tries, started_at, ended_at, last_error } = step;
  const took = `in ${formatDuration(fromIso(ended_at) - fromIso(started_at))}`;
  const tried = tries > 1 ? `, ${plural(tries, 'try', 'tries')}` : '';
  if (status === 'completed') return `done ${took}${tried}, ${ago(ended_at, context)}`;
  return `failed ${ago(ended_at, context)}${tried}${last_error === null ? '' : `: ${errorText(last_error)}`}`;
}
