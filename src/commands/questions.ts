/** `questions`: what was asked, and what came of it. */

import * as z from 'zod/mini';
import { requireUuid } from '../lib/ids.ts';
import { command, flag, optionalRunField } from './shared/command.ts';
import { warningsSchema } from './shared/data.ts';
import { questionRowSchema, questionRows } from './shared/question-rows.ts';
import { openSession } from './shared/session.ts';

export const questions = command({
  changes: false,
  examples: [
    ['questions --open', 'what waits for an answer, and how to give it'],
    ['questions --json', 'everything, for a script'],
  ],
  input: z.object({
    open: flag('Only what waits for an answer'),
    run: optionalRunField('Only what this run asked'),
  }),
  output: () => z.strictObject({ questions: z.array(questionRowSchema()), warnings: warningsSchema() }),
  /** All questions, oldest first. Throws INVALID_ID. */
  async run(context, { open, run: asking }) {
    const run = asking === undefined ? undefined : requireUuid(asking, '--run');
    return { questions: await questionRows(await openSession(context), { open, run }), warnings: [] };
  },
});
