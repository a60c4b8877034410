/** Parses the text of a plan file, or finds everything that is wrong with it. `spec/PLAN.md` describes the file. */

import type { Problem } from '../../lib/errors.ts';
import { ID_PATTERN } from '../../lib/ids.ts';
import { pathText, valueAt, WITHOUT_WORDS } from '../../lib/schema-issues.ts';
import { oneLine } from '../../lib/text.ts';
import { parseYaml, type Spelling, spellingIn, type YamlPath } from '../../lib/yaml.ts';
import { checkOutline, outlineOf } from './checks.ts';
import { type Finding, shapeFindings, toProblems, unitWarnings } from './findings.ts';
import { indexed, type Plan, type PlanTask } from './plan.ts';
import { DEFERRED_STATUS, type PlanYaml, planSchema, type TaskYaml } from './schema.ts';

type PlanResult = { ok: true; plan: Plan; warnings: string[] } | { ok: false; problems: Problem[] };

/**
 * Reads a plan. All problems are reported, in file order, each with line and column; `file` is the name they show. A plan that
 * cannot be completed is a problem too: one with cycles, or with tasks that wait for each other across phases. Warnings are for
 * what is legal and probably not meant.
 */
export function parsePlan(text: string, file: string): PlanResult {
  const yaml = parseYaml(text, file);
  if (!yaml.ok) return yaml;
  if (yaml.value === null) return { ok: false, problems: [emptyFile(file)] };
  const spell = spellingIn(text);
  const value = withSpelledIds(yaml.value, spell);
  const shape = shapeOf(value);
  const issues = shape.success ? [] : shape.error.issues;
  const findings = [
    ...suggestIds(shapeFindings(planSchema, value, issues, labelIn(value)), value),
    ...checkOutline(outlineOf(value), spell),
  ];
  if (findings.length > 0 || !shape.success) return { ok: false, problems: toProblems(findings, text, file) };
  const plan = buildPlan(shape.data, spell);
  const units = unitWarnings(planSchema, value, text, file, labelIn(value));
  return { ok: true, plan, warnings: [...units, ...warningsOf(plan)] };
}

/** Ids that YAML reads as numbers or booleans are text, as they are spelled: `1.10` is not `1.1`. */
function withSpelledIds(value: unknown, spell: Spelling): unknown {
  const spelled = (part: unknown, path: YamlPath): unknown => {
    if (typeof part === 'number' || typeof part === 'boolean') return spell(part, path);
    return Array.isArray(part) ? each(part, path, spelled) : part;
  };
  return keysOf(value, [], {
    phases: (phases, path) =>
      each(phases, path, (phase, at) =>
        keysOf(phase, at, {
          id: spelled,
          blocked_by: spelled,
          tasks: (tasks, below) =>
            each(tasks, below, (task, place) =>
              keysOf(task, place, { id: spelled, depends_on: spelled, discovered_from: spelled }),
            ),
        }),
      ),
  });
}

type Change = (part: unknown, path: YamlPath) => unknown;

/** The same list where nothing changes, as in most plans. */
function each(list: unknown, path: YamlPath, change: Change): unknown {
  if (!Array.isArray(list)) return list;
  const items = list.map((item, i) => change(item, [...path, i]));
  return items.every((item, i) => item === list[i]) ? list : items;
}

function keysOf(mapping: unknown, path: YamlPath, changes: Readonly<Record<string, Change>>): unknown {
  if (typeof mapping !== 'object' || mapping === null || Array.isArray(mapping)) return mapping;
  const parts = mapping as Record<string, unknown>;
  const changed = Object.entries(changes).flatMap(([key, change]) => {
    const part = Object.hasOwn(parts, key) ? change(parts[key], [...path, key]) : parts[key];
    return part === parts[key] ? [] : [[key, part]];
  });
  return changed.length === 0 ? mapping : { ...mapping, ...Object.fromEntries(changed) };
}

/** Tasks of a phase that are looked at where all of them are too many to say what is wrong with each. */
const TASKS_SAMPLED = 100;

/** zod collects issues as arguments of a call; tens of thousands of them are more than a stack has room for. */
function shapeOf(value: unknown) {
  try {
    return planSchema.safeParse(value, WITHOUT_WORDS);
  } catch (error) {
    const { phases } = (value ?? {}) as { phases?: unknown };
    if (!(error instanceof RangeError) || !Array.isArray(phases)) throw error;
    const sample = phases.map((phase) =>
      Array.isArray(phase?.tasks) ? { ...phase, tasks: phase.tasks.slice(0, TASKS_SAMPLED) } : phase,
    );
    return planSchema.safeParse({ ...(value as object), phases: sample }, WITHOUT_WORDS);
  }
}

function emptyFile(file: string): Problem {
  return {
    message: 'the plan is empty',
    place: { file, line: 1, column: 1 },
    suggestion: 'It needs at least project and phases.',
  };
}

// ---------------------------------------------------------------------------------------------- the plan itself

function buildPlan({ source, shell, ...yaml }: PlanYaml, spell: Spelling): Plan {
  const spelled = (key: 'project_id' | 'spec_revision') => spell(source?.[key] ?? '', ['source', key]) || null;
  return indexed({
    ...yaml,
    source: source && { ...source, project_id: spelled('project_id'), spec_revision: spelled('spec_revision') },
    phases: yaml.phases.map(({ tasks, shell: _, ...phase }) => ({ ...phase, task_ids: tasks.map(({ id }) => id) })),
    tasks: yaml.phases.flatMap((phase, i) =>
      phase.tasks.map((task, j) =>
        buildTask({ ...task, shell: task.shell ?? phase.shell ?? shell }, phase.id, ['phases', i, 'tasks', j], spell),
      ),
    ),
  });
}

function buildTask({ timeout, ...task }: TaskYaml, phase_id: string, path: YamlPath, spell: Spelling): PlanTask {
  const env = Object.entries(task.env).map(([name, value]) => [name, spell(value, [...path, 'env', name])]);
  return {
    ...task,
    parent: null,
    input: null,
    phase_id,
    human: task.owner_type === 'human',
    depends_on: [...new Set(task.depends_on)],
    tracker_issue_id: spell(task.tracker_issue_id ?? '', [...path, 'tracker_issue_id']) || null,
    status: task.status === DEFERRED_STATUS ? 'paused' : task.status,
    timeout_ms: timeout,
    env: Object.fromEntries(env),
  };
}

// ---------------------------------------------------------------------------------------------- what is probably not meant

function warningsOf({ phases, tasks, byId }: Plan): string[] {
  const awaited = new Set(phases.map((phase) => phase.blocked_by));
  const empty = phases.filter(
    (phase) => phase.task_ids.length === 0 && phase.status !== 'done' && awaited.has(phase.id),
  );
  return [
    ...empty.map(({ id }) => `phase "${id}" has no tasks, so it counts as finished and blocks nothing`),
    ...tasks.flatMap((task) => {
      const dropped = task.depends_on.filter((id) => byId.get(id)?.status === 'dropped');
      const isOver = task.status === 'done' || task.status === 'dropped';
      return [
        ...(isOver
          ? []
          : dropped.map((id) => `task "${task.id}" depends on "${id}", which is dropped, so it can never start`)),
        ...(task.human && task.run !== null ? [`task "${task.id}" is for a human, so its run is never executed`] : []),
      ];
    }),
  ];
}

// ---------------------------------------------------------------------------------------------- what is wrong

/** `task "build": timeout`: tasks and phases by their names, the rest by its path. */
function labelIn(value: unknown): (path: YamlPath) => string {
  return (path) => {
    const [, phase, , task] = path;
    if (path[0] !== 'phases' || typeof phase !== 'number') return pathText(path);
    const isTask = path[2] === 'tasks' && typeof task === 'number';
    const end = isTask ? 4 : 2;
    const id = valueAt(value, [...path.slice(0, end), 'id']);
    const name = typeof id === 'string' && id !== '' ? `"${oneLine(id, 64)}"` : `number ${Number(path[end - 1]) + 1}`;
    const rest = pathText(path.slice(end));
    return `${isTask ? 'task' : 'phase'} ${name}${rest === '' ? '' : `: ${rest}`}`;
  };
}

/** Adds to findings about ids how the id could be written instead. */
function suggestIds(findings: readonly Finding[], value: unknown): Finding[] {
  return findings.map((finding) => {
    const id = finding.path.at(-1) === 'id' ? valueAt(value, finding.path) : null;
    if (typeof id !== 'string' || finding.suggestion !== undefined) return finding;
    const legal = id
      .replace(/[^A-Za-z0-9._-]+/g, '-')
      .replace(/^[^A-Za-z0-9]+/, '')
      .slice(0, 64)
      .replace(/-+$/, '');
    return ID_PATTERN.test(legal) && legal !== id ? { ...finding, suggestion: `Write ${legal}.` } : finding;
  });
}
