/** `heartbeat`: say that the work goes on. */

import * as z from 'zod/mini';
import { heartbeatTask } from '../domain/task/operations.ts';
import { instantOf, ttlOf } from '../engine/env.ts';
import { requireUuid } from '../lib/ids.ts';
import { attemptField, command, SAMPLE, taskField } from './shared/command.ts';
import { countSchema } from './shared/data.ts';
import { changeKnown } from './shared/reads.ts';
import { openSession } from './shared/session.ts';

export const heartbeat = command({
  changes: true,
  examples: [
    [`heartbeat build --attempt ${SAMPLE.attempt}`, 'keep build'],
    ['heartbeat', 'the task and attempt in FORGE_*'],
  ],
  input: z.object({ task: taskField(), attempt: attemptField() }),
  output: () =>
    z.strictObject({ task_id: z.string(), attempt_id: z.string(), generation: countSchema(), expires_at: z.string() }),
  /** Renews the lease of the attempt. Throws LEASE_STOLEN, STALE_ATTEMPT, STATE_NOT_FOUND, TASK_NOT_FOUND. */
  async run(context, { task, attempt }) {
    const session = await openSession(context);
    const attemptId = requireUuid(attempt, '--attempt');
    const { result } = await changeKnown(session, task, (record) =>
      heartbeatTask(record, { attemptId, ttlMs: ttlOf(session, record), instant: instantOf(session) }),
    );
    return result;
  },
});
