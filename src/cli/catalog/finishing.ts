/** The verbs that take a verified task further by hand. */

import type { VerbSpec } from '../spec.ts';
import { RUN, TASK } from './common.ts';

const REVIEW: VerbSpec = {
  name: 'review',
  about: 'Review what a task has come to',
  notes:
    'Runs review.command of the settings on the commit that was verified; `run` does so by itself. A person, or another\n' +
    'tool, may hand a review in instead: JSON with verdict (pass or changes_requested) and findings. Exits with 1 when the\n' +
    'task has to be worked on again, and with 4 when the review could not be made.',
  operands: [TASK],
  options: [
    { name: 'file', value: 'file', about: 'A review that is done already, instead of running the command' },
    { ...RUN, about: 'The run to work under (default: a new one)' },
  ],
  examples: [
    ['review build', 'by the command of the settings'],
    ['review build --file review.json', 'by what somebody has found'],
  ],
  async answer(input, { call }) {
    const { review } = await import('../../commands/review-and-ship.ts');
    const data = await review(call, { task: input.task(), run: input.text('run'), file: input.text('file') });
    return { data, human: async (look) => (await import('../render/finish.ts')).renderReview(data, look) };
  },
};

const SHIP: VerbSpec = {
  name: 'ship',
  about: 'Merge a reviewed task into the base',
  notes:
    'Verifies the merge in a checkout of its own before the base moves; `run` does so by itself where ship.policy is merge.\n' +
    'Exits with 1 when the task has to be worked on again, because it conflicts or does not pass; then, and with 4, when\n' +
    'something is in the way, the base is as it was.',
  operands: [TASK],
  options: [{ ...RUN, about: 'The run to work under (default: a new one)' }],
  examples: [
    ['ship build', 'merge build'],
    ['ship build --json', 'the same for a script'],
  ],
  async answer(input, { call }) {
    const { ship } = await import('../../commands/review-and-ship.ts');
    const data = await ship(call, { task: input.task(), run: input.text('run') });
    return { data, human: async (look) => (await import('../render/finish.ts')).renderShip(data, look) };
  },
};

export const FINISHING = [REVIEW, SHIP];
