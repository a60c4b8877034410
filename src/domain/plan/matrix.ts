/** The tasks that the matrix of a task makes: one for each combination of its values, with an id of its own. Pure. */

import { isMapping } from '../../lib/json.ts';
import { valueAt } from '../../lib/schema-issues.ts';
import { didYouMean } from '../../lib/text.ts';
import type { YamlPath } from '../../lib/yaml.ts';

/** Values by the names of their axes, as text. */
export type MatrixValues = Readonly<Record<string, string>>;

export interface MatrixTask {
  id: string;
  values: MatrixValues;
  /** The task as it is written, with the values in its texts. */
  raw: Record<string, unknown>;
}

/** Most tasks of one matrix. */
export const MATRIX_MAX = 256;

/** Keys of a matrix that are no axes. */
const RULES = ['include', 'exclude'];

/** `${{ matrix.node }}` */
const REFERENCE = /\$\{\{\s*matrix\.([A-Za-z_][A-Za-z0-9_-]*)\s*\}\}/g;

/** `${matrix.node}`: to a shell a bad substitution. */
const WITH_ONE_BRACE = /\$\{\s*matrix\.([A-Za-z_][A-Za-z0-9_-]*)\s*\}/g;

interface Combination {
  values: Record<string, string>;
  /** What its id is made of: what `include` adds to a combination is not part of that. */
  named: [axis: string, value: string][];
}

/**
 * The tasks of a task with a matrix, in the order of its values. Null for one without a matrix, or with one that is not legal. Ids may be
 * too long, or there twice.
 */
export function matrixTasks(task: unknown): MatrixTask[] | null {
  const id = valueAt(task, ['id']);
  const combinations = combinationsOf(valueAt(task, ['matrix']));
  if (typeof id !== 'string' || combinations === null || combinations.length > MATRIX_MAX) return null;
  const names = new Set(combinations.flatMap(({ values }) => Object.keys(values)));
  return combinations.map(({ values, named }) => {
    const raw = substituted(task, values, names) as Record<string, unknown>;
    const isTitled = JSON.stringify(raw['title']) !== JSON.stringify(valueAt(task, ['title']));
    const words = named.map(([axis, value]) => `${axis} ${value}`).join(', ');
    const title = typeof raw['title'] === 'string' && !isTitled ? { title: `${raw['title']} (${words})` } : {};
    return { id: [id, ...named.map(idPart)].join('.'), values, raw: { ...raw, id, matrix: null, ...title } };
  });
}

/** How many combinations a matrix has; null where it is not legal. */
export function combinationCount(matrix: unknown): number | null {
  const sizes = axesOf(matrix)?.map(([, values]) => values.length) ?? null;
  if (sizes === null) return null;
  const product = sizes.reduce((all, size) => all * size, sizes.length === 0 ? 0 : 1);
  // Above it the exact number is of no use.
  return product > 100 * MATRIX_MAX ? product : (combinationsOf(matrix)?.length ?? null);
}

function combinationsOf(matrix: unknown): Combination[] | null {
  const axes = axesOf(matrix);
  const [include, exclude] = RULES.map((rule) => mappingsOf(valueAt(matrix, [rule])));
  if (axes === null || !include || !exclude) return null;
  if (axes.reduce((all, [, values]) => all * values.length, 1) > 100 * MATRIX_MAX) return null;
  const product = axes.reduce<[string, string][][]>(
    (rows, [axis, values]) => rows.flatMap((row) => values.map((value): [string, string][] => [...row, [axis, value]])),
    axes.length === 0 ? [] : [[]],
  );
  const own = product
    .map((named): Combination => ({ named, values: Object.fromEntries(named) }))
    .filter(
      ({ values }) => !exclude.some((rule) => Object.entries(rule).every(([axis, value]) => values[axis] === value)),
    );
  const names = axes.map(([axis]) => axis);
  const more: Combination[] = [];
  for (const rule of include) {
    const given = Object.entries(rule);
    const fitting = own.filter(({ named }) =>
      given.every(
        ([axis, value]) => !names.includes(axis) || named.some(([name, is]) => name === axis && is === value),
      ),
    );
    for (const combination of fitting) Object.assign(combination.values, rule);
    if (fitting.length === 0) more.push({ named: given, values: { ...rule } });
  }
  return [...own, ...more];
}

/** What to write for a name that is no axis. */
export function axisFor(name: string, axes: readonly string[]): { suggestion?: string } {
  return { suggestion: `The axes are ${axes.join(', ')}.`, ...didYouMean(name, axes) };
}

/** Null where an axis is not a list of texts. */
function axesOf(matrix: unknown): [axis: string, values: string[]][] | null {
  if (!isMapping(matrix)) return null;
  const axes = Object.entries(matrix).filter(([key]) => !RULES.includes(key));
  const isLegal = axes.every(
    ([, values]) => Array.isArray(values) && values.every((value) => typeof value === 'string'),
  );
  return isLegal ? (axes as [string, string[]][]) : null;
}

/** Null where it is not a list of mappings to texts. */
function mappingsOf(list: unknown): Record<string, string>[] | null {
  const isLegal = (rule: unknown) =>
    typeof rule === 'object' && rule !== null && Object.values(rule).every((value) => typeof value === 'string');
  if (list === undefined || list === null) return [];
  return Array.isArray(list) && list.every(isLegal) ? list : null;
}

/** Of other characters than an id may have, a dash is left. */
function idPart([axis, value]: readonly [string, string]): string {
  return `${axis}-${value.replace(/[^A-Za-z0-9._-]+/g, '-')}`;
}

// ---------------------------------------------------------------------------------------------- texts

/** A value that only other combinations have is empty text. A name that none has stays as it is, and is a finding. */
function substituted(part: unknown, values: MatrixValues, names: ReadonlySet<string>): unknown {
  if (typeof part === 'string')
    return part.replace(REFERENCE, (all, name: string) => (names.has(name) ? (values[name] ?? '') : all));
  if (Array.isArray(part)) return part.map((item) => substituted(item, values, names));
  if (typeof part !== 'object' || part === null) return part;
  return Object.fromEntries(
    Object.entries(part).map(([key, inner]) => [key, key === 'matrix' ? inner : substituted(inner, values, names)]),
  );
}

/** The references in what is left of a task that name no axis: where they stand, and the name. */
export function unknownReferences(part: unknown, path: YamlPath = []): Reference[] {
  return referencesIn(part, path, REFERENCE);
}

/** What was meant as a reference to one of `axes`, with one brace too few. */
export function halfReferences(part: unknown, axes: readonly string[]): Reference[] {
  return referencesIn(part, [], WITH_ONE_BRACE).filter(({ name }) => axes.includes(name));
}

interface Reference {
  path: YamlPath;
  name: string;
}

function referencesIn(part: unknown, path: YamlPath, form: RegExp): Reference[] {
  if (typeof part === 'string') return [...part.matchAll(form)].map(([, name = '']) => ({ path, name }));
  if (typeof part !== 'object' || part === null) return [];
  const isList = Array.isArray(part);
  return Object.entries(part).flatMap(([key, inner]) =>
    referencesIn(inner, [...path, isList ? Number(key) : key], form),
  );
}

/** The variable of an axis: FORGE_MATRIX_NODE. */
export function variableOf(axis: string): string {
  return `FORGE_MATRIX_${axis.toUpperCase().replaceAll('-', '_')}`;
}

/** The variables of run and verify. */
export function matrixEnv(values: MatrixValues): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([axis, value]) => [variableOf(axis), value]));
}
