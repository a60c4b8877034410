/** `guardrail-check`: whether files are protected, before they are changed. */

import * as z from 'zod/mini';
import { command, option, optionalTaskField, ownAttemptField } from './shared/command.ts';
import { checkGuardrails, guardrailsSchema } from './shared/guardrails.ts';
import { openSession } from './shared/session.ts';

export const guardrailCheck = command({
  changes: true,
  notes: 'Exits with 4 for a file of agents.preflight_globs, unless it was decided that it may be changed.',
  examples: [
    ['guardrail-check --path migrations/0007.sql', 'the task and attempt in FORGE_*'],
    ['guardrail-check --path src --path package.json --json', 'several, for a script'],
  ],
  input: z.object({
    /** Whose decisions count. Without it nothing is decided. */
    task: optionalTaskField(),
    /** What is not there yet is a file, unless it ends with a slash. */
    path: option(z.array(z.string()), 'path', 'A file, or a folder with all that is in it'),
    /** Without it nothing is written. */
    attempt: ownAttemptField('The attempt that asks, which is noted (default: FORGE_ATTEMPT_ID, for its own task)'),
  }),
  output: guardrailsSchema,
  /** Throws what `checkGuardrails` throws. */
  run: async (context, input) => checkGuardrails(await openSession(context), input),
});
