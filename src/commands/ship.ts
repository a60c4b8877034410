/** `ship`: merge a reviewed task into the base. */

import * as z from 'zod/mini';
import { shipOne } from '../engine/integration/ship.ts';
import { command, optionalRunField, taskField } from './shared/command.ts';
import { endFields, textOrNull } from './shared/data.ts';
import { integrate } from './shared/integrate.ts';

export const ship = command({
  changes: true,
  notes:
    'Verifies the merge in a checkout of its own before the base moves; `run` does so by itself where ship.policy is merge.\n' +
    'Exits with 1 when the task has to be worked on again, because it conflicts or does not pass; then, and with 4, when\n' +
    'something is in the way, the base is as it was.',
  examples: [
    ['ship build', 'merge build'],
    ['ship build --json', 'the same for a script'],
  ],
  input: z.object({ task: taskField(), run: optionalRunField() }),
  output: () =>
    z.strictObject({
      ...endFields(),
      /** The branch that has the work now, and the commit by which it was merged; null where nothing was to be merged. */
      base: textOrNull(),
      merge_sha: textOrNull(),
    }),
  /** Throws what `integrate` throws. */
  async run(context, input) {
    const { session, data } = await integrate(context, input, 'ship', shipOne);
    const shipped = await session.store.readDocument('ship', data.task_id, data.attempt_id);
    return { ...data, base: shipped?.base ?? null, merge_sha: shipped?.merge_sha ?? null };
  },
});
