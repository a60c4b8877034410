/** Whether work goes on under a lease, and how often the lease is renewed meanwhile. Attempts, verification, reviews and merges share it. */

import { hasAsked } from '../question/questions.ts';
import type { Settings } from '../settings/settings.ts';
import type { Checker } from '../verify/verification.ts';
import { leaseStanding } from './leases.ts';
import type { Lease, TaskRecord } from './records.ts';

type HeartbeatSettings = Pick<Settings['agents'], 'lease_ttl_ms' | 'heartbeat_interval_ms' | 'self_heartbeat_ms'>;

export type Holding =
  | { kind: 'held' }
  /** The attempt is complete; its worker may still be cleaning up. */
  | { kind: 'completed' }
  /** The attempt has asked a question, or waits: its task is parked, and its worker is about to end. */
  | { kind: 'parked' }
  /** Another process decides about the task by now. */
  | { kind: 'lost'; why: string };

/** `record` is null when the task has none any more. */
export function holdingOf(record: TaskRecord | null, holder: Checker): Holding {
  if (record === null) return { kind: 'lost', why: 'its record is gone' };
  if (isHeld(record, holder)) return { kind: 'held' };
  const { attemptId, claimId } = holder;
  const { completion, ended_claim: ended } = record.memo;
  if (completion?.attempt_id === attemptId) return { kind: 'completed' };
  const how = ended?.claim_id === claimId ? ended?.how : undefined;
  const parked = how === undefined ? hasAsked(record, attemptId) : how === 'asked' || how === 'parked';
  if (parked) return { kind: 'parked' };
  const { state } = record.state;
  return { kind: 'lost', why: state === 'cancelled' ? 'it was cancelled' : `its lease was lost; it is ${state}` };
}

function isHeld({ lease, state }: TaskRecord, { attemptId, claimId, unheld }: Checker): boolean {
  if (unheld !== undefined) {
    const isFree = lease === null || leaseStanding(lease, unheld).kind === 'stale';
    return isFree && state.current_attempt_id === attemptId;
  }
  return claimId === undefined ? lease?.attempt_id === attemptId : lease?.claim_id === claimId;
}

/** Renewals that a lease has room for, so that one that fails is repeated before the lease expires. */
const RENEWALS_PER_LEASE = 3;

/** How long each renewal of a lease lasts, and how often it is made, milliseconds. Never for none. */
export function renewalOf(lease: Lease | null, agents: HeartbeatSettings): { ttlMs: number; intervalMs: number } {
  if (lease === null) return { ttlMs: Number.POSITIVE_INFINITY, intervalMs: Number.POSITIVE_INFINITY };
  const ttlMs = lease.ttl_ms ?? agents.lease_ttl_ms;
  const configuredMs = lease.owner ? agents.self_heartbeat_ms : agents.heartbeat_interval_ms;
  return { ttlMs, intervalMs: Math.min(configuredMs, ttlMs / RENEWALS_PER_LEASE) };
}
