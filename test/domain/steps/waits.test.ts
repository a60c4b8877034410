/** How a wait stands after a look at it. */

import { describe, expect, test } from 'vitest';
import { type Entry, type Journal, type Step, viewOf } from '../../../src/domain/steps/journal.ts';
import { waitPolicy } from '../../../src/domain/steps/tries.ts';
import {
  afterLook,
  afterSignalLook,
  afterWait,
  type Condition,
  type Found,
  limitOf,
  pendingSignal,
  type Standing,
  signalEntries,
  timeOf,
} from '../../../src/domain/steps/waits.ts';
import type { Instant } from '../../../src/domain/task/deadlines.ts';
import fc from '../../support/properties.ts';

const T0 = Date.parse('2030-01-01T00:00:00Z');
const at = (ms: number): Instant => ({ nowMs: T0 + ms, monoMs: ms, bootId: 'b' });
const looker = (ms: number) => ({ name: 'w', attemptId: 'a', generation: 1, instant: at(ms) });

/** A journal that a test adds to. */
function journal() {
  const entries: Entry[] = [];
  let epoch = 0;
  return {
    now: () => ({ journal: { key: 'k', epoch, chunks: [], tail: [] } as Journal, ...viewOf(entries) }),
    keep: ({ step, entries: more = [], over }: Standing) => {
      entries.push({ step }, ...more);
      return { step, over };
    },
    signal: (id: string, data: unknown) =>
      entries.push(...signalEntries(viewOf(entries), { name: 'w', id, data, at: 't' })),
    charge: () => {
      epoch++;
    },
    pending: () => pendingSignal(viewOf(entries), 'w')?.data,
  };
}

describe('a wait for a time', () => {
  test('a wait for a time ends at the time that was fixed when it was first reached, whatever is said later', () => {
    const { now, keep } = journal();
    expect(keep(afterWait(now(), looker(0), 60_000))).toMatchObject({ over: false, step: { status: 'running' } });
    expect(keep(afterWait(now(), looker(30_000), 1))).toMatchObject({
      over: false,
      step: { wake: { at: '2030-01-01T00:01:00.000Z' } },
    });
    expect(keep(afterWait(now(), looker(60_000), 999_999))).toMatchObject({
      over: true,
      step: { status: 'completed', started_at: '2030-01-01T00:00:00.000Z', ended_at: '2030-01-01T00:01:00.000Z' },
    });
  });

  test('a wait for a time goes on when a failure beside it was charged to the task', () => {
    const { now, keep, charge } = journal();
    keep(afterWait(now(), looker(0), 60_000));
    charge();
    expect(afterWait(now(), looker(59_999), 60_000)).toMatchObject({ over: false });
    expect(afterWait(now(), looker(60_000), 60_000)).toMatchObject({ over: true });
  });

  test('until a time goes by the wall clock alone', () => {
    const { now, keep } = journal();
    const standing = keep(afterWait(now(), looker(0), '2030-01-01T00:01:00.000Z'));
    expect(standing.step.deadline).toEqual({ at: '2030-01-01T00:01:00.000Z', clock: null });
    const later = { ...looker(0), instant: { ...at(0), nowMs: T0 + 60_000 } };
    expect(afterWait(now(), later, 1)).toMatchObject({ over: true });
  });
});

describe('a wait for a condition', () => {
  const condition = (more: Partial<Condition> = {}): Condition => ({
    everyMs: 30_000,
    timeoutMs: 100_000,
    policy: waitPolicy(undefined),
    random: () => 0.5,
    ...more,
  });
  const failed = (name: string): Found => ({
    error: { class: name, message: 'x' },
    told: { class: name, message: 'x' },
  });
  const retrying = condition({
    policy: waitPolicy({ retry_on: ['network'], max_attempts: 3, base: 1000, jitter: 'none' }),
  });

  test.each<[string, Condition, [number, Found][], object]>([
    [
      'is over when it is true at once',
      condition(),
      [[0, { value: true }]],
      { over: true, step: { status: 'completed', tries: 0 } },
    ],
    [
      'is looked at again after its interval, and that counts for no budget',
      condition(),
      [
        [0, { value: false }],
        [30_000, { value: false }],
      ],
      { over: false, step: { status: 'running', tries: 0, wake: { at: '2030-01-01T00:01:00.000Z' } } },
    ],
    [
      'is looked at for the last time when its time is up',
      condition(),
      [
        [0, { value: false }],
        [90_000, { value: false }],
      ],
      { over: false, step: { wake: { at: '2030-01-01T00:01:40.000Z' } } },
    ],
    [
      'fails when its time is up',
      condition(),
      [
        [0, { value: false }],
        [100_000, { value: false }],
      ],
      {
        over: true,
        step: {
          status: 'timed_out',
          last_error: { class: 'wait.timeout', message: 'w was not true within 100s', exit_code: 1 },
        },
      },
    ],
    [
      'that is true counts even when it is seen late',
      condition(),
      [
        [0, { value: false }],
        [500_000, { value: true }],
      ],
      { over: true, step: { status: 'completed' } },
    ],
    [
      'fails with its first error',
      condition(),
      [[0, failed('network')]],
      { over: true, step: { status: 'failed', tries: 1 } },
    ],
    [
      'is looked at again after an error that its policy names',
      retrying,
      [[0, failed('network')]],
      {
        over: false,
        step: {
          status: 'running',
          tries: 1,
          wake: { at: '2030-01-01T00:00:01.000Z' },
          last_error: { class: 'network' },
        },
      },
    ],
    [
      'that has looked in between has its budget of errors still',
      retrying,
      [
        [0, failed('network')],
        [1000, { value: false }],
        [2000, failed('network')],
      ],
      { over: false, step: { status: 'running', tries: 2 } },
    ],
    [
      'fails when its budget of errors is used up',
      retrying,
      [
        [0, failed('network')],
        [1000, failed('network')],
        [2000, failed('network')],
      ],
      { over: true, step: { status: 'failed', tries: 3 } },
    ],
    [
      'that errs ends when its time is up',
      condition({ policy: waitPolicy({ base: '10s' }) }),
      [
        [0, failed('network')],
        [100_000, failed('network')],
      ],
      { over: true, step: { status: 'timed_out', last_error: { class: 'wait.timeout' } } },
    ],
    [
      'without a limit is looked at forever',
      condition({ timeoutMs: null }),
      [
        [0, { value: false }],
        [1e12, { value: false }],
      ],
      { over: false, step: { status: 'running' } },
    ],
  ])('%s', (_, asked, looks, expected) => {
    const { now, keep } = journal();
    const standings = looks.map(([ms, found]) => keep(afterLook(now(), looker(ms), asked, found)));
    expect(standings.slice(0, -1).every(({ over }) => !over)).toBe(true);
    expect(standings.at(-1)).toMatchObject(expected);
  });

  test('a wait for a condition is over when its first look has taken all of its time', () => {
    const { now } = journal();
    const condition = { everyMs: 30_000, timeoutMs: 200, policy: waitPolicy(undefined), random: () => 0 };
    const late = { ...looker(5200), began: at(5000) };
    expect(afterLook(now(), late, condition, { value: false })).toMatchObject({
      over: true,
      step: { status: 'timed_out', started_at: '2030-01-01T00:00:05.000Z' },
    });
    expect(afterLook(now(), { ...late, instant: at(5199) }, condition, { value: false })).toMatchObject({
      over: false,
      step: { wake: { at: '2030-01-01T00:00:05.200Z' } },
    });
    expect(afterLook(now(), late, condition, { value: true })).toMatchObject({ step: { status: 'completed' } });
    const failed = { error: null, told: { class: 'exit.3', message: 'exited with code 3' } };
    const policy = waitPolicy({ max_attempts: 2 });
    expect(afterLook(now(), late, { ...condition, policy }, failed).step.last_error?.message).toBe(
      'w was not true within 200ms; the last look failed: exited with code 3',
    );
  });

  test('a wait for a condition counts each error class of a list on its own', () => {
    const list = waitPolicy([
      { retry_on: ['network'], max_attempts: 4, base: 1 },
      { retry_on: ['declined'], max_attempts: 1 },
    ]);
    const { now, keep } = journal();
    const looks = [failed('network'), failed('network.dns'), failed('network'), failed('declined')];
    const ends = looks.map((found, i) => keep(afterLook(now(), looker(i), condition({ policy: list }), found)));
    expect(ends.map(({ over }) => over)).toEqual([false, false, false, true]);
    expect(ends.at(-1)?.step).toMatchObject({ tries: 4, retry_counts: { network: 3, declined: 1 } });
  });

  test('a wait for a condition that has failed begins anew once that was charged to the task', () => {
    const { now, keep, charge } = journal();
    keep(afterLook(now(), looker(0), condition(), { value: false }));
    keep(afterLook(now(), looker(100_000), condition(), { value: false }));
    expect(afterLook(now(), looker(100_001), condition(), { value: false })).toMatchObject({ over: true });
    charge();
    expect(afterLook(now(), looker(100_001), condition(), { value: false })).toMatchObject({
      over: false,
      step: { deadline: { at: '2030-01-01T00:03:20.001Z' } },
    });
  });

  test('a wait for a condition never waits past its time, and never looks in the past', () => {
    const found = fc.oneof(fc.constant<Found>({ value: false }), fc.constantFrom('network', 'network.x').map(failed));
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 40_000 }), found), { minLength: 1 }), (looks) => {
        const { now, keep } = journal();
        const end = (looks[0]?.[0] ?? 0) + 100_000;
        let ms = 0;
        for (const [later, seen] of looks) {
          ms += later;
          const { step, over } = keep(afterLook(now(), looker(ms), retrying, seen));
          if (over) return ms >= end || step.tries === 3;
          const wakeMs = Date.parse((step as Step & { wake: { at: string } }).wake.at) - T0;
          expect(wakeMs).toBeGreaterThanOrEqual(ms);
          expect(wakeMs).toBeLessThanOrEqual(end);
        }
        return ms < end;
      }),
    );
  });
});

describe('a wait for a signal', () => {
  const asked = { timeoutMs: 1000, fallback: null };

  test('a wait for a signal gets the oldest that came, once, also when it came before', () => {
    const { now, keep, signal, pending } = journal();
    signal('1', 'first');
    signal('1', 'again');
    signal('2', 'second');
    expect(keep(afterSignalLook(now(), looker(0), asked))).toMatchObject({
      over: true,
      step: { status: 'completed', result: 'first' },
    });
    expect(pending()).toBe('second');
    signal('1', 'late');
    expect(pending()).toBe('second');
  });

  test('a wait for a signal fails when its time is up, or goes on with what counts then', () => {
    const { now, keep } = journal();
    expect(keep(afterSignalLook(now(), looker(0), asked))).toMatchObject({ over: false });
    expect(afterSignalLook(now(), looker(1000), asked)).toMatchObject({
      over: true,
      step: { status: 'timed_out', last_error: { class: 'wait.timeout', message: 'signal w did not come within 1s' } },
    });
    expect(afterSignalLook(now(), looker(1000), { ...asked, fallback: { value: null } })).toMatchObject({
      over: true,
      step: { status: 'completed', result: null },
    });
  });

  test('a wait for a signal without a limit has no time at which it is woken', () => {
    const { now } = journal();
    const { step, over } = afterSignalLook(now(), looker(0), { timeoutMs: null, fallback: null });
    expect([over, step.wake, step.deadline]).toEqual([false, undefined, undefined]);
  });

  test('a wait for a signal takes no data that is too large, nor more than there is room for', () => {
    const large = { name: 'w', id: '1', at: 't', data: 'x'.repeat(16 * 1024) };
    expect(() => signalEntries(viewOf([]), large)).toThrow(/at most 16384 are kept/);
    const { now, signal } = journal();
    for (let i = 0; i < 16; i++) signal(String(i), 'x'.repeat(16_000));
    const one = { name: 'v', id: '1', at: 't', data: 'x'.repeat(16_000) };
    expect(() => signalEntries(now(), one)).toThrow(/has 16 signals that it has not taken yet/);
  });
});

describe('a name', () => {
  test('means one kind of step in a task', () => {
    const { now, keep } = journal();
    keep(afterWait(now(), looker(0), 1000));
    expect(() => afterSignalLook(now(), looker(0), { timeoutMs: null, fallback: null })).toThrow(
      /w names a wait of this task, and can't name a wait-for/,
    );
  });
});

test.each([
  ['30s', 30_000],
  [250, 250],
  ['none', null],
])('a limit of %s is read', (value, expected) => {
  expect(limitOf(value, '--timeout')).toBe(expected);
});

test.each(['0', 'soon', '-1s', ''])('a limit of %j is refused', (value) => {
  expect(() => limitOf(value, '--timeout')).toThrow(/--timeout .*: expected a duration above 0/);
});

test.each([
  '2030-01-01',
  '2030-01-01T10:00:00',
  'tomorrow',
  '2030-13-01T10:00:00Z',
  '2030-02-30T10:00Z',
  'Jan 1 2030 10:00 Z',
])('a time of %j is refused', (value) => {
  expect(() => timeOf(value, '--until')).toThrow(/expected a time with its zone/);
});
