/** `release`: give a claim back, uncharged. */

import * as z from 'zod/mini';
import { releaseTask } from '../domain/task/operations.ts';
import { requireUuid } from '../lib/ids.ts';
import { claimField, command, SAMPLE, taskField } from './shared/command.ts';
import { moveSchema } from './shared/data.ts';
import { changeKnown } from './shared/reads.ts';
import { openSession } from './shared/session.ts';

export const release = command({
  changes: true,
  examples: [
    [`release build --claim ${SAMPLE.claim}`, 'give build back'],
    ['release', 'the task and claim in FORGE_*'],
  ],
  input: z.object({ task: taskField(), claim: claimField() }),
  output: moveSchema,
  /** Throws LEASE_STOLEN, STATE_NOT_FOUND, TASK_NOT_FOUND. */
  async run(context, { task, claim }) {
    const session = await openSession(context);
    const claimId = requireUuid(claim, '--claim');
    const { result } = await changeKnown(session, task, (record) =>
      releaseTask(record, { claimId, workerGone: false, nowMs: session.now() }),
    );
    return result;
  },
});
