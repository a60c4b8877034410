/** The shape of `review` in `.forge/settings.yaml`. */

import * as z from 'zod/mini';
import { command, durationAboveZero, key, must, passedText } from '../plan/declare.ts';
import { DEFAULT_SETTINGS, REVIEWERS, type Settings } from './settings.ts';

const { review } = DEFAULT_SETTINGS;

const onlyOneReviewer = must(
  ({ command, worker, model, args }: Pick<Settings['review'], 'command' | 'worker' | 'model' | 'args'>) => {
    if (command !== null && worker !== null)
      return { message: 'both this and worker would review', suggestion: 'Leave one of them out.', path: ['command'] };
    const lost = worker !== null ? undefined : model !== null ? 'model' : args.length > 0 ? 'args' : undefined;
    if (lost === undefined) return null;
    return { message: 'counts for worker alone', suggestion: `Leave ${lost} out, or set worker.`, path: [lost] };
  },
);

export const reviewSchema = z
  .strictObject({
    command: key(command, 'A command line that reviews a verified result. Left out: worker does, or nothing.', null),
    worker: key(
      z.enum(REVIEWERS),
      'The coding agent that reviews verified results in place of command. It reads, and may write nothing.',
      null,
    ),
    model: key(
      command,
      'The model that worker uses: passed on as --model. Left out: as the agent itself is set.',
      null,
    ),
    args: key(z.array(passedText), 'Further arguments of worker, a word each.', review.args),
    timeout: key(durationAboveZero(), 'How long a review may take.', review.timeout_ms),
  })
  .check(onlyOneReviewer);
