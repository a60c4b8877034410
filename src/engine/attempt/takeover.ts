/** By what a record knows the processes of a worker, and how those of a former one are stopped before the task is started again. */

import type { WorkerIdentity } from '../../domain/task/identity.ts';
import type { TaskRecord } from '../../domain/task/records.ts';
import { pendingVerification } from '../../domain/verify/verification.ts';
import { firstOf } from '../../lib/text.ts';
import type { GatedWorker } from '../../process/gated-worker.ts';
import { type StopOptions, stopWorker } from '../../process/groups.ts';
import { nameOf } from '../../process/processes.ts';
import type { Env } from '../env.ts';

/** How long a worker whose owner is gone may take to end after SIGTERM, milliseconds. */
const TAKEOVER_GRACE_MS = 1000;

/** Most processes that a message names. */
const MAX_NAMED = 5;

/**
 * Stops the process groups that the record still names, a worker's and that of a check, unless they belong to the present
 * attempt. Throws IO_ERROR when one survives SIGKILL.
 */
export async function stopFormerWorker(env: { warn(message: string): void }, record: TaskRecord): Promise<void> {
  for (const worker of [record.worker, pendingVerification(record)?.worker ?? null]) {
    if (worker === null || worker.attempt_id === record.lease?.attempt_id) continue;
    await stopOrphan(env, record.state.task_id, worker);
  }
}

/**
 * Stops a worker, and says so when that takes long. False when that is not known: a group that can't be proven to be the worker's is
 * never signalled, and a warning says so. Throws IO_ERROR when processes survive SIGKILL.
 */
export async function stopOrphan(
  env: { warn(message: string): void },
  taskId: string,
  worker: WorkerIdentity,
  options: StopOptions = { graceMs: TAKEOVER_GRACE_MS },
): Promise<boolean> {
  const onWait: StopOptions['onWait'] = (left) => {
    const named = left.map(({ pid }, at) => (at < MAX_NAMED ? `${pid} (${nameOf(pid)})` : ''));
    env.warn(
      `task ${taskId} waits for the end of processes that its attempt has started: ${firstOf(named, MAX_NAMED)}`,
    );
  };
  const result = await stopWorker(worker, { onWait, ...options });
  if (result !== 'unverified') return true;
  env.warn(
    `process group ${worker.pgid} on ${worker.host} may still work on task ${taskId} (attempt ${worker.attempt_id}); it cannot be verified from here, so it was left alone`,
  );
  return false;
}

/** The identity that a record names a process group by; null for a worker that was not started. */
export function identityOf(
  { ctx }: Pick<Env, 'ctx'>,
  { identity }: GatedWorker,
  { claimId, attemptId }: { claimId: string; attemptId: string },
): WorkerIdentity | null {
  return identity && { ...ctx.machine(), ...identity, claim_id: claimId, attempt_id: attemptId };
}
