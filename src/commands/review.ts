/** `review`: review a verified task, by the settings' command or by what a person has found. */

import * as z from 'zod/mini';
import { ReviewFindingSchema } from '../domain/review/findings.ts';
import { REVIEW_VERDICTS, ReviewSchema } from '../domain/review/reviews.ts';
import { RECORD_MAX_BYTES } from '../domain/task/records.ts';
import { parseReview, reviewTask } from '../engine/integration/review.ts';
import { command, content, optional, optionalRunField, taskField } from './shared/command.ts';
import { handedOver } from './shared/contents.ts';
import { endFields } from './shared/data.ts';
import { integrate } from './shared/integrate.ts';

export const review = command({
  changes: true,
  notes:
    'Runs review.command of the settings on the commit that was verified; `run` does so by itself. A person, or another\n' +
    'tool, may hand a review in instead: JSON with verdict (pass or changes_requested) and findings. Exits with 1 when the\n' +
    'task has to be worked on again, and with 4 when the review could not be made.',
  examples: [
    ['review build', 'by the command of the settings'],
    ['review build --file review.json', 'by a review in a file'],
  ],
  input: z.object({
    task: taskField(),
    file: optional.text('file', 'A review that is done already, instead of running the command', { stdin: 'content' }),
    review: content('file', ReviewSchema, 'A review that is done already, instead of running the command'),
    run: optionalRunField(),
  }),
  output: () =>
    z.strictObject({ ...endFields(), verdict: z.enum(REVIEW_VERDICTS), findings: z.array(ReviewFindingSchema()) }),
  /** Throws what `integrate` throws, and SCHEMA_INVALID (the file). */
  async run(context, input) {
    const { file, review: value } = input;
    const handedIn =
      file === undefined ? null : parseReview(handedOver(value, file, '--file', RECORD_MAX_BYTES / 2), file);
    const { session, data } = await integrate(context, input, 'review', (session, request) =>
      reviewTask(session, { ...request, handedIn }),
    );
    const reviewed = await session.store.readDocument('review', data.task_id, data.attempt_id);
    return { ...data, verdict: reviewed?.verdict ?? 'pass', findings: reviewed?.findings ?? [] };
  },
});
