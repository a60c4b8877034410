import { describe, expect, test } from 'vitest';
import { RetryPolicy } from '../../../src/domain/retry/retry.ts';
import {
  noteWorker,
  passReview,
  sendBack,
  shipTask,
  type TakeUpRequest,
  takeUp,
} from '../../../src/domain/review/integration.ts';
import { cancelTask, heartbeatTask } from '../../../src/domain/task/operations.ts';
import type { TaskRecord, TaskState } from '../../../src/domain/task/records.ts';
import {
  ATTEMPT,
  CLAIM,
  chain,
  complete,
  GOOD,
  next,
  OTHER_ATTEMPT,
  OTHER_CLAIM,
  OTHER_RUN,
  release,
  STALE_MS,
  THREE_TRIES,
  WORKER,
} from '../../support/domain/requests.ts';
import { frozen, instant, OWNER, observer, record, refusal, T0, TTL_MS } from '../../support/domain/tasks.ts';

/** A task completed by attempt 1 of claimant 1, without a lease. */
function verified(state: TaskState): TaskRecord {
  const route = { reviewed: state !== 'ready_for_review', shipped: false };
  const done = next(complete(record('running'), GOOD, { route }));
  return { ...done, state: { ...done.state, state } };
}

function take(before: TaskRecord, phase: 'review' | 'ship', ms = 100, fields: Partial<TakeUpRequest> = {}) {
  const who = { claimId: OTHER_CLAIM, attemptId: OTHER_ATTEMPT, runId: OTHER_RUN, owner: OWNER, ttlMs: TTL_MS };
  return takeUp(frozen(before), { phase, ...who, instant: instant(ms), observer: observer(ms), ...fields });
}

const error = { class: 'review.changes', message: 'say more' };

function back(before: TaskRecord, policy = THREE_TRIES) {
  const charge = { attemptId: ATTEMPT, policy, instant: instant(200), random: () => 0.5 };
  return sendBack(frozen(before), { ...charge, claimId: OTHER_CLAIM, error });
}

describe('takeUp', () => {
  const waits: [state: TaskState, phase: 'review' | 'ship', moves: string[], then: TaskState][] = [
    ['ready_for_review', 'review', [], 'ready_for_review'],
    ['reviewed', 'ship', ['queue_merge'], 'merge_pending'],
    ['merge_pending', 'ship', [], 'merge_pending'],
  ];
  test.each(waits)('a %s task is taken up for %s by %j and becomes %s', (state, phase, moves, then) => {
    const before = verified(state);
    const decision = take(before, phase);
    expect(chain(decision)).toEqual(moves);
    const { state: after, lease, memo } = next(decision);
    expect(after).toMatchObject({ state: then, attempt_count: before.state.attempt_count });
    // The attempt whose work it is stays the current one.
    expect(after.current_attempt_id).toBe(ATTEMPT);
    expect(lease).toMatchObject({ claim_id: OTHER_CLAIM, attempt_id: OTHER_ATTEMPT, generation: 2, owner: OWNER });
    expect(memo.generation).toBe(2);
    expect(decision.history).toMatchObject([{ event: 'acquired', generation: 2 }]);
  });

  const refused: [state: TaskState, phase: 'review' | 'ship'][] = [
    ['reviewed', 'review'],
    ['ready_for_review', 'ship'],
    ['shipped', 'ship'],
    ['unclaimed', 'review'],
  ];
  test.each(refused)('a %s task is not taken up for %s', (state, phase) => {
    expect(refusal(() => take(verified(state), phase))).toBe('ILLEGAL_TRANSITION');
  });

  test('a live lease of another claim blocks a review or merge, and a stale one is stolen', () => {
    const held = next(take(verified('ready_for_review'), 'review'));
    const again = { claimId: CLAIM, attemptId: ATTEMPT };
    expect(refusal(() => take(held, 'review', 200, again))).toBe('LEASE_EXISTS');
    expect(refusal(() => take(held, 'review', 100 + TTL_MS + 1, again))).toBe('LEASE_NOT_EXPIRED');
    const stolen = take(held, 'review', 100 + STALE_MS + 1, again);
    expect(stolen.history).toMatchObject([{ event: 'stolen', generation: 3, from_generation: 2 }]);
    expect(refusal(() => passReview(next(stolen), { claimId: OTHER_CLAIM, shipped: true, nowMs: T0 }))).toBe(
      'LEASE_STOLEN',
    );
  });

  test('heartbeats renew the lease of a review or merge and record its process', () => {
    const held = next(take(verified('merge_pending'), 'ship'));
    const beaten = heartbeatTask(frozen(held), { attemptId: OTHER_ATTEMPT, ttlMs: TTL_MS, instant: instant(500) });
    expect(next(beaten)).toMatchObject({ state: { state: 'merge_pending' }, lease: { claim_id: OTHER_CLAIM } });
    const request = { claimId: OTHER_CLAIM, worker: WORKER, ttlMs: TTL_MS, instant: instant(600) };
    expect(next(noteWorker(frozen(held), request)).worker).toEqual(WORKER);
    expect(refusal(() => noteWorker(frozen(held), { ...request, claimId: CLAIM }))).toBe('LEASE_STOLEN');
  });

  test('release gives a task under review or merge back to its queue', () => {
    for (const [state, phase, , then] of waits) {
      const given = release(next(take(verified(state), phase)), OTHER_CLAIM);
      expect(next(given)).toMatchObject({ state: { state: then, failure_count: 0 }, lease: null });
      expect(given.result.state).toBe(then);
    }
  });

  test('a task cancelled during review or merge loses its lease', () => {
    const held = next(take(verified('ready_for_review'), 'review'));
    const gone = next(cancelTask(frozen(held), { reason: null, nowMs: T0 + 300 }));
    expect(gone.lease).toBeNull();
    expect(refusal(() => back(gone))).toBe('LEASE_STOLEN');
  });
});

describe('review and merge results', () => {
  const held = () => next(take(verified('ready_for_review'), 'review'));

  test.each([
    [true, ['pass_review', 'ship'], 'shipped'],
    [false, ['pass_review'], 'reviewed'],
  ] as const)('a passing review moves the task on (nothing left to merge: %s)', (shipped, moves, state) => {
    const passed = passReview(frozen(held()), { claimId: OTHER_CLAIM, shipped, nowMs: T0 + 200 });
    expect(chain(passed)).toEqual(moves);
    expect(passed.result).toEqual({
      task_id: 'build',
      state,
      next_eligible_at: null,
      failure_reason: null,
      attempts: 1,
    });
    expect(next(passed)).toMatchObject({ lease: null, worker: null });
    expect(passed.history).toMatchObject([{ event: 'released', claim_id: OTHER_CLAIM }]);
  });

  test('a merge ships the task', () => {
    const merged = shipTask(frozen(next(take(verified('reviewed'), 'ship'))), {
      claimId: OTHER_CLAIM,
      nowMs: T0 + 200,
    });
    expect(chain(merged)).toEqual(['ship']);
    expect(next(merged)).toMatchObject({ state: { state: 'shipped' }, lease: null });
  });

  test('a task that is sent back is charged once, to the attempt that did the work', () => {
    const sent = back(held());
    expect(chain(sent)).toEqual(['send_back']);
    expect(next(sent)).toMatchObject({
      state: { state: 'awaiting_respawn', failure_count: 1, last_error: error },
      lease: null,
      memo: { failures: [{ attempt_id: ATTEMPT, class: 'review.changes' }] },
    });
    expect(sent.result.next_eligible_at).toBe(next(sent).state.next_eligible_at);
  });

  test('a task that is sent back too often fails', () => {
    const sent = back(held(), new RetryPolicy({ max_attempts: 1 }));
    expect(chain(sent)).toEqual(['fail']);
    expect(sent.result).toMatchObject({ state: 'failed', failure_reason: 'retries_exhausted' });
  });
});
