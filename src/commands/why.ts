/** `why`: what a task waits for. */

import * as z from 'zod/mini';
import { reasonsToWait } from '../domain/schedule/readiness.ts';
import { schedulingContextOf } from '../engine/env.ts';
import { requirePlan } from '../project/plan-file.ts';
import { command, taskField } from './shared/command.ts';
import { reasonsSchema } from './shared/data.ts';
import { plannedTask, readFor, withSettledQuestions } from './shared/reads.ts';
import { openSession } from './shared/session.ts';

export const why = command({
  changes: false,
  examples: [
    ['why build', 'everything that build waits for'],
    ['why build --json', 'the same with codes, for a script'],
  ],
  input: z.object({ task: taskField() }),
  output: () => z.strictObject({ task_id: z.string(), ready: z.boolean(), reasons: reasonsSchema() }),
  /** Every reason why a task can't start now; none when it can. Throws TASK_NOT_FOUND. */
  async run(context, options) {
    const session = await openSession(context);
    const loaded = await requirePlan(session);
    const task = plannedTask(loaded, options.task);
    const reads = await withSettledQuestions(session, await readFor(session, loaded, task));
    const reasons = reasonsToWait(task, schedulingContextOf(session, loaded.plan, reads));
    return {
      task_id: task.id,
      ready: reasons.length === 0,
      reasons: reasons.map(({ code, message }) => ({ code, message })),
    };
  },
});
