/** Tasks and what they depend on, as a drawing: for Mermaid, for Graphviz, and as a tree. Pure. */

import * as z from 'zod/mini';
import { madeIn } from '../../lib/once.ts';
import { oneLine } from '../../lib/text.ts';
import { conditionText, PlanTaskSchema } from './plan.ts';

export const GraphSchema = () =>
  z.strictObject({
    project: z.string(),
    phases: z.array(z.strictObject({ phase_id: z.string(), name: z.string() })),
    /** In the order of the plan. */
    tasks: z.array(
      z.strictObject({
        task_id: z.string(),
        phase_id: z.string(),
        title: z.string(),
        /** As `status` shows it; `done` and `dropped` are the plan's word. */
        state: z.string(),
        /** Of the drawing: others are in `outside`. */
        depends_on: z.array(z.string()),
        /** Tasks of other phases, where one phase is drawn. */
        outside: z.array(z.string()),
        /** Of those that it depends on otherwise than by their success, by id. */
        conditions: PlanTaskSchema().shape.conditions,
      }),
    ),
  });
export type Graph = z.infer<ReturnType<typeof GraphSchema>>;
export type GraphTask = Graph['tasks'][number];

/** The colours of states: what is over, what is at work, what went wrong, and what waits for a person or a next step. */
const COLOURS: readonly [fill: string, states: readonly string[]][] = [
  ['#c8e6c9', ['shipped', 'done']],
  ['#bbdefb', ['claimed', 'dispatched', 'running', 'waiting']],
  ['#ffcdd2', ['failed', 'unreadable']],
  [
    '#ffe0b2',
    ['blocked_on_question', 'awaiting_respawn', 'abandoned', 'ready_for_review', 'reviewed', 'merge_pending'],
  ],
  ['#e0e0e0', ['dropped', 'cancelled', 'skipped']],
];

const TEXT_MAX = 60;

/**
 * A flowchart. Nodes are named by numbers, since an id such as `end` or `a.b` means something else there. Source: mermaid.js.org, Flowcharts:
 * entity codes in texts in quotes.
 */
export function mermaidOf({ phases, tasks }: Graph): string {
  const nodes = new Map(tasks.map(({ task_id }, i) => [task_id, `t${i}`]));
  const lines = phases.flatMap(({ phase_id, name }, i) => [
    `  subgraph p${i}["${mermaidText(`${phase_id}: ${name}`)}"]`,
    ...tasks.flatMap((task) => {
      const text = [task.task_id, task.title, task.state].map(mermaidText).join('<br>');
      return task.phase_id === phase_id ? `    ${nodes.get(task.task_id)}["${text}"]` : [];
    }),
    '  end',
  ]);
  const arrows = tasks.flatMap((task) =>
    task.depends_on.map((id) => {
      const label = conditionText(task, id);
      return `  ${nodes.get(id)} -->${label === '' ? '' : `|${label}|`} ${nodes.get(task.task_id)}`;
    }),
  );
  const colours = COLOURS.flatMap(([fill, states], i) => {
    const own = tasks.filter(({ state }) => states.includes(state)).map(({ task_id }) => nodes.get(task_id));
    return own.length === 0 ? [] : [`  classDef c${i} fill:${fill},color:#000`, `  class ${own.join(',')} c${i}`];
  });
  return ['flowchart TD', ...lines, ...arrows, ...colours].join('\n');
}

function mermaidText(text: string): string {
  return oneLine(text, TEXT_MAX).replace(/["#&;<>\\`{}[\]()|]/g, (char) => `#${char.charCodeAt(0)};`);
}

/** A directed graph in the language DOT. Source: graphviz.org, The DOT Language: strings in double quotes. */
export function dotOf({ project, phases, tasks }: Graph): string {
  const lines = phases.flatMap(({ phase_id, name }, i) => [
    `  subgraph cluster_${i} {`,
    `    label=${dotText(`${phase_id}: ${name}`)};`,
    ...tasks.flatMap((task) => (task.phase_id === phase_id ? `    ${dotNode(task)}` : [])),
    '  }',
  ]);
  const arrows = tasks.flatMap((task) =>
    task.depends_on.map((id) => {
      const label = conditionText(task, id);
      return `  ${dotText(id)} -> ${dotText(task.task_id)}${label === '' ? '' : ` [label=${dotText(label)}]`};`;
    }),
  );
  return [
    `digraph ${dotText(project)} {`,
    '  rankdir=LR;',
    '  node [shape=box, style="rounded,filled", fillcolor="#ffffff"];',
    ...lines,
    ...arrows,
    '}',
  ].join('\n');
}

function dotNode({ task_id, title, state }: GraphTask): string {
  const label = [task_id, title, state].map((text) => dotText(text).slice(1, -1)).join('\\n');
  const fill = COLOURS.find(([, states]) => states.includes(state))?.[0];
  return `${dotText(task_id)} [label="${label}"${fill === undefined ? '' : `, fillcolor="${fill}"`}];`;
}

function dotText(text: string): string {
  return `"${oneLine(text, TEXT_MAX).replace(/["\\]/g, '\\$&')}"`;
}

export interface TreeRow {
  task: GraphTask;
  /** What stands before it: lines of the tree. */
  lead: string;
  /** Dependencies that the tree does not show. */
  also: readonly string[];
}

/** How deep a tree is indented; below that the task above is named. */
const DEPTH_MAX = 10;

/**
 * The tasks of a phase as a tree: each stands once, below the one of its dependencies that takes the longest way from a task without any, and
 * names the others.
 */
export function treeOf(tasks: readonly GraphTask[]): TreeRow[] {
  const own = new Map(tasks.map((task) => [task.task_id, task]));
  const depths = depthsOf(own);
  const above = new Map<string, string | null>();
  for (const { task_id, depends_on } of tasks) {
    const inside = depends_on.filter((id) => own.has(id));
    const depth = (id: string | undefined) => depths.get(id ?? '') ?? 0;
    above.set(
      task_id,
      inside.reduce<string | null>((best, id) => (best === null || depth(id) > depth(best) ? id : best), null),
    );
  }
  const below = new Map<string | null, GraphTask[]>();
  for (const task of tasks) {
    madeIn(below, above.get(task.task_id) ?? null, () => []).push(task);
  }
  const rows: TreeRow[] = [];
  const open = (below.get(null) ?? []).map((task) => ({ task, trunk: '', lead: '', depth: 0 })).reverse();
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { task, trunk, lead, depth } = next;
    const named = depth > DEPTH_MAX ? null : (above.get(task.task_id) ?? null);
    rows.push({ task, lead, also: [...task.depends_on, ...task.outside].filter((id) => id !== named) });
    const children = below.get(task.task_id) ?? [];
    const isDeep = depth >= DEPTH_MAX;
    const inner = children.map((child, i) => {
      const isLast = i === children.length - 1;
      return {
        task: child,
        trunk: isDeep ? trunk : trunk + (isLast ? '   ' : '│  '),
        lead: isDeep ? lead : trunk + (isLast ? '└─ ' : '├─ '),
        depth: depth + 1,
      };
    });
    for (const each of inner.reverse()) open.push(each);
  }
  return rows;
}

/** Of each task the length of the longest way to it. There are no cycles in a plan. */
function depthsOf(tasks: ReadonlyMap<string, GraphTask>): Map<string, number> {
  const depths = new Map<string, number>();
  for (const start of tasks.keys()) {
    // A stack of its own: a chain may be longer than that of calls.
    const open = [start];
    for (let id = open.at(-1); id !== undefined; id = open.at(-1)) {
      const needed = (tasks.get(id)?.depends_on ?? []).filter((other) => tasks.has(other));
      const missing = needed.filter((other) => !depths.has(other));
      if (missing.length > 0) open.push(...missing);
      else {
        depths.set(
          id,
          needed.reduce((most, other) => Math.max(most, (depths.get(other) ?? 0) + 1), 0),
        );
        open.pop();
      }
    }
  }
  return depths;
}
