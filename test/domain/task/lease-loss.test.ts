/** Whether a lease is still held, and how often it is renewed. */

import { describe, expect, test } from 'vitest';
import { DEFAULT_SETTINGS } from '../../../src/domain/settings/settings.ts';
import { holdingOf, renewalOf } from '../../../src/domain/task/lease-loss.ts';
import { cancelTask } from '../../../src/domain/task/operations.ts';
import type { TaskRecord } from '../../../src/domain/task/records.ts';
import {
  ATTEMPT,
  CLAIM,
  claim,
  complete,
  GOOD,
  next,
  OTHER_ATTEMPT,
  OTHER_CLAIM,
  release,
  STALE_MS,
} from '../../support/domain/requests.ts';
import { frozen, lease, OWNER, observer, record, T0 } from '../../support/domain/tasks.ts';

const running = frozen(record('running'));
const byAttempt = { attemptId: ATTEMPT };
const byClaim = { attemptId: ATTEMPT, claimId: CLAIM };
const stolen = next(claim(running, STALE_MS));
const asked: TaskRecord = {
  ...record('blocked_on_question'),
  memo: { ...running.memo, ended_claim: { claim_id: CLAIM, how: 'asked', state: 'blocked_on_question' } },
};

const waiting: TaskRecord = {
  ...record('waiting'),
  memo: { ...running.memo, ended_claim: { claim_id: CLAIM, how: 'parked', state: 'waiting' } },
};

describe('holdingOf', () => {
  test.each([
    ['a lease of the claim is held', running, byClaim, { kind: 'held' }],
    ['a lease of the attempt is held', running, byAttempt, { kind: 'held' }],
    ['a lease of another claim is lost', stolen, byClaim, { kind: 'lost', why: 'its lease was lost; it is claimed' }],
    [
      'a lease of another attempt is lost',
      stolen,
      byAttempt,
      { kind: 'lost', why: 'its lease was lost; it is claimed' },
    ],
    [
      'a released lease is lost',
      next(release(running)),
      byClaim,
      { kind: 'lost', why: 'its lease was lost; it is awaiting_respawn' },
    ],
    [
      'a cancelled task is lost',
      next(cancelTask(running, { reason: null, nowMs: T0 })),
      byClaim,
      { kind: 'lost', why: 'it was cancelled' },
    ],
    ['a task without a record is lost', null, byClaim, { kind: 'lost', why: 'its record is gone' }],
    ['an attempt that has completed is completed', next(complete(running, GOOD)), byClaim, { kind: 'completed' }],
    ['a claim that ended by a question is parked', asked, byClaim, { kind: 'parked' }],
    ['a claim that ended by a wait is parked', waiting, byClaim, { kind: 'parked' }],
    ['another claim has not asked', asked, { attemptId: OTHER_ATTEMPT, claimId: OTHER_CLAIM }, { kind: 'lost' }],
  ])('holdingOf: %s', (_, seen, holder, expected) => {
    expect(holdingOf(seen, holder)).toMatchObject(expected);
  });

  test('a verdict without an owner is held while its task has no live lease and its attempt is current', () => {
    const holder = (ms: number, attemptId = ATTEMPT) => ({ attemptId, unheld: observer(ms) });
    expect(holdingOf(running, holder(STALE_MS)).kind).toBe('held');
    expect(holdingOf({ ...running, lease: null }, holder(0)).kind).toBe('held');
    expect(holdingOf(running, holder(0)).kind).toBe('lost');
    expect(holdingOf(running, holder(STALE_MS, OTHER_ATTEMPT)).kind).toBe('lost');
  });
});

describe('renewalOf', () => {
  const agents = { lease_ttl_ms: 90_000, heartbeat_interval_ms: 20_000, self_heartbeat_ms: 5_000 };

  test.each([
    ['a lease without an owner is renewed at heartbeat_interval_ms', {}, 20_000],
    ['a lease with an owner is renewed at self_heartbeat_ms', { owner: OWNER }, 5_000],
    ['a short lease is renewed three times before it expires', { ttl_ms: 9_000 }, 3_000],
  ])('renewalOf: %s', (_, fields, intervalMs) => {
    expect(renewalOf(lease(fields), agents).intervalMs).toBe(intervalMs);
  });

  test('a lease without ttl_ms lasts lease_ttl_ms', () => {
    const { ttl_ms: _, ...silent } = lease();
    expect(renewalOf(silent, agents).ttlMs).toBe(90_000);
  });

  test('the default settings renew a lease four times before it expires', () => {
    expect(renewalOf(lease({ owner: OWNER }), DEFAULT_SETTINGS.agents)).toEqual({ ttlMs: 60_000, intervalMs: 15_000 });
  });

  test('a task without a lease is never renewed', () => {
    expect(renewalOf(null, agents).intervalMs).toBe(Number.POSITIVE_INFINITY);
  });
});
