/** `cancel`: end a task for good. */

import * as z from 'zod/mini';
import { cancelChildren, cancelOne } from './shared/cancelling.ts';
import { command, optional, taskField } from './shared/command.ts';
import { countSchema, moveSchema } from './shared/data.ts';
import { openSession } from './shared/session.ts';

export const cancel = command({
  changes: true,
  examples: [
    ['cancel docs', 'docs is not needed'],
    ['cancel docs --reason "moved to the wiki"', 'and why'],
  ],
  input: z.object({ task: taskField(), reason: optional.text('text', 'Why, for the history') }),
  output: () =>
    z.strictObject({
      ...moveSchema().shape,
      /** Its children that were cancelled with it, and theirs. */
      children: countSchema(),
    }),
  /**
   * Ends a task for good, and its children that are not over. A run stops its worker within a second; what a dead run has left is stopped
   * here. Throws ILLEGAL_TRANSITION, TASK_NOT_FOUND.
   */
  async run(context, { task, reason = null }) {
    const session = await openSession(context);
    const { result } = await cancelOne(session, task, { reason });
    const children = await cancelChildren(session, task, reason ?? `${task}, which made it, was cancelled`);
    return { ...result, children };
  },
});
