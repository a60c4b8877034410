/** Ending an attempt: shared by `complete`, `run` and `exec`. */

import { ForgeError } from '../core/errors.ts';
import type { PlanTask } from '../core/plan.ts';
import { parseRecord, type TaskRecord, type Verdict, VerdictSchema } from '../core/records.ts';
import { type CompositeRetryPolicy, type RetryPolicy, resolveRetry, TASK_RETRY_DEFAULT } from '../core/retry.ts';
import type { Settings } from '../core/settings.ts';
import { type CompleteResult, completeTask, type Outcome } from '../core/task-ops.ts';
import { type Changed, type ChangeEnv, changeTask } from '../store/change.ts';
import { parseJson } from '../store/json.ts';

/** The policy that decides on a task's failures: the task's own, else the settings', else the default as settings tune it. */
export function taskPolicy(settings: Settings, task: PlanTask | null): RetryPolicy | CompositeRetryPolicy {
  const { retry_attempts, retry_backoff_ms_max } = settings.agents;
  return resolveRetry({
    task: task?.retry ?? undefined,
    settings: settings.retry ?? undefined,
    default: { ...TASK_RETRY_DEFAULT, maxAttempts: retry_attempts, capMs: retry_backoff_ms_max },
  });
}

/** Reads a worker's verdict. Throws SCHEMA_INVALID, naming `where`. */
export function parseVerdict(text: string, where: string): Verdict {
  const value = parseJson(text);
  const parsed = parseRecord(VerdictSchema, value ?? null);
  if (parsed.ok) return parsed.value;
  throw new ForgeError(
    'SCHEMA_INVALID',
    `${where} is not a verdict: ${value === undefined ? 'it is not JSON' : parsed.why}`,
    {
      hint: 'A verdict is JSON like {"verdict": "ready_for_review", "summary": "..."}; others are changes_needed and blocked.',
    },
  );
}

export interface Completion {
  taskId: string;
  attemptId: string;
  outcome: Outcome;
  policy: RetryPolicy | CompositeRetryPolicy;
  /** The caller has seen the worker's process group end. */
  workerGone: boolean;
}

/**
 * Commits how an attempt ended. A verdict is written once, before the commit: whoever hands in another one for the same
 * attempt is refused. Throws STALE_ATTEMPT, LEASE_STOLEN.
 */
export async function commitCompletion(
  env: ChangeEnv & { settings: Settings; random: () => number },
  completion: Completion,
): Promise<Changed<CompleteResult>> {
  const { taskId, attemptId, outcome } = completion;
  const decide = (record: TaskRecord) =>
    completeTask(record, { ...completion, route: routeOf(env.settings), nowMs: env.now(), random: env.random });
  return changeTask(env, taskId, async (record) => {
    const decision = decide(record);
    if (outcome.kind === 'verdict' && outcome.written && decision.record !== null) {
      await writeVerdict(env, taskId, attemptId, outcome.verdict);
    }
    return decision;
  });
}

async function writeVerdict(env: ChangeEnv, taskId: string, attemptId: string, verdict: Verdict): Promise<void> {
  if (await env.store.createOnce(taskId, attemptId, 'verdict.json', verdict, env.newOp())) return;
  const first = await env.store.readVerdict(taskId, attemptId);
  if (JSON.stringify(first) === JSON.stringify(verdict)) return;
  throw new ForgeError('STALE_ATTEMPT', `attempt ${attemptId} of task ${taskId} has handed in another verdict before`);
}

/** How far a verified task goes without a person. */
function routeOf(settings: Settings): { reviewed: boolean; shipped: boolean } {
  return { reviewed: settings.review.command === null, shipped: settings.ship.policy === 'none' };
}
