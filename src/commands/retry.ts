/** `retry`: try a task again from the start. */

import * as z from 'zod/mini';
import { retryTask } from '../domain/task/operations.ts';
import { changeTask } from '../store/change.ts';
import { command, taskField } from './shared/command.ts';
import { moveSchema } from './shared/data.ts';
import { openSession, requireKnown } from './shared/session.ts';

export const retry = command({
  changes: true,
  examples: [
    ['retry build', 'give build a fresh start'],
    ['retry build --json', 'the same for a script'],
  ],
  input: z.object({ task: taskField() }),
  output: moveSchema,
  /** Tries a failed or cancelled task again from the start, or one in backoff now. Throws ILLEGAL_TRANSITION, TASK_NOT_FOUND. */
  async run(context, { task }) {
    const session = await openSession(context);
    await requireKnown(session, task);
    const { result } = await changeTask(session, task, (record) => retryTask(record, session.now()));
    return result;
  },
});
