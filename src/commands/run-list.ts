/** `run list`: all runs, and which are still open. */

import * as z from 'zod/mini';
import { command } from './shared/command.ts';
import { runRow, runRowSchema } from './shared/runs.ts';
import { openSession } from './shared/session.ts';

export const runList = command({
  changes: false,
  examples: [
    ['run list', 'all runs, oldest first'],
    ['run list --json', 'the same for a script'],
  ],
  input: z.object({}),
  output: () => z.strictObject({ runs: z.array(runRowSchema()) }),
  async run(context) {
    const session = await openSession(context);
    const manifests = await session.store.listRuns();
    return { runs: manifests.map((manifest) => runRow(session, manifest)) };
  },
});
