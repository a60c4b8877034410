/** The tasks that a run which a worker has started must not wait for, because they wait for it. */

import type { TaskSummary } from '../../domain/task/records.ts';
import { claimsAround } from '../../domain/task/workspaces.ts';
import { type Env, runStanding } from '../env.ts';

/**
 * Why run `runId` does not wait for some of these tasks, by task id: those whose workers have started it, or a run around it, and those whose
 * workers have started another run, which may wait for this one's. None where no worker has started it. Throws IO_ERROR.
 */
export async function waitingForRun(
  env: Env,
  runId: string,
  reads: Iterable<{ task_id: string; record: TaskSummary | null }>,
): Promise<Map<string, string>> {
  const own = claimsAround(env.ctx.env);
  const found = new Map<string, string>();
  if (own.length === 0) return found;
  const foreign = [...reads].flatMap(({ task_id, record }) =>
    record?.lease && record.lease.owner_run_id !== runId ? [{ task_id, claim: record.lease.claim_id }] : [],
  );
  if (foreign.length === 0) return found;
  const runs = (await env.store.listRuns()).filter((run) => run.run_id !== runId && runStanding(env, run) === 'open');
  const others = new Set(runs.flatMap(({ within = [] }) => within));
  for (const { task_id, claim } of foreign) {
    if (own.includes(claim)) found.set(task_id, `task ${task_id} is not waited for: its worker has started this run`);
    else if (others.has(claim))
      found.set(
        task_id,
        `task ${task_id} is not waited for: its worker has started a run too, which may wait for this one`,
      );
  }
  return found;
}
