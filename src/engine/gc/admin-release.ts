/** Releases a lease that is one too many, by what it was seen to be: whoever has touched it since keeps it. */

import { adoptLease, releaseLease } from '../../domain/gc/record-changes.ts';
import { canonicalLease } from '../../domain/gc/task-rules.ts';
import type { Lease, TaskRecord } from '../../domain/task/records.ts';
import { isTerminal } from '../../domain/task/states.ts';
import { repeated } from '../../domain/task/transition.ts';
import { changeTask } from '../../store/change.ts';
import { leaseIn, removeLeaseFile, seenLeaseFiles } from '../../store/file/gc-files.ts';
import type { FolderRead, TaskRead } from '../../store/port.ts';
import type { Env } from '../env.ts';

export interface AdminRelease {
  taskId: string;
  /** Name of the file within the task's folder. */
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

export type AdminReleaseResult =
  | { kind: 'released' }
  | { kind: 'skipped'; code: 'LEASE_NOT_FOUND' | 'LEASE_IDENTITY_MISMATCH' | 'LEASE_STATE_NOT_TERMINAL' };

type Refusal = Extract<AdminReleaseResult, { kind: 'skipped' }>;

/** Thrown inside a change that is not to be made. */
class Refused extends Error {
  readonly code: Refusal['code'];

  constructor(code: Refusal['code']) {
    super(code);
    this.code = code;
  }
}

/**
 * Releases the lease that `expectedPath` holds, if it still is the one that was seen. The lease of the task itself is taken
 * off by a commit, a stray file is removed. Throws IO_ERROR, SCHEMA_INVALID.
 */
export async function adminReleaseLeaseByIdentity(env: Env, request: AdminRelease): Promise<AdminReleaseResult> {
  const { taskId, expectedPath: path, requireTerminalState } = request;
  const read = await env.store.read(taskId, { thorough: true });
  const adopted = read.origin === 'record';
  const isOwn = path === 'lease.json';
  const elsewhere = leaseElsewhere(env, read);
  try {
    if (requireTerminalState) {
      if (!isOwn && !adopted) await adoptOver(env, request);
      await releaseOwn(env, request);
    } else if (isOwn && elsewhere !== null) {
      await adopt(env, taskId, elsewhere, (record) => refuseOther(record.lease, request));
    } else if (isOwn) await releaseOwn(env, request);
    else {
      // Of one file alone nobody would see that it is a lease.
      if (elsewhere !== null && !read.names.includes('lease.json')) await adopt(env, taskId, elsewhere, refuseLeased);
      removeStray(env, request);
    }
    return { kind: 'released' };
  } catch (error) {
    if (error instanceof Refused) return { kind: 'skipped', code: error.code };
    throw error;
  }
}

async function releaseOwn(env: Env, request: AdminRelease): Promise<void> {
  await changeTask(env, request.taskId, (record) => {
    refuseOther(record.lease, request);
    // Whoever works on it would go on without one.
    if (!isTerminal(record.state.state)) throw new Refused('LEASE_STATE_NOT_TERMINAL');
    return releaseLease(record, { reason: request.reason, nowMs: env.now() });
  });
}

/** The file that has the lease that counts, in a tree written by hand where it is not `lease.json`; else null. */
export function leaseElsewhere({ store }: Pick<Env, 'store'>, { task_id, origin, names }: FolderRead): string | null {
  if (origin === 'record') return null;
  const canonical = canonicalLease({ adopted: false, lease_files: seenLeaseFiles(store.layout, task_id, names) });
  return canonical === null || canonical.path === 'lease.json' ? null : canonical.path;
}

/**
 * The lease of such a file becomes the task's own, and the only one; so its generation outlives it. `check` refuses by
 * throwing. Returns the task as it is then. Changes nothing where there is no such lease any more.
 */
export async function adoptLeaseIn(
  env: Env,
  taskId: string,
  path: string,
  check: (record: TaskRecord, read: TaskRead) => void,
): Promise<Pick<TaskRead, 'version' | 'record'>> {
  const lease = leaseIn(env.store.layout, taskId, path);
  const changed = await changeTask(env, taskId, (record, read) => {
    check(record, read);
    return lease === null ? repeated(null) : adoptLease(record, lease, env.now());
  });
  // Where it stays after all it is one too many, which the next gc sees.
  if (lease !== null)
    removeLeaseFile(env.store.layout, taskId, path, env.newOp(), ({ claim_id }) => claim_id === lease.claim_id);
  return changed;
}

async function adopt(env: Env, taskId: string, path: string, check: (record: TaskRecord) => void): Promise<void> {
  if (leaseIn(env.store.layout, taskId, path) === null) throw new Refused('LEASE_NOT_FOUND');
  await adoptLeaseIn(env, taskId, path, (record, { origin }) => {
    // Another gc was faster.
    if (origin === 'record') throw new Refused('LEASE_IDENTITY_MISMATCH');
    check(record);
  });
}

/** The same for a task that is over, whose lease is then to be released. */
async function adoptOver(env: Env, request: AdminRelease): Promise<void> {
  const { taskId, expectedPath: path } = request;
  refuseOther(leaseIn(env.store.layout, taskId, path), request);
  await adopt(env, taskId, path, (record) => {
    if (!isTerminal(record.state.state)) throw new Refused('LEASE_STATE_NOT_TERMINAL');
    refuseLeased(record);
  });
}

function refuseLeased({ lease }: TaskRecord): void {
  if (lease !== null) throw new Refused('LEASE_IDENTITY_MISMATCH');
}

function removeStray(env: Env, request: AdminRelease): void {
  const { taskId, expectedPath: path } = request;
  const lease = leaseIn(env.store.layout, taskId, path);
  refuseOther(lease, request);
  const removed = removeLeaseFile(env.store.layout, taskId, path, env.newOp(), (found) => isExpected(found, request));
  if (!removed) throw new Refused('LEASE_IDENTITY_MISMATCH');
}

function refuseOther(lease: Lease | null, request: AdminRelease): void {
  if (lease === null) throw new Refused('LEASE_NOT_FOUND');
  if (!isExpected(lease, request)) throw new Refused('LEASE_IDENTITY_MISMATCH');
}

function isExpected(lease: Lease, request: AdminRelease): boolean {
  return (
    lease.claim_id === request.expectedClaimId &&
    lease.generation === request.expectedGeneration &&
    lease.owner_run_id === request.expectedOwnerRunId &&
    lease.expires_at === request.expectedExpiresAt
  );
}
