import { expect, test } from 'vitest';
import { classifyTasks } from '../../../src/domain/schedule/readiness.ts';
import { inOrder, jumpAhead, notBegun, WorkQueue } from '../../../src/domain/schedule/run-order.ts';
import { selectedTasks } from '../../../src/domain/schedule/run-selection.ts';
import type { TaskRecord } from '../../../src/domain/task/records.ts';
import { onePhase, plan, scheduling } from '../../support/domain/plans.ts';
import { record } from '../../support/domain/tasks.ts';
import fc from '../../support/properties.ts';

/** Phases in a row, each with tasks of any priority. */
const anyOrder = fc
  .array(fc.array(fc.constantFrom('P0', 'P1', 'P2'), { maxLength: 90 }), { minLength: 1, maxLength: 3 })
  .map((phases) =>
    plan(
      phases.map((priorities, p) => ({
        id: `phase-${p + 1}`,
        tasks: priorities.map((priority, n) => ({ id: `t${p}-${n}`, priority })),
      })),
    ),
  );

test('a claimer that has lost a race keeps every task that is left, and does none before one that is more urgent', () => {
  fc.assert(
    fc.property(anyOrder, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (made, random) => {
      const context = scheduling(made);
      const order = inOrder(context);
      const left = jumpAhead(order, context, () => random);
      const ranks = (tasks: typeof order) => tasks.map(({ phase_id, priority }) => `${phase_id} ${priority}`);
      expect(ranks(left)).toEqual(ranks(order));
      expect(left.map(({ id }) => id).sort()).toEqual(order.map(({ id }) => id).sort());
    }),
  );
});

test('a claimer that has lost a race passes over what there was nothing of when it looked, and is something of now', () => {
  const { tasks } = onePhase({ id: 'seen' }, { id: 'new' }, { id: 'untouched' }, { id: 'removed' });
  const left = notBegun(tasks, new Set(['seen', 'removed']), ['new', 'seen', 'not-planned']);
  expect(left.map(({ id }) => id)).toEqual(['seen', 'untouched', 'removed']);
});

/** Tasks that depend on any of those before them, in any way, and the states that they come to, one after the other. */
const anyWork = fc
  .array(
    fc.record({
      before: fc.array(fc.nat({ max: 11 }), { maxLength: 3 }),
      when: fc.constantFrom('success', 'success', 'success', 'success', 'failure', 'always'),
      optional: fc.constantFrom(false, false, false, true),
    }),
    { minLength: 1, maxLength: 12 },
  )
  .chain((tasks) =>
    fc.record({
      made: fc.constant(
        plan(
          [0, 1].map((phase) => ({
            id: `p${phase}`,
            ...(phase === 1 && { blocked_by: 'p0' }),
            tasks: tasks.flatMap(({ before, when, optional }, n) => {
              const depends_on = [...new Set(before.filter((m) => m < n))].map((m) => ({
                task: `t${m}`,
                when,
                optional,
              }));
              return n < 4 === (phase === 0) ? [{ id: `t${n}`, depends_on }] : [];
            }),
          })),
        ),
      ),
      ends: fc.array(
        fc.record({
          n: fc.nat({ max: tasks.length - 1 }),
          state: fc.constantFrom('running', 'shipped', 'failed', 'unclaimed', 'cancelled'),
          looks: fc.nat({ max: 3 }),
        }),
        { maxLength: 30 },
      ),
    }),
  );

test('every task that is ready is a candidate, whatever has become of others since, and however far each look went', () => {
  fc.assert(
    fc.property(anyWork, ({ made, ends }) => {
      const records: Record<string, TaskRecord> = {};
      const context = scheduling(made, records);
      const queue = new WorkQueue(inOrder(context));
      const places = new Map(queue.order.map(({ id }, place) => [id, place]));
      for (const { n, state, looks } of ends) {
        records[`t${n}`] = record(state);
        // A run looks no further than it has slots.
        let seen = 0;
        for (const _task of queue.candidates(context, [`t${n}`])) if (++seen > looks) break;
        const found = [...queue.candidates(context, [])].map(({ id }) => id);
        expect(found).toEqual(found.toSorted((a, b) => (places.get(a) ?? 0) - (places.get(b) ?? 0)));
        expect(new Set(found).size).toBe(found.length);
        for (const { id } of classifyTasks(context).ready) expect(found).toContain(id);
      }
    }),
  );
});

test('what is prepared for are the selected tasks that are ready and have no record yet', () => {
  const made = onePhase(
    { id: 'ready', run: 'true' },
    { id: 'behind', run: 'true', depends_on: ['ready'] },
    { id: 'unselected', run: 'true' },
    { id: 'tried', run: 'true' },
    { id: 'of-a-person', owner_type: 'human' },
    { id: 'of-an-agent' },
    { id: 'ready-too', run: 'true' },
  );
  const context = scheduling(made, { tried: record('unclaimed') });
  const selected = new Set(made.tasks.map(({ id }) => id).filter((id) => id !== 'unselected'));
  expect([...new WorkQueue(inOrder(context)).upcoming(context, selected)]).toEqual(['ready', 'ready-too']);
});

test('when a task of a long chain ends, no more records are asked for than in a short one', () => {
  const asked = (length: number) => {
    const chain = Array.from({ length }, (_, n) => ({ id: `t${n}`, depends_on: n === 0 ? [] : [`t${n - 1}`] }));
    const records: Record<string, TaskRecord> = {};
    let count = 0;
    const context = scheduling(onePhase(...chain), records);
    const counting = {
      ...context,
      recordOf: (id: string) => {
        count += 1;
        return context.recordOf(id);
      },
    };
    const queue = new WorkQueue(inOrder(context));
    expect([...queue.candidates(counting, [])].map(({ id }) => id)).toEqual(['t0']);
    count = 0;
    records['t0'] = record('shipped');
    expect([...queue.candidates(counting, ['t0'])].map(({ id }) => id)).toEqual(['t1']);
    return count;
  };
  expect(asked(1000)).toBe(asked(10));
});

test('as many tasks as no call could take as arguments may wait for one, and all of them are given out when it has ended', () => {
  const many = Array.from({ length: 130_000 }, (_, n) => ({ id: `t${n}`, depends_on: ['first'] }));
  const made = plan([
    { id: 'one', tasks: [{ id: 'first' }, ...many] },
    { id: 'two', blocked_by: 'one', tasks: [{ id: 'end' }] },
  ]);
  expect(selectedTasks(['end'], made).size).toBe(130_002);
  const records: Record<string, TaskRecord> = {};
  const context = scheduling(made, records);
  const queue = new WorkQueue(inOrder(context));
  expect([...queue.candidates(context, [])]).toHaveLength(1);
  records['first'] = record('shipped');
  expect([...queue.candidates(context, ['first'])]).toHaveLength(130_000);
});
