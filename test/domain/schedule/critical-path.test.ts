/** The critical path, compared with every chain of tasks that is left. */

import { describe, expect, test } from 'vitest';
import type { Plan, PlanTask } from '../../../src/domain/plan/plan.ts';
import { criticalPath, weightOf } from '../../../src/domain/schedule/critical-path.ts';
import { onePhase, type PhaseEntry, plan, type TaskEntry } from '../../support/domain/plans.ts';
import fc, { runs } from '../../support/properties.ts';

const everything = () => true;

const a = { id: 'a' };
const b = { id: 'b', depends_on: ['a'] };
const c = { id: 'c', depends_on: ['b'] };
const alone = { id: 'alone' };

describe('critical path', () => {
  test.each<[what: string, made: Plan, left: string[] | null, path: string]>([
    ['of no tasks is none', onePhase(), null, ''],
    ['of one task is that task', onePhase(a), null, 'a'],
    ['is the longest chain', onePhase(alone, a, b, c), null, 'a b c'],
    ['leaves out what is over', onePhase(alone, a, b, c), ['alone', 'b', 'c'], 'b c'],
    ['does not reach over what is over', onePhase(a, b, c), ['a', 'c'], 'a'],
    ['is none when nothing is left', onePhase(a, b, c), [], ''],
    [
      'weighs tasks by their estimates: one XL is more than three of S',
      onePhase({ ...a, estimate: 'S' }, { ...b, estimate: 'S' }, { ...c, estimate: 'S' }, { ...alone, estimate: 'XL' }),
      null,
      'alone',
    ],
    [
      'counts a task without an estimate as M',
      onePhase(a, b, { ...alone, estimate: 'L' }, { id: 'd', estimate: 'S', depends_on: ['alone'] }),
      null,
      'alone d',
    ],
    [
      'goes through a phase that waits for another',
      plan([
        { id: 'p', tasks: [a, b] },
        { id: 'q', blocked_by: 'p', tasks: [{ id: 'd' }] },
        { id: 'r', blocked_by: 'q', tasks: [{ id: 'e' }] },
      ]),
      null,
      'a b d e',
    ],
    [
      'does not wait for a phase that the plan calls done',
      plan([
        { id: 'p', status: 'done', tasks: [a, b] },
        { id: 'q', blocked_by: 'p', tasks: [{ id: 'd' }] },
      ]),
      null,
      'a b',
    ],
    [
      'does not reach over a phase that has nothing left',
      plan([
        { id: 'p', tasks: [a] },
        { id: 'q', blocked_by: 'p', tasks: [alone] },
        { id: 'r', blocked_by: 'q', tasks: [{ id: 'd' }] },
      ]),
      ['a', 'd'],
      'a',
    ],
  ])('the critical path %s', (_what, made, left, path) => {
    const isLeft = left === null ? everything : ({ id }: PlanTask) => left.includes(id);
    expect(criticalPath(made, isLeft).join(' ')).toBe(path);
  });
});

/** Whether `task` waits for `other`, by the plan. */
function waitsFor(task: PlanTask, other: PlanTask, { phaseById }: Plan): boolean {
  const before = phaseById.get(task.phase_id)?.blocked_by;
  return task.depends_on.includes(other.id) || (before === other.phase_id && phaseById.get(before)?.status !== 'done');
}

const weigh = (path: readonly PlanTask[]) => path.reduce((sum, task) => sum + weightOf(task), 0);

/** The weight of the heaviest of all chains, each tried. */
function heaviest(made: Plan, left: readonly PlanTask[]): number {
  const from = (path: PlanTask[]): number => {
    const end = path.at(-1) as PlanTask;
    const next = left.filter((task) => waitsFor(task, end, made));
    return Math.max(weigh(path), ...next.map((task) => from([...path, task])));
  };
  return Math.max(0, ...left.map((task) => from([task])));
}

const taskDraft = fc.record({
  estimate: fc.constantFrom(undefined, 'S', 'M', 'L', 'XL'),
  needs: fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 3 }),
  left: fc.oneof({ weight: 3, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
});
const phaseDraft = fc.record({
  status: fc.constantFrom('active', 'active', 'active', 'done'),
  blockedBy: fc.nat(2),
  tasks: fc.array(taskDraft, { maxLength: 4 }),
});

/** Everything waits for what is before it only, so there are no cycles. */
const scene = fc.array(phaseDraft, { minLength: 1, maxLength: 3 }).map((drafts) => {
  const left = new Set<string>();
  let count = 0;
  const phases = drafts.map(({ status, blockedBy, tasks }, p): PhaseEntry => {
    const made = tasks.map(({ estimate, needs, left: isLeft }): TaskEntry => {
      const id = `t${count}`;
      if (isLeft) left.add(id);
      const depends_on = needs.filter((back) => back <= count).map((back) => `t${count - back}`);
      count++;
      return { id, depends_on, ...(estimate === undefined ? {} : { estimate }) };
    });
    return {
      id: `p${p}`,
      status,
      tasks: made,
      ...(blockedBy > 0 && blockedBy <= p ? { blocked_by: `p${p - blockedBy}` } : {}),
    };
  });
  return { made: plan(phases), left };
});

test('the critical path of any plan is a chain of tasks that are left, and none is heavier', () => {
  fc.assert(
    fc.property(scene, ({ made, left }) => {
      const path = criticalPath(made, ({ id }) => left.has(id)).map((id) => made.byId.get(id) as PlanTask);
      for (const task of path) expect(left).toContain(task.id);
      for (const [i, task] of path.entries()) {
        if (i > 0) expect(waitsFor(task, path[i - 1] as PlanTask, made)).toBe(true);
      }
      expect(weigh(path)).toBe(
        heaviest(
          made,
          made.tasks.filter(({ id }) => left.has(id)),
        ),
      );
    }),
    runs(500),
  );
});

test('the critical path is found in phases of thousands and in a chain of thousands', () => {
  const many = (name: string) => Array.from({ length: 5000 }, (_, i) => ({ id: `${name}${i}` }));
  const chain = many('c').map((task, i) => (i === 0 ? task : { ...task, depends_on: [`c${i - 1}`] }));
  const made = plan([
    { id: 'p', tasks: many('a') },
    { id: 'q', blocked_by: 'p', tasks: [...many('b'), ...chain] },
  ]);
  // By pairs of tasks it would be 50 million edges, more than a test has memory or time for.
  expect(criticalPath(made, everything)).toEqual(['a0', ...chain.map(({ id }) => id)]);
});
