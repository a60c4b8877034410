/** `steps`: the steps of a task, and a step to run again. */

import * as z from 'zod/mini';
import { StepSchema, TickSchema } from '../domain/steps/journal.ts';
import { readJournal, readTicks, resetSteps } from '../engine/steps/task-journal.ts';
import { command, flag, optional, taskField } from './shared/command.ts';
import { requireKnown } from './shared/reads.ts';
import { openSession } from './shared/session.ts';

export const steps = command({
  changes: true,
  examples: [
    ['steps deploy', 'what is done of deploy, and what is not'],
    ['steps deploy --ticks', 'with the ticks of its repeats'],
    ['steps deploy --reset upload', 'run its step upload again in the next attempt'],
  ],
  input: z.object({
    task: taskField(),
    reset: optional.texts('name', 'Forget this step, so that it runs again'),
    ticks: flag('List the ticks of its repeats and how they ended'),
  }),
  output: () =>
    z.strictObject({
      task_id: z.string(),
      /** Oldest first. */
      steps: z.array(StepSchema()),
      context: z.record(z.string(), z.unknown()),
      /** Of its repeats, oldest first; null without --ticks. */
      ticks: z.nullable(z.array(TickSchema())),
    }),
  /** Throws TASK_NOT_FOUND, INVALID_ID, INVALID_ARGS for a step that there is not, IO_ERROR. */
  async run(context, { task, reset, ticks: withTicks }) {
    const session = await openSession(context);
    await requireKnown(session, task);
    const { record } = await session.store.read(task, { thorough: true });
    const view =
      reset === undefined ? record && (await readJournal(session, record)) : await resetSteps(session, task, reset);
    const ticks = withTicks === true ? [...(record === null ? [] : await readTicks(session, record))] : null;
    return { task_id: task, steps: [...(view?.steps.values() ?? [])], context: { ...view?.context }, ticks };
  },
});
