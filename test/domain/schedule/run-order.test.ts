import { expect, test } from 'vitest';
import { inOrder, jumpAhead } from '../../../src/domain/schedule/run-order.ts';
import { plan, scheduling } from '../../support/domain/plans.ts';
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
