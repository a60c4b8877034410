/** `add`, `edit`, `drop` and `graph`: what was changed in the plan, and the plan as trees. */

import type { VerbData } from '../../commands/registry.ts';
import { type TreeRow, treeOf } from '../../domain/plan/graph.ts';
import { firstOf, oneLine, plainJson } from '../../lib/text.ts';
import { columnOf, cut, pad, padId, paragraphs, widest } from '../layout.ts';
import type { RenderContext } from '../render-context.ts';
import type { Renderers } from '../view.ts';
import { inColourOf, nextCommands, signFor } from './parts.ts';

export const PLAN = {
  add({ task_id, phase_id, title, file, line, discovered_from }, context) {
    const found = discovered_from === null ? '' : `, found in ${discovered_from}`;
    return [
      `Added ${context.palette.bold(task_id)} to ${phase_id}${found}: ${oneLine(title)}`,
      `  ${file}:${line}`,
      '',
      ...nextCommands([`forge orchestrate edit ${task_id} --set key=value`], context, 'To change it'),
    ].join('\n');
  },

  edit({ task_id, keys, changed, file, line }, { palette }) {
    if (!changed) return `${palette.bold(task_id)} is so already (${file}:${line}).`;
    return `Changed ${keys.join(', ')} of ${palette.bold(task_id)} (${file}:${line}).`;
  },

  drop({ task_id, blocks, changed, file, line }, { palette }) {
    const what = changed ? 'is dropped' : 'was dropped before';
    const never =
      blocks.length === 0 ? '' : `\nIt blocks ${firstOf(blocks)}: what depends on a dropped task never starts.`;
    return `${palette.bold(task_id)} ${what} (${file}:${line}).${never}`;
  },

  graph({ drawing, ...data }, context, { format }) {
    if (format === 'json') return plainJson(data);
    return drawing ?? trees(data, context);
  },
} satisfies Partial<Renderers>;

/** Columns of ids with the lines before them, of states, and before both. */
const IDS_MAX = 44;
const STATES_MAX = 16;
const MARGIN = 4;

function trees({ phases, tasks }: Omit<VerbData<'graph'>, 'drawing'>, context: RenderContext): string {
  const { palette, width } = context;
  const states = columnOf(STATES_MAX, tasks, 'state');
  return paragraphs(
    phases.map(({ phase_id, name }) => {
      const rows = treeOf(tasks.filter((task) => task.phase_id === phase_id));
      const ids = widest(
        Math.min(IDS_MAX, width - states - 20),
        // Spaces at its start would not be counted.
        rows.map(({ lead, task }) => '-'.repeat(lead.length) + task.task_id),
      );
      const lines = rows.map((row) => {
        const { task, lead } = row;
        const rest = cut(aboutText(row), Math.max(8, width - MARGIN - ids - states - 4));
        const id = padId(task.task_id, Math.max(1, ids - lead.length));
        return `  ${signFor(task.state, context)} ${palette.dim(lead)}${id}  ${inColourOf(task.state, context, pad(task.state, states))}  ${rest}`.trimEnd();
      });
      const title = `${phase_id}  ${cut(name, Math.max(8, width - phase_id.length - 2))}`;
      return [palette.bold(title), ...(lines.length === 0 ? [palette.dim('  no tasks')] : lines)];
    }),
  );
}

function aboutText({ task, also }: TreeRow): string {
  const after = also.length === 0 ? '' : `(after ${firstOf(also, 3)}) `;
  return after + task.title;
}
