import { describe, expect, test } from 'vitest';
import { cancelTask, retryTask } from '../../../src/domain/task/operations.ts';
import { TASK_STATES, type TaskRecord } from '../../../src/domain/task/records.ts';
import { CLAIMABLE_STATES, IN_FLIGHT_STATES } from '../../../src/domain/task/states.ts';
import { isoTime } from '../../../src/lib/time.ts';
import {
  CLAIM,
  chain,
  claim,
  complete,
  dispatch,
  failure,
  next,
  OTHER_CLAIM,
  OTHER_RUN,
  RUN,
  release,
  STALE_MS,
  WORKER,
} from '../../support/domain/requests.ts';
import { OWNER, observer, record, refusal, T0, TTL_MS } from '../../support/domain/tasks.ts';
import { thrownBy } from '../../support/refused.ts';

describe('claim', () => {
  test('claim takes a fresh task', () => {
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

  test.each(CLAIMABLE_STATES)('claim takes a task that is %s', (state) => {
    expect(next(claim(record(state))).state.state).toBe('claimed');
  });

  test.each(TASK_STATES.filter((state) => ![...CLAIMABLE_STATES, ...IN_FLIGHT_STATES].includes(state as never)))(
    'claim refuses a task that is %s',
    (state) => {
      expect(refusal(() => claim(record(state)))).toBe('ILLEGAL_TRANSITION');
    },
  );

  test('claim clears a backoff that has ended', () => {
    const before = record('awaiting_respawn');
    before.state.next_eligible_at = isoTime(T0);
    expect(next(claim(before)).state.next_eligible_at).toBeNull();
  });

  test.each([
    [0, 0, 1],
    [41, 0, 42],
    [41, 99, 42],
  ])('claim exceeds the largest generation ever seen: memo %i, updated_by %i', (memo, by, generation) => {
    const before = record();
    before.memo.generation = memo;
    before.state.updated_by.generation = by;
    expect(claim(before).result?.generation).toBe(generation);
  });

  test('claim exceeds the largest generation even when the lease it takes over has a lower one', () => {
    const before = record('running');
    before.memo.generation = 9;
    const decision = claim(before, STALE_MS);
    expect(decision.result?.generation).toBe(10);
    expect(decision.history).toMatchObject([{ event: 'stolen', generation: 10, from_generation: 1 }]);
  });

  describe.each(IN_FLIGHT_STATES)('claim of a task that is %s', (state) => {
    test('claim refuses a task with a live lease and names its owner and expiry', () => {
      const { code, message, details } = thrownBy(() => claim(record(state), TTL_MS - 1));
      expect(code).toBe('LEASE_EXISTS');
      expect(message).toBe(`task build is claimed by run ${RUN} until ${isoTime(T0 + TTL_MS)}`);
      expect(details).toEqual({
        task_id: 'build',
        claim_id: CLAIM,
        run_id: RUN,
        expires_at: isoTime(T0 + TTL_MS),
      });
    });

    test('claim refuses a task whose lease is within grace', () => {
      expect(refusal(() => claim(record(state), TTL_MS))).toBe('LEASE_NOT_EXPIRED');
      expect(refusal(() => claim(record(state), STALE_MS - 1))).toBe('LEASE_NOT_EXPIRED');
    });

    test('claim abandons and takes a task whose grace is over in one commit', () => {
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

    test('claim takes a task whose owner is dead at once', () => {
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

    test('claim takes an in-flight task without a lease with the next generation', () => {
      const decision = claim({ ...record(state), lease: null });
      expect(chain(decision)).toEqual(['abandon', 'claim']);
      expect(decision.history).toMatchObject([{ event: 'acquired', generation: 2 }]);
    });
  });

  test('claim keeps the identity of a worker that may still run, for its new owner to stop', () => {
    expect(next(claim({ ...record('running'), worker: WORKER }, STALE_MS)).worker).toEqual(WORKER);
  });

  test('a claim repeated by its id gets the same lease and changes nothing', () => {
    const first = claim(record());
    const again = claim(next(first), 1000, { owner: OWNER, ttlMs: 1 });
    expect(again).toEqual({ record: null, moves: [], history: [], result: first.result });
  });

  test('a claim repeated after its expiry gets its lease until another claim takes the task', () => {
    const first = claim(record());
    expect(claim(next(first), STALE_MS * 3)).toMatchObject({ record: null, result: first.result });
  });

  test.each<[how: string, end: (held: TaskRecord) => TaskRecord]>([
    ['released', (held) => next(release(held))],
    ['completed', (held) => next(complete(next(dispatch(held)), failure('exit.1')))],
    ['stolen', (held) => next(claim(held, STALE_MS))],
    ['cancelled', (held) => next(retryTask(next(cancelTask(held, { reason: null, nowMs: T0 })), T0))],
  ])('a claim repeated after it was %s is refused', (how, end) => {
    const after = end(record('claimed'));
    const late = () => claim(after, STALE_MS * 9, { claimId: CLAIM, runId: RUN });
    expect(refusal(late)).toBe('LEASE_STOLEN');
    expect(late).toThrow(`claim ${CLAIM} of task build has ended (${how})`);
  });

  describe('repeated abandonment', () => {
    const abandoned = (times: number) => {
      const before = record('running');
      return { ...before, memo: { ...before.memo, abandons: times } };
    };

    test('a task is given out until the limit of abandonments', () => {
      expect(next(claim(abandoned(1), STALE_MS, { abandonLimit: 3 })).memo.abandons).toBe(2);
    });

    test('a task fails with worker.lost at the limit of abandonments', () => {
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

    test('a task that was only ever claimed also fails at the limit of abandonments', () => {
      const before = { ...record('claimed'), memo: { ...record('claimed').memo, abandons: 2 } };
      expect(next(claim(before, STALE_MS, { abandonLimit: 3 })).state.state).toBe('failed');
    });

    test('abandonments are counted from zero after a completion and after retry', () => {
      expect(next(complete(abandoned(2), failure('exit.1'))).memo.abandons).toBe(0);
      const failed = next(claim(abandoned(2), STALE_MS, { abandonLimit: 3 }));
      expect(next(retryTask(failed, T0)).memo.abandons).toBe(0);
    });

    test('a claim of a task without a lease is no abandonment', () => {
      const free = { ...record('awaiting_respawn'), memo: { ...record().memo, abandons: 9 } };
      expect(next(claim(free, 0, { abandonLimit: 3 })).memo.abandons).toBe(9);
    });
  });
});
