import { describe, expect, test } from 'vitest';
import {
  doneByHandOf,
  doneTask,
  isUntouched,
  rerunOf,
  rerunShipped,
  rerunTask,
  restartChild,
} from '../../../src/domain/task/by-hand.ts';
import { claimTask, dispatchTask } from '../../../src/domain/task/operations.ts';
import { TASK_STATES, type TaskRecord, type TaskState } from '../../../src/domain/task/records.ts';
import { frozen, id, instant, lease, observer, record, refusal, T0 } from '../../support/domain/tasks.ts';
import fc from '../../support/properties.ts';

/** A task that two attempts have worked on, with all that they may leave. */
function worked(state: TaskState): TaskRecord {
  const base = record(state);
  return {
    ...base,
    state: {
      ...base.state,
      attempt_count: 2,
      current_attempt_id: id(11),
      failure_count: 1,
      retry_counts: { network: 1 },
      waited: null,
      last_error: { class: 'exit.1', message: 'boom' },
      last_failed_at: '2030-01-01T00:00:00.000Z',
      next_eligible_at: '2030-01-01T01:00:00.000Z',
    },
    memo: {
      ...base.memo,
      generation: 7,
      abandons: 1,
      journal: { key: 'k', epoch: 1, chunks: [], tail: [] },
      fan_outs: [{ name: 'files', attempt_id: id(11), fan_out_id: id(12), children: 2 }],
      evidence: { attempt_id: id(11), verified: null },
      failures: [],
      definition: 'abc',
      agent: 'claude',
      done_by_hand: { at: '2030-01-01T00:00:00.000Z', note: null },
      spending: {
        attempt_id: id(11),
        spent: { attempts: 2, wall_clock_ms: 5, tokens: 7, cost: 1 },
        before: null,
        reviews: null,
        session: { agent: 'claude', session_id: 's', cwd: '/', input_tokens: 1, output_tokens: 1 },
      },
    },
  };
}

const AGAIN: readonly TaskState[] = ['shipped', 'failed', 'cancelled', 'awaiting_respawn', 'abandoned', 'unclaimed'];

describe('a task that is begun again', () => {
  test.each(AGAIN)('a task that is begun again is unclaimed, and nothing of before is gone on with: %s', (state) => {
    const { record: next, result, history } = rerunTask(frozen(worked(state)), T0);
    expect(result).toEqual({ task_id: 'build', state: 'unclaimed' });
    expect(next?.lease).toBeNull();
    expect(next?.state).toMatchObject({
      state: 'unclaimed',
      attempt_count: 2,
      current_attempt_id: null,
      failure_count: 0,
      failure_reason: null,
      last_error: null,
      next_eligible_at: null,
    });
    for (const key of ['retry_counts', 'waited']) expect(next?.state).not.toHaveProperty(key);
    for (const key of ['journal', 'fan_outs', 'evidence', 'failures', 'definition', 'agent', 'done_by_hand'])
      expect(next?.memo).not.toHaveProperty(key);
    expect(next?.memo).toMatchObject({
      generation: 7,
      abandons: 0,
      rerun: { at: '2030-01-01T00:00:00.000Z', times: 1, clears: true },
      spending: { spent: { attempts: 0 }, before: { attempts: 2, tokens: 7 }, session: null },
    });
    expect(history).toEqual([{ event: 'rerun', generation: 7 }]);
  });

  test.each(TASK_STATES.filter((state) => !AGAIN.includes(state)))(
    'a task that is begun again is refused while it is %s',
    (state) => {
      expect(refusal(() => rerunTask(worked(state), T0))).toBe('ILLEGAL_TRANSITION');
    },
  );

  test('a task that is begun again counts how often, and stays as it is where nothing has happened since', () => {
    const once = rerunTask(worked('shipped'), T0).record as TaskRecord;
    expect(isUntouched(once)).toBe(true);
    expect(rerunTask(once, T0)).toMatchObject({ record: null, result: { state: 'unclaimed' } });
    expect(rerunTask(record('unclaimed'), T0).record).toBeNull();
    const twice = rerunTask({ ...worked('failed'), memo: { ...once.memo, journal: {} } }, T0).record as TaskRecord;
    expect(rerunOf(twice)).toMatchObject({ times: 2, clears: true });
  });

  test('its next attempt has the next generation and the next number, and its workspace is clear then', () => {
    const again = rerunTask(worked('shipped'), T0).record as TaskRecord;
    const claimed = claimTask(again, {
      claimId: id(2),
      runId: id(100),
      ttlMs: 60_000,
      owner: null,
      instant: instant(),
      observer: observer(),
      abandonLimit: 3,
    }).record as TaskRecord;
    expect(claimed.lease?.generation).toBe(8);
    expect(rerunOf(claimed)?.clears).toBe(true);
    const request = {
      claimId: id(2),
      runId: id(100),
      attemptId: id(21),
      worker: null,
      ttlMs: 60_000,
      instant: instant(),
    };
    const opened = dispatchTask(claimed, request);
    expect(opened.result.attempt_number).toBe(3);
    expect(rerunOf(opened.record as TaskRecord)).toMatchObject({ times: 1, clears: false });
  });

  test('a child of before begins again from any state, and its owner loses it', () => {
    fc.assert(
      fc.property(fc.constantFrom(...TASK_STATES), (state) => {
        const before = worked(state);
        const { record: next } = restartChild(frozen(before), T0);
        expect(next?.state.state).toBe('unclaimed');
        expect(next?.lease).toBeNull();
        expect(next?.memo.generation).toBe(7);
      }),
    );
  });
});

describe('a task that is done by hand', () => {
  const BY_HAND: readonly TaskState[] = [
    'unclaimed',
    'abandoned',
    'awaiting_respawn',
    'waiting',
    'blocked_on_question',
    'ready_for_review',
    'reviewed',
    'merge_pending',
    'failed',
  ];

  test.each(BY_HAND)(
    'a task that is done by hand is shipped, and its record says that a person said so: %s',
    (state) => {
      const { record: next, result, history } = doneTask(frozen(record(state)), { note: 'by\nhand', nowMs: T0 });
      expect(result).toEqual({ task_id: 'build', state: 'shipped' });
      expect(doneByHandOf(next as TaskRecord)).toEqual({ at: '2030-01-01T00:00:00.000Z', note: 'by hand' });
      expect(next?.memo.evidence).toBeUndefined();
      expect(history).toEqual([{ event: 'done_by_hand', generation: 0, reason: 'by hand' }]);
    },
  );

  test.each(['claimed', 'dispatched', 'running', 'cancelled'] as const)('is refused while it is %s', (state) => {
    expect(refusal(() => doneTask(record(state), { note: null, nowMs: T0 }))).toBe('ILLEGAL_TRANSITION');
  });

  test('a task that is done by hand is refused while it is reviewed', () => {
    const reviewed = record('ready_for_review', { lease: lease() });
    expect(refusal(() => doneTask(reviewed, { note: null, nowMs: T0 }))).toBe('ILLEGAL_TRANSITION');
  });

  test('a task that is done by hand stays as it is where it has shipped by its own work', () => {
    const shipped = record('shipped');
    expect(doneTask(shipped, { note: 'x', nowMs: T0 })).toMatchObject({ record: null, result: { state: 'shipped' } });
    expect(doneByHandOf(shipped)).toBeNull();
  });
});

test('a result that is out of date is begun again while it is there, and nothing is changed where another process has begun it', () => {
  for (const state of TASK_STATES) {
    const { record: next } = rerunShipped(frozen(worked(state)), T0);
    expect(next?.state.state ?? null).toBe(state === 'shipped' ? 'unclaimed' : null);
  }
});
