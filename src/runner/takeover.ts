/** Before a task is given out again, whoever worked on it before is stopped. */

import type { TaskRecord } from '../core/records.ts';
import { stopGroup } from './groups.ts';

/** How long a worker whose owner is gone may take to end after SIGTERM, milliseconds. */
export const TAKEOVER_GRACE_MS = 1000;

/**
 * Stops the process group that the record still names, unless it belongs to the present attempt. A group that can't be
 * proven to be the worker is never signalled: then a warning says so. Throws IO_ERROR when it survives SIGKILL.
 */
export async function stopFormerWorker(env: { warn(message: string): void }, record: TaskRecord): Promise<void> {
  const { worker } = record;
  if (worker === null || worker.attempt_id === record.lease?.attempt_id) return;
  const result = await stopGroup(worker, { graceMs: TAKEOVER_GRACE_MS });
  if (result === 'unverified') {
    env.warn(
      `process group ${worker.pgid} on ${worker.host} may still work on task ${record.state.task_id} (attempt ${worker.attempt_id}); it can not be verified from here, so it was left alone`,
    );
  }
}
