import { describe, expect, test } from 'vitest';
import { cancelTask, retryTask } from '../../../src/domain/task/operations.ts';
import { TASK_STATES, type TaskRecord } from '../../../src/domain/task/records.ts';
import { CLAIMABLE_STATES, IN_FLIGHT_STATES } from '../../../src/domain/task/states.ts';
import { ForgeError } from '../../../src/lib/errors.ts';
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

  test('exceeds it also when the lease that is taken over is of an earlier one', () => {
    const before = record('running');
    before.memo.generation = 9;
    const decision = claim(before, STALE_MS);
    expect(decision.result?.generation).toBe(10);
    expect(decision.history).toMatchObject([{ event: 'stolen', generation: 10, from_generation: 1 }]);
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
