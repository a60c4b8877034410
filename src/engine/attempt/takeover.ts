/** Stops a task's former worker before the task is started again. */

import type { WorkerIdentity } from '../../domain/task/identity.ts';
import type { TaskRecord } from '../../domain/task/records.ts';
import { pendingVerification } from '../../domain/verify/verification.ts';
import { type StopOptions, stopGroup } from '../../process/groups.ts';

/** How long a worker whose owner is gone may take to end after SIGTERM, milliseconds. */
export const TAKEOVER_GRACE_MS = 1000;

/**
 * Stops the process groups that the record still names, a worker's and that of a check, unless they belong to the present
 * attempt. Throws IO_ERROR when one survives SIGKILL.
 */
export async function stopFormerWorker(env: { warn(message: string): void }, record: TaskRecord): Promise<void> {
  for (const worker of [record.worker, pendingVerification(record)?.worker ?? null]) {
    if (worker === null || worker.attempt_id === record.lease?.attempt_id) continue;
    await stopOrphanedGroup(env, record.state.task_id, worker);
  }
}

/** A group that can't be proven to be the worker is never signalled: then a warning says so. Throws IO_ERROR. */
export async function stopOrphanedGroup(
  env: { warn(message: string): void },
  taskId: string,
  worker: WorkerIdentity,
  options: StopOptions = { graceMs: TAKEOVER_GRACE_MS },
): Promise<void> {
  const result = await stopGroup(worker, options);
  if (result !== 'unverified') return;
  env.warn(
    `process group ${worker.pgid} on ${worker.host} may still work on task ${taskId} (attempt ${worker.attempt_id}); it cannot be verified from here, so it was left alone`,
  );
}
