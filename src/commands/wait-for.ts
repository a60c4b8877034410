/** `wait-for`: a worker waits for a signal. */

import * as z from 'zod/mini';
import { limitOf } from '../domain/steps/waits.ts';
import { throughSignal } from '../engine/steps/through.ts';
import { operand, optional } from './shared/command.ts';
import { atStep, jsonOf, shownStep, stepFields, workerCommand, workerFields } from './shared/steps.ts';

export const waitFor = workerCommand({
  changes: true,
  notes:
    'Prints what was sent with it, as JSON. A signal that came before is there at once; otherwise the task is parked: it ends with code 4,\n' +
    'and the worker has to end too. When the time is up without a default it fails with class wait.timeout.',
  usage: '<signal> --task <id> --attempt <id> [options]',
  examples: [
    ['wait-for approval', 'until forge orchestrate signal <task> approval'],
    ['wait-for approval --timeout 2d --default \'{"ok": false}\'', 'with what counts when none comes'],
  ],
  input: z.object({
    name: operand(z.string(), 'Name of the signal, one in the task'),
    ...workerFields(),
    timeout: optional.text('duration', 'How long it waits, such as 2h (default: without end)'),
    default: optional.text('json', 'What counts when the time is up'),
  }),
  output: () =>
    z.strictObject({
      ...stepFields(),
      /** What was sent with it. */
      data: z.unknown(),
    }),
  /** Throws what `atStep` throws, INVALID_ARGS. */
  async run(context, options) {
    const { name } = options;
    const timeoutMs = limitOf(options.timeout ?? 'none', '--timeout');
    const fallback = options.default === undefined ? null : { value: jsonOf(options.default, '--default') };
    const { step, recorded } = await atStep(context, options, 'wait-for', ({ place }) =>
      throughSignal(place, name, { timeoutMs, fallback }),
    );
    const shown = shownStep(options.task, step, recorded);
    if (shown.why !== null) context.note?.(`${name} has failed: ${shown.why}`);
    return { ...shown, data: step.result ?? null };
  },
});
