/** `rerun`: do tasks again from the start. */

import * as z from 'zod/mini';
import { requirePlan } from '../project/plan-file.ts';
import { command, flag, tasksField } from './shared/command.ts';
import { moveSchema } from './shared/data.ts';
import { planRerun, rerunTasks } from './shared/rerun.ts';
import { openSession } from './shared/session.ts';

export const rerun = command({
  changes: true,
  notes:
    'Begins tasks again that have shipped, failed or were cancelled: as if they had not been done. Steps, children, counts and\n' +
    'results are left behind; attempts and their logs stay. The next `run` does them.',
  examples: [
    ['rerun build', 'do build again'],
    ['rerun build --with-dependents', 'with all that was made of its result'],
    ['rerun build --with-dependents --dry-run', 'only show which those are'],
    ['rerun build --force', 'also where its outputs are kept, and nothing has changed'],
  ],
  input: z.object({
    tasks: tasksField(),
    with_dependents: flag('Also all tasks that depend on these, directly or through others'),
    force: flag('Do them also where outputs are kept of the same inputs: see `cache` in the plan'),
    dry_run: flag('Show what would be begun again; change nothing'),
  }),
  output: () =>
    z.strictObject({
      /** All that are begun again, each behind those that it depends on; with --dry-run as they would be. */
      tasks: z.array(moveSchema()),
      /** Tasks that were made of the results of these, and are not begun again. */
      dependents: z.array(z.string()),
      dry_run: z.boolean(),
    }),
  /** Nothing is begun when one of the tasks can't be. Throws ILLEGAL_TRANSITION, TASK_NOT_FOUND, INVALID_ID, PHASES_NOT_FOUND. */
  async run(context, { tasks, with_dependents = false, force = false, dry_run = false }) {
    const session = await openSession(context);
    const planned = await planRerun(session, await requirePlan(session), tasks, with_dependents);
    const { dependents } = planned;
    const fresh = new Set(force ? planned.tasks : []);
    if (!dry_run) return { tasks: await rerunTasks(session, planned, fresh), dependents, dry_run };
    return {
      tasks: planned.tasks.map((task_id) => ({ task_id, state: 'unclaimed' as const })),
      dependents,
      dry_run,
    };
  },
});
