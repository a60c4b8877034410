/** `drop`: say in the plan that a task will never be done. */

import * as z from 'zod/mini';
import { conditionOn, tasksNamed } from '../domain/plan/plan.ts';
import { verdictOn } from '../domain/schedule/fates.ts';
import type { TaskState } from '../domain/task/records.ts';
import { isInFlight, phaseDue } from '../domain/task/states.ts';
import { ForgeError } from '../lib/errors.ts';
import { command, operand } from './shared/command.ts';
import { changedPlan, changedTaskFields, placeToChange } from './shared/plan-change.ts';
import { openSession, type Session } from './shared/session.ts';

export const drop = command({
  changes: true,
  notes:
    'Sets `status: dropped` in the plan; tasks that depend on it never start, and are named. A task that is worked on, reviewed or merged is refused: cancel it first.\n' +
    '`edit <task> --set status=active` takes it back.',
  examples: [
    ['drop docs', 'docs will not be done'],
    ['drop docs --json', 'the same for a script, with the tasks that wait for it'],
  ],
  input: z.object({ task: operand(z.string(), 'Id of a task of the plan', { id: 'task' }) }),
  output: () =>
    z.strictObject({
      ...changedTaskFields(),
      /** Tasks that depend on it, and so never start; without those that have shipped. */
      blocks: z.array(z.string()),
      /** False where it was dropped before. */
      changed: z.boolean(),
    }),
  /** Throws INVALID_ID, TASK_NOT_FOUND, ILLEGAL_TRANSITION, PHASES_NOT_FOUND, PHASES_PARSE_ERROR, IO_ERROR. */
  async run(context, { task }) {
    const session = await openSession(context);
    return changedPlan(session, async (seen) => {
      const place = placeToChange(seen, task);
      // By a matrix it may be several.
      const tasks = tasksNamed(seen.plan, task);
      for (const { id } of tasks) await refuseUnlessIdle(session, id);
      const changed = tasks.some(({ status }) => status !== 'dropped');
      const waits = seen.plan.tasks.filter(
        (other) =>
          other.status === 'active' &&
          tasks.some(
            ({ id }) =>
              other.depends_on.includes(id) && verdictOn(conditionOn(other, id), 'dropped', false) !== 'holds',
          ),
      );
      const blocks: string[] = [];
      for (const { id } of waits) if ((await stateOf(session, id)) !== 'shipped') blocks.push(id);
      return {
        file: place.file,
        edits: changed ? [{ path: [...place.path, 'status'], set: 'dropped' }] : [],
        at: place.path,
        result: { task_id: task, blocks, changed },
      };
    });
  },
});

/** Throws ILLEGAL_TRANSITION for a task that is worked on, or has been shipped. */
async function refuseUnlessIdle(session: Session, taskId: string): Promise<void> {
  const state = await stateOf(session, taskId);
  if (state === 'shipped')
    throw new ForgeError('ILLEGAL_TRANSITION', `task ${taskId} is shipped, so it can't be dropped any more`, {
      hint: 'Nothing was changed.',
    });
  if (!isInFlight(state) && phaseDue(state) === null) return;
  throw new ForgeError('ILLEGAL_TRANSITION', `task ${taskId} is ${state}, so it can't be dropped now`, {
    hint: `End it first: forge orchestrate cancel ${taskId}`,
  });
}

async function stateOf({ store }: Session, taskId: string): Promise<TaskState> {
  return (await store.read(taskId)).record?.state.state ?? 'unclaimed';
}
