/** Records, leases and observers in the states that tests of the decisions start from. */

import type { Instant } from '../../../src/domain/task/deadlines.ts';
import type { OwnerIdentity } from '../../../src/domain/task/identity.ts';
import { type LeaseObserver, newLease } from '../../../src/domain/task/leases.ts';
import { freshRecord, type Lease, type TaskRecord, type TaskState } from '../../../src/domain/task/records.ts';
import { isInFlight } from '../../../src/domain/task/states.ts';
import { ForgeError } from '../../../src/lib/errors.ts';
import { isoTime } from '../../../src/lib/time.ts';

export const T0 = Date.parse('2030-01-01T00:00:00.000Z');
export const BOOT = 'boot-a';
export const TTL_MS = 60_000;
export const GRACE_MS = 5_000;

/** A UUID with a readable number: `id(7)`. */
export function id(n: number): string {
  return `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`;
}

/** `ms` after T0 on both clocks. */
export function instant(ms = 0, bootId = BOOT): Instant {
  return { nowMs: T0 + ms, monoMs: 1_000_000 + ms, bootId };
}

/** An observer of a lease `ms` after T0 that does not know whether its owner lives. */
export function observer(ms = 0, fields: Partial<LeaseObserver> = {}): LeaseObserver {
  const { nowMs, monoMs } = instant(ms);
  return { nowMs, monoMs, machine: { boot_id: BOOT }, liveness: () => 'unknown', graceMs: GRACE_MS, ...fields };
}

export const OWNER: OwnerIdentity = {
  host: 'mill',
  boot_id: BOOT,
  pid_ns: 'pid:[1]',
  pid: 4242,
  started_at: 'ticks:99',
};

/** A lease taken at T0 for TTL_MS. */
export function lease(fields: Partial<Lease> = {}): Lease {
  const request = { taskId: 'build', claimId: id(1), runId: id(100), generation: 1, ttlMs: TTL_MS, owner: null };
  return { ...newLease(request, instant()), ...fields };
}

/**
 * Task `build` in `state`: in flight it is held by claim 1 of run 100 since T0, and attempt 11 works on it from dispatch
 * on; a failed one names its reason.
 */
export function record(state: TaskState = 'unclaimed', fields: Partial<TaskRecord> = {}): TaskRecord {
  const fresh = freshRecord('build', isoTime(T0));
  const worked = state === 'dispatched' || state === 'running';
  return {
    ...fresh,
    state: {
      ...fresh.state,
      state,
      ...(worked ? { attempt_count: 1, current_attempt_id: id(11) } : {}),
      ...(state === 'failed' ? { failure_reason: 'fatal' } : {}),
    },
    lease: isInFlight(state) ? lease({ attempt_id: worked ? id(11) : null }) : null,
    memo: { ...fresh.memo, generation: isInFlight(state) ? 1 : 0 },
    ...fields,
  };
}

/** The code that `act` is refused with, or 'done'. Anything but a ForgeError is a bug and passes through. */
export function refusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof ForgeError) return error.code;
    throw error;
  }
  return 'done';
}

/** Freezes everything in `value`: a pure function that changed its input would throw. */
export function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) frozen(part);
  }
  return value;
}
