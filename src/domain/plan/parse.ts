/** Parses the text of a plan file, or finds everything that is wrong with it. `spec/PLAN.md` describes the file. */

import type { Problem } from '../../lib/errors.ts';
import { ID_PATTERN } from '../../lib/ids.ts';
import { isMapping } from '../../lib/json.ts';
import { madeIn, once } from '../../lib/once.ts';
import { listAt, pathText, valueAt, WITHOUT_WORDS } from '../../lib/schema-issues.ts';
import { oneLine } from '../../lib/text.ts';
import { type Positions, positionsOf, type Spelling, type YamlPath } from '../../lib/yaml.ts';
import { checkOutline, outlineOf } from './checks.ts';
import { type DefaultsLevel, levelOf, withDefaults } from './defaults.ts';
import { type Finding, inOrder, problemsIn, shapeFindings, unitWarnings } from './findings.ts';
import { matrixEnv } from './matrix.ts';
import { expandedPart, type MadeTask, referenceWarnings } from './matrix-tasks.ts';
import { mergedValue, type PlanPart, partAt, type ReadPlan, readParts, spellingOf } from './parts.ts';
import type { PlanText } from './places.ts';
import {
  conditionOn,
  type DependencyCondition,
  filledTask,
  indexed,
  isOverByPlan,
  ON_SUCCESS,
  type Plan,
  type PlanTask,
  type SparseTask,
  sharedParts,
  sharedTexts,
} from './plan.ts';
import {
  DEFERRED_STATUS,
  includedSchema,
  isOwnKey,
  type PlanYaml,
  planSchema,
  SMALLEST_PLAN,
  type TaskYaml,
} from './schema.ts';

export type PlanResult =
  /** `included`: the files that it includes, with their texts. */
  | { ok: true; plan: Plan; warnings: string[]; included: PlanText[] }
  /** `hint`: where what there is has not the form of a plan yet. */
  | { ok: false; problems: Problem[]; hint?: string };

/**
 * Reads a plan. All problems are reported, in file order, each with line and column; `file` is the name they show. A plan that
 * cannot be completed is a problem too: one with cycles, or with tasks that wait for each other across phases. Warnings are for
 * what is legal and probably not meant. `read`: reads the files that it includes; default: there are none.
 */
export function parsePlan(text: string, file: string, read: ReadPlan = () => null): PlanResult {
  const { parts, problems, findings: wrong } = readParts({ file, text }, read, prepared);
  if (problems.length > 0) return { ok: false, problems };
  const value = mergedValue(parts);
  const checked = parts.map((part, i) => checkedPart(part, i === 0));
  const spell = spellingOf(parts);
  const across = checkOutline(outlineOf(value), spell);
  if (across.length + wrong.length > 0 || checked.some(({ findings, data }) => findings.length > 0 || data === null))
    return {
      ok: false,
      problems: problemsOf(parts, checked, wrong, across),
      ...(isBegun(value) ? {} : { hint: `The smallest plan that works: ${SMALLEST_PLAN}` }),
    };
  const plan = buildPlan(checked as ShapedPart[]);
  const warnings = parts.flatMap((part) => {
    const label = labelIn(part.value);
    return [...unitWarnings(planSchema, part.value, part.text, part.file, label), ...referenceWarnings(part, label)];
  });
  const included = parts.slice(1).map(({ file, text }) => ({ file, text }));
  return { ok: true, plan, warnings: [...warnings, ...warningsOf(plan)], included };
}

/** What forge makes of the value of a file, before anything is checked. */
function prepared(value: unknown, spell: Spelling): unknown {
  return withSpelledIds(withoutOwnKeys(value), spell);
}

/** Keys of the root that belong to its writer, such as those that only have anchors. */
function withoutOwnKeys(value: unknown): unknown {
  if (!isMapping(value) || !Object.keys(value).some(isOwnKey)) return value;
  return Object.fromEntries(Object.entries(value).filter(([key]) => !isOwnKey(key)));
}

interface CheckedPart {
  part: PlanPart;
  findings: Finding[];
  /** Null where the shape is wrong. */
  data: (Omit<PlanYaml, 'project'> & { project: string | null }) | null;
  /** The tasks that a task of the file stands for, by their indexes there; by a matrix it may be several. */
  tasksAt(phase: number, task: number): MadeTask[];
}
type ShapedPart = CheckedPart & { data: NonNullable<CheckedPart['data']> };

function checkedPart(part: PlanPart, isFirst: boolean): CheckedPart {
  const schema = isFirst ? planSchema : includedSchema;
  const { value, findings, tasksAt } = expandedPart(part.value, labelIn(part.value));
  const shape = shapeOf(schema, value);
  const issues = shape.success ? [] : shape.error.issues;
  return {
    part,
    findings: [
      ...suggestIds(shapeFindings(schema, value, issues, labelIn(value)), value),
      ...phasesMissing(value),
      ...findings,
    ],
    data: shape.success ? shape.data : null,
    tasksAt: (i, j) => tasksAt(shape.data?.phases[i]?.tasks[j], i, j),
  };
}

/** Whether a plan has anything of the form that it needs: other files, or a task with an id and a title. */
function isBegun(value: unknown): boolean {
  const tasks = listAt(value, 'phases').flatMap((phase) => listAt(phase, 'tasks'));
  const has = (task: unknown, key: string) => valueAt(task, [key]) !== undefined;
  return listAt(value, 'include').length > 0 || tasks.some((task) => has(task, 'id') && has(task, 'title'));
}

/** A file without phases has those of the files that it includes. */
function phasesMissing(value: unknown): Finding[] {
  if (!isMapping(value) || listAt(value, 'include').length > 0) return [];
  const phases = valueAt(value, ['phases']) ?? null;
  if (phases === null) return [{ path: [], message: '"phases" is missing' }];
  const isEmpty = Array.isArray(phases) && phases.length === 0;
  return isEmpty ? [{ path: ['phases'], message: 'phases: a plan needs at least one phase' }] : [];
}

function problemsOf(
  parts: readonly PlanPart[],
  checked: readonly CheckedPart[],
  wrong: readonly { part: PlanPart; finding: Finding }[],
  across: readonly Finding[],
): Problem[] {
  const positions = new Map(parts.map(({ file, text }) => [file, once((): Positions => positionsOf(text))]));
  const spotIn = ({ file, text }: PlanPart, path: YamlPath) => ({
    file,
    path,
    positions: positions.get(file)?.() ?? positionsOf(text),
  });
  const inPart = (part: PlanPart, findings: readonly Finding[]) => problemsIn(findings, (path) => spotIn(part, path));
  const problems = [
    ...checked.flatMap(({ part, findings }) => inPart(part, findings)),
    ...wrong.flatMap(({ part, finding }) => inPart(part, [finding])),
    ...problemsIn(across, (path) => {
      const at = partAt(parts, path);
      return spotIn(at.part, at.path);
    }),
  ];
  // What is wrong with each task of a matrix is wrong with the one that is written.
  const told = new Map(problems.map((problem) => [JSON.stringify([problem.place, problem.message]), problem]));
  return inOrder(
    [...told.values()],
    parts.map(({ file }) => file),
  );
}

/** Ids that YAML reads as numbers or booleans are text, as they are spelled: `1.10` is not `1.1`. */
function withSpelledIds(value: unknown, spell: Spelling): unknown {
  const spelled = (part: unknown, path: YamlPath): unknown => {
    if (typeof part === 'number' || typeof part === 'boolean') return spell(part, path);
    return Array.isArray(part) ? each(part, path, spelled) : part;
  };
  /** All values in a mapping, and in what is in there. */
  const allSpelled = (part: unknown, path: YamlPath): unknown => {
    if (Array.isArray(part)) return each(part, path, allSpelled);
    if (typeof part !== 'object' || part === null) return spelled(part, path);
    return keysOf(part, path, Object.fromEntries(Object.keys(part).map((key) => [key, allSpelled])));
  };
  const dependencies = (list: unknown, path: YamlPath) =>
    each(list, path, (entry, at) =>
      typeof entry === 'object' && entry !== null ? keysOf(entry, at, { task: spelled }) : spelled(entry, at),
    );
  return keysOf(value, [], {
    phases: (phases, path) =>
      each(phases, path, (phase, at) =>
        keysOf(phase, at, {
          id: spelled,
          blocked_by: spelled,
          tasks: (tasks, below) =>
            each(tasks, below, (task, place) =>
              keysOf(task, place, {
                id: spelled,
                depends_on: dependencies,
                discovered_from: spelled,
                matrix: allSpelled,
              }),
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
  if (!isMapping(mapping)) return mapping;
  const changed = Object.entries(changes).flatMap(([key, change]) => {
    const part = Object.hasOwn(mapping, key) ? change(mapping[key], [...path, key]) : mapping[key];
    return part === mapping[key] ? [] : [[key, part]];
  });
  return changed.length === 0 ? mapping : { ...mapping, ...Object.fromEntries(changed) };
}

/** Tasks of a phase that are looked at where all of them are too many to say what is wrong with each. */
const TASKS_SAMPLED = 100;

/** zod collects issues as arguments of a call; tens of thousands of them are more than a stack has room for. */
function shapeOf(schema: typeof planSchema | typeof includedSchema, value: unknown) {
  try {
    return schema.safeParse(value, WITHOUT_WORDS);
  } catch (error) {
    const { phases } = (value ?? {}) as { phases?: unknown };
    if (!(error instanceof RangeError) || !Array.isArray(phases)) throw error;
    const sample = phases.map((phase) =>
      Array.isArray(phase?.tasks) ? { ...phase, tasks: phase.tasks.slice(0, TASKS_SAMPLED) } : phase,
    );
    return schema.safeParse({ ...(value as object), phases: sample }, WITHOUT_WORDS);
  }
}

// ---------------------------------------------------------------------------------------------- the plan itself

function buildPlan(checked: readonly ShapedPart[]): Plan {
  const [first] = checked as [ShapedPart];
  const { source, project, tracker_url, gate_check_command } = first.data;
  const spelled = (key: 'project_id' | 'spec_revision') =>
    first.part.spell(source?.[key] ?? '', ['source', key]) || null;
  const levels = new Map(checked.map(({ part, data }) => [part, levelOf(data, part.value, [], part.spell)]));
  const tasks: PlanTask[] = [];
  const phases = checked.flatMap(({ part, data, tasksAt }) => {
    const files = [part, ...part.above].flatMap((file) => levels.get(file) ?? []);
    return data.phases.map(({ tasks: written, shell, defaults, ...phase }, i) => {
      const own = levelOf({ shell, defaults }, part.value, ['phases', i], part.spell);
      const made = written.flatMap((_, j) =>
        tasksAt(i, j).map((task) =>
          buildTask(task, phase.id, ['phases', i, 'tasks', j], { part, levels: [own, ...files] }),
        ),
      );
      for (const task of made) tasks.push(task);
      return { ...phase, task_ids: made.map(({ id }) => id) };
    });
  });
  return indexed({
    project: project ?? '',
    tracker_url,
    gate_check_command,
    source: source && { ...source, project_id: spelled('project_id'), spec_revision: spelled('spec_revision') },
    phases,
    tasks: dependingOnAll(tasks),
  });
}

/** What depends on a task with a matrix depends on all that are made by it; optional ones that are not in the plan are left out. */
function dependingOnAll(tasks: readonly PlanTask[]): readonly PlanTask[] {
  const made = new Map<string, string[]>();
  for (const { id, matrix } of tasks) if (matrix !== null) madeIn(made, matrix.task, () => []).push(id);
  const mayLack = tasks.some(({ conditions }) => Object.values(conditions).some(({ optional }) => optional));
  if (made.size === 0 && !mayLack) return tasks;
  const known = new Set(tasks.map(({ id }) => id));
  const those = (id: string) => made.get(id) ?? (known.has(id) ? [id] : []);
  return tasks.map((task) => ({
    ...task,
    depends_on: [...new Set(task.depends_on.flatMap(those))],
    conditions: Object.fromEntries(
      Object.entries(task.conditions).flatMap(([id, condition]) => {
        const named = made.has(id) ? { ...condition, matrix: id } : condition;
        return those(id).map((each) => [each, named]);
      }),
    ),
  }));
}

/** Keys that a file has not, or in another form. */
type OtherForm = {
  [K in keyof PlanTask]: K extends keyof TaskYaml ? (TaskYaml[K] extends PlanTask[K] ? never : K) : K;
}[keyof PlanTask];

function buildTask(
  { id, task: written, matrix }: MadeTask,
  phase_id: string,
  path: YamlPath,
  { part, levels }: { part: PlanPart; levels: readonly DefaultsLevel[] },
): PlanTask {
  const { keys, env } = withDefaults(written, part.value, path, levels, part.spell);
  // What is given in another form is filled in: to copy all keys first takes as long as to build the task.
  const task = filledTask(keys as unknown as SparseTask);
  const given: Pick<PlanTask, OtherForm | 'id' | 'cwd'> = {
    id,
    parent: null,
    input: null,
    phase_id,
    human: keys.owner_type === 'human',
    ...dependenciesOf(keys),
    tracker_issue_id: part.spell(keys.tracker_issue_id ?? '', [...path, 'tracker_issue_id']) || null,
    status: keys.status === DEFERRED_STATUS ? 'paused' : keys.status,
    timeout_ms: keys.timeout,
    cwd: folderOf(keys.cwd),
    env: sharedParts(matrix === null ? env : { ...env, ...matrixEnv(matrix.values) }),
    matrix,
  };
  return Object.assign(task, given);
}

/** The folder, without what says nothing; null for the workspace itself. */
function folderOf(cwd: string | null): string | null {
  const parts = (cwd ?? '').split('/').filter((name) => name !== '' && name !== '.');
  return parts.length === 0 ? null : parts.join('/');
}

function dependenciesOf({ depends_on }: Pick<TaskYaml, 'depends_on'>) {
  const conditions: Record<string, DependencyCondition> = {};
  const ids = new Set<string>();
  for (const entry of depends_on) {
    const { task: id, ...condition } = typeof entry === 'string' ? { task: entry, ...ON_SUCCESS } : entry;
    ids.add(id);
    if (condition.when !== ON_SUCCESS.when || condition.optional) conditions[id] = condition;
  }
  return { depends_on: sharedTexts([...ids]), conditions: sharedParts(conditions) };
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
      const dropped = task.depends_on.filter((id) => {
        const { when, optional } = conditionOn(task, id);
        return byId.get(id)?.status === 'dropped' && when === 'success' && !optional;
      });
      return [
        ...(isOverByPlan(task)
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
