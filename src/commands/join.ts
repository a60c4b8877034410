/** `join`: a worker waits until the children of fan-outs are over. */

import * as z from 'zod/mini';
import { type JoinResult, joinName } from '../domain/fan-out/join.ts';
import { joinedChildren } from '../engine/steps/children.ts';
import { throughJoin } from '../engine/steps/joining.ts';
import { invalidArgs } from '../lib/errors.ts';
import { flag, operand } from './shared/command.ts';
import { stateSchema } from './shared/data.ts';
import { openSession } from './shared/session.ts';
import { atStep, shownStep, stepFields, workerCommand, workerFields } from './shared/steps.ts';

export const join = workerCommand({
  changes: true,
  notes:
    'While a child is not over the task is parked: it ends with code 4, the worker has to end too, and the next attempt goes on when all are.\n' +
    'Prints a line a child, as JSON, with its state and what it left in FORGE_RESULT_FILE.',
  usage: '<fan-out>... --task <id> --attempt <id> [options]',
  examples: [
    ['join files', 'until all children of files are over'],
    ['join files images --allow-failed', 'of two, however they have ended'],
  ],
  input: z.object({
    names: operand(z.array(z.string()), 'Names of fan-outs'),
    ...workerFields(),
    allow_failed: flag('Go on with children that have failed or were cancelled'),
  }),
  output: () =>
    z.strictObject({
      ...stepFields(),
      /** In the order of the sets; empty where the join has failed. */
      children: z.array(
        z.strictObject({ fan_out: z.string(), name: z.string(), state: stateSchema(), result: z.unknown() }),
      ),
    }),
  /** Throws what `atStep` throws, UNKNOWN_FANOUT, INVALID_ARGS. */
  async run(context, options) {
    const { names, task, allow_failed: allowFailed = false } = options;
    if (names.length === 0) throw invalidArgs('say which fan-out to join', 'forge orchestrate join <fan-out>');
    const name = joinName(names);
    const { step, recorded } = await atStep(context, { ...options, name }, 'join', ({ place }) =>
      throughJoin(place, names, allowFailed),
    );
    const children =
      step.status === 'completed'
        ? await joinedChildren((await openSession(context)).store, task, names, step.result as JoinResult)
        : [];
    return { ...shownStep(task, step, recorded), children };
  },
});
