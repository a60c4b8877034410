/** The shape of a matrix. */

import * as z from 'zod/mini';
import { described, filledText, key, must } from './declare.ts';
import { axisFor, combinationCount, MATRIX_MAX, variableOf } from './matrix.ts';

const scalar = z.union([filledText, z.number(), z.boolean()]);
const rules = z.array(z.record(z.string(), scalar));

type Matrix = Record<string, unknown> & { include: Record<string, unknown>[]; exclude: Record<string, unknown>[] };

export const matrixSchema = z
  .catchall(
    z.object({
      include: key(
        rules,
        'Combinations besides those of the axes; one that fits to some of these adds its other values to them.',
        [],
        { examples: [[{ node: 22, coverage: true }]] },
      ),
      exclude: key(rules, 'Combinations that are left out: all that have these values.', []),
    }),
    described(z.array(scalar).check(z.minLength(1)), 'An axis: its values.'),
  )
  .check(must((matrix) => faultOf(matrix as Matrix)));

function faultOf({ include, exclude, ...axes }: Matrix) {
  const names = Object.keys(axes);
  const all = [...names, ...include.flatMap((rule) => Object.keys(rule))];
  const bad = all.find((name) => !/^[A-Za-z][A-Za-z0-9_-]*$/.test(name));
  if (bad !== undefined) {
    const message = `${JSON.stringify(bad)} names no axis: a letter, then letters, digits, "_" and "-"`;
    return { message, ...(names.includes(bad) ? { path: [bad] } : {}) };
  }
  const named = new Map<string, string>();
  for (const name of all) {
    const other = named.get(variableOf(name)) ?? name;
    named.set(variableOf(name), name);
    if (other === name) continue;
    const message = `${JSON.stringify(other)} and ${JSON.stringify(name)} are both the variable ${variableOf(name)}`;
    return { message, suggestion: 'Give one another name.' };
  }
  const empty = include.findIndex((rule) => Object.keys(rule).length === 0);
  if (empty >= 0) return { message: 'adds nothing', path: ['include', empty], suggestion: 'Name a value: {node: 22}.' };
  if (all.length === 0) return { message: 'a matrix needs an axis', suggestion: 'Such as node: [20, 22].' };
  for (const [i, rule] of exclude.entries()) {
    const strange = Object.keys(rule).find((name) => !names.includes(name));
    if (strange === undefined) continue;
    return {
      message: `${JSON.stringify(strange)} is not an axis`,
      path: ['exclude', i, strange],
      ...axisFor(strange, names),
    };
  }
  // What is said of an empty axis is said of it.
  if (Object.values(axes).some((values) => Array.isArray(values) && values.length === 0)) return null;
  const count = combinationCount({ ...axes, include, exclude });
  if (count === 0) return { message: 'no combination is left', path: ['exclude'] };
  if (count !== null && count > MATRIX_MAX) return { message: `makes ${count} tasks; at most ${MATRIX_MAX} are taken` };
  return null;
}
