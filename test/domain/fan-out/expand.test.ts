/** The plan with the children that its tasks have made. */

import { expect, test } from 'vitest';
import { withChildren } from '../../../src/domain/fan-out/expand.ts';
import type { FanOut } from '../../../src/domain/fan-out/fan-outs.ts';
import { parsePlan } from '../../../src/domain/plan/parse.ts';
import { reasonsToWait } from '../../../src/domain/schedule/readiness.ts';
import { selectedTasks } from '../../../src/domain/schedule/run-selection.ts';
import { scheduling } from '../../support/domain/plans.ts';
import { record } from '../../support/domain/tasks.ts';

const CHILD = 'a/files/x';

const PLAN = `project: t
phases:
  - {id: one, name: One, tasks: [{id: a, title: A, priority: P0, shell: bash, depends_on: [b], verify: [make], env: {A: b}, budget: {cost: 1}, write_globs: [x]}, {id: b, title: B}]}
  - {id: two, name: Two, blocked_by: one, tasks: [{id: c, title: C}]}
`;

function planOf(sets: Record<string, FanOut[]>) {
  const parsed = parsePlan(PLAN, 'plan');
  if (!parsed.ok) throw new Error('the plan is wrong');
  return withChildren(parsed.plan, (id) => sets[id] ?? []);
}

const set = (name: string, ...children: string[]): FanOut => ({
  version: 1,
  fan_out_id: name,
  name,
  children: children.map((child) => ({
    name: child,
    run: 'true',
    title: null,
    env: {},
    retry: null,
    timeout_ms: null,
    input: null,
  })),
});

test('children stand behind their parent in the order of their sets, and no phase has them', () => {
  const plan = planOf({ a: [set('f', 'x', 'y'), set('g')], 'a/f/x': [set('h', 'z')], gone: [set('f', 'x')] });
  expect(plan.tasks.map(({ id, parent }) => [id, parent])).toEqual([
    ['a', null],
    ['a/f/x', 'a'],
    ['a/f/x/h/z', 'a/f/x'],
    ['a/f/y', 'a'],
    ['b', null],
    ['c', null],
  ]);
  expect(plan.byId.get('a/f/y')).toMatchObject({
    title: 'y',
    phase_id: 'one',
    priority: 'P0',
    shell: ['bash'],
    depends_on: [],
    verify: [],
    write_globs: [],
    env: {},
    budget: null,
  });
  expect(plan.phases.map(({ task_ids }) => task_ids)).toEqual([['a', 'b'], ['c']]);
});

test('a plan without children is the same plan', () => {
  const plan = planOf({});
  expect(withChildren(plan, () => [])).toBe(plan);
});

test('a selected task selects its children, and a child selects neither its parent nor its siblings', () => {
  const plan = planOf({ a: [set('f', 'x', 'y')], 'a/f/x': [set('h', 'z')] });
  expect([...selectedTasks(['a'], plan)].sort()).toEqual(['a', 'a/f/x', 'a/f/x/h/z', 'a/f/y', 'b']);
  expect([...selectedTasks(['a/f/x'], plan)].sort()).toEqual(['a/f/x', 'a/f/x/h/z']);
});

test.each<[what: string, parent: 'shipped' | 'running', child: 'unclaimed' | null, codes: string[]]>([
  ['of a shipped parent without a record is over, since its record was removed', 'shipped', null, ['TASK_FINISHED']],
  ['of a shipped parent that a person retries is ready', 'shipped', 'unclaimed', []],
  ['of a parent at work that nothing has happened to is ready', 'running', null, []],
])('a child %s', (_, parent, child, codes) => {
  const made = planOf({ a: [set('files', 'x')] });
  const records = { a: record(parent), b: record('shipped'), ...(child && { [CHILD]: record(child) }) };
  const task = made.byId.get(CHILD);
  if (task === undefined) throw new Error('there is no child');
  expect(reasonsToWait(task, scheduling(made, records)).map(({ code }) => code)).toEqual(codes);
});
