/** `done`: say that tasks are done, without forge. */

import * as z from 'zod/mini';
import { doneByHandOf, doneTask, NOTE_MAX_CHARS } from '../domain/task/by-hand.ts';
import type { TaskRecord } from '../domain/task/records.ts';
import { changeTask } from '../store/change.ts';
import { cancelChildren } from './shared/cancelling.ts';
import { command, optional, requireLength, tasksField } from './shared/command.ts';
import { countSchema, moveSchema } from './shared/data.ts';
import { idsKnown, orUnknown } from './shared/reads.ts';
import { openSession } from './shared/session.ts';

export const done = command({
  changes: true,
  notes:
    'For checkpoints of people, and for work that was done elsewhere. Nothing is checked, and `show` says who said so.',
  examples: [
    ['done sign-off', 'a checkpoint'],
    ['done test', 'of a task with a matrix all combinations'],
    ['done build docs --note "by hand, in the release of May"', 'two tasks, and why'],
  ],
  input: z.object({ tasks: tasksField(), note: optional.text('text', 'What to say of it, for the history') }),
  output: () =>
    z.strictObject({
      tasks: z.array(
        z.strictObject({
          ...moveSchema().shape,
          /** False: it had shipped by its own work. */
          by_hand: z.boolean(),
          /** Its children that were cancelled: what they were for is done. */
          children: countSchema(),
        }),
      ),
      note: z.nullable(z.string()),
    }),
  /**
   * Ends tasks as shipped on a person's word; those that have shipped stay as they are. Throws ILLEGAL_TRANSITION for one that is worked on or was
   * cancelled, TASK_NOT_FOUND, INVALID_ARGS.
   */
  async run(context, { tasks, note = null }) {
    if (note !== null) requireLength('--note', note, NOTE_MAX_CHARS);
    const session = await openSession(context);
    const meant = [];
    for (const name of tasks) meant.push(...(await idsKnown(session, name)));
    const moved = [];
    for (const id of new Set(meant)) {
      const decide = (seen: TaskRecord) => doneTask(seen, { note, nowMs: session.now() });
      const { record, result } = await changeTask(session, id, decide, orUnknown(session, id));
      const by_hand = doneByHandOf(record) !== null;
      const children = by_hand ? await cancelChildren(session, id, `${id}, which made it, is done by hand`) : 0;
      moved.push({ ...result, by_hand, children });
    }
    return { tasks: moved, note };
  },
});
