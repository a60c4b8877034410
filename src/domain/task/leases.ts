/** Leases: how long one holds, when it is stale, and how one is made and renewed. */

import { isoTime } from '../../lib/time.ts';
import { deadlineIn, dueAt, type Instant, msUntil } from './deadlines.ts';
import { type Liveness, type MachineIdentity, type OwnerIdentity, soleName } from './identity.ts';
import type { Lease } from './records.ts';

export interface LeaseObserver {
  /** Wall clock, milliseconds since the epoch. */
  nowMs: number;
  /** The monotonic clock of this boot, milliseconds. */
  monoMs: number;
  machine: Pick<MachineIdentity, 'boot_id'> & Partial<MachineIdentity>;
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
 */
export function leaseStanding(lease: Lease, observer: LeaseObserver): LeaseStanding {
  if (lease.owner && observer.liveness(lease.owner) === 'dead') {
    return { kind: 'stale', why: `its owner (pid ${lease.owner.pid} on ${lease.owner.host}) is dead` };
  }
  const instant = instantFor(observer);
  const leftMs = msUntil(lease.expires_at, lease.clock, instant);
  if (leftMs > 0) return { kind: 'live', until: dueAt(lease.expires_at, lease.clock, instant) };
  if (leftMs > -observer.graceMs) return { kind: 'grace', until: isoTime(observer.nowMs + leftMs + observer.graceMs) };
  return { kind: 'stale', why: `it ran out at ${lease.expires_at} and its grace is over` };
}

/** Says, behind a clause, that nothing is known of the owner, and how to take the task from one that is gone. Empty where its death would show. */
export function unseenOwner({ owner, task_id, claim_id }: Lease, observer: LeaseObserver): string {
  if (!owner || observer.liveness(owner) !== 'unknown') return '';
  const command = `forge orchestrate release ${task_id} --claim ${claim_id}`;
  return `; its owner (pid ${owner.pid} on ${owner.host}) can't be seen from here: if it is gone, run \`${command}\``;
}

/** The moment at which an observer looks. */
export function instantFor({ nowMs, monoMs, machine }: Omit<LeaseObserver, 'liveness' | 'graceMs'>): Instant {
  return { nowMs, monoMs, bootId: machine.boot_id, host: soleName(machine) };
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

export function renewed(lease: Lease, ttlMs: number, instant: Instant): Lease {
  const { at, clock } = deadlineIn(ttlMs, instant);
  return { ...lease, last_heartbeat_at: isoTime(instant.nowMs), expires_at: at, clock };
}
