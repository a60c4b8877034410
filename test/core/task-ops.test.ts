import { describe, expect, test } from 'vitest';
import type { ClassifiedError } from '../../src/core/classify.ts';
import { ForgeError } from '../../src/core/errors.ts';
import type { WorkerIdentity } from '../../src/core/identity.ts';
import { TASK_STATES, type TaskRecord, type TaskState, type Verdict } from '../../src/core/records.ts';
import { coercePolicy, RetryPolicy } from '../../src/core/retry.ts';
import {
  andThen,
  type ClaimRequest,
  type CompleteRequest,
  cancelTask,
  claimTask,
  completeTask,
  type Decision,
  type DispatchRequest,
  dispatchTask,
  heartbeatTask,
  type Outcome,
  releaseTask,
  retryTask,
  workedBy,
} from '../../src/core/task-ops.ts';
import { CLAIMABLE_STATES, IN_FLIGHT_STATES } from '../../src/core/task-state.ts';
import { isoTime } from '../../src/core/time.ts';
import { frozen, GRACE_MS, id, instant, lease, OWNER, observer, record, refusal, T0, TTL_MS } from './helpers/tasks.ts';

const CLAIM = id(1);
const RUN = id(100);
const ATTEMPT = id(11);
const OTHER_CLAIM = id(2);
const OTHER_RUN = id(200);
const OTHER_ATTEMPT = id(22);
const STALE_MS = TTL_MS + GRACE_MS;

function claim(before: TaskRecord, ms = 0, fields: Partial<ClaimRequest> = {}) {
  const who = { claimId: OTHER_CLAIM, runId: OTHER_RUN, ttlMs: TTL_MS, owner: null, abandonLimit: 10 };
  return claimTask(frozen(before), { ...who, instant: instant(ms), observer: observer(ms), ...fields });
}

function dispatch(before: TaskRecord, fields: Partial<DispatchRequest> = {}) {
  const request = { claimId: CLAIM, runId: RUN, attemptId: ATTEMPT, worker: null, ttlMs: TTL_MS, instant: instant(10) };
  return dispatchTask(frozen(before), { ...request, ...fields });
}

function heartbeat(before: TaskRecord, ms: number, attemptId = ATTEMPT) {
  return heartbeatTask(frozen(before), { attemptId, ttlMs: TTL_MS, instant: instant(ms) });
}

const READY: Verdict = { version: 1, verdict: 'ready_for_review', summary: 'done' };
const GOOD: Outcome = { kind: 'verdict', verdict: READY, written: true };
const failure = (name: string, message = 'went wrong'): Outcome => ({
  kind: 'failed',
  error: { class: name, message },
});
const THREE_TRIES = new RetryPolicy({ max_attempts: 3, base: 1000, jitter: 'none' });

function complete(before: TaskRecord, outcome: Outcome, fields: Partial<CompleteRequest> = {}) {
  return completeTask(frozen(before), {
    attemptId: ATTEMPT,
    outcome,
    policy: THREE_TRIES,
    route: { reviewed: true, shipped: true },
    workerGone: true,
    nowMs: T0 + 20,
    random: () => 0.5,
    ...fields,
  });
}

function release(before: TaskRecord, claimId = CLAIM, fields: { reason?: string; workerGone?: boolean } = {}) {
  return releaseTask(frozen(before), { claimId, workerGone: true, nowMs: T0 + 20, ...fields });
}

/** The record that a decision leads to; a decision that changes nothing has none. */
function next(decision: Decision<unknown>): TaskRecord {
  if (decision.record === null) throw new Error('nothing was changed');
  return decision.record;
}

const chain = (decision: Decision<unknown>) => decision.moves.map(({ move }) => move);

const WORKER: WorkerIdentity = { ...OWNER, pgid: 4242, claim_id: CLAIM, attempt_id: ATTEMPT };

describe('claim', () => {
  test('of a fresh task', () => {
    const decision = claim(record(), 5, { owner: OWNER });
    expect(chain(decision)).toEqual(['claim']);
    expect(decision.history).toEqual([{ event: 'acquired', claim_id: OTHER_CLAIM, run_id: OTHER_RUN, generation: 1 }]);
    expect(decision.result).toEqual({
      task_id: 'build',
      claim_id: OTHER_CLAIM,
      generation: 1,
      run_id: OTHER_RUN,
      expires_at: isoTime(T0 + 5 + TTL_MS),
    });
    const { state, lease: held, memo } = next(decision);
    expect(state).toMatchObject({
      state: 'claimed',
      attempt_count: 0,
      updated_at: isoTime(T0 + 5),
      updated_by: { run_id: OTHER_RUN, claim_id: OTHER_CLAIM, generation: 1 },
    });
    expect(held).toMatchObject({ claim_id: OTHER_CLAIM, owner_run_id: OTHER_RUN, attempt_id: null, owner: OWNER });
    expect(memo).toMatchObject({ generation: 1, abandons: 0, ended_claim: null });
  });

  test.each(CLAIMABLE_STATES)('takes a task that is %s', (state) => {
    expect(next(claim(record(state))).state.state).toBe('claimed');
  });

  test.each(TASK_STATES.filter((state) => ![...CLAIMABLE_STATES, ...IN_FLIGHT_STATES].includes(state as never)))(
    'is refused while the task is %s',
    (state) => {
      expect(refusal(() => claim(record(state)))).toBe('ILLEGAL_TRANSITION');
    },
  );

  test('ends a backoff that was waited out', () => {
    const before = record('awaiting_respawn');
    before.state.next_eligible_at = isoTime(T0);
    expect(next(claim(before)).state.next_eligible_at).toBeNull();
  });

  test.each([
    [0, 0, 1],
    [41, 0, 42],
    [41, 99, 42],
  ])('exceeds the largest generation ever seen: memo %i, updated_by %i', (memo, by, generation) => {
    const before = record();
    before.memo.generation = memo;
    before.state.updated_by.generation = by;
    expect(claim(before).result?.generation).toBe(generation);
  });

  describe.each(IN_FLIGHT_STATES)('of a task that is %s', (state) => {
    test('is refused while its lease is live, naming who has it until when', () => {
      let thrown: unknown;
      try {
        claim(record(state), TTL_MS - 1);
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBeInstanceOf(ForgeError);
      const { code, message, details } = thrown as ForgeError;
      expect(code).toBe('LEASE_EXISTS');
      expect(message).toBe(`task build is claimed by run ${RUN} until ${isoTime(T0 + TTL_MS)}`);
      expect(details).toEqual({
        task_id: 'build',
        claim_id: CLAIM,
        run_id: RUN,
        expires_at: isoTime(T0 + TTL_MS),
      });
    });

    test('is refused within grace', () => {
      expect(refusal(() => claim(record(state), TTL_MS))).toBe('LEASE_NOT_EXPIRED');
      expect(refusal(() => claim(record(state), STALE_MS - 1))).toBe('LEASE_NOT_EXPIRED');
    });

    test('after grace abandons it and takes it over, in one commit', () => {
      const decision = claim(record(state), STALE_MS);
      expect(chain(decision)).toEqual(['abandon', 'claim']);
      expect(decision.history).toEqual([
        { event: 'stolen', claim_id: OTHER_CLAIM, run_id: OTHER_RUN, generation: 2, from_generation: 1 },
      ]);
      const { state: after, lease: held, memo } = next(decision);
      expect(after.state).toBe('claimed');
      expect(after.failure_count).toBe(0);
      expect(held).toMatchObject({ claim_id: OTHER_CLAIM, generation: 2, attempt_id: null });
      expect(memo).toMatchObject({
        generation: 2,
        abandons: 1,
        ended_claim: { claim_id: CLAIM, how: 'stolen', state: 'abandoned' },
      });
    });

    test('takes it over at once when its owner is dead', () => {
      const before = record(state);
      const owned = { ...before, lease: before.lease && { ...before.lease, owner: OWNER } };
      expect(chain(claim(owned, 0, { observer: observer(0, { liveness: () => 'dead' }) }))).toEqual([
        'abandon',
        'claim',
      ]);
      expect(refusal(() => claim(owned, 0, { observer: observer(0, { liveness: () => 'alive' }) }))).toBe(
        'LEASE_EXISTS',
      );
    });

    test('whose lease somebody deleted abandons it and goes on with the next generation', () => {
      const decision = claim({ ...record(state), lease: null });
      expect(chain(decision)).toEqual(['abandon', 'claim']);
      expect(decision.history).toMatchObject([{ event: 'acquired', generation: 2 }]);
    });
  });

  test('keeps the worker that may still run, for whoever takes over to stop', () => {
    expect(next(claim({ ...record('running'), worker: WORKER }, STALE_MS)).worker).toEqual(WORKER);
  });

  test('repeated by its id gets the same lease, and changes nothing', () => {
    const first = claim(record());
    const again = claim(next(first), 1000, { owner: OWNER, ttlMs: 1 });
    expect(again).toEqual({ record: null, moves: [], history: [], result: first.result });
  });

  test('repeated after its lease ran out still gets it, while nobody else has', () => {
    const first = claim(record());
    expect(claim(next(first), STALE_MS * 3)).toMatchObject({ record: null, result: first.result });
  });

  test.each<[how: string, end: (held: TaskRecord) => TaskRecord]>([
    ['released', (held) => next(release(held))],
    ['completed', (held) => next(complete(next(dispatch(held)), failure('exit.1')))],
    ['stolen', (held) => next(claim(held, STALE_MS))],
    ['cancelled', (held) => next(retryTask(next(cancelTask(held, { reason: null, nowMs: T0 })), T0))],
  ])('repeated after it was %s is refused', (how, end) => {
    const after = end(record('claimed'));
    const late = () => claim(after, STALE_MS * 9, { claimId: CLAIM, runId: RUN });
    expect(refusal(late)).toBe('LEASE_STOLEN');
    expect(late).toThrow(`claim ${CLAIM} of task build has ended (${how})`);
  });

  describe('of a task that is abandoned again and again', () => {
    const abandoned = (times: number) => {
      const before = record('running');
      return { ...before, memo: { ...before.memo, abandons: times } };
    };

    test('is given out until the limit', () => {
      expect(next(claim(abandoned(1), STALE_MS, { abandonLimit: 3 })).memo.abandons).toBe(2);
    });

    test('fails with worker.lost at the limit', () => {
      const decision = claim(abandoned(2), STALE_MS, { abandonLimit: 3 });
      expect(decision.result).toBeNull();
      expect(chain(decision)).toEqual(['fail']);
      expect(decision.history).toMatchObject([{ event: 'admin_released', claim_id: CLAIM, generation: 1 }]);
      const { state, lease: held, memo } = next(decision);
      expect(state).toMatchObject({
        state: 'failed',
        failure_reason: 'retries_exhausted',
        last_error: { class: 'worker.lost', message: expect.stringContaining('3 times in a row') },
        last_failed_at: isoTime(T0 + STALE_MS),
        next_eligible_at: null,
        failure_count: 0,
      });
      expect(held).toBeNull();
      expect(memo.ended_claim).toMatchObject({ claim_id: CLAIM, state: 'failed' });
    });

    test('fails also when it was only ever claimed', () => {
      const before = { ...record('claimed'), memo: { ...record('claimed').memo, abandons: 2 } };
      expect(next(claim(before, STALE_MS, { abandonLimit: 3 })).state.state).toBe('failed');
    });

    test('starts to count anew after a completion and after an operator retries it', () => {
      expect(next(complete(abandoned(2), failure('exit.1'))).memo.abandons).toBe(0);
      const failed = next(claim(abandoned(2), STALE_MS, { abandonLimit: 3 }));
      expect(next(retryTask(failed, T0)).memo.abandons).toBe(0);
    });

    test('a claim of a task that nobody holds is no abandonment', () => {
      const free = { ...record('awaiting_respawn'), memo: { ...record().memo, abandons: 9 } };
      expect(next(claim(free, 0, { abandonLimit: 3 })).memo.abandons).toBe(9);
    });
  });
});

describe('dispatch', () => {
  test('opens the attempt, counts it, and renews the lease', () => {
    const decision = dispatch(record('claimed'), { worker: WORKER, instant: instant(30_000) });
    expect(chain(decision)).toEqual(['dispatch']);
    expect(decision.result).toEqual({ attempt_id: ATTEMPT, attempt_number: 1 });
    expect(next(decision)).toMatchObject({
      state: { state: 'dispatched', attempt_count: 1, current_attempt_id: ATTEMPT },
      lease: { attempt_id: ATTEMPT, claim_id: CLAIM, expires_at: isoTime(T0 + 30_000 + TTL_MS) },
      worker: WORKER,
    });
  });

  test('goes on counting attempts for ever', () => {
    const before = record('claimed');
    before.state.attempt_count = 41;
    expect(dispatch(before).result.attempt_number).toBe(42);
  });

  test.each(['dispatched', 'running'] as const)('repeated while %s returns the one attempt of the claim', (state) => {
    const again = dispatch(record(state), { attemptId: OTHER_ATTEMPT, worker: WORKER });
    expect(again).toEqual({
      record: null,
      moves: [],
      history: [],
      result: { attempt_id: ATTEMPT, attempt_number: 1 },
    });
  });

  test('by a claim that no longer holds is refused', () => {
    expect(refusal(() => dispatch(record('claimed'), { claimId: OTHER_CLAIM }))).toBe('LEASE_STOLEN');
    expect(refusal(() => dispatch(next(release(record('claimed')))))).toBe('LEASE_STOLEN');
    expect(() => dispatch(record('awaiting_respawn'))).toThrow(/no longer holds task build: it is awaiting_respawn/);
    expect(() => dispatch(record('claimed'), { claimId: OTHER_CLAIM })).toThrow(
      new RegExp(`run ${RUN} has it \\(generation 1\\)`),
    );
  });

  test('for another run is refused, and says whose it is', () => {
    const wrong = () => dispatch(record('claimed'), { runId: OTHER_RUN });
    expect(refusal(wrong)).toBe('LEASE_IDENTITY_MISMATCH');
    expect(wrong).toThrow(RUN);
  });

  test('in a state that the lease does not belong to is refused', () => {
    const odd = { ...record('shipped'), lease: lease() };
    expect(refusal(() => dispatch(odd))).toBe('ILLEGAL_TRANSITION');
  });
});

describe('heartbeat', () => {
  test('the first one makes the task running', () => {
    const decision = heartbeat(record('dispatched'), 10);
    expect(chain(decision)).toEqual(['start']);
    expect(next(decision).state.state).toBe('running');
  });

  test('a further one only renews', () => {
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

  test.each([TTL_MS, STALE_MS, STALE_MS * 100])('renews %i ms later too, while nobody has taken the task', (ms) => {
    expect(next(heartbeat(record('running'), ms)).lease?.expires_at).toBe(isoTime(T0 + ms + TTL_MS));
  });

  test('after somebody took the task is refused', () => {
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
  ])('of an attempt that %s is refused: its lease is gone', (_how, end) => {
    expect(refusal(() => heartbeat(end(record('running')), 30))).toBe('LEASE_STOLEN');
  });

  test('of an attempt that never was is refused', () => {
    expect(refusal(() => heartbeat(record('running'), 0, OTHER_ATTEMPT))).toBe('STALE_ATTEMPT');
    expect(refusal(() => heartbeat(record('unclaimed'), 0))).toBe('STALE_ATTEMPT');
    expect(refusal(() => heartbeat(record('claimed'), 0))).toBe('STALE_ATTEMPT');
  });

  test('goes by the caller, not by a lease that a state without work has left behind', () => {
    const odd = { ...record('cancelled'), lease: lease({ attempt_id: ATTEMPT }) };
    odd.state.current_attempt_id = ATTEMPT;
    expect(refusal(() => heartbeat(odd, 0))).toBe('LEASE_STOLEN');
    expect(refusal(() => workedBy(odd, ATTEMPT))).toBe('LEASE_STOLEN');
  });
});

describe('complete', () => {
  const routes: [reviewed: boolean, shipped: boolean, moves: string[], state: TaskState][] = [
    [true, true, ['verify', 'pass_review', 'ship'], 'shipped'],
    [true, false, ['verify', 'pass_review'], 'reviewed'],
    [false, true, ['verify'], 'ready_for_review'],
    [false, false, ['verify'], 'ready_for_review'],
  ];
  test.each(routes)('a good verdict, reviewed %s, shipped %s: %j to %s', (reviewed, shipped, moves, state) => {
    const decision = complete(record('running'), GOOD, { route: { reviewed, shipped } });
    expect(chain(decision)).toEqual(moves);
    expect(decision.result).toEqual({
      task_id: 'build',
      attempt_id: ATTEMPT,
      state,
      next_eligible_at: null,
      failure_reason: null,
    });
    expect(decision.history).toEqual([{ event: 'released', claim_id: CLAIM, run_id: RUN, generation: 1 }]);
    expect(next(decision)).toMatchObject({ state: { state, failure_count: 0 }, lease: null, memo: { generation: 1 } });
  });

  test('from dispatched implies the first heartbeat', () => {
    expect(chain(complete(record('dispatched'), GOOD))).toEqual(['start', 'verify', 'pass_review', 'ship']);
    expect(chain(complete(record('dispatched'), failure('exit.1')))).toEqual(['start', 'retry_later']);
  });

  test.each(['changes_needed', 'blocked'] as const)('the verdict %s is a failure of its own class', (verdict) => {
    const outcome: Outcome = { kind: 'verdict', verdict: { version: 1, verdict, summary: 'no luck' }, written: true };
    const { state } = next(complete(record('running'), outcome));
    expect(state).toMatchObject({
      state: 'awaiting_respawn',
      failure_count: 1,
      last_error: { class: `verdict.${verdict}`, message: 'no luck' },
    });
  });

  test.each([
    ['', "the worker's verdict is blocked"],
    ['line one\nline two \u001b[31mred', 'line one line two red'],
    ['x'.repeat(60_000), `${'x'.repeat(1999)}\u2026`],
  ])('the summary of a bad verdict becomes one short line', (summary, message) => {
    const outcome: Outcome = {
      kind: 'verdict',
      verdict: { version: 1, verdict: 'blocked', summary },
      written: true,
    };
    expect(next(complete(record('running'), outcome)).state.last_error?.message).toBe(message);
  });

  test('a failure waits out its backoff, and keeps what went wrong', () => {
    const error: ClassifiedError = { class: 'exit.2', message: 'tests failed', exit_code: 2 };
    const decision = complete(record('running'), { kind: 'failed', error });
    expect(chain(decision)).toEqual(['retry_later']);
    expect(decision.result).toEqual({
      task_id: 'build',
      attempt_id: ATTEMPT,
      state: 'awaiting_respawn',
      next_eligible_at: isoTime(T0 + 20 + 1000),
      failure_reason: null,
    });
    const { state } = next(decision);
    expect(state).toMatchObject({
      failure_count: 1,
      last_error: error,
      last_failed_at: isoTime(T0 + 20),
      next_eligible_at: isoTime(T0 + 1020),
    });
    expect(state).not.toHaveProperty('retry_counts');
  });

  const failedBefore = (count: number, retry_counts?: Record<string, number>) => {
    const before = record('running');
    before.state.failure_count = count;
    if (retry_counts !== undefined) before.state.retry_counts = retry_counts;
    return before;
  };

  test.each<[what: string, count: number, errorClass: string, reason: string]>([
    ['the last of its tries', 2, 'exit.1', 'retries_exhausted'],
    ['a fatal error', 0, 'fatal', 'fatal'],
    ['a question asked too often', 0, 'question.exhausted', 'decision_key_budget'],
  ])('%s fails the task', (_what, count, errorClass, reason) => {
    const decision = complete(failedBefore(count), failure(errorClass));
    expect(chain(decision)).toEqual(['fail']);
    expect(decision.result).toMatchObject({ state: 'failed', failure_reason: reason, next_eligible_at: null });
    expect(next(decision).state).toMatchObject({
      state: 'failed',
      failure_reason: reason,
      failure_count: count + 1,
      next_eligible_at: null,
    });
  });

  test('a composite policy counts each of its policies by itself', () => {
    const policy = coercePolicy([
      { retry_on: ['network'], max_attempts: 2, base: 100, jitter: 'none' },
      { max_attempts: 4, base: 7, jitter: 'none' },
    ]);
    const first = complete(failedBefore(0), failure('network.timeout'), { policy });
    expect(next(first).state).toMatchObject({ failure_count: 1, retry_counts: { network: 1 } });
    expect(first.result.next_eligible_at).toBe(isoTime(T0 + 20 + 100));
    const crash = complete(failedBefore(1, { network: 1 }), failure('exit.1'), { policy });
    expect(next(crash).state.retry_counts).toEqual({ network: 1, '*': 1 });
    expect(crash.result.next_eligible_at).toBe(isoTime(T0 + 20 + 7));
    const spent = complete(failedBefore(2, { network: 1, '*': 1 }), failure('network'), { policy });
    expect(spent.result).toMatchObject({ state: 'failed', failure_reason: 'retries_exhausted' });
    expect(next(spent).state.retry_counts).toEqual({ network: 2, '*': 1 });
  });

  test('an error that no policy of a list takes fails the task', () => {
    const policy = coercePolicy([{ retry_on: ['network'], max_attempts: 9 }]);
    expect(complete(failedBefore(0), failure('exit.1'), { policy }).result).toMatchObject({
      state: 'failed',
      failure_reason: 'fatal',
    });
  });

  test('a success after failures keeps their count and clears the backoff', () => {
    const before = failedBefore(2);
    before.state.last_error = { class: 'exit.1', message: 'earlier' };
    const { state } = next(complete(before, GOOD));
    expect(state).toMatchObject({ state: 'shipped', failure_count: 2, last_error: { class: 'exit.1' } });
    expect(state.next_eligible_at).toBeNull();
  });

  test.each([
    [true, null],
    [false, WORKER],
  ])('the worker is forgotten only when it was seen to end (%s)', (workerGone, worker) => {
    expect(next(complete({ ...record('running'), worker: WORKER }, GOOD, { workerGone })).worker).toEqual(worker);
  });

  describe('repeated', () => {
    const outcomes: [what: string, outcome: Outcome][] = [
      ['a good verdict', GOOD],
      ['a failure', failure('exit.1')],
      ['a fatal failure', failure('fatal')],
    ];
    test.each(outcomes)('with the same outcome (%s) returns the first result', (_what, outcome) => {
      const first = complete(record('running'), outcome);
      const again = complete(next(first), outcome, { nowMs: T0 + 99_999, policy: new RetryPolicy({ retry_on: [] }) });
      expect(again).toEqual({ record: null, moves: [], history: [], result: first.result });
    });

    test.each(outcomes)('with the same outcome (%s) after the task was claimed again still does', (_what, outcome) => {
      const first = complete(record('running'), outcome);
      const later = next(first).state.state === 'awaiting_respawn' ? next(claim(next(first), STALE_MS)) : next(first);
      expect(complete(later, outcome)).toMatchObject({ record: null, result: first.result });
    });

    test.each<[what: string, first: Outcome, other: Outcome]>([
      ['a failure after a success', GOOD, failure('exit.1')],
      ['a success after a failure', failure('exit.1'), GOOD],
      ['another class', failure('exit.1'), failure('exit.2')],
      ['another message', failure('exit.1'), failure('exit.1', 'went otherwise')],
      ['another summary', GOOD, { ...GOOD, verdict: { ...READY, summary: 'else' } } as Outcome],
    ])('with another outcome is refused: %s', (_what, first, other) => {
      const after = next(complete(record('running'), first));
      expect(refusal(() => complete(after, other))).toBe('STALE_ATTEMPT');
    });

    test('by an earlier attempt is refused once another one has completed', () => {
      const second = record('running');
      second.state.current_attempt_id = OTHER_ATTEMPT;
      const after = next(
        complete({ ...second, lease: lease({ attempt_id: OTHER_ATTEMPT }) }, GOOD, { attemptId: OTHER_ATTEMPT }),
      );
      expect(refusal(() => complete(after, failure('exit.1')))).toBe('STALE_ATTEMPT');
    });
  });

  test('by an attempt that has lost its lease is refused', () => {
    const stolen = next(claim(record('running'), STALE_MS));
    expect(refusal(() => complete(stolen, GOOD))).toBe('LEASE_STOLEN');
    const working = next(dispatch(stolen, { claimId: OTHER_CLAIM, runId: OTHER_RUN, attemptId: OTHER_ATTEMPT }));
    expect(refusal(() => complete(working, GOOD))).toBe('STALE_ATTEMPT');
    expect(refusal(() => complete(record('claimed'), GOOD))).toBe('STALE_ATTEMPT');
  });

  test('after expiry counts, while nobody has taken the task', () => {
    expect(complete(record('running'), GOOD, { nowMs: T0 + STALE_MS * 5 }).result.state).toBe('shipped');
  });
});

describe('release', () => {
  test.each<[TaskState, string, TaskState]>([
    ['claimed', 'unclaim', 'unclaimed'],
    ['dispatched', 'interrupt', 'awaiting_respawn'],
    ['running', 'interrupt', 'awaiting_respawn'],
  ])('of a task that is %s: %s, then %s', (state, move, to) => {
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

  test('leaves the generation; the next claim has the next one', () => {
    expect(claim(next(release(record('running')))).result?.generation).toBe(2);
  });

  test('repeated returns the first result, also after the task was claimed by another', () => {
    const after = next(release(record('running')));
    const again = { record: null, moves: [], history: [], result: { task_id: 'build', state: 'awaiting_respawn' } };
    expect(release(after)).toEqual(again);
    expect(release(next(claim(after)))).toEqual(again);
  });

  test('by a claim that does not hold is refused', () => {
    expect(refusal(() => release(record('claimed'), OTHER_CLAIM))).toBe('LEASE_STOLEN');
    expect(refusal(() => release(record('unclaimed')))).toBe('LEASE_STOLEN');
    expect(refusal(() => release(next(complete(record('running'), GOOD))))).toBe('LEASE_STOLEN');
    expect(refusal(() => release(next(claim(record('running'), STALE_MS))))).toBe('LEASE_STOLEN');
  });

  test.each([
    [true, null],
    [false, WORKER],
  ])('the worker is forgotten only when it was seen to end (%s)', (workerGone, worker) => {
    expect(next(release({ ...record('running'), worker: WORKER }, CLAIM, { workerGone })).worker).toEqual(worker);
  });
});

describe('cancel', () => {
  const cancel = (before: TaskRecord, reason: string | null = null) =>
    cancelTask(frozen(before), { reason, nowMs: T0 + 20 });

  test.each(IN_FLIGHT_STATES)('takes the lease of a task that is %s away', (state) => {
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

  test('ends a backoff', () => {
    const before = record('awaiting_respawn');
    before.state.next_eligible_at = isoTime(T0 + 5000);
    const decision = cancel(before);
    expect(decision.history).toEqual([]);
    expect(next(decision).state.next_eligible_at).toBeNull();
  });

  test('of a cancelled task changes nothing', () => {
    expect(cancel(record('cancelled'))).toEqual({
      record: null,
      moves: [],
      history: [],
      result: { task_id: 'build', state: 'cancelled' },
    });
  });

  test.each(['shipped', 'failed'] as const)('of a %s task is refused', (state) => {
    expect(refusal(() => cancel(record(state)))).toBe('ILLEGAL_TRANSITION');
  });
});

describe('retry', () => {
  const retry = (before: TaskRecord) => retryTask(frozen(before), T0 + 20);

  test.each(['failed', 'cancelled'] as const)('of a %s task starts it over', (state) => {
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

  test.each(CLAIMABLE_STATES)('ends the backoff of a task that is %s, and charges nothing for it', (state) => {
    const before = record(state);
    Object.assign(before.state, { failure_count: 2, next_eligible_at: isoTime(T0 + 5000) });
    const decision = retry(before);
    expect(decision.moves).toEqual([]);
    expect(decision.result.state).toBe(state);
    expect(next(decision).state).toMatchObject({ state, failure_count: 2, next_eligible_at: null });
  });

  test.each(CLAIMABLE_STATES)('of a task that is %s and waits for nothing changes nothing', (state) => {
    expect(retry(record(state))).toEqual({
      record: null,
      moves: [],
      history: [],
      result: { task_id: 'build', state },
    });
  });

  test.each(TASK_STATES.filter((state) => ![...CLAIMABLE_STATES, 'failed', 'cancelled'].includes(state as never)))(
    'of a task that is %s is refused',
    (state) => {
      expect(refusal(() => retry(record(state)))).toBe('ILLEGAL_TRANSITION');
    },
  );
});

describe('several decisions as one', () => {
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

  test('a repeat in the first place leaves the change of the second', () => {
    const held = frozen(record('claimed'));
    const decision = andThen(held, claim(held, 0, { claimId: CLAIM, runId: RUN }), (same) => dispatch(same));
    expect(chain(decision)).toEqual(['dispatch']);
    expect(next(decision).state.state).toBe('dispatched');
  });

  test('repeats in both places change nothing', () => {
    const held = frozen(record('running'));
    expect(andThen(held, claim(held, 0, { claimId: CLAIM, runId: RUN }), (same) => dispatch(same)).record).toBeNull();
  });
});

test('fields that nobody here knows pass through every decision', () => {
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
