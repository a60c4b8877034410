import { describe, expect, test } from 'vitest';
import { cancelTask, heartbeatTask, retryTask } from '../../../src/domain/task/operations.ts';
import { TASK_STATES, type TaskRecord, type TaskState } from '../../../src/domain/task/records.ts';
import { CLAIMABLE_STATES, IN_FLIGHT_STATES } from '../../../src/domain/task/states.ts';
import { andThen, workedBy } from '../../../src/domain/task/transition.ts';
import { isoTime } from '../../../src/lib/time.ts';
import {
  ATTEMPT,
  CLAIM,
  chain,
  claim,
  complete,
  dispatch,
  failure,
  GOOD,
  heartbeat,
  next,
  OTHER_ATTEMPT,
  OTHER_CLAIM,
  OTHER_RUN,
  RUN,
  release,
  STALE_MS,
  WORKER,
} from '../../support/domain/requests.ts';
import { frozen, instant, lease, record, refusal, T0, TTL_MS } from '../../support/domain/tasks.ts';

/** A parked task goes on by itself. */
const NOT_PARKED = CLAIMABLE_STATES.filter((state) => state !== 'waiting');

describe('dispatch', () => {
  test('dispatch opens the attempt, counts it, and renews the lease', () => {
    const decision = dispatch(record('claimed'), { worker: WORKER, instant: instant(30_000) });
    expect(chain(decision)).toEqual(['dispatch']);
    expect(decision.result).toEqual({ attempt_id: ATTEMPT, attempt_number: 1 });
    expect(next(decision)).toMatchObject({
      state: { state: 'dispatched', attempt_count: 1, current_attempt_id: ATTEMPT },
      lease: { attempt_id: ATTEMPT, claim_id: CLAIM, expires_at: isoTime(T0 + 30_000 + TTL_MS) },
      worker: WORKER,
    });
  });

  test('dispatch never resets the attempt count', () => {
    const before = record('claimed');
    before.state.attempt_count = 41;
    expect(dispatch(before).result.attempt_number).toBe(42);
  });

  test.each(['dispatched', 'running'] as const)(
    "dispatch repeated while %s returns the claim's one attempt",
    (state) => {
      const again = dispatch(record(state), { attemptId: OTHER_ATTEMPT, worker: WORKER });
      expect(again).toEqual({
        record: null,
        moves: [],
        history: [],
        result: { attempt_id: ATTEMPT, attempt_number: 1 },
      });
    },
  );

  test('dispatch by a claim that has lost the task is refused', () => {
    expect(refusal(() => dispatch(record('claimed'), { claimId: OTHER_CLAIM }))).toBe('LEASE_STOLEN');
    expect(refusal(() => dispatch(next(release(record('claimed')))))).toBe('LEASE_STOLEN');
    expect(() => dispatch(record('awaiting_respawn'))).toThrow(/no longer holds task build: it is awaiting_respawn/);
    expect(() => dispatch(record('claimed'), { claimId: OTHER_CLAIM })).toThrow(
      new RegExp(`run ${RUN} has it \\(generation 1\\)`),
    );
  });

  test('dispatch for another run is refused and names the owning run', () => {
    const wrong = () => dispatch(record('claimed'), { runId: OTHER_RUN });
    expect(refusal(wrong)).toBe('LEASE_IDENTITY_MISMATCH');
    expect(wrong).toThrow(RUN);
  });

  test('dispatch is refused in a state that does not belong to the lease', () => {
    const odd = { ...record('shipped'), lease: lease() };
    expect(refusal(() => dispatch(odd))).toBe('ILLEGAL_TRANSITION');
  });
});

describe('heartbeat', () => {
  test('the first heartbeat makes the task running', () => {
    const decision = heartbeat(record('dispatched'), 10);
    expect(chain(decision)).toEqual(['start']);
    expect(next(decision).state.state).toBe('running');
  });

  test('a further heartbeat only renews the lease', () => {
    const decision = heartbeat(record('running'), 30_000);
    expect(decision.moves).toEqual([]);
    expect(decision.history).toEqual([]);
    expect(decision.result).toEqual({
      task_id: 'build',
      attempt_id: ATTEMPT,
      generation: 1,
      expires_at: isoTime(T0 + 30_000 + TTL_MS),
    });
    expect(next(decision).lease).toMatchObject({ last_heartbeat_at: isoTime(T0 + 30_000), generation: 1 });
  });

  test.each([TTL_MS, STALE_MS, STALE_MS * 100])(
    'a heartbeat %i ms later still renews a lease that was not taken',
    (ms) => {
      expect(next(heartbeat(record('running'), ms)).lease?.expires_at).toBe(isoTime(T0 + ms + TTL_MS));
    },
  );

  test('a heartbeat after another claim took the task is refused', () => {
    const stolen = next(claim(record('running'), STALE_MS));
    expect(refusal(() => heartbeat(stolen, STALE_MS))).toBe('LEASE_STOLEN');
    const working = next(dispatch(stolen, { claimId: OTHER_CLAIM, runId: OTHER_RUN, attemptId: OTHER_ATTEMPT }));
    expect(refusal(() => heartbeat(working, STALE_MS))).toBe('STALE_ATTEMPT');
    expect(refusal(() => heartbeat(working, STALE_MS, OTHER_ATTEMPT))).toBe('done');
  });

  test.each([
    ['was released', (running: TaskRecord) => next(release(running))],
    ['is complete', (running: TaskRecord) => next(complete(running, GOOD))],
    ['has failed', (running: TaskRecord) => next(complete(running, failure('fatal')))],
    ['was cancelled', (running: TaskRecord) => next(cancelTask(running, { reason: null, nowMs: T0 }))],
  ])('a heartbeat of an attempt that %s is refused: its lease is gone', (_how, end) => {
    expect(refusal(() => heartbeat(end(record('running')), 30))).toBe('LEASE_STOLEN');
  });

  test('a heartbeat of an unknown attempt is refused', () => {
    expect(refusal(() => heartbeat(record('running'), 0, OTHER_ATTEMPT))).toBe('STALE_ATTEMPT');
    expect(refusal(() => heartbeat(record('unclaimed'), 0))).toBe('STALE_ATTEMPT');
    expect(refusal(() => heartbeat(record('claimed'), 0))).toBe('STALE_ATTEMPT');
  });

  test('a heartbeat is judged by its attempt, not by a leftover lease', () => {
    const odd = { ...record('cancelled'), lease: lease({ attempt_id: ATTEMPT }) };
    odd.state.current_attempt_id = ATTEMPT;
    expect(refusal(() => heartbeat(odd, 0))).toBe('LEASE_STOLEN');
    expect(refusal(() => workedBy(odd, ATTEMPT))).toBe('LEASE_STOLEN');
  });
});

describe('release', () => {
  test.each<[TaskState, string, TaskState]>([
    ['claimed', 'unclaim', 'unclaimed'],
    ['dispatched', 'interrupt', 'awaiting_respawn'],
    ['running', 'interrupt', 'awaiting_respawn'],
  ])('release of a task that is %s: %s, then %s', (state, move, to) => {
    const decision = release(record(state), CLAIM, { reason: 'lunch' });
    expect(chain(decision)).toEqual([move]);
    expect(decision.result).toEqual({ task_id: 'build', state: to });
    expect(decision.history).toEqual([
      { event: 'released', claim_id: CLAIM, run_id: RUN, generation: 1, reason: 'lunch' },
    ]);
    const after = next(decision);
    expect(after.lease).toBeNull();
    expect(after.memo.generation).toBe(1);
    expect(after.state.failure_count).toBe(0);
    expect(after.state.next_eligible_at ?? null).toBeNull();
  });

  test('release keeps the generation, and the next claim has the next one', () => {
    expect(claim(next(release(record('running')))).result?.generation).toBe(2);
  });

  test('a repeated release returns the first result, even after another claim', () => {
    const after = next(release(record('running')));
    const again = { record: null, moves: [], history: [], result: { task_id: 'build', state: 'awaiting_respawn' } };
    expect(release(after)).toEqual(again);
    expect(release(next(claim(after)))).toEqual(again);
  });

  test('release by a claim that has lost the task is refused', () => {
    expect(refusal(() => release(record('claimed'), OTHER_CLAIM))).toBe('LEASE_STOLEN');
    expect(refusal(() => release(record('unclaimed')))).toBe('LEASE_STOLEN');
    expect(refusal(() => release(next(complete(record('running'), GOOD))))).toBe('LEASE_STOLEN');
    expect(refusal(() => release(next(claim(record('running'), STALE_MS))))).toBe('LEASE_STOLEN');
  });

  test.each([
    [true, null],
    [false, WORKER],
  ])('release forgets the worker only when its end is known (%s)', (workerGone, worker) => {
    expect(next(release({ ...record('running'), worker: WORKER }, CLAIM, { workerGone })).worker).toEqual(worker);
  });
});

describe('cancel', () => {
  const cancel = (before: TaskRecord, reason: string | null = null) =>
    cancelTask(frozen(before), { reason, nowMs: T0 + 20 });

  test.each(IN_FLIGHT_STATES)('cancel releases the lease of a task that is %s', (state) => {
    const decision = cancel(record(state), 'not needed');
    expect(decision.result).toEqual({ task_id: 'build', state: 'cancelled' });
    expect(decision.history).toEqual([
      { event: 'admin_released', claim_id: CLAIM, run_id: RUN, generation: 1, reason: 'not needed' },
    ]);
    expect(next(decision)).toMatchObject({
      state: { state: 'cancelled', updated_by: { run_id: null, claim_id: null, generation: 1 } },
      lease: null,
      memo: { generation: 1, ended_claim: { claim_id: CLAIM, how: 'cancelled', state: 'cancelled' } },
    });
  });

  test('cancel clears a backoff', () => {
    const before = record('awaiting_respawn');
    before.state.next_eligible_at = isoTime(T0 + 5000);
    const decision = cancel(before);
    expect(decision.history).toEqual([]);
    expect(next(decision).state.next_eligible_at).toBeNull();
  });

  test('cancel of a cancelled task changes nothing', () => {
    expect(cancel(record('cancelled'))).toEqual({
      record: null,
      moves: [],
      history: [],
      result: { task_id: 'build', state: 'cancelled' },
    });
  });

  test.each(['shipped', 'failed'] as const)('cancel of a %s task is refused', (state) => {
    expect(refusal(() => cancel(record(state)))).toBe('ILLEGAL_TRANSITION');
  });
});

describe('retry', () => {
  const retry = (before: TaskRecord) => retryTask(frozen(before), T0 + 20);

  test.each(['failed', 'cancelled'] as const)('retry reopens a %s task and clears its failures', (state) => {
    const before = record(state);
    Object.assign(before.state, {
      failure_count: 3,
      retry_counts: { network: 2 },
      attempt_count: 5,
      last_error: { class: 'exit.1', message: 'went wrong' },
      last_failed_at: isoTime(T0),
      next_eligible_at: isoTime(T0 + 99_999),
    });
    before.memo.generation = 5;
    const decision = retry(before);
    expect(chain(decision)).toEqual(['reopen']);
    expect(decision.result).toEqual({ task_id: 'build', state: 'unclaimed' });
    const after = next(decision);
    expect(after.state).toMatchObject({
      state: 'unclaimed',
      failure_count: 0,
      failure_reason: null,
      last_error: null,
      last_failed_at: null,
      next_eligible_at: null,
      attempt_count: 5,
    });
    expect(after.state).not.toHaveProperty('retry_counts');
    expect(after.memo.generation).toBe(5);
  });

  test.each(NOT_PARKED)('retry ends the backoff of a task that is %s, and charges nothing', (state) => {
    const before = record(state);
    Object.assign(before.state, { failure_count: 2, next_eligible_at: isoTime(T0 + 5000) });
    const decision = retry(before);
    expect(decision.moves).toEqual([]);
    expect(decision.result.state).toBe(state);
    expect(next(decision).state).toMatchObject({ state, failure_count: 2, next_eligible_at: null });
  });

  test.each(NOT_PARKED)('retry of a task that is %s and has no backoff changes nothing', (state) => {
    expect(retry(record(state))).toEqual({
      record: null,
      moves: [],
      history: [],
      result: { task_id: 'build', state },
    });
  });

  test.each(TASK_STATES.filter((state) => ![...NOT_PARKED, 'failed', 'cancelled'].includes(state as never)))(
    'retry of a task that is %s is refused',
    (state) => {
      expect(refusal(() => retry(record(state)))).toBe('ILLEGAL_TRANSITION');
    },
  );
});

describe('combined decisions', () => {
  test('claim, dispatch and first heartbeat are one commit', () => {
    const free = frozen(record());
    const at = instant(0);
    const decision = andThen(
      free,
      andThen(free, claim(free, 0, { claimId: CLAIM, runId: RUN }), (claimed) => dispatch(claimed, { instant: at })),
      (dispatched) => heartbeatTask(dispatched, { attemptId: ATTEMPT, ttlMs: TTL_MS, instant: at }),
    );
    expect(chain(decision)).toEqual(['claim', 'dispatch', 'start']);
    expect(decision.history.map(({ event }) => event)).toEqual(['acquired']);
    expect(decision.result).toMatchObject({ attempt_id: ATTEMPT, generation: 1 });
    expect(next(decision).state).toMatchObject({ state: 'running', attempt_count: 1 });
  });

  test('a repeated first decision leaves the change of the second', () => {
    const held = frozen(record('claimed'));
    const decision = andThen(held, claim(held, 0, { claimId: CLAIM, runId: RUN }), (same) => dispatch(same));
    expect(chain(decision)).toEqual(['dispatch']);
    expect(next(decision).state.state).toBe('dispatched');
  });

  test('two repeated decisions change nothing', () => {
    const held = frozen(record('running'));
    expect(andThen(held, claim(held, 0, { claimId: CLAIM, runId: RUN }), (same) => dispatch(same)).record).toBeNull();
  });
});

test('unknown fields survive every decision', () => {
  const marked = (before: TaskRecord): TaskRecord => ({
    ...before,
    'x-record': 1,
    state: { ...before.state, 'x-state': 2 },
    lease: before.lease && { ...before.lease, 'x-lease': 3 },
    memo: { ...before.memo, 'x-memo': 4 },
  });
  const kept = { 'x-record': 1, state: { 'x-state': 2 }, memo: { 'x-memo': 4 } };
  const leased = { ...kept, lease: { 'x-lease': 3 } };
  expect(next(claim(marked(record())))).toMatchObject(kept);
  expect(next(dispatch(marked(record('claimed'))))).toMatchObject(leased);
  expect(next(heartbeat(marked(record('running')), 5))).toMatchObject(leased);
  expect(next(complete(marked(record('running')), failure('exit.1')))).toMatchObject(kept);
  expect(next(release(marked(record('running'))))).toMatchObject(kept);
  expect(next(cancelTask(marked(record('running')), { reason: null, nowMs: T0 }))).toMatchObject(kept);
  expect(next(retryTask(marked(record('failed')), T0))).toMatchObject(kept);
});
