/** Waits of a program, by a worker whose journal is in memory. */

import { EventEmitter, once } from 'node:events';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { memoryWorker, Parked, type StepScope } from '../../src/worker.ts';

const T0 = Date.parse('2030-01-01T00:00:00Z');

/** A worker whose clock a test sets; it sleeps for nothing shorter than it parks for. */
function worked() {
  const clock = { nowMs: T0 };
  const worker = memoryWorker({ now: () => clock.nowMs, random: () => 0.5, parkAfterMs: 0 });
  return { worker, clock };
}

describe('steps within a step of a program', () => {
  const forever = () => new Promise<never>(() => {});
  const again = { retry: { max_attempts: 2, base: 0 } };
  /** What `work` comes to where the time of its first try runs out, and that of no other, however slow the machine is. */
  const outOfTime = async <T>(work: () => Promise<T>) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const made = work();
    await vi.advanceTimersByTimeAsync(75);
    return made;
  };

  it('what a try has left ends with it when its time is over, and the next try makes it again', async () => {
    const worker = memoryWorker();
    const inner: number[] = [];
    const makes = async ({ try: number }: { try: number }) => {
      await worker.step('inner', () => (inner.push(number) === 1 ? forever() : null));
      return number;
    };
    expect(await outOfTime(() => worker.step('outer', makes, { timeout: 50, ...again }))).toBe(2);
    expect(inner).toEqual([1, 2]);
  });

  it('what a try has left ends with it when it fails, and the next try makes it again', async () => {
    const worker = memoryWorker();
    const begun: string[] = [];
    const makes = async ({ try: number }: { try: number }) => {
      const slow = worker.step('slow', () => (begun.push(`slow ${number}`) === 1 ? forever() : 'slow'));
      const go = worker.waitFor('go', { timeout: '10s' });
      await worker.step('quick', () => begun.push(`quick ${number}`));
      if (number === 1) throw new Error('no');
      worker.signal('go', 'sent');
      return [await slow, await go];
    };
    expect(await worker.step('outer', makes, again)).toEqual(['slow', 'sent']);
    expect(begun).toEqual(['slow 1', 'quick 1', 'slow 2']);
  });

  it('a try that is over makes no more steps', async () => {
    const worker = memoryWorker();
    const late = new EventEmitter();
    const told = once(late, 'told');
    const makes = async ({ try: number, signal }: StepScope) => {
      if (number === 2) return void (await told);
      await once(signal, 'abort');
      const made = worker.step('late', () => 'made');
      late.emit('told', await made.catch((error) => error.class));
    };
    await outOfTime(() => worker.step('outer', makes, { timeout: 50, ...again }));
    expect(await told).toEqual(['timeout']);
  });
});

describe('a journal in memory', () => {
  it('a step more costs the same however many there are', async () => {
    const worker = memoryWorker();
    /** How many entries of maps a step takes. */
    const costOf = async (name: string) => {
      const set = vi.spyOn(Map.prototype, 'set');
      await worker.step(name, () => 1);
      const { length } = set.mock.calls;
      set.mockRestore();
      return length;
    };
    const first = await costOf('first');
    for (let number = 0; number < 100; number++) await worker.step(`more.${number}`, () => 1);
    expect(await costOf('last')).toBe(first);
  });
});

describe('a wait of a program', () => {
  it('a wait of a program parks it, and is over in the attempt after its time', async () => {
    const { worker, clock } = worked();
    const parked = worker.wait('soak', '1h');
    await expect(parked).rejects.toBeInstanceOf(Parked);
    await expect(parked).rejects.toMatchObject({ code: 'PARKED', wakeAt: '2030-01-01T01:00:00.000Z' });
    clock.nowMs += 1_800_000;
    // Early: it waits for the rest, not for the whole.
    await expect(worker.next().wait('soak', '5h')).rejects.toMatchObject({ wakeAt: '2030-01-01T01:00:00.000Z' });
    clock.nowMs += 1_800_000;
    await worker.next().wait('soak', '1h');
  });

  it('a wait of a program that is too short to park it is over once the clock of its test says so', {
    timeout: 15_000,
  }, async () => {
    const clock = { nowMs: T0 };
    const waited = memoryWorker({ now: () => clock.nowMs }).wait('soak', '20s');
    await new Promise(setImmediate);
    clock.nowMs += 20_000;
    await waited;
  });

  it('a time that is no time is refused: of a wait, and of the first tick of a repeat', async () => {
    const { worker } = worked();
    const none = new Date(Number.NaN);
    await expect(worker.wait('open', { until: none })).rejects.toMatchObject({ code: 'INVALID_ARGS' });
    await expect(worker.repeat('poll', () => {}, { every: '1m', start: none })).rejects.toMatchObject({
      code: 'INVALID_ARGS',
    });
  });

  it('until a time goes by that', async () => {
    const { worker } = worked();
    await expect(worker.wait('open', { until: new Date(T0 + 5000) })).rejects.toMatchObject({
      wakeAt: '2030-01-01T00:00:05.000Z',
    });
    await worker.next().wait('past', { until: '2029-01-01T00:00:00Z' });
  });

  it('beside steps at work waits for them, and parks when all that is left waits', async () => {
    const { worker, clock } = worked();
    const order: string[] = [];
    let finish = () => {};
    const work = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const waits = worker.wait('long', '2h').catch((error: unknown) => order.push(`long ${(error as Parked).wakeAt}`));
    const short = worker.wait('short', '1h').catch((error: unknown) => order.push(`short ${(error as Parked).wakeAt}`));
    const step = worker.step('work', () => work).then(() => order.push('work'));
    finish();
    await Promise.all([waits, short, step]);
    const wake = '2030-01-01T01:00:00.000Z';
    expect(order).toEqual(['work', `long ${wake}`, `short ${wake}`]);
    clock.nowMs += 3_600_000;
    const next = worker.next();
    const both = await Promise.allSettled([next.wait('long', '2h'), next.wait('short', '1h')]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
  });

  it('a wait of a program within a step parks the task, and the step is called again behind it', async () => {
    const { worker, clock } = worked();
    const called: string[] = [];
    const body = (attempt: typeof worker) =>
      attempt.step('outer', async () => {
        called.push('outer');
        await Promise.all([attempt.step('first', () => called.push('first')), attempt.wait('soak', '1h')]);
        called.push('after');
      });
    const parked = body(worker);
    await expect(parked).rejects.toMatchObject({ wakeAt: '2030-01-01T01:00:00.000Z' });
    clock.nowMs += 3_600_000;
    await body(worker.next());
    expect(called).toEqual(['outer', 'first', 'outer', 'after']);
  });

  it('a program that has parked does nothing more, also where it catches that', async () => {
    const { worker } = worked();
    await expect(worker.wait('soak', '1h')).rejects.toBeInstanceOf(Parked);
    const fn = vi.fn();
    await expect(worker.step('more', fn)).rejects.toBeInstanceOf(Parked);
    await expect(worker.context.set('more', 1)).rejects.toBeInstanceOf(Parked);
    expect(fn).not.toHaveBeenCalled();
  });

  it('a wait of a program has one meaning in a pass', async () => {
    const { worker } = worked();
    await worker.wait('x', { until: '2029-01-01T00:00:00Z' });
    await expect(worker.wait('x', '1h')).rejects.toMatchObject({ code: 'STEP_REPEATED' });
    await expect(worker.next().step('x', () => 1)).rejects.toMatchObject({ code: 'INVALID_ID' });
    await expect(worker.wait('y', 'soon')).rejects.toMatchObject({ code: 'INVALID_ARGS' });
  });
});

describe('a condition of a program', () => {
  it('a condition of a program is looked at once an attempt, and what is true counts even late', async () => {
    const { worker, clock } = worked();
    const look = vi.fn(() => clock.nowMs > T0 + 3_600_000);
    await expect(worker.waitUntil('up', look, { every: '30m' })).rejects.toBeInstanceOf(Parked);
    await expect(worker.next().waitUntil('up', look)).rejects.toMatchObject({ wakeAt: '2030-01-01T00:30:00.000Z' });
    expect(look).toHaveBeenCalledTimes(1);
    clock.nowMs += 7_200_000;
    await worker.next().waitUntil('up', look);
    await worker.next().waitUntil('up', look);
    expect(look).toHaveBeenCalledTimes(2);
  });

  it('a condition of a program fails when its time is up, and with what a look has thrown', async () => {
    const { worker, clock } = worked();
    await expect(worker.waitUntil('up', () => false)).rejects.toBeInstanceOf(Parked);
    clock.nowMs += 3_600_000;
    await expect(worker.next().waitUntil('up', () => false)).rejects.toMatchObject({ class: 'wait.timeout' });
    const thrown = Object.assign(new Error('refused'), { class: 'network' });
    const look = () => {
      throw thrown;
    };
    await expect(worker.next().waitUntil('other', look)).rejects.toBe(thrown);
  });

  it('a look of a program that is made again reaches the steps within it again, also those of one that has failed', async () => {
    const worker = memoryWorker();
    const done: string[] = [];
    const inner = (name: string) => worker.step(name, () => done.push(name));
    let looks = 0;
    const look = async () => {
      looks += 1;
      await worker.step(
        'outer',
        async () => {
          await inner('first');
          if (looks === 1) throw new Error('not yet');
        },
        { retry: { max_attempts: 1 } },
      );
      await inner('second');
      return looks > 2;
    };
    await worker.waitUntil('up', look, { every: 1, retry: { max_attempts: 2, base: 0 } });
    expect({ looks, done }).toEqual({ looks: 3, done: ['first', 'second'] });
    await expect(inner('second')).rejects.toMatchObject({ code: 'STEP_REPEATED' });
  });

  it('a tick of a program that is tried again, and what says that a repeat is over, reach the steps within them again', async () => {
    const worker = memoryWorker();
    let asked = 0;
    const tick = async (scope: { at: Date; try: number }) => {
      await worker.step(`at.${scope.at.getTime()}`, () => 1);
      if (scope.try === 1) throw new Error('again');
    };
    const till = async () => {
      await worker.step('till', () => 1);
      return ++asked > 2;
    };
    const retry = { max_attempts: 2, base: 0 };
    expect(await worker.repeat('poll', tick, { every: 1, retry, till })).toMatchObject({ ran: 2, failed: 0 });
    const naive = worker.repeat('naive', () => worker.step('same', () => 1), { every: 1, times: 2, onError: 'fail' });
    await expect(naive).rejects.toMatchObject({ code: 'STEP_REPEATED' });
  });

  it.each([null, undefined, 7])('a condition of a program fails with %s where a look throws that', async (thrown) => {
    const { worker } = worked();
    const look = () => {
      throw thrown;
    };
    const seen = await worker.waitUntil('up', look).then(
      () => 'over',
      (error: unknown) => [error],
    );
    expect(seen).toEqual([thrown]);
  });

  it('a condition of a program is looked at again after what its policy matches by a class of the program', async () => {
    class Busy extends Error {}
    class VeryBusy extends Busy {}
    const { worker, clock } = worked();
    const retry = [{ retry_on: [Busy], max_attempts: 2, base: '1s' }];
    const look = () => {
      throw new VeryBusy('busy');
    };
    await expect(worker.waitUntil('up', look, { retry })).rejects.toBeInstanceOf(Parked);
    clock.nowMs += 60_000;
    await expect(worker.next().waitUntil('up', look, { retry })).rejects.toBeInstanceOf(VeryBusy);
  });
});

describe('a signal to a program', () => {
  it('a signal to a program parks it until it comes, and is kept when it came before', async () => {
    const { worker } = worked();
    await expect(worker.waitFor('go')).rejects.toMatchObject({ code: 'PARKED', wakeAt: null });
    worker.signal('go', { x: 1 });
    worker.signal('late', 2);
    const next = worker.next();
    expect(await next.waitFor('go')).toEqual({ x: 1 });
    expect(await next.waitFor('late', { timeout: '1h' })).toBe(2);
  });

  it('a signal to a program has a default when its time is up', async () => {
    const { worker, clock } = worked();
    await expect(worker.waitFor('go', { timeout: '1h', default: 'none' })).rejects.toBeInstanceOf(Parked);
    clock.nowMs += 3_600_000;
    expect(await worker.next().waitFor('go', { timeout: '1h', default: 'none' })).toBe('none');
    // As a program passes on what it was not given.
    await expect(worker.next().waitFor('other', { timeout: '1ms', default: undefined })).rejects.toBeInstanceOf(Parked);
    clock.nowMs += 1;
    await expect(worker.next().waitFor('other', { timeout: '1ms', default: undefined })).rejects.toMatchObject({
      class: 'wait.timeout',
    });
  });
});

describe('children in memory', () => {
  const child = (name: string) => ({ name, run: 'true' });

  it('a join is parked until a test has settled all children, and tells what each left', async () => {
    const worker = memoryWorker();
    expect(await worker.fanOut('files', [child('x'), child('y')])).toEqual({ children: 2 });
    await expect(worker.join('files')).rejects.toBeInstanceOf(Parked);
    worker.settle('files', 'y', { result: { size: 3 } });
    const second = worker.next();
    expect(await second.fanOut('files', [])).toEqual({ children: 2 });
    await expect(second.join('files')).rejects.toBeInstanceOf(Parked);
    second.settle('files', 'x');
    const told = [
      { fan_out: 'files', name: 'x', state: 'shipped', result: null },
      { fan_out: 'files', name: 'y', state: 'shipped', result: { size: 3 } },
    ];
    const third = second.next();
    expect(await third.join(['files'])).toEqual(told);
    expect(await third.next().join('files')).toEqual(told);
  });

  it('a child that has failed fails the join, unless that is allowed', async () => {
    const worker = memoryWorker();
    await worker.fanOut('files', [child('x'), child('y')]);
    worker.settle('files', 'x');
    worker.settle('files', 'y', { state: 'failed', result: 1 });
    await expect(worker.join('files')).rejects.toMatchObject({
      class: 'join.failed',
      message: '1 of 2 children did not ship: files/y (failed)',
    });
    expect(await worker.next().join('files', { allowFailed: true })).toMatchObject([
      { name: 'x', state: 'shipped' },
      { name: 'y', state: 'failed', result: null },
    ]);
  });

  it('a join beside a step goes on as soon as the children are over', async () => {
    const worker = memoryWorker();
    await worker.fanOut('files', [child('x')]);
    let finish = () => {};
    const work = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const step = worker.step('busy', () => work);
    const joined = worker.join('files');
    worker.settle('files', 'x');
    expect(await joined).toMatchObject([{ name: 'x' }]);
    finish();
    await step;
  });

  it.each([
    ['an unknown fan-out', (worker: ReturnType<typeof memoryWorker>) => worker.join('nothing'), 'UNKNOWN_FANOUT'],
    ['a name that is none', (worker: ReturnType<typeof memoryWorker>) => worker.join('a b'), 'INVALID_ID'],
    [
      'a fan-out that is named twice',
      (worker: ReturnType<typeof memoryWorker>) => worker.join(['a', 'a']),
      'INVALID_ARGS',
    ],
    [
      'a child without a command',
      (worker: ReturnType<typeof memoryWorker>) => worker.fanOut('f', [{ name: 'x' } as never]),
      'INVALID_ARGS',
    ],
    [
      'a child with a name that is none',
      (worker: ReturnType<typeof memoryWorker>) => worker.fanOut('f', [child('a b')]),
      'INVALID_ID',
    ],
  ])('%s is refused', async (_what, call, code) => {
    await expect(call(memoryWorker())).rejects.toMatchObject({ code });
  });
});

describe('a repeat of a program', () => {
  it('a repeat of a program asks whether it is over when a later attempt comes to it, before it does another tick', async () => {
    const { worker, clock } = worked();
    const tick = vi.fn();
    let isOver = false;
    const options = { every: '1h', till: () => isOver };
    await expect(worker.repeat('poll', tick, options)).rejects.toBeInstanceOf(Parked);
    clock.nowMs += 3_600_000;
    isOver = true;
    expect(await worker.next().repeat('poll', tick, options)).toEqual({ ran: 1, failed: 0, skipped: 0 });
    expect(tick).toHaveBeenCalledTimes(1);
  });

  it('a repeat of a program fails with what its end was asked with, and goes on in the attempt behind that', async () => {
    const { worker, clock } = worked();
    const tick = vi.fn();
    const down = new Error('down');
    let till: () => boolean = () => false;
    const poll = (attempt: typeof worker) =>
      attempt.repeat('poll', tick, { every: '1h', times: 2, till: () => till() });
    await expect(poll(worker)).rejects.toBeInstanceOf(Parked);
    clock.nowMs += 3_600_000;
    const second = worker.next();
    till = () => {
      throw down;
    };
    await expect(poll(second)).rejects.toBe(down);
    till = () => false;
    expect(await poll(second.next())).toEqual({ ran: 2, failed: 0, skipped: 0 });
  });
});

describe('a step of a program', () => {
  it('a step of a program that has failed before it was parked fails again without a try', async () => {
    const { worker } = worked();
    let tries = 0;
    const fail = () => {
      tries++;
      throw Object.assign(new Error('full'), { class: 'disk' });
    };
    const retry = { max_attempts: 1 };
    await expect(worker.step('one', fail, { retry })).rejects.toMatchObject({ class: 'disk' });
    await expect(worker.wait('soak', '1h')).rejects.toBeInstanceOf(Parked);
    await expect(worker.next().step('one', fail, { retry })).rejects.toMatchObject({ class: 'disk', message: 'full' });
    expect(tries).toBe(1);
    // That attempt was not parked: its failure was charged.
    await expect(worker.next().step('one', fail, { retry })).rejects.toMatchObject({ class: 'disk' });
    expect(tries).toBe(2);
  });

  it.each([
    ['no prototype', Object.create(null)],
    ['fields', { message: 'full', code: 7 }],
    ['a symbol', Symbol('odd')],
    ['a list', [1, 2]],
    ['fields that throw', new Proxy(new Error('full'), { get: () => expect.fail('it was read') })],
  ])('a step of a program fails with what it throws, after its tries: %s', async (_what, thrown) => {
    const worker = memoryWorker();
    let tries = 0;
    const fail = () => {
      tries++;
      throw thrown;
    };
    const seen = await worker.step('one', fail, { retry: { max_attempts: 2, base: 1 } }).catch((error) => [error]);
    expect(seen[0]).toBe(thrown);
    expect(tries).toBe(2);
  });

  it('a wait or a repeat of a program that has failed before it was parked fails again, and neither looks nor ticks', async () => {
    const { worker, clock } = worked();
    const look = vi.fn(() => Promise.reject(new Error('full')));
    const tick = vi.fn(() => Promise.reject(new Error('down')));
    const repeated = { every: '1m', onError: 'fail', retry: { max_attempts: 1 } } as const;
    const fails = async (attempt: typeof worker) => {
      await expect(attempt.waitUntil('ready', look)).rejects.toThrow('full');
      await expect(attempt.repeat('poll', tick, repeated)).rejects.toThrow('down');
    };
    await fails(worker);
    await expect(worker.waitFor('go', { timeout: '1h' })).rejects.toBeInstanceOf(Parked);
    clock.nowMs += 3_600_000;
    const second = worker.next();
    await fails(second);
    const late = { class: 'wait.timeout' };
    await expect(second.waitFor('go', { timeout: '1h' })).rejects.toMatchObject(late);
    await expect(second.wait('soak', '1h')).rejects.toBeInstanceOf(Parked);
    const third = second.next();
    third.signal('go');
    await fails(third);
    await expect(third.waitFor('go')).rejects.toMatchObject(late);
    expect([look.mock.calls.length, tick.mock.calls.length]).toEqual([1, 1]);
    // That attempt was not parked: its failure was charged.
    await fails(third.next());
    expect([look.mock.calls.length, tick.mock.calls.length]).toEqual([2, 2]);
  });

  const refused = new Error('connect refused');
  const looped = new Error('one');
  looped.cause = new Error('two', { cause: looped });
  it.each([
    [new TypeError('fetch failed', { cause: refused }), 'fetch failed: connect refused'],
    [new AggregateError([refused, new Error('no route')], ''), 'connect refused; no route'],
    [
      new AggregateError([refused, refused, refused, refused], 'all failed'),
      `all failed: ${Array(3).fill('connect refused').join('; ')}`,
    ],
    [new Error('outer: connect refused', { cause: refused }), 'outer: connect refused'],
    [looped, 'one: two: one: two'],
    [new Error('none', { cause: null }), 'none'],
  ])(
    'a step of a program keeps of an error what that was caused by, and the errors that it stands for: %s',
    async (thrown, text) => {
      const { worker } = worked();
      const fails = (attempt: typeof worker) =>
        attempt.step('x', () => Promise.reject(thrown), { retry: { max_attempts: 1 } });
      await expect(fails(worker)).rejects.toBe(thrown);
      await expect(worker.waitFor('go')).rejects.toBeInstanceOf(Parked);
      await expect(fails(worker.next())).rejects.toMatchObject({ message: text });
    },
  );

  it('the signal of a step whose time is over is aborted with an error of class timeout', async () => {
    const worker = memoryWorker();
    let reason: unknown;
    const hangs = ({ signal }: { signal: AbortSignal }) =>
      new Promise<void>(() => signal.addEventListener('abort', () => (reason = signal.reason)));
    const late = worker.step('one', hangs, { timeout: 10, retry: { max_attempts: 1 } });
    await expect(late).rejects.toMatchObject({ class: 'timeout' });
    expect(reason).toMatchObject({ class: 'timeout' });
  });

  it.each([
    ['work that has begun', Promise.resolve(1), 'x takes a function, and was given a promise, of work that has begun'],
    ['nothing', undefined, 'x takes a function, and was given what is none: undefined'],
  ])(
    'a step, a look and a tick of a program that is no function but %s is refused, and not tried again',
    async (_what, fn, message) => {
      const asked = { code: 'INVALID_ARGS', message };
      await expect(memoryWorker().step('x', fn as never)).rejects.toMatchObject(asked);
      await expect(memoryWorker().waitUntil('x', fn as never)).rejects.toMatchObject(asked);
      await expect(memoryWorker().repeat('x', fn as never, { every: '1m' })).rejects.toMatchObject(asked);
    },
  );

  it('children with an input that JSON has no form for are refused', async () => {
    const children = [{ name: 'x', run: 'true', input: 1n }];
    await expect(memoryWorker().fanOut('files', children)).rejects.toMatchObject({ code: 'INVALID_ARGS' });
  });
});
