/** `wait`: a worker waits for a time. */

import * as z from 'zod/mini';
import { afterWait, durationOf, timeOf } from '../domain/steps/waits.ts';
import { throughLooks } from '../engine/steps/through.ts';
import { invalidArgs } from '../lib/errors.ts';
import { operand, optional } from './shared/command.ts';
import { atStep, shownStep, stepFields, workerCommand, workerFields } from './shared/steps.ts';

export const wait = workerCommand({
  changes: true,
  notes:
    'The end is fixed when the wait is first reached. A wait longer than steps.park_after (30s) parks the task: it ends with code 4, the\n' +
    'worker has to end too, and the next attempt goes on when the time is over. Nothing is charged.',
  usage: '<name> --task <id> --attempt <id> (--for <duration> | --until <time>)',
  examples: [
    ['wait soak --for 1h', 'an hour after it is first reached'],
    ['wait opening --until 2027-01-31T09:00:00+01:00', 'until a time'],
  ],
  input: z.object({
    name: operand(z.string(), 'Name of the wait, one in the task'),
    ...workerFields(),
    for: optional.text('duration', 'How long, such as 90s, 2h, 1d'),
    until: optional.text('time', 'Until when, in ISO 8601 with its zone'),
  }),
  output: () => z.strictObject(stepFields()),
  /** Throws what `atStep` throws, INVALID_ARGS. */
  async run(context, options) {
    const { name, for: length, until: time } = options;
    if ((length === undefined) === (time === undefined))
      throw invalidArgs('say how long to wait, by --for or by --until', `forge orchestrate wait ${name} --for 1h`);
    const until = length === undefined ? timeOf(time ?? '', '--until') : durationOf(length, '--for');
    const { step, recorded } = await atStep(context, options, 'wait', ({ place }) =>
      throughLooks(place, { name, kind: 'wait', look: async () => (now, looker) => afterWait(now, looker, until) }),
    );
    return shownStep(options.task, step, recorded);
  },
});
