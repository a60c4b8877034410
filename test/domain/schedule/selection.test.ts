import { describe, expect, test } from 'vitest';
import { dependencyOrder, dependentsOf } from '../../../src/domain/schedule/selection.ts';
import { onePhase, plan } from '../../support/domain/plans.ts';
import fc from '../../support/properties.ts';

/** A plan whose tasks depend on earlier ones only, in any order in the file. */
const anyPlan = fc
  .tuple(fc.integer({ min: 1, max: 12 }), fc.infiniteStream(fc.boolean()), fc.infiniteStream(fc.nat()))
  .map(([count, coins, keys]) => {
    const coin = () => coins.next().value as boolean;
    const tasks = Array.from({ length: count }, (_, n) => ({
      id: `t${n}`,
      depends_on: Array.from({ length: n }, (_, m) => `t${m}`).filter(() => coin() && coin()),
    }));
    const place = new Map(tasks.map(({ id }) => [id, keys.next().value as number]));
    return onePhase(...tasks.sort((a, b) => (place.get(a.id) ?? 0) - (place.get(b.id) ?? 0)));
  });

describe('the order of dependencies', () => {
  test('the order of dependencies has every task once, behind those that it depends on', () => {
    fc.assert(
      fc.property(anyPlan, (made) => {
        const order = dependencyOrder(made);
        expect([...order].sort()).toEqual(made.tasks.map(({ id }) => id).sort());
        for (const { id, depends_on } of made.tasks)
          for (const before of depends_on) expect(order.indexOf(before)).toBeLessThan(order.indexOf(id));
      }),
    );
  });

  test('dependents are all that reach a task by dependencies, and no others', () => {
    fc.assert(
      fc.property(anyPlan, fc.nat(), (made, n) => {
        const root = made.tasks[n % made.tasks.length]?.id ?? '';
        const reaches = (id: string): boolean =>
          (made.byId.get(id)?.depends_on ?? []).some((before) => before === root || reaches(before));
        expect([...dependentsOf([root], made)].sort()).toEqual(
          made.tasks.flatMap(({ id }) => (reaches(id) ? [id] : [])).sort(),
        );
      }),
    );
  });

  test('a phase that waits for another is no dependent of its tasks', () => {
    const made = plan([
      { id: 'one', tasks: [{ id: 'a' }] },
      { id: 'two', blocked_by: 'one', tasks: [{ id: 'b' }, { id: 'c', depends_on: ['b'] }] },
    ]);
    expect([...dependentsOf(['a'], made)]).toEqual([]);
    expect([...dependentsOf(['b'], made)]).toEqual(['c']);
  });
});
