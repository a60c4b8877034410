import { describe, expect, test } from 'vitest';
import type { Liveness, OwnerIdentity } from '../../../src/domain/task/identity.ts';
import { type LeaseObserver, leaseStanding, newLease, renewed, unseenOwner } from '../../../src/domain/task/leases.ts';
import { isoTime } from '../../../src/lib/time.ts';
import { BOOT, GRACE_MS, instant, lease, OWNER, observer, T0, TTL_MS } from '../../support/domain/tasks.ts';
import fc from '../../support/properties.ts';

/** The standing as one word, seen `ms` after the lease was taken. */
function standing(ms: number, fields: Partial<LeaseObserver> = {}, held = lease()): string {
  return leaseStanding(held, observer(ms, fields)).kind;
}

const ON_ANOTHER_BOOT = { machine: { boot_id: 'boot-b' } };

describe('lease expiry', () => {
  const cases: [ms: number, kind: string][] = [
    [0, 'live'],
    [TTL_MS - 1, 'live'],
    [TTL_MS, 'grace'],
    [TTL_MS + GRACE_MS - 1, 'grace'],
    [TTL_MS + GRACE_MS, 'stale'],
    [TTL_MS * 100, 'stale'],
  ];
  test.each(cases)('%i ms after it was taken a lease is %s, by the monotonic clock', (ms, kind) => {
    expect(standing(ms)).toBe(kind);
  });
  test.each(cases)('%i ms after it was taken a lease is %s, seen from another boot by the wall clock', (ms, kind) => {
    expect(standing(ms, ON_ANOTHER_BOOT)).toBe(kind);
  });
  test.each([
    [TTL_MS - 1, 'live'],
    [TTL_MS, 'stale'],
  ])('without grace, %i ms after it was taken a lease is %s', (ms, kind) => {
    expect(standing(ms, { graceMs: 0 })).toBe(kind);
  });

  test('a lease standing says until when it holds, and from when it may be taken', () => {
    expect(leaseStanding(lease(), observer(1))).toEqual({ kind: 'live', until: isoTime(T0 + TTL_MS) });
    expect(leaseStanding(lease(), observer(TTL_MS + 1))).toEqual({
      kind: 'grace',
      until: isoTime(T0 + TTL_MS + GRACE_MS),
    });
    const stale = leaseStanding(lease(), observer(TTL_MS + GRACE_MS));
    expect(stale).toEqual({ kind: 'stale', why: `it ran out at ${isoTime(T0 + TTL_MS)} and its grace is over` });
  });

  test('setting the clock does not change the length of the grace period', () => {
    const set = 3_600_000;
    const seen = leaseStanding(lease(), observer(TTL_MS + 1000, { nowMs: T0 + TTL_MS + 1000 + set }));
    expect(seen).toEqual({ kind: 'grace', until: isoTime(T0 + TTL_MS + set + GRACE_MS) });
  });
});

test('of an owner whose death would not show it is said how to take its task, and of no other', () => {
  const held = lease({ owner: OWNER });
  const seen = (liveness: Liveness) => observer(0, { liveness: () => liveness });
  expect(unseenOwner(held, seen('unknown'))).toBe(
    `; its owner (pid 4242 on mill) can't be seen from here: if it is gone, run \`forge orchestrate release build --claim ${held.claim_id}\``,
  );
  expect([unseenOwner(held, seen('alive')), unseenOwner(lease(), seen('unknown'))]).toEqual(['', '']);
});

describe('lease owner', () => {
  const owned = lease({ owner: OWNER });
  const seen = (liveness: Liveness) => ({ liveness: () => liveness });

  test('a dead owner frees its lease at once', () => {
    expect(leaseStanding(owned, observer(0, seen('dead')))).toEqual({
      kind: 'stale',
      why: 'its owner (pid 4242 on mill) is dead',
    });
  });

  test.each<Liveness>(['alive', 'unknown'])('a lease whose owner is %s ends by the clock', (liveness) => {
    expect(standing(0, seen(liveness), owned)).toBe('live');
    expect(standing(TTL_MS, seen(liveness), owned)).toBe('grace');
    expect(standing(TTL_MS + GRACE_MS, seen(liveness), owned)).toBe('stale');
  });

  test('the liveness check of an owner gets all its recorded fields', () => {
    const asked: OwnerIdentity[] = [];
    const liveness = (owner: OwnerIdentity): Liveness => {
      asked.push(owner);
      return 'unknown';
    };
    expect(standing(0, { liveness }, owned)).toBe('live');
    expect(asked).toEqual([OWNER]);
  });

  test.each([undefined, null])('an owner of %s is not checked', (owner) => {
    const liveness = (): Liveness => {
      throw new Error('liveness was checked without an owner');
    };
    const { owner: _owner, ...unowned } = lease();
    expect(standing(0, { liveness }, owner === undefined ? unowned : { ...unowned, owner })).toBe('live');
  });
});

describe('wall clock changes', () => {
  test.each([
    ['back by a year', -31_536_000_000],
    ['forward by a year', 31_536_000_000],
    ['forward by just the lease', TTL_MS],
  ])('setting the wall clock %s neither frees nor keeps a lease of this boot', (_how, shift) => {
    const at = (ms: number) => standing(ms, { nowMs: T0 + ms + shift });
    expect(at(TTL_MS - 1)).toBe('live');
    expect(at(TTL_MS)).toBe('grace');
    expect(at(TTL_MS + GRACE_MS)).toBe('stale');
  });

  test('the wall clock counts for a lease of an earlier boot', () => {
    const at = (nowMs: number) => standing(0, { ...ON_ANOTHER_BOOT, nowMs, monoMs: 5 });
    expect(at(T0 + TTL_MS - 1)).toBe('live');
    expect(at(T0 + TTL_MS + GRACE_MS)).toBe('stale');
  });

  test('the wall clock counts when the boot is unknown', () => {
    const unknown = renewed(lease(), TTL_MS, instant(0, ''));
    const at = (nowMs: number) => standing(0, { machine: { boot_id: '' }, nowMs, monoMs: 5 }, unknown);
    expect(at(T0 + TTL_MS - 1)).toBe('live');
    expect(at(T0 + TTL_MS + GRACE_MS)).toBe('stale');
  });

  test.each([undefined, null])('the wall clock counts for a lease whose clock is %s', (clock) => {
    const { clock: _clock, ...bare } = lease();
    const held = clock === undefined ? bare : { ...bare, clock };
    expect(standing(0, { nowMs: T0 + TTL_MS + GRACE_MS }, held)).toBe('stale');
    expect(standing(TTL_MS * 2, { nowMs: T0 }, held)).toBe('live');
  });
});

describe('expires_at edited by a person', () => {
  test('an earlier expires_at frees the lease', () => {
    expect(standing(0, {}, lease({ expires_at: isoTime(T0 - GRACE_MS) }))).toBe('stale');
    expect(standing(0, {}, lease({ expires_at: isoTime(T0 - GRACE_MS + 1) }))).toBe('grace');
  });
  test('a later expires_at keeps the lease', () => {
    expect(standing(TTL_MS * 10, {}, lease({ expires_at: isoTime(T0 + TTL_MS * 11) }))).toBe('live');
  });
  test('expires_at may be written in another time zone', () => {
    expect(standing(0, {}, lease({ expires_at: '2030-01-01T02:00:01+02:00' }))).toBe('live');
    expect(standing(2000, {}, lease({ expires_at: '2030-01-01T02:00:01+02:00' }))).toBe('grace');
  });
});

describe('taking and renewing a lease', () => {
  test('a new lease has its full duration and no attempt', () => {
    const made = newLease(
      { taskId: 'build', claimId: 'c', runId: 'r', generation: 7, ttlMs: TTL_MS, owner: OWNER },
      instant(10),
    );
    expect(made).toMatchObject({
      version: 1,
      claim_id: 'c',
      task_id: 'build',
      attempt_id: null,
      owner_run_id: 'r',
      generation: 7,
      acquired_at: isoTime(T0 + 10),
      expires_at: isoTime(T0 + 10 + TTL_MS),
      last_heartbeat_at: isoTime(T0 + 10),
      owner: OWNER,
      ttl_ms: TTL_MS,
    });
  });

  test('a lease without an owner has no owner field', () => {
    expect(lease()).not.toHaveProperty('owner');
  });

  test('renewing a lease changes only its times', () => {
    const before = lease({ attempt_id: 'a', 'x-note': 'kept' } as object);
    const after = renewed(before, 1000, instant(500));
    const changed = Object.keys(after).filter(
      (key) => JSON.stringify(after[key]) !== JSON.stringify(before[key as keyof typeof before]),
    );
    expect(changed.sort()).toEqual(['clock', 'expires_at', 'last_heartbeat_at']);
    expect(after.expires_at).toBe(isoTime(T0 + 1500));
    expect(after.acquired_at).toBe(isoTime(T0));
  });

  test('a renewed lease lasts its full duration, however the wall clock is set', () => {
    const wall = fc.integer({ min: -(10 ** 9), max: 10 ** 9 });
    const span = fc.integer({ min: 1, max: 10 ** 7 });
    fc.assert(
      fc.property(span, span, span, wall, wall, (ttlMs, graceMs, later, set, setAgain) => {
        const at = { nowMs: T0 + set, monoMs: 5000, bootId: BOOT };
        const held = renewed(lease(), ttlMs, at);
        const look = observer(0, { nowMs: T0 + setAgain, monoMs: 5000 + later, graceMs });
        const expected = later < ttlMs ? 'live' : later < ttlMs + graceMs ? 'grace' : 'stale';
        expect(leaseStanding(held, look).kind).toBe(expected);
      }),
    );
  });
});
