/** `ensure-worktree`: make the git worktree of a task, whatever `workspace` says. A repeat finds it. */

import * as z from 'zod/mini';
import { builtOn } from '../domain/plan/plan.ts';
import { setupBaseline } from '../engine/attempt/setup-baseline.ts';
import { setupNow } from '../engine/attempt/workspace.ts';
import { ensureWorkspace } from '../git/worktree.ts';
import { requirePlan } from '../project/plan-file.ts';
import { command, taskField } from './shared/command.ts';
import { plannedTask } from './shared/planned.ts';
import { openSession } from './shared/session.ts';

export const ensureWorktree = command({
  changes: true,
  examples: [
    ['ensure-worktree build', 'where to work on build'],
    ['ensure-worktree --json', 'the task in FORGE_TASK_ID'],
  ],
  input: z.object({ task: taskField() }),
  output: () =>
    z.strictObject({
      task_id: z.string(),
      /** Where in the worktree the project is. */
      worktree_path: z.string(),
      /** The task's own; what is checked out may be another. */
      branch: z.string(),
      /** False when it was there already. */
      created: z.boolean(),
    }),
  /** Throws TASK_NOT_FOUND, SETTINGS_INVALID when the project is in no repository, NOT_READY on a changed setup of git, IO_ERROR when something is in the way. */
  async run(context, { task }) {
    const session = await openSession(context);
    const planned = plannedTask(await requirePlan(session), task);
    await setupBaseline(session)(planned.id, await setupNow(session));
    const { cwd, branch, created } = await ensureWorkspace(session, { id: planned.id, depends_on: builtOn(planned) });
    return { task_id: planned.id, worktree_path: cwd, branch, created };
  },
});
