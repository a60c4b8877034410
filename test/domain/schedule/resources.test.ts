import { describe, expect, test } from 'vitest';
import { classifyTasks, reasonsToWait } from '../../../src/domain/schedule/readiness.ts';
import { overLimit, sharersOf, shortageOf, unlimitedTexts } from '../../../src/domain/schedule/resources.ts';
import { neededFor } from '../../../src/domain/schedule/selection.ts';
import { DEFAULT_SETTINGS } from '../../../src/domain/settings/settings.ts';
import { onePhase, plan, scheduling } from '../../support/domain/plans.ts';
import { record } from '../../support/domain/tasks.ts';

const LIMITS = { deploy: 1, gpu: 3 };
const user = (id: string, uses: Record<string, number>) => ({ id, uses });

describe('a shortage', () => {
  test.each<[what: string, uses: Record<string, number>, others: Record<string, number>[], expected: object | null]>([
    ['nothing is used', {}, [{ deploy: 1 }], null],
    ['there is enough', { gpu: 1 }, [{ gpu: 2 }], null],
    [
      'the limit is reached',
      { gpu: 2 },
      [{ gpu: 1 }, { gpu: 1 }],
      { resource: 'gpu', wanted: 2, limit: 3, holders: ['o0', 'o1'] },
    ],
    ['there is one', { deploy: 1 }, [{ gpu: 3 }, { deploy: 1 }], { resource: 'deploy', holders: ['o1'] }],
    ['it is more than the limit', { gpu: 4 }, [], { resource: 'gpu', holders: [] }],
    ['it has no limit', { other: 9 }, [{ other: 9 }], null],
    ['its name is one of every object', { toString: 1 }, [], null],
  ])('when %s', (_what, uses, others, expected) => {
    const found = shortageOf(
      user('a', uses),
      others.map((used, i) => user(`o${i}`, used)),
      LIMITS,
    );
    if (expected === null) expect(found).toBeNull();
    else expect(found).toMatchObject(expected);
  });

  test('a task is never short by what it uses itself', () => {
    expect(shortageOf(user('a', { deploy: 1 }), [user('a', { deploy: 1 })], LIMITS)).toBeNull();
  });
});

describe('tasks that use resources', () => {
  const made = onePhase(
    { id: 'a', uses: ['deploy'] },
    { id: 'b', uses: ['deploy'] },
    { id: 'c', uses: [{ gpu: 1 }] },
    { id: 'd', uses: [{ gpu: 2 }] },
    { id: 'e' },
  );

  test('wait for those in flight, and why says who has it', () => {
    const seen = { ...scheduling(made, { a: record('running') }), limits: LIMITS };
    const [b] = made.tasks.filter(({ id }) => id === 'b');
    expect(b && reasonsToWait(b, seen)).toEqual([
      { code: 'RESOURCE_LIMIT', message: 'it uses deploy, which task a has (limit 1)', on: 'a' },
    ]);
    expect(classifyTasks(seen).ready.map(({ id }) => id)).toEqual(['c', 'd', 'e']);
  });

  test('tasks that use resources do not wait for one that is reviewed, or parked', () => {
    for (const state of ['ready_for_review', 'waiting'] as const) {
      const seen = { ...scheduling(made, { a: record(state) }), limits: LIMITS };
      expect(classifyTasks(seen).ready.map(({ id }) => id)).toContain('b');
    }
  });

  test('share what would not do for all of them, and nothing else is read before a claim', () => {
    const ids = (id: string) =>
      sharersOf(made.byId.get(id) as (typeof made.tasks)[number], made, LIMITS).map((task) => task.id);
    expect([ids('a'), ids('c'), ids('e')]).toEqual([['b'], [], []]);
    const b = made.byId.get('b') as (typeof made.tasks)[number];
    expect(neededFor(b, made, DEFAULT_SETTINGS.agents, LIMITS)).toEqual(['b', 'a']);
  });

  test('more than the limit is an error, and a name without a limit a warning with a guess', () => {
    const wrong = onePhase({ id: 'x', uses: [{ gpu: 4 }] }, { id: 'y', uses: ['depoly', 'paint'] });
    expect(overLimit(wrong.tasks, LIMITS)).toEqual([
      { task_id: 'x', message: 'task "x": it uses 4 of gpu, more than the limit of 3' },
    ]);
    expect(unlimitedTexts(wrong.tasks, LIMITS)).toEqual([
      'task y uses depoly, which has no limit in the settings, so nothing limits it; did you mean deploy?',
      'task y uses paint, which has no limit in the settings, so nothing limits it; give it one under `limits`',
    ]);
  });
});

describe('urgency', () => {
  const order = (made: ReturnType<typeof plan>) => classifyTasks(scheduling(made)).ready.map(({ id }) => id);
  const made = onePhase(
    { id: 'first' },
    { id: 'low', priority: 'P2' },
    { id: 'mid', depends_on: ['low'] },
    { id: 'urgent', priority: 'P0', depends_on: ['mid'] },
    { id: 'last', priority: 'P2' },
  );

  test('urgency is that of the most urgent task that waits for it, directly or through others', () => {
    expect(order(made)).toEqual(['low', 'first', 'last']);
  });

  test('urgency is not inherited from one that the plan calls done or dropped', () => {
    for (const status of ['done', 'dropped']) {
      const over = onePhase(
        { id: 'first' },
        { id: 'low', priority: 'P2' },
        { id: 'urgent', priority: 'P0', depends_on: ['low'], status },
      );
      expect(order(over)).toEqual(['first', 'low']);
    }
  });

  test('orders within a phase: an earlier phase comes first', () => {
    const two = plan([
      { id: 'one', tasks: [{ id: 'a', priority: 'P2' }, { id: 'b' }] },
      {
        id: 'two',
        tasks: [
          { id: 'c', priority: 'P0' },
          { id: 'd', priority: 'P0', depends_on: ['a'] },
        ],
      },
    ]);
    expect(order(two)).toEqual(['a', 'b', 'c']);
  });
});
