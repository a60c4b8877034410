/** Leases: how long one holds, when it is stale, and how one is made and renewed. */

import { fromIso, isoTime } from '../../lib/time.ts';
import type { Liveness, MachineIdentity, OwnerIdentity } from './identity.ts';
import type { Lease } from './records.ts';

export interface LeaseObserver {
  /** Wall clock, milliseconds since the epoch. */
  nowMs: number;
  /** The monotonic clock of this boot, milliseconds. */
  monoMs: number;
  machine: Pick<MachineIdentity, 'boot_id'>;
  liveness(owner: OwnerIdentity): Liveness;
  /** How long after `expires_at` the lease cannot be taken, milliseconds. */
  graceMs: number;
}

export type LeaseStanding =
  /** Not expired. */
  | { kind: 'live'; until: string }
  /** Expired, within grace: the owner may still renew it, and no other claim may take it. */
  | { kind: 'grace'; until: string }
  /** Past grace, or its owner is known to be dead: the next claim may take it. */
  | { kind: 'stale'; why: string };

/**
 * Judges a lease. Readiness, `claim` and gc share this one predicate.
 *
 * On the boot that wrote the lease the monotonic clock decides, so setting the wall clock neither frees a live lease nor keeps a
 * dead one.
 */
export function leaseStanding(lease: Lease, observer: LeaseObserver): LeaseStanding {
  if (lease.owner && observer.liveness(lease.owner) === 'dead') {
    return { kind: 'stale', why: `its owner (pid ${lease.owner.pid} on ${lease.owner.host}) is dead` };
  }
  const leftMs = remainingMs(lease, observer);
  if (leftMs > 0) return { kind: 'live', until: lease.expires_at };
  if (leftMs > -observer.graceMs) return { kind: 'grace', until: isoTime(observer.nowMs + leftMs + observer.graceMs) };
  return { kind: 'stale', why: `it ran out at ${lease.expires_at} and its grace is over` };
}

function remainingMs(lease: Lease, observer: LeaseObserver): number {
  const { clock } = lease;
  // With an unknown boot ('') the clock may have restarted since.
  const sameBoot = clock && clock.boot_id !== '' && clock.boot_id === observer.machine.boot_id;
  if (sameBoot && clock.expires_at === lease.expires_at) return clock.mono_ms - observer.monoMs;
  return fromIso(lease.expires_at) - observer.nowMs;
}

export interface LeaseRequest {
  taskId: string;
  claimId: string;
  runId: string;
  generation: number;
  /** Milliseconds from now until the lease expires. */
  ttlMs: number;
  /** Null when no process of its own renews the lease. */
  owner: OwnerIdentity | null;
  /** Whether the overlap check is still to be made. Default: false. */
  unchecked?: boolean;
}

/** The moment on both clocks, and the boot that the second one belongs to. */
export interface Instant {
  nowMs: number;
  monoMs: number;
  bootId: string;
}

export function newLease(request: LeaseRequest, instant: Instant): Lease {
  return renewed(
    {
      version: 1,
      claim_id: request.claimId,
      task_id: request.taskId,
      attempt_id: null,
      owner_run_id: request.runId,
      generation: request.generation,
      acquired_at: isoTime(instant.nowMs),
      expires_at: isoTime(instant.nowMs),
      last_heartbeat_at: null,
      ...(request.owner === null ? {} : { owner: request.owner }),
      ttl_ms: request.ttlMs,
      ...(request.unchecked === true ? { overlap_unchecked: true } : {}),
      state_version: 0,
    },
    request.ttlMs,
    instant,
  );
}

export function renewed(lease: Lease, ttlMs: number, { nowMs, monoMs, bootId }: Instant): Lease {
  const expires_at = isoTime(nowMs + ttlMs);
  const clock = { boot_id: bootId, mono_ms: Math.round(monoMs + ttlMs), expires_at };
  return { ...lease, last_heartbeat_at: isoTime(nowMs), expires_at, clock };
}
