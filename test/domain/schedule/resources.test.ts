import { describe, expect, test } from 'vitest';
import { classifyTasks, reasonsToWait } from '../../../src/domain/schedule/readiness.ts';
import { overLimit, sharersOf, shortageOf, unlimitedTexts } from '../../../src/domain/schedule/resources.ts';
import { mayStillRun } from '../../../src/domain/schedule/run-selection.ts';
import { onePhase, plan, scheduling } from '../../support/domain/plans.ts';
import { record } from '../../support/domain/tasks.ts';
import fc from '../../support/properties.ts';

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

  test('share what would not do for all of them', () => {
    const ids = (id: string) =>
      sharersOf(made.byId.get(id) as (typeof made.tasks)[number], made, LIMITS).map((task) => task.id);
    expect([ids('a'), ids('c'), ids('e')]).toEqual([['b'], [], []]);
  });

  test('more than the limit is an error, and a name without a limit a warning with a guess', () => {
    const wrong = onePhase(
      { id: 'x', uses: [{ gpu: 4 }] },
      { id: 'y', uses: ['depoly', 'paint'] },
      { id: 'z', uses: [{ gpu: 4 }], status: 'dropped' },
    );
    expect(overLimit(wrong.tasks, LIMITS)).toEqual([
      { task_id: 'x', message: 'task "x": it uses 4 of gpu, more than the limit of 3' },
    ]);
    expect(unlimitedTexts(wrong.tasks, LIMITS)).toEqual([
      'task y uses depoly, which has no limit in the settings, so nothing limits it; did you mean deploy?',
      'task y uses paint, which has no limit in the settings, so nothing limits it; give it one under `limits`',
    ]);
  });
});

describe('resources are kept for a task that waits for more of them', () => {
  const LARGE = [
    { id: 'first', uses: ['gpu'] },
    { id: 'large', uses: [{ gpu: 3 }] },
    { id: 'small', uses: ['gpu'] },
    { id: 'other', uses: ['deploy'] },
  ];
  const seen = (tasks: typeof LARGE, records = { first: record('running') }) => ({
    ...scheduling(onePhase(...tasks.map((task) => ({ run: 'make', ...task }))), records),
    limits: LIMITS,
  });
  const waits = (context: ReturnType<typeof seen>) =>
    Object.fromEntries(classifyTasks(context).waiting.map(({ task, reasons }) => [task.id, reasons]));

  test('a task behind it waits, and is told for which', () => {
    const context = seen(LARGE);
    expect(classifyTasks(context).ready.map(({ id }) => id)).toEqual(['other']);
    expect(waits(context)['small']).toEqual([
      {
        code: 'RESOURCE_LIMIT',
        message: 'it uses gpu, kept for task large, which is before it (limit 3)',
        on: 'large',
      },
    ]);
    expect(mayStillRun(context, new Set(['small'])).map(({ id }) => id)).toEqual(['small']);
  });

  test('a more urgent task does not wait for it', () => {
    const urgent = LARGE.map((task) => (task.id === 'small' ? { ...task, priority: 'P0' } : task));
    expect(classifyTasks(seen(urgent)).ready.map(({ id }) => id)).toEqual(['small', 'other']);
  });

  test.each<[what: string, large: object]>([
    ['it waits for something else too', { depends_on: ['other'] }],
    ['it is paused', { status: 'paused' }],
    ["it is a person's", { owner_type: 'human' }],
    ['it could never start', { uses: [{ gpu: 4 }] }],
    ['it waits for an agent, and the task behind it does not', { run: undefined }],
  ])('nothing is kept when %s', (_what, large) => {
    const tasks = LARGE.map((task) => ({ ...task, ...(task.id === 'large' ? large : {}) }));
    expect(classifyTasks(seen(tasks)).ready.map(({ id }) => id)).toContain('small');
  });

  test('what it leaves is given out', () => {
    const tasks = LARGE.map((task) => (task.id === 'large' ? { ...task, uses: [{ gpu: 1 }, 'deploy'] } : task));
    const context = seen(tasks as typeof LARGE, { first: record('running'), other: record('running') } as never);
    expect(classifyTasks(context).ready.map(({ id }) => id)).toEqual(['small']);
  });

  test('what is kept is found without a look at all that are in line', () => {
    const many = Array.from({ length: 1000 }, (_, n) => [
      { id: `large${n}`, uses: [{ gpu: 3 }] },
      { id: `small${n}`, uses: ['gpu'] },
    ]).flat();
    const context = seen([LARGE[0], ...many] as typeof LARGE);
    let looks = 0;
    for (const task of context.plan.tasks) {
      const { uses } = task;
      const get = () => {
        looks += 1;
        return uses;
      };
      Object.defineProperty(task, 'uses', { get });
    }
    expect(classifyTasks(context).ready).toEqual([]);
    expect(looks).toBeLessThan(40 * many.length);
  });

  test('a run does not wait for what is free only when the run has ended', () => {
    const context = seen([LARGE[0], { id: 'same', uses: [{ gpu: 3 }] }] as typeof LARGE);
    const left = (surrounding: string[]) =>
      mayStillRun(context, new Set(['same']), { surrounding: new Set(surrounding) }).map(({ id }) => id);
    expect([left([]), left(['first'])]).toEqual([['same'], []]);
  });

  test('no task behind one that waits begins with what that one is short of', () => {
    const anyTask = fc.record({
      uses: fc.uniqueArray(fc.oneof(fc.record({ gpu: fc.integer({ min: 1, max: 3 }) }), fc.constant({ deploy: 1 })), {
        maxLength: 2,
        selector: (use) => Object.keys(use)[0],
      }),
      priority: fc.constantFrom('P0', 'P1', 'P1', 'P2'),
    });
    fc.assert(
      fc.property(fc.array(anyTask, { maxLength: 9 }), fc.infiniteStream(fc.nat()), (tasks, random) => {
        const made = onePhase(...tasks.map((task, at) => ({ id: `t${at}`, run: 'make', ...task })));
        const records: Parameters<typeof scheduling>[1] = {};
        /** By a task that is in line: those that were in flight when it got there. */
        const since = new Map<string, string[]>();
        const rank = new Map(classifyTasks(scheduling(made)).ready.map(({ id }, at) => [id, at]));
        for (let step = 0; step < 3 * made.tasks.length; step++) {
          const context = { ...scheduling(made, records), limits: LIMITS };
          const flying = made.tasks.filter(
            ({ id }) => id in records && classifyTasks(context).waiting.some(({ task }) => task.id === id),
          );
          const { ready } = classifyTasks(context);
          for (const task of made.tasks.filter(({ id }) => !(id in records))) {
            const shortage = shortageOf(task, flying, LIMITS);
            if (shortage === null) continue;
            const before = since.get(task.id) ?? flying.map(({ id }) => id);
            since.set(task.id, before);
            for (const id of shortage.holders)
              if ((rank.get(id) ?? 0) > (rank.get(task.id) ?? 0)) expect(before).toContain(id);
          }
          // A worker is free, or one of those at work ends.
          const [first] = ready;
          const ended = flying[random.next().value % Math.max(1, flying.length)];
          if (first !== undefined && (ended === undefined || random.next().value % 2 === 0))
            records[first.id] = record('running');
          else if (ended !== undefined) records[ended.id] = record('shipped');
        }
        expect(made.tasks.every(({ id }) => id in records)).toBe(true);
      }),
    );
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
