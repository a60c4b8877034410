/** How overlap decides readiness, and claims whose overlap is not yet checked. */

import { describe, expect, test } from 'vitest';
import { clearClaim, isWorkedOn, rivalsOf, yieldClaim } from '../../../src/domain/schedule/overlap.ts';
import { overlapWarnings } from '../../../src/domain/schedule/overlap-warnings.ts';
import { classifyTasks } from '../../../src/domain/schedule/readiness.ts';
import { mayStillRun } from '../../../src/domain/schedule/run-selection.ts';
import { neededFor } from '../../../src/domain/schedule/selection.ts';
import { DEFAULT_SETTINGS } from '../../../src/domain/settings/settings.ts';
import { claimTask, dispatchTask, heartbeatTask } from '../../../src/domain/task/operations.ts';
import { TASK_STATES, type TaskRecord } from '../../../src/domain/task/records.ts';
import { onePhase, scheduling } from '../../support/domain/plans.ts';
import {
  frozen,
  GRACE_MS,
  id,
  instant,
  lease,
  observer,
  record,
  refusal,
  T0,
  TTL_MS,
} from '../../support/domain/tasks.ts';

const RULES = DEFAULT_SETTINGS.agents;
const GLOBS = { write_globs: ['go.sum'] };
const PLAN = onePhase(
  { id: 'build', run: 'make', ...GLOBS },
  { id: 'test', run: 'make test', ...GLOBS },
  { id: 'docs', run: 'make docs', write_globs: ['docs'] },
  { id: 'site', run: 'make site', write_globs: ['docs/**', 'site'] },
  { id: 'more', run: 'true' },
);

describe('tasks in flight', () => {
  test.each(TASK_STATES)('a task in state %s counts for overlap exactly when that state is in flight', (state) => {
    const held = { ...record(state), lease: lease() };
    expect(isWorkedOn(held, observer())).toBe(['claimed', 'dispatched', 'running'].includes(state));
    expect(isWorkedOn({ ...held, lease: null }, observer())).toBe(false);
  });

  test('a task counts for overlap until its lease is stale', () => {
    expect(isWorkedOn(record('running'), observer(TTL_MS + GRACE_MS - 1))).toBe(true);
    expect(isWorkedOn(record('running'), observer(TTL_MS + GRACE_MS))).toBe(false);
  });
});

describe('overlapping tasks', () => {
  const seen = scheduling(PLAN, { build: record('running') });

  test('a task that overlaps with one in flight waits, and can start by itself later', () => {
    const { ready, waiting } = classifyTasks(seen);
    expect(ready.map((task) => task.id)).toEqual(['docs', 'site', 'more']);
    expect(waiting.find(({ task }) => task.id === 'test')?.reasons).toEqual([
      { code: 'OVERLAP_CONFLICT', message: 'task build may write go.sum, a locked file, too (go.sum)', on: 'build' },
    ]);
    expect(mayStillRun(seen, new Set(['test'])).map((task) => task.id)).toEqual(['test']);
  });

  test.each(['unclaimed', 'awaiting_respawn', 'blocked_on_question', 'ready_for_review', 'shipped'] as const)(
    'a task does not wait for an overlapping one that is %s',
    (state) => {
      const { ready } = classifyTasks(scheduling(PLAN, { build: record(state) }));
      expect(ready.map((task) => task.id)).toContain('test');
    },
  );

  test('deciding an overlap needs only the records of tasks that may exclude the task', () => {
    const needed = (taskId: string) => {
      const task = PLAN.byId.get(taskId);
      return task === undefined ? [] : neededFor(task, PLAN, RULES);
    };
    expect([needed('build'), needed('docs'), needed('more')]).toEqual([['build', 'test'], ['docs'], ['more']]);
    expect(rivalsOf(PLAN.tasks[2] ?? fail(), PLAN, { ...RULES, overlap: 'strict' }).map((task) => task.id)).toEqual([
      'site',
    ]);
  });

  test('an overlap without a locked file is a warning, limited to a few tasks', () => {
    const many = onePhase(
      { id: 'first', write_globs: ['src/**'] },
      ...Array.from({ length: 30 }, (_, i) => ({ id: `t${i}`, write_globs: ['src'] })),
    );
    const told = overlapWarnings(many.tasks.slice(1), scheduling(many, { first: record('running') }));
    expect(told).toHaveLength(11);
    expect(told[0]).toBe('task t0 may conflict: task first may write src/a too (here src, there src/**)');
    expect(told[10]).toBe('20 more such overlaps');
    expect(overlapWarnings(PLAN.tasks, scheduling(PLAN))).toEqual([]);
  });
});

function fail(): never {
  throw new Error('no such task');
}

describe('claim with an unchecked overlap', () => {
  const CLAIM = id(7);
  const claimed = (): TaskRecord => {
    const request = { claimId: CLAIM, runId: id(100), ttlMs: TTL_MS, owner: null, abandonLimit: 10, unchecked: true };
    const made = claimTask(frozen(record('awaiting_respawn')), {
      ...request,
      instant: instant(),
      observer: observer(),
    });
    return frozen(made.record ?? fail());
  };
  const dispatching = { claimId: CLAIM, runId: id(100), attemptId: id(11), worker: null, ttlMs: TTL_MS };

  test('a claim with an unchecked overlap is not dispatched', () => {
    const act = (looked?: boolean) =>
      dispatchTask(claimed(), { ...dispatching, instant: instant(), ...(looked === undefined ? {} : { looked }) });
    expect(refusal(() => act())).toBe('OVERLAP_CONFLICT');
    const made = act(true).record;
    expect(made?.state.state).toBe('dispatched');
    expect(made?.lease).not.toHaveProperty('overlap_unchecked');
  });

  test('the unchecked mark survives heartbeats until it is cleared', () => {
    const beaten = heartbeatTask(claimed(), { attemptId: '', claimId: CLAIM, ttlMs: TTL_MS, instant: instant(5) });
    expect(beaten.record?.lease?.overlap_unchecked).toBe(true);
    const cleared = clearClaim(claimed(), { claimId: CLAIM, nowMs: T0 });
    expect(cleared.moves).toEqual([]);
    expect(cleared.record?.lease).not.toHaveProperty('overlap_unchecked');
    expect(clearClaim(cleared.record ?? fail(), { claimId: CLAIM, nowMs: T0 }).record).toBeNull();
    expect(refusal(() => clearClaim(claimed(), { claimId: id(8), nowMs: T0 }))).toBe('LEASE_STOLEN');
  });

  test('a claim that yields is not charged, and the same id may claim again', () => {
    const given = yieldClaim(claimed(), { claimId: CLAIM, reason: 'test was first', nowMs: T0 });
    expect(given.record).toMatchObject({
      state: { state: 'unclaimed', attempt_count: 0, failure_count: 0 },
      lease: null,
    });
    expect(given.history).toMatchObject([{ event: 'released', claim_id: CLAIM, reason: 'test was first' }]);
    const again = claimTask(given.record ?? fail(), {
      claimId: CLAIM,
      runId: id(100),
      ttlMs: TTL_MS,
      owner: null,
      abandonLimit: 10,
      instant: instant(),
      observer: observer(),
    });
    expect(again.result).toMatchObject({ claim_id: CLAIM, generation: 2 });
    expect(refusal(() => yieldClaim(record('running'), { claimId: CLAIM, reason: '', nowMs: T0 }))).toBe(
      'LEASE_STOLEN',
    );
  });
});
