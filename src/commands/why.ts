/** `why`: what a task waits for. */

import * as z from 'zod/mini';
import { requirePlan } from '../project/plan-file.ts';
import { command, taskField } from './shared/command.ts';
import { reasonsSchema } from './shared/data.ts';
import { openSession, plannedTask, reasonsFor } from './shared/session.ts';

export const why = command({
  changes: false,
  examples: [
    ['why build', 'everything that build waits for'],
    ['why build --json', 'the same with codes, for a script'],
  ],
  input: z.object({ task: taskField() }),
  output: () => z.strictObject({ task_id: z.string(), ready: z.boolean(), reasons: reasonsSchema() }),
  /** Throws TASK_NOT_FOUND. */
  async run(context, options) {
    const session = await openSession(context);
    const loaded = await requirePlan(session);
    const task = plannedTask(loaded, options.task);
    const reasons = await reasonsFor(session, loaded, task);
    return { task_id: task.id, ready: reasons.length === 0, reasons };
  },
});
