/** Where the results of tasks are, and what their workers say of them. */

import type * as z from 'zod/mini';
import type { RunFinished } from '../../domain/run/events.ts';
import type { SchedulingContext } from '../../domain/schedule/readiness.ts';
import { readable, type TaskSummary } from '../../domain/task/records.ts';
import { phaseDue } from '../../domain/task/states.ts';
import { branchFor } from '../../domain/task/workspaces.ts';
import { worktreesThere } from '../../git/worktree-files.ts';
import { fileNameOf } from '../../lib/ids.ts';
import { once } from '../../lib/once.ts';
import { textOrNull } from './data.ts';
import type { Session } from './session.ts';

export const resultFields = () => ({
  /** Of its worktree; null where it has none now. */
  branch: textOrNull(),
  worktree_path: textOrNull(),
  /** What its worker said of the result that counts; null: nothing. */
  summary: textOrNull(),
});
type Result = { [K in keyof ReturnType<typeof resultFields>]: z.infer<ReturnType<typeof textOrNull>> };

/** Reads the folder of worktrees once, at the first task that something has happened to. */
export function resultReader(session: Session): (taskId: string, record: TaskSummary | null) => Result {
  const there = once(() => worktreesThere(session));
  return (taskId, record) => {
    if (record === null) return { branch: null, worktree_path: null, summary: null };
    const name = session.settings.workspace === 'worktree' ? fileNameOf(taskId) : null;
    const has = name !== null && there().names.has(name);
    return {
      branch: has ? branchFor(session.settings, taskId) : null,
      worktree_path: has ? `${there().root}/${name}` : null,
      summary: record.memo.summary ?? null,
    };
  };
}

/** Of the tasks that a run has changed last, those with a result. Never throws: they are for people. */
export function resultsOf(
  session: Session,
  { plan, recordOf }: SchedulingContext,
  runId: string,
): RunFinished['results'] {
  const resultOf = resultReader(session);
  return plan.tasks.flatMap(({ id }) => {
    const record = readable(recordOf(id));
    if (record?.state.updated_by.run_id !== runId) return [];
    const { state } = record.state;
    if (state !== 'shipped' && phaseDue(state) === null) return [];
    const result = resultOf(id, record);
    return result.summary === null && result.worktree_path === null ? [] : [{ task_id: id, state, ...result }];
  });
}
