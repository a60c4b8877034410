/** Releases a stray or needless lease if it still is the one that was seen. One that was renewed meanwhile stays. */

import { OWN_LEASE } from '../../domain/gc/gc-plan.ts';
import { adoptTask, letGo } from '../../domain/gc/record-changes.ts';
import { strayThatCounts } from '../../domain/gc/task-rules.ts';
import type { Lease, TaskRecord } from '../../domain/task/records.ts';
import { isTerminal } from '../../domain/task/states.ts';
import { changeTask } from '../../store/change.ts';
import type { TaskRead } from '../../store/port.ts';
import type { Env } from '../env.ts';

export interface AdminRelease {
  taskId: string;
  /** `lease.json` for the task's own lease, else the name of a stray. */
  expectedPath: string;
  expectedClaimId: string;
  expectedGeneration: number;
  expectedOwnerRunId: string;
  /** ISO 8601, as it was written. */
  expectedExpiresAt: string;
  /** Only from a task that is shipped, cancelled or failed. */
  requireTerminalState: boolean;
  /** For the task's history. */
  reason: string;
}

/** Why an item was not applied. `reclaimed`: the tracker took the claim again, so there was nothing to give up. */
export const SKIP_CODES = [
  'LEASE_IDENTITY_MISMATCH',
  'LEASE_STATE_NOT_TERMINAL',
  'LEASE_NOT_FOUND',
  'STATE_VERSION_CONFLICT',
  'reclaimed',
] as const;
export type SkipCode = (typeof SKIP_CODES)[number];

export type AdminReleaseResult = { kind: 'released' } | { kind: 'skipped'; code: SkipCode };

/** Thrown inside a change that must not be made, since what it was planned on has changed. */
export class Skipped extends Error {
  readonly code: SkipCode;
  /** Says more than the code, where there is more to say. */
  readonly why: string | undefined;

  constructor(code: SkipCode, why?: string) {
    super(why ?? code);
    this.code = code;
    this.why = why;
  }
}

/**
 * Releases the lease that `expectedPath` names, if it still is the one that was seen. The task's own lease is taken off by a
 * commit, a stray is removed. Throws IO_ERROR, SCHEMA_INVALID.
 */
export async function adminReleaseLeaseByIdentity(env: Env, request: AdminRelease): Promise<AdminReleaseResult> {
  try {
    await release(env, request);
    return { kind: 'released' };
  } catch (error) {
    if (error instanceof Skipped) return { kind: 'skipped', code: error.code };
    throw error;
  }
}

async function release(env: Env, request: AdminRelease): Promise<void> {
  const { taskId, expectedPath: name, requireTerminalState } = request;
  const read = await env.store.read(taskId, { thorough: true });
  const counting = await countingStray(env, read);
  const isOwn = name === OWN_LEASE;
  if (requireTerminalState) {
    if (!isOwn && read.origin !== 'record') {
      await adoptStray(env, taskId, name, (record, lease) => {
        refuseOther(lease, request);
        if (!isTerminal(record.state.state)) throw new Skipped('LEASE_STATE_NOT_TERMINAL');
        refuseLeased(record);
      });
    }
    await releaseOwn(env, request);
  } else if (isOwn) {
    // The one that counts takes the place of the task's own.
    if (counting === null) await releaseOwn(env, request);
    else await adoptStray(env, taskId, counting, (record) => refuseOther(record.lease, request));
  } else {
    // A single file that is left under another name would not be found again.
    if (counting !== null && read.problem === null && !read.record?.lease) {
      await adoptStray(env, taskId, counting, refuseLeased);
    }
    await removeStray(env, request);
  }
}

async function releaseOwn(env: Env, request: AdminRelease): Promise<void> {
  await changeTask(env, request.taskId, (record) => {
    refuseOther(record.lease, request);
    // Its owner would go on without one.
    if (!isTerminal(record.state.state)) throw new Skipped('LEASE_STATE_NOT_TERMINAL');
    return letGo(record, [], { reason: request.reason, nowMs: env.now() });
  });
}

async function removeStray(env: Env, request: AdminRelease): Promise<void> {
  const { taskId, expectedPath: name } = request;
  refuseOther(await env.store.gc.readLease(taskId, name), request);
  const isRemoved = await env.store.gc.removeLease(taskId, name, env.newOp(), (lease) => isExpected(lease, request));
  if (!isRemoved) throw new Skipped('LEASE_IDENTITY_MISMATCH');
}

/** The stray that is the lease of a task, in a tree written by hand; null where its own is, or none. */
export async function countingStray(env: Env, { task_id, origin }: TaskRead): Promise<string | null> {
  if (origin === 'record') return null;
  return strayThatCounts({ adopted: false, lease_files: await env.store.gc.leaseFiles(task_id) });
}

/**
 * Makes a stray the task's own lease, and the only one, so that its generation outlives it. `check` refuses by throwing.
 * Returns the task as it is then. Throws Skipped when there is no such lease any more, or the task is adopted by now.
 */
export async function adoptStray(
  env: Env,
  taskId: string,
  name: string,
  check: (record: TaskRecord, lease: Lease, read: TaskRead) => void,
): Promise<Pick<TaskRead, 'version' | 'record'>> {
  const { gc } = env.store;
  const lease = await gc.readLease(taskId, name);
  if (lease === null) throw new Skipped('LEASE_NOT_FOUND');
  const changed = await changeTask(env, taskId, (record, read) => {
    check(record, lease, read);
    if (read.origin === 'record') throw new Skipped('LEASE_IDENTITY_MISMATCH');
    return adoptTask(record, lease, env.now());
  });
  // Should it stay after all, it is a stray of an adopted task, which the next gc removes.
  await gc.removeLease(taskId, name, env.newOp(), ({ claim_id }) => claim_id === lease.claim_id);
  return changed;
}

function refuseLeased({ lease }: TaskRecord): void {
  if (lease !== null) throw new Skipped('LEASE_IDENTITY_MISMATCH');
}

function refuseOther(lease: Lease | null, request: AdminRelease): void {
  if (lease === null) throw new Skipped('LEASE_NOT_FOUND');
  if (!isExpected(lease, request)) throw new Skipped('LEASE_IDENTITY_MISMATCH');
}

function isExpected(lease: Lease, request: AdminRelease): boolean {
  return (
    lease.claim_id === request.expectedClaimId &&
    lease.generation === request.expectedGeneration &&
    lease.owner_run_id === request.expectedOwnerRunId &&
    lease.expires_at === request.expectedExpiresAt
  );
}
