/** `repeat`: a worker runs a command again and again. */

import * as z from 'zod/mini';
import { requireName } from '../domain/steps/names.ts';
import { type RepeatWritten, readRepeat } from '../domain/steps/repeats.ts';
import { throughTicks } from '../engine/steps/through-ticks.ts';
import { invalidArgs } from '../lib/errors.ts';
import { operand, optional, rest } from './shared/command.ts';
import { countSchema } from './shared/data.ts';
import { atStep, policyIn, shownStep, stepFields, workerCommand, workerFields } from './shared/steps.ts';

export const repeat = workerCommand({
  changes: true,
  notes:
    'The next tick is the last one that was due plus --every, so nothing drifts. What was missed for longer than --timeout is skipped. Between\n' +
    'ticks further apart than steps.park_after (30s) the task is parked: it ends with code 4, and the worker has to end too.',
  usage: '<name> --task <id> --attempt <id> (--every <duration> | --cron <expr>) [options] -- <command...>',
  examples: [
    ['repeat poll --every 10m --till ./is-done.sh -- ./poll.sh', 'until a command says that it is over'],
    ["repeat report --cron '0 9 * * 1-5' --tz Europe/Berlin --times 20 -- ./report.sh", 'at nine on twenty weekdays'],
  ],
  input: z.object({
    name: operand(z.string(), 'Name of the repeat, one in the task'),
    ...workerFields(),
    every: optional.text('duration', 'How often, such as 10m; with --tz days keep the time of day'),
    cron: optional.text('expr', 'When, as a cron expression of five fields'),
    tz: optional.text('zone', 'The zone of --cron and of days, such as Europe/Berlin (default: UTC)'),
    start: optional.text('time', 'When the first tick is due (default: at once, or as --cron says)'),
    till: optional.text('command', 'A command line for /bin/sh: it is over when this exits with 0, not with 1'),
    times: optional.integer('n', [1], 'It is over after so many ticks'),
    timeout: optional.text('duration', 'How late a tick may still begin, and how long it may take (default: 1h)'),
    on_error: optional.choice(['continue', 'fail'], 'What a tick that has failed means (default: continue)'),
    retry: optional.text('policy', 'When a tick is tried again: as in a plan (default: three tries)'),
    command: rest('The command and its arguments; no shell is in between'),
  }),
  output: () =>
    z.strictObject({
      ...stepFields(),
      /** Ticks that succeeded, that failed, and that were missed. */
      ran: countSchema(),
      failed: countSchema(),
      skipped: countSchema(),
    }),
  /** Throws what `atStep` throws, INVALID_ARGS. */
  async run(context, options) {
    const name = requireName(options.name);
    const { command: argv, till } = options;
    if (argv.length === 0)
      throw invalidArgs('say which command to repeat', `forge orchestrate repeat ${name} --every 10m -- ./poll.sh`);
    const declared = await policyIn(options.retry);
    const written: RepeatWritten = { ...options, onError: options.on_error };
    const asked = readRepeat(written, '--');
    const { step, recorded } = await atStep(context, options, 'repeat', async ({ place, run }) => {
      const { journal } = place;
      const policy = await journal.policyOf(declared);
      const limits = { timeoutMs: asked.timeoutMs, timeoutText: `--timeout ${options.timeout ?? '1h'}` };
      return throughTicks(place, {
        name,
        repeat: { ...asked, policy, random: journal.random },
        tick: async ({ at, key, try: number }) => {
          const of = { FORGE_STEP: name, FORGE_STEP_KEY: key, FORGE_STEP_TRY: String(number) };
          const variables = { ...of, FORGE_TICK_AT: at.toISOString() };
          const { failed } = await run({ argv, variables, ...limits });
          return failed ?? { done: true };
        },
        till:
          till === undefined
            ? null
            : async () => {
                const argv = ['/bin/sh', '-c', till];
                const { exit, failed } = await run({ argv, variables: { FORGE_STEP: name }, ...limits });
                if (failed === null || exit.code === 1) return failed === null;
                return { ...failed, told: { ...failed.told, message: `${failed.told.message} (of --till)` } };
              },
      });
    });
    const { ran = 0, failed = 0, skipped = 0 } = step.ticks ?? {};
    return { ...shownStep(options.task, step, recorded), ran, failed, skipped };
  },
});
