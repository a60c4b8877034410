/** `signal`: send something to a task that waits for it, or will. */

import * as z from 'zod/mini';
import { newId } from '../domain/context.ts';
import { requireName } from '../domain/steps/names.ts';
import { sendSignal } from '../engine/steps/task-journal.ts';
import { isoTime } from '../lib/time.ts';
import { command, operand, optional } from './shared/command.ts';
import { stateSchema } from './shared/data.ts';
import { goesOnByPlan } from './shared/planned.ts';
import { orUnknown } from './shared/reads.ts';
import { openSession } from './shared/session.ts';
import { jsonOf } from './shared/steps.ts';

export const signal = command({
  changes: true,
  notes:
    'A task that is parked on it goes on. One that comes before is kept until the task waits for it. The same --id twice is one.',
  examples: [
    ['signal deploy approval', 'let deploy go on'],
    ['signal deploy approval --data \'{"by": "ann"}\' --id 4711', 'with data, and once whatever is repeated'],
  ],
  input: z.object({
    task: operand(z.string(), 'Id of a task', { id: 'task' }),
    signal: operand(z.string(), 'Name of the signal'),
    data: optional.text('json', 'What it brings, as JSON (default: null)', { stdin: true }),
    id: optional.text('id', 'Names this signal, so that a repeat is none (default: a new one)'),
  }),
  output: () =>
    z.strictObject({
      task_id: z.string(),
      signal: z.string(),
      id: z.string(),
      /** False where it had come before. */
      sent: z.boolean(),
      /** The task is parked on it, and goes on. */
      wakes: z.boolean(),
      /** How the task stands. */
      state: stateSchema(),
    }),
  /** Throws INVALID_ID, INVALID_ARGS, TASK_NOT_FOUND, ILLEGAL_TRANSITION for a task that is over, SCHEMA_INVALID, IO_ERROR. */
  async run(context, { task, signal, data: text, id: given }) {
    const name = requireName(signal, 'a signal');
    const data = text === undefined ? null : jsonOf(text, '--data');
    const session = await openSession(context);
    const known = orUnknown(session, task);
    const id = given === undefined ? newId(session.ctx) : requireName(given, 'one of the signals');
    const at = isoTime(session.now());
    const { isNew, wakes, state } = await sendSignal(session, task, { name, id, data, at }, known);
    if (wakes) await goesOnByPlan(session, task);
    return { task_id: task, signal: name, id, sent: isNew, wakes, state };
  },
});
