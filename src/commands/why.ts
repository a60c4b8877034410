/** `why`: what a task waits for. */

import * as z from 'zod/mini';
import { HeldSchema, heldOf } from '../domain/task/held.ts';
import type { TaskRecord } from '../domain/task/records.ts';
import { behindText } from '../domain/task/workspaces.ts';
import { orNull } from '../lib/errors.ts';
import { requirePlan } from '../project/plan-file.ts';
import { command, taskField } from './shared/command.ts';
import { reasonsSchema } from './shared/data.ts';
import { plannedTask } from './shared/planned.ts';
import { reasonsFor } from './shared/reads.ts';
import { openSession, type Session } from './shared/session.ts';

export const why = command({
  changes: false,
  examples: [
    ['why build', 'everything that build waits for'],
    ['why build --json', 'the same with codes, for a script'],
  ],
  input: z.object({ task: taskField() }),
  output: () =>
    z.strictObject({
      task_id: z.string(),
      ready: z.boolean(),
      reasons: reasonsSchema(),
      held: z.nullable(HeldSchema()),
      notes: z.array(z.string()),
    }),
  /** Throws TASK_NOT_FOUND. */
  async run(context, options) {
    const session = await openSession(context);
    const loaded = await requirePlan(session);
    const task = plannedTask(loaded, options.task);
    const reasons = await reasonsFor(session, loaded, task);
    const { record } = await session.store.read(task.id);
    const isOver = reasons.some(({ code }) => ['TASK_FINISHED', 'TASK_SKIPPED', 'TASK_CANCELLED'].includes(code));
    return {
      task_id: task.id,
      ready: reasons.length === 0,
      reasons,
      held: record && heldOf(record),
      notes: isOver ? [] : await notesOn(session, task.id, record),
    };
  },
});

/** What a worker of the task meets, for people. */
async function notesOn(session: Session, taskId: string, record: TaskRecord | null): Promise<string[]> {
  const { behindNow } = await import('../engine/attempt/workspace.ts');
  const behind = await orNull(() => behindNow(session, taskId, record));
  return behind === null ? [] : [behindText(behind)];
}
