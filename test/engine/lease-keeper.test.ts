/** The lease keeper, with a simulated clock and a record in memory. */

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DEFAULT_SETTINGS } from '../../src/domain/settings/settings.ts';
import type { Holding } from '../../src/domain/task/lease-loss.ts';
import { cancelTask } from '../../src/domain/task/operations.ts';
import type { TaskRecord } from '../../src/domain/task/records.ts';
import { keepLease } from '../../src/engine/attempt/lease-keeper.ts';
import type { Env } from '../../src/engine/env.ts';
import { ForgeError } from '../../src/lib/errors.ts';
import { ATTEMPT, CLAIM, claim, next, STALE_MS } from '../support/domain/requests.ts';
import { id, lease, OWNER, record, T0, TTL_MS } from '../support/domain/tasks.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A keeper of a running task that renews every 15 s, and what it does. */
function keeping() {
  const owned = lease({ attempt_id: ATTEMPT, owner: OWNER });
  const startMs = Date.now();
  const state = {
    version: 1,
    record: record('running', { lease: owned }) as TaskRecord | null,
    broken: false,
    reading: Promise.resolve(),
    renewals: [] as number[],
    holdings: [] as Holding[],
    warnings: [] as string[],
  };
  const elapsed = () => Date.now() - startMs;
  const refuse = () => {
    if (state.broken) throw new ForgeError('IO_ERROR', 'no space left');
  };
  const store = {
    changesSince: async (cursor: { version: number } | null) => {
      refuse();
      const { version } = state;
      return { cursor: { version }, changed: cursor?.version === version ? [] : ['build'] };
    },
    read: async () => {
      refuse();
      await state.reading;
      return {
        task_id: 'build',
        version: state.version,
        origin: 'record',
        record: state.record,
        problem: null,
        warnings: [],
      };
    },
    commit: async (_: string, change: { expected: number; record: TaskRecord }) => {
      refuse();
      if (change.expected !== state.version) return { kind: 'conflict' };
      state.version += 1;
      state.record = change.record;
      state.renewals.push(elapsed());
      return { kind: 'committed', version: state.version, record: change.record, warnings: [] };
    },
    settle: async () => {},
  };
  const env = {
    store,
    settings: DEFAULT_SETTINGS,
    publish: async () => {},
    ctx: { now: () => T0 + elapsed(), monotonicMs: elapsed, machine: () => OWNER },
    now: () => T0 + elapsed(),
    newOp: () => id(state.version),
    warn: (message: string) => state.warnings.push(message),
  } as unknown as Env;
  const keeper = keepLease(env, { taskId: 'build', attemptId: ATTEMPT, claimId: CLAIM }, owned, (holding) =>
    state.holdings.push(holding),
  );
  return {
    state,
    keeper,
    pass: (ms: number) => vi.advanceTimersByTimeAsync(ms),
    becomes: (changed: TaskRecord | null) => {
      state.record = changed;
      state.version += 1;
    },
  };
}

test('a lease is renewed at its interval for as long as it is kept', async () => {
  const { state, keeper, pass } = keeping();
  await pass(60_000);
  expect(state.renewals).toEqual([15_000, 30_000, 45_000, 60_000]);
  expect(state.record?.lease?.expires_at).toBe(new Date(T0 + 60_000 + TTL_MS).toISOString());
  keeper.stop();
  await pass(60_000);
  expect(state.renewals).toHaveLength(4);
  expect(state.holdings).toEqual([]);
});

test.each([
  ['stolen', (seen: TaskRecord) => next(claim(seen, STALE_MS)), 'its lease was lost; it is claimed'],
  ['cancelled', (seen: TaskRecord) => next(cancelTask(seen, { reason: null, nowMs: T0 })), 'it was cancelled'],
  ['gone', () => null, 'its record is gone'],
])('a task that is %s is noticed within half a second, once, and not renewed any more', async (_, change, why) => {
  const { state, pass, becomes } = keeping();
  await pass(1_000);
  becomes(change(record('running', { lease: lease({ attempt_id: ATTEMPT }) })));
  await pass(500);
  expect(state.holdings).toEqual([{ kind: 'lost', why }]);
  await pass(60_000);
  expect(state.renewals).toEqual([]);
  expect(state.holdings).toHaveLength(1);
});

test('a renewal that fails is warned of and repeated, and the lease is kept', async () => {
  const { state, keeper, pass } = keeping();
  state.broken = true;
  await pass(15_000);
  expect(keeper.failing).toBe(true);
  expect(state.warnings).toEqual(['heartbeat of task build failed: no space left']);
  state.broken = false;
  await pass(15_000);
  expect(keeper.failing).toBe(false);
  expect(state.renewals).toEqual([30_000]);
  expect(state.holdings).toEqual([]);
});

test('a lease that cannot be renewed is lost when it expires, before it may be taken', async () => {
  const { state, pass } = keeping();
  await pass(15_000);
  state.broken = true;
  await pass(TTL_MS - 1);
  expect(state.holdings).toEqual([]);
  await pass(1);
  expect(state.holdings).toEqual([{ kind: 'lost', why: 'its lease ran out and could not be renewed' }]);
});

test('a keeper that was paused beyond the expiry of its lease renews it', async () => {
  const { state, pass } = keeping();
  vi.setSystemTime(Date.now() + 2 * TTL_MS);
  await pass(500);
  expect(state.renewals).toEqual([2 * TTL_MS + 500]);
  expect(state.holdings).toEqual([]);
});

test('a question that the worker asks ends the renewals without a loss', async () => {
  const { state, pass, becomes } = keeping();
  const running = record('running');
  const ended_claim = { claim_id: CLAIM, how: 'asked', state: 'blocked_on_question' as const };
  becomes({ ...record('blocked_on_question'), memo: { ...running.memo, ended_claim } });
  await pass(30_000);
  expect(state.holdings).toEqual([{ kind: 'parked' }]);
  expect(state.renewals).toEqual([]);
});

test('a keeper that is stopped while it looks tells nothing of what it sees', async () => {
  const { state, keeper, pass, becomes } = keeping();
  await pass(1_000);
  becomes(null);
  let read = () => {};
  state.reading = new Promise((resolve) => {
    read = resolve;
  });
  await pass(500);
  keeper.stop();
  read();
  await pass(500);
  expect(state.holdings).toEqual([]);
});
