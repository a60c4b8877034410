/** `graph`: tasks and what they depend on, drawn. */

import * as z from 'zod/mini';
import { dotOf, type Graph, GraphSchema, mermaidOf } from '../domain/plan/graph.ts';
import { isOverByPlan, type Plan, type PlanTask } from '../domain/plan/plan.ts';
import { surveyOf } from '../domain/schedule/readiness.ts';
import { schedulingContextOf } from '../engine/env.ts';
import { invalidArgs } from '../lib/errors.ts';
import { requirePlan } from '../project/plan-file.ts';
import { command, optional } from './shared/command.ts';
import { textOrNull } from './shared/data.ts';
import { nearest } from './shared/planned.ts';
import { readAll } from './shared/reads.ts';
import { openSession } from './shared/session.ts';

const FORMATS = ['text', 'mermaid', 'dot', 'json'] as const;

export const graph = command({
  changes: false,
  notes:
    'A tree of each phase, or what Mermaid or Graphviz draw. In a tree a task stands below the dependency that it waits for longest.',
  examples: [
    ['graph', 'the plan as trees'],
    ['graph --format mermaid', 'for Markdown on GitHub, in a block ```mermaid'],
    ['graph --format dot --phase phase-1', 'for Graphviz: | dot -Tsvg > plan.svg'],
  ],
  input: z.object({
    format: optional.choice(FORMATS, 'How it is drawn (default: text)'),
    phase: optional.text('id', 'Only this phase'),
  }),
  output: () =>
    z.strictObject({
      ...GraphSchema().shape,
      /** What Mermaid or Graphviz read; null for text and JSON. */
      drawing: textOrNull(),
    }),
  /** Throws PHASES_NOT_FOUND, PHASES_PARSE_ERROR, INVALID_ARGS. */
  async run(context, { format = 'text', phase }) {
    const session = await openSession(context);
    const { plan, file } = await requirePlan(session);
    if (phase !== undefined && !plan.phaseById.has(phase))
      throw invalidArgs(
        `--phase ${phase}: there is no such phase in ${file}`,
        nearest(phase, plan.phaseById.keys()).hint,
      );
    const { reads } = await readAll(session);
    const fates = surveyOf(schedulingContextOf(session, plan, reads)).fates();
    const drawn = graphOf(plan, phase ?? null, (task) => {
      const { id, status } = task;
      if (isOverByPlan(task)) return status;
      if (fates.skipOf(id) !== null) return 'skipped';
      const read = reads.get(id);
      return read?.record?.state.state ?? (read?.problem ? 'unreadable' : 'unclaimed');
    });
    return { ...drawn, drawing: format === 'mermaid' ? mermaidOf(drawn) : format === 'dot' ? dotOf(drawn) : null };
  },
});

/** Without the children that tasks have made. */
function graphOf({ project, phases, tasks }: Plan, only: string | null, stateOf: (task: PlanTask) => string) {
  const isDrawn = (id: string) => only === null || id === only;
  const drawn = tasks.filter(({ parent, phase_id }) => parent === null && isDrawn(phase_id));
  const ids = new Set(drawn.map(({ id }) => id));
  return {
    project,
    phases: phases.flatMap(({ id, name }) => (isDrawn(id) ? [{ phase_id: id, name }] : [])),
    tasks: drawn.map((task) => ({
      task_id: task.id,
      phase_id: task.phase_id,
      title: task.title,
      state: stateOf(task),
      depends_on: task.depends_on.filter((id) => ids.has(id)),
      outside: task.depends_on.filter((id) => !ids.has(id)),
      conditions: task.conditions,
    })),
  } satisfies Graph;
}
