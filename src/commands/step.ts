/** `step`: run a command once in the life of a task. */

import * as z from 'zod/mini';
import { requireName } from '../domain/steps/names.ts';
import { durationOf } from '../domain/steps/waits.ts';
import type { StepOutput } from '../engine/steps/step-command.ts';
import { throughTries } from '../engine/steps/through.ts';
import { invalidArgs } from '../lib/errors.ts';
import { type AttemptRef, type LogName, stepLog } from '../store/port.ts';
import { operand, optional, rest } from './shared/command.ts';
import { countSchema, textOrNull } from './shared/data.ts';
import { type CommandContext, openSession } from './shared/session.ts';
import { atStep, policyIn, shownStep, stepFields, workerCommand, workerFields } from './shared/steps.ts';

export const step = workerCommand({
  changes: true,
  notes:
    'A step that is done is not run again by any attempt: its stdout is printed as it was. One that has failed is tried again in place, by\n' +
    'its policy. Exits with what the command exits with (128 + n when signal n ended it).',
  usage: '<name> --task <id> --attempt <id> [options] -- <command...>',
  examples: [
    ['step build -- make all', 'build once, however the attempt ends'],
    ["step upload --retry '{max_attempts: 5, base: 2s}' --timeout 10m -- ./upload.sh", 'with a policy and a limit'],
  ],
  input: z.object({
    name: operand(z.string(), 'Name of the step, one in the task'),
    ...workerFields(),
    retry: optional.text('policy', 'When it is tried again: as in a plan, such as {max_attempts: 4, base: 1s}'),
    timeout: optional.text('duration', 'How long one try may take, such as 10m (default: no limit)'),
    command: rest('The command and its arguments; no shell is in between'),
  }),
  output: () =>
    z.strictObject({
      ...stepFields(),
      /** The first 64 KiB of what it has written; empty where it has failed. */
      stdout: z.string(),
      /** The same bytes, where they are no UTF-8. */
      base64: z.optional(z.string()),
      /** How much that was in all. */
      bytes: countSchema(),
      /** The file that has all of it; null where that is no more, and where it is gone. */
      file: textOrNull(),
    }),
  /** Throws what `atStep` throws, INVALID_ARGS. */
  async run(context, options) {
    const name = requireName(options.name);
    const { command: argv } = options;
    if (argv.length === 0) throw invalidArgs('say which command the step is', `forge orchestrate step ${name} -- make`);
    const declared = await policyIn(options.retry);
    const timeoutMs = options.timeout === undefined ? null : durationOf(options.timeout, '--timeout');
    const { step, recorded } = await atStep(context, options, 'step', async ({ place, run }) => {
      const policy = await place.journal.policyOf(declared);
      const { step } = await throughTries(place, { name, policy }, async ({ key, try: number }) => {
        const variables = { FORGE_STEP: name, FORGE_STEP_KEY: key, FORGE_STEP_TRY: String(number) };
        const timeoutText = options.timeout ?? null;
        const { failed, output } = await run({ argv, variables, timeoutMs, timeoutText, log: stepLog(name) });
        return failed ?? { value: output };
      });
      return step;
    });
    const { stdout = '', base64, bytes = 0, log } = (step.result ?? {}) as Partial<StepOutput>;
    return {
      ...shownStep(options.task, step, recorded),
      stdout,
      ...(base64 === undefined ? {} : { base64 }),
      bytes,
      file:
        log === undefined ? null : await logFile(context, { taskId: options.task, attemptId: step.attempt_id }, log),
    };
  },
});

/** Its path; null where it was removed, as by `gc --prune`. */
async function logFile(context: CommandContext<never>, attempt: AttemptRef, log: LogName): Promise<string | null> {
  const { artifacts } = await openSession(context);
  return artifacts.writtenAt(attempt, log) === null ? null : artifacts.logPath(attempt, log);
}
