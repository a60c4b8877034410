/** `inbox`: what waits for a person. */

import * as z from 'zod/mini';
import { InboxItemSchema, inboxOf } from '../domain/schedule/inbox.ts';
import { schedulingContextOf } from '../engine/env.ts';
import { requirePlan } from '../project/plan-file.ts';
import { command } from './shared/command.ts';
import { warningsSchema } from './shared/data.ts';
import { questionRowSchema, questionRows } from './shared/question-rows.ts';
import { readAll, withSettledQuestions } from './shared/reads.ts';
import { openSession } from './shared/session.ts';

export const inbox = command({
  changes: false,
  notes:
    'Open questions, tasks that wait for a signal, checkpoints that are due, reviews and merges that no run makes, agents without a login,\n' +
    'budgets that are used up, what runs have given up, and what has failed: each with the command that settles it.',
  examples: [
    ['inbox', 'everything that waits for you'],
    ['inbox --json', 'the same for a script'],
  ],
  input: z.object({}),
  output: () =>
    z.strictObject({
      items: z.array(
        z.strictObject({
          ...InboxItemSchema().shape,
          /** Of the kind `question`; null for the others. */
          question: z.nullable(questionRowSchema()),
        }),
      ),
      warnings: warningsSchema(),
    }),
  /** Throws PHASES_NOT_FOUND, PHASES_PARSE_ERROR. */
  async run(context) {
    const session = await openSession(context);
    const { plan } = await requirePlan(session);
    const { reads } = await readAll(session);
    const items = inboxOf(schedulingContextOf(session, plan, await withSettledQuestions(session, reads)));
    const asks = items.some(({ kind }) => kind === 'question');
    const questions = asks ? await questionRows(session, { open: true }) : [];
    const rows = items.map((item) => {
      const question = item.kind === 'question' ? questions.find(({ task_id }) => task_id === item.task_id) : undefined;
      if (question === undefined) return { ...item, question: null };
      return { ...item, message: question.question, question };
    });
    return { items: rows, warnings: [] };
  },
});
