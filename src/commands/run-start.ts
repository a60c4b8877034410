/** `run start`: open a run to claim under. */

import * as z from 'zod/mini';
import { oneLine } from '../lib/text.ts';
import { command, optional } from './shared/command.ts';
import { openRun, runFields } from './shared/runs.ts';
import { openSession } from './shared/session.ts';

export const runStart = command({
  changes: true,
  examples: [
    ['run start', 'open a run'],
    ['run start --name nightly --json', 'with a name; its id for a script'],
  ],
  input: z.object({ name: optional.text('text', 'What to call it') }),
  output: () => z.strictObject(runFields()),
  async run(context, input) {
    const name = input.name === undefined ? null : oneLine(input.name, 200);
    const { run_id, started_at } = await openRun(await openSession(context), { name });
    return { run_id, name, started_at };
  },
});
