/** About how long the rest of a run takes. */

import { describe, expect, test } from 'vitest';
import { doneAfterMs, leftMs, type Work } from '../../../src/domain/run/estimate.ts';
import type { Standing } from '../../../src/domain/run/live-model.ts';
import { onePhase, plan, scheduling } from '../../support/domain/plans.ts';
import { record } from '../../support/domain/tasks.ts';
import fc from '../../support/properties.ts';

const work = (id: string, ms: number, ...after: string[]): Work => ({ id, ms, after, isRunning: false });

describe('doneAfterMs', () => {
  test.each<[what: string, work: Work[], slots: number, ms: number]>([
    ['nothing', [], 2, 0],
    ['one after the other on one slot', [work('a', 10), work('b', 5)], 1, 15],
    ['side by side', [work('a', 10), work('b', 5)], 2, 10],
    ['a chain, however many slots', [work('a', 10), work('b', 5, 'a'), work('c', 1, 'b')], 9, 16],
    ['no work that waits for what is not to be done', [work('a', 10, 'x'), work('b', 2)], 1, 2],
    ['what is begun when a slot is free', [work('a', 10), work('b', 5), work('c', 5)], 2, 10],
    ['what already runs', [{ ...work('a', 3), isRunning: true }, work('b', 5)], 1, 8],
    ['no work that waits for itself', [work('a', 10, 'b'), work('b', 10, 'a'), work('c', 2)], 1, 2],
  ])('counts %s', (_what, each, slots, ms) => {
    expect(doneAfterMs(each, slots)).toBe(ms);
  });

  test('doneAfterMs is between the longest chain, or an even share, and everything one after the other', () => {
    const tasks = fc.array(fc.record({ ms: fc.nat(100), after: fc.array(fc.nat(20), { maxLength: 3 }) }), {
      maxLength: 20,
    });
    fc.assert(
      fc.property(tasks, fc.integer({ min: 1, max: 5 }), (each, slots) => {
        // Each waits for earlier ones alone, as in a plan without cycles.
        const all = each.map(({ ms, after }, i) =>
          work(`t${i}`, ms, ...after.filter((before) => before < i).map((before) => `t${before}`)),
        );
        const chains = new Map<string, number>();
        for (const { id, ms, after } of all)
          chains.set(id, ms + Math.max(0, ...after.map((before) => chains.get(before) ?? 0)));
        const sum = all.reduce((total, { ms }) => total + ms, 0);
        const took = doneAfterMs(all, slots);
        expect(took).toBeGreaterThanOrEqual(Math.max(0, ...chains.values(), sum / slots));
        expect(took).toBeLessThanOrEqual(sum);
      }),
    );
  });
});

describe('leftMs', () => {
  const RUN = { run: 'true' };
  const made = onePhase({ id: 'a', ...RUN }, { id: 'b', ...RUN, depends_on: ['a'] }, { id: 'c', ...RUN });
  const standing = (more: Partial<Standing> = {}): Standing => ({
    scheduling: scheduling(made),
    selected: null,
    own: new Map(),
    ...more,
  });

  test('leftMs counts what is behind a phase of which a task is skipped', () => {
    const phases = plan([
      {
        id: 'one',
        tasks: [
          { id: 'a', ...RUN },
          { id: 'alarm', ...RUN, depends_on: [{ task: 'a', when: 'failure' }] },
          { id: 'b', ...RUN },
        ],
      },
      { id: 'two', blocked_by: 'one', tasks: [{ id: 'c', ...RUN }] },
    ]);
    const context = scheduling(phases, { a: record('shipped') });
    expect(leftMs(standing({ scheduling: context }), 2, new Map([['a', 100]]))).toBe(200);
  });

  test('leftMs is not known before an attempt has ended', () => {
    expect(leftMs(standing(), 2, new Map())).toBeNull();
  });

  test('leftMs takes what is known of a task, and the middle of the others for the rest', () => {
    expect(leftMs(standing(), 1, new Map([['a', 10]]))).toBe(30);
    const all = new Map([
      ['a', 10],
      ['b', 20],
      ['c', 5],
    ]);
    expect(leftMs(standing(), 2, all)).toBe(30);
  });

  test('leftMs leaves out what is done, and how long a worker has been at work', () => {
    const own = new Map([['b', { attempt_id: 'x', attempt_number: 1, age_ms: 15 }]]);
    const seen = scheduling(made, { a: record('shipped') });
    expect(leftMs(standing({ scheduling: seen, own, selected: new Set(['a', 'b']) }), 2, new Map([['b', 20]]))).toBe(5);
  });

  test('leftMs leaves out what waits for a person, and what waits for that', () => {
    const human = onePhase(
      { id: 'sign', owner_type: 'human' },
      { id: 'after', ...RUN, depends_on: ['sign'] },
      { id: 'c', ...RUN },
    );
    const left = leftMs(
      standing({ scheduling: scheduling(human) }),
      1,
      new Map([
        ['c', 10],
        ['after', 99],
      ]),
    );
    expect(left).toBe(10);
  });

  test('leftMs has a phase wait for all of the one before it', () => {
    const phases = plan([
      {
        id: 'one',
        tasks: [
          { id: 'a', ...RUN },
          { id: 'b', ...RUN },
        ],
      },
      { id: 'two', blocked_by: 'one', tasks: [{ id: 'c', ...RUN }] },
    ]);
    const known = new Map([
      ['a', 10],
      ['b', 30],
      ['c', 5],
    ]);
    expect(leftMs(standing({ scheduling: scheduling(phases) }), 4, known)).toBe(35);
    // One that is over is waited for no more, and neither is a phase of which none is left.
    const over = { a: record('shipped'), b: record('shipped') };
    expect(leftMs(standing({ scheduling: scheduling(phases, { a: over.a }) }), 4, known)).toBe(35);
    expect(leftMs(standing({ scheduling: scheduling(phases, over) }), 4, known)).toBe(5);
  });

  test('leftMs has the end of a phase wait for no slot', () => {
    const task = (id: string, ...depends_on: string[]) => ({ id, ...RUN, depends_on });
    const phases = plan([
      { id: 'one', tasks: [task('a')] },
      { id: 'two', blocked_by: 'one', tasks: [task('c')] },
      { id: 'three', blocked_by: 'two', tasks: [task('d')] },
      { id: 'beside', tasks: [task('long'), task('longer')] },
    ]);
    const known = new Map(Object.entries({ a: 1, c: 2, d: 3, long: 100, longer: 100 }));
    expect(leftMs(standing({ scheduling: scheduling(phases) }), 2, known)).toBe(105);
    expect(leftMs(standing({ scheduling: scheduling(phases) }), 3, known)).toBe(100);
  });

  // Each task of the second with each of the first were a hundred million pairs.
  test('leftMs looks at a phase of ten thousand tasks that waits for another such', () => {
    const tasks = (name: string) => Array.from({ length: 10_000 }, (_, i) => ({ id: `${name}${i}`, ...RUN }));
    const phases = plan([
      { id: 'one', tasks: tasks('a') },
      { id: 'two', blocked_by: 'one', tasks: tasks('b') },
    ]);
    expect(leftMs(standing({ scheduling: scheduling(phases) }), 10_000, new Map([['a0', 7]]))).toBe(14);
  });
});
