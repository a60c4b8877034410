/** The tasks of a plan file with those that matrices make in their place. Pure. */

import { listAt, valueAt, WITHOUT_WORDS } from '../../lib/schema-issues.ts';
import type { YamlPath } from '../../lib/yaml.ts';
import { type Finding, shapeFindings, toWarnings } from './findings.ts';
import {
  axisFor,
  halfReferences,
  type MatrixTask,
  type MatrixValues,
  matrixTasks,
  unknownReferences,
  variableOf,
} from './matrix.ts';
import type { PlanPart } from './parts.ts';
import { type TaskYaml, taskSchema } from './schema.ts';

export interface MadeTask {
  id: string;
  task: TaskYaml;
  /** The task with the matrix, and the values of this one; null where there is no matrix. */
  matrix: { task: string; values: MatrixValues } | null;
}

interface Expanded {
  /** The value of the file in which a task with a matrix is the first that it makes, so that a schema fits. */
  value: unknown;
  /** What is wrong with the other tasks. */
  findings: Finding[];
  /** The tasks that a task is, by its indexes; `task`: as `value` has it, parsed. */
  tasksAt(task: TaskYaml | undefined, i: number, j: number): MadeTask[];
}

export function expandedPart(value: unknown, label: (path: YamlPath) => string): Expanded {
  const made = new Map<string, MatrixTask[]>();
  const phases = valueAt(value, ['phases']);
  if (!Array.isArray(phases)) return { value, findings: [], tasksAt: () => [] };
  const findings: Finding[] = [];
  const more = new Map<string, TaskYaml[]>();
  const expanded = phases.map((phase, i) => {
    const tasks = valueAt(phase, ['tasks']);
    if (!Array.isArray(tasks)) return phase;
    const now = tasks.map((task, j) => {
      const all = valueAt(task, ['matrix']) === undefined ? null : matrixTasks(task);
      if (all === null || all[0] === undefined) return task;
      made.set(`${i}/${j}`, all);
      const path = ['phases', i, 'tasks', j];
      findings.push(...strangeNames(all, path, label));
      const checked = all.slice(1).map(({ raw }) => parsed(raw, path, label));
      findings.push(...distinct(checked.flatMap((each) => each.findings)));
      more.set(
        `${i}/${j}`,
        checked.flatMap((each) => each.task ?? []),
      );
      return { ...all[0].raw, id: task.id, matrix: task.matrix };
    });
    return now.every((task, j) => task === tasks[j]) ? phase : { ...phase, tasks: now };
  });
  return {
    value: made.size === 0 ? value : { ...(value as object), phases: expanded },
    findings,
    tasksAt(task, i, j) {
      if (task === undefined) return [];
      const all = made.get(`${i}/${j}`);
      if (all === undefined) return [{ id: task.id, task, matrix: null }];
      const others = more.get(`${i}/${j}`) ?? [];
      return all.flatMap(({ id, values }, k) => {
        const own = k === 0 ? task : others[k - 1];
        return own === undefined ? [] : [{ id, task: own, matrix: { task: task.id, values } }];
      });
    },
  };
}

function parsed(raw: unknown, path: YamlPath, label: (path: YamlPath) => string) {
  const shape = taskSchema.safeParse(raw, WITHOUT_WORDS);
  if (shape.success) return { task: shape.data, findings: [] };
  const findings = shapeFindings(taskSchema, raw, shape.error.issues, (inside) => label([...path, ...inside]));
  return { task: null, findings: findings.map((finding) => ({ ...finding, path: [...path, ...finding.path] })) };
}

/** What is wrong with all of them is said once. */
function distinct(findings: readonly Finding[]): Finding[] {
  const told = new Map(findings.map((finding) => [JSON.stringify([finding.path, finding.message]), finding]));
  return [...told.values()];
}

function strangeNames(all: readonly MatrixTask[], path: YamlPath, label: (path: YamlPath) => string): Finding[] {
  const names = [...new Set(all.flatMap(({ values }) => Object.keys(values)))];
  const own = { ...all[0]?.raw, id: '', matrix: null };
  const unknown = unknownReferences(own).map(({ path: inside, name }) => {
    const at = [...path, ...inside];
    return { path: at, message: `${label(at)}: the matrix has no axis "${name}"`, ...axisFor(name, names) };
  });
  const half = halfReferences({ ...own, ...PROSE }, names).map(({ path: inside, name }) => {
    const at = [...path, ...inside];
    const message = `${label(at)}: \${matrix.${name}} is no value of the matrix, and a bad substitution to a shell`;
    return { path: at, message, suggestion: `Write $\{{ matrix.${name} }}, or $${variableOf(name)} in a command.` };
  });
  return [...unknown, ...half];
}

/** What may well speak of references, such as those of a workflow that is to be changed. */
const PROSE = { title: '', description: '', acceptance: '' };

/** Warnings of references that nothing takes the place of, since they stand in no task with a matrix; each with its place. */
export function referenceWarnings(
  { value, text, file }: Pick<PlanPart, 'value' | 'text' | 'file'>,
  label: (path: YamlPath) => string,
): string[] {
  // As in most plans.
  if (!text.includes('${{')) return [];
  const found = (part: unknown, path: YamlPath, why: string): Finding[] =>
    unknownReferences(part, path).map((reference) => ({
      path: reference.path,
      message: `${label(reference.path)}: $\{{ matrix.${reference.name} }} stays as it is: ${why}`,
    }));
  const inDefaults = (part: unknown, path: YamlPath) =>
    found(valueAt(part, ['defaults']), [...path, 'defaults'], 'values of a matrix are for texts of its task');
  const phases = listAt(value, 'phases').flatMap((phase, i) => [
    ...inDefaults(phase, ['phases', i]),
    ...listAt(phase, 'tasks').flatMap((task, j) => {
      const hasMatrix = (valueAt(task, ['matrix']) ?? null) !== null;
      const own = hasMatrix ? null : { ...(task as object), ...PROSE };
      return found(own, ['phases', i, 'tasks', j], 'the task has no matrix');
    }),
  ]);
  return toWarnings(distinct([...inDefaults(value, []), ...phases]), text, file);
}
