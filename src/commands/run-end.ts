/** `run end`: note that a run is over. Its leases go on until they are completed, released or run out. */

import * as z from 'zod/mini';
import { ForgeError } from '../lib/errors.ts';
import { requireUuid } from '../lib/ids.ts';
import { command, runField, SAMPLE } from './shared/command.ts';
import { endRun, runFields } from './shared/runs.ts';
import { openSession } from './shared/session.ts';

export const runEnd = command({
  changes: true,
  examples: [
    [`run end --run ${SAMPLE.run}`, 'this run'],
    ['run end', 'the run in FORGE_RUN_ID'],
  ],
  input: z.object({ run: runField('The run that is over') }),
  output: () => z.strictObject({ ...runFields(), ended_at: z.string() }),
  /** Throws RUN_NOT_FOUND. */
  async run(context, { run }) {
    const session = await openSession(context);
    const ended = await endRun(session, requireUuid(run, '--run'));
    if (ended === null) throw new ForgeError('RUN_NOT_FOUND', `there is no run ${run}`);
    const { run_id, name, started_at, ended_at } = ended;
    return { run_id, name, started_at, ended_at };
  },
});
