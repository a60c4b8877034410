/** `forget`: remove the state of tasks that have left the plan. */

import * as z from 'zod/mini';
import { tasksNamed } from '../domain/plan/plan.ts';
import { isInFlight } from '../domain/task/states.ts';
import { errorMessage, ForgeError } from '../lib/errors.ts';
import { ancestorsOf, requireTaskId } from '../lib/ids.ts';
import { firstOf } from '../lib/text.ts';
import { requirePlan } from '../project/plan-file.ts';
import { readToDecide } from '../store/change.ts';
import { command, operand } from './shared/command.ts';
import { nearest } from './shared/planned.ts';
import { openSession, type Session } from './shared/session.ts';

export const forget = command({
  changes: true,
  notes:
    'Removes all that is kept of them: records, attempts, logs, and those of their children. A task of that name that comes into\n' +
    'the plan later begins anew. What they have in git stays: `gc` finds it.',
  examples: [
    ['forget old-docs', 'a task that is no longer in the plan'],
    ['forget old-docs old-tests --json', 'two, for a script'],
  ],
  // Not by their beginnings: a slip would remove another.
  input: z.object({ tasks: operand(z.array(z.string()).check(z.minLength(1)), 'Ids of tasks, in full') }),
  output: () =>
    z.strictObject({
      /** With their children; without those of which nothing was kept. */
      tasks: z.array(z.string()),
    }),
  /** Nothing is removed when one of the tasks can't be. Throws ILLEGAL_TRANSITION, INVALID_ID, PHASES_NOT_FOUND, SCHEMA_INVALID. */
  async run(context, { tasks }) {
    const session = await openSession(context);
    const { plan, file } = await requirePlan(session);
    const planned = tasks.find((id) => tasksNamed(plan, requireTaskId(id)).length > 0);
    if (planned !== undefined)
      throw new ForgeError('ILLEGAL_TRANSITION', `task ${planned} is in ${file}: it can't be forgotten`, {
        details: { task_id: planned },
        hint: 'Take it out of the plan first; `rerun` has it done again.',
      });
    const ids = await keptOf(session, tasks);
    for (const id of ids) await refuseAtWork(session, id);
    try {
      session.store.gc.removeTasks(ids, session.newOp());
    } catch (error) {
      // They leave their place whole; what is left of them elsewhere goes with the next removal.
      const left = await session.store.list();
      if (ids.some((id) => left.includes(id))) throw error;
      session.warn(errorMessage(error));
    }
    return { tasks: ids };
  },
});

/** Those of which something is kept, with their children. A repeat finds nothing any more, and so might a misspelled name. */
async function keptOf(session: Session, tasks: readonly string[]): Promise<string[]> {
  const named = new Set(tasks.map((id) => requireTaskId(id)));
  const kept = await session.store.list();
  for (const id of named) {
    if (kept.includes(id)) continue;
    // What a matrix made of it is kept under names of its own.
    const made = kept.filter((other) => other.startsWith(`${id}.`));
    const { hint } = made.length > 0 ? { hint: `Kept: ${firstOf(made)}.` } : nearest(id, kept);
    session.warn(`nothing is kept of task ${id}${hint === undefined ? '' : `. ${hint}`}`);
  }
  return kept.filter((id) => [id, ...ancestorsOf(id)].some((each) => named.has(each)));
}

async function refuseAtWork(session: Session, taskId: string): Promise<void> {
  const { record } = await readToDecide(session, taskId);
  if (record === null) return;
  const { state } = record.state;
  if (!isInFlight(state) && record.lease === null) return;
  throw new ForgeError('ILLEGAL_TRANSITION', `task ${taskId} is ${state}: it is being worked on`, {
    details: { task_id: taskId, state },
    hint: `Wait for it, or end it first with \`forge orchestrate cancel ${taskId}\`, and repeat the command.`,
  });
}
