/** `wait-until`: a worker waits until a command says that something is so. */

import * as z from 'zod/mini';
import { requireName } from '../domain/steps/names.ts';
import { waitPolicy } from '../domain/steps/tries.ts';
import { afterLook, durationOf, EVERY_DEFAULT, limitOf, lookLimit, TIMEOUT_DEFAULT } from '../domain/steps/waits.ts';
import { throughLooks } from '../engine/steps/through.ts';
import { invalidArgs } from '../lib/errors.ts';
import { operand, optional, rest } from './shared/command.ts';
import { atStep, policyIn, shownStep, stepFields, workerCommand, workerFields } from './shared/steps.ts';

export const waitUntil = workerCommand({
  changes: true,
  notes:
    'The command exits with 0 when it is so and with 1 when it is not yet; anything else is an error, which ends the wait unless --retry\n' +
    'says otherwise. It looks at once first. When the time is up it fails with class wait.timeout. A longer wait than steps.park_after (30s)\n' +
    'between two looks parks the task: it ends with code 4, and the worker has to end too.',
  usage: '<name> --task <id> --attempt <id> [options] -- <command...>',
  examples: [
    ['wait-until healthy --every 1m --timeout 2h -- ./is-healthy.sh', 'look every minute'],
    [
      "wait-until ready --retry '{retry_on: [network], max_attempts: 5}' -- ./ready.sh",
      'looks that fail by the network are made again',
    ],
  ],
  input: z.object({
    name: operand(z.string(), 'Name of the wait, one in the task'),
    ...workerFields(),
    every: optional.text('duration', 'How long between two looks (default: 30s)'),
    timeout: optional.text('duration', 'How long it waits in all, or none (default: 1h)'),
    retry: optional.text('policy', 'When a look that fails is made again: as in a plan (default: never)'),
    command: rest('The command and its arguments; no shell is in between'),
  }),
  output: () => z.strictObject(stepFields()),
  /** Throws what `atStep` throws, INVALID_ARGS. */
  async run(context, options) {
    const name = requireName(options.name);
    const { command: argv } = options;
    if (argv.length === 0)
      throw invalidArgs('say which command to look with', `forge orchestrate wait-until ${name} -- ./is-healthy.sh`);
    const everyMs = durationOf(options.every ?? EVERY_DEFAULT, '--every');
    const timeoutMs = limitOf(options.timeout ?? TIMEOUT_DEFAULT, '--timeout');
    const policy = waitPolicy(await policyIn(options.retry));
    const { step, recorded } = await atStep(context, options, 'wait-until', ({ place, run }) => {
      const { journal } = place;
      const condition = { everyMs, timeoutMs, policy, random: journal.random };
      const variables = { FORGE_STEP: name };
      return throughLooks(place, {
        name,
        kind: 'wait-until',
        costly: true,
        look: async (before) => {
          const began = journal.instant();
          const limit = lookLimit(before, condition, began);
          const { exit, timedOut, failed } = await run({ argv, variables, timeoutMs: limit, timeoutText: null });
          const found = failed !== null && !timedOut && exit.code !== 1 ? failed : { value: failed === null };
          return (now, looker) => afterLook(now, { ...looker, began }, condition, found);
        },
      });
    });
    return shownStep(options.task, step, recorded);
  },
});
