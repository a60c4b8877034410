/** Ending an attempt: shared by `complete`, `run` and `exec`. */

import type { PlanTask } from '../../domain/plan/plan.ts';
import {
  type CompositeRetryPolicy,
  type RetryPolicy,
  resolveRetry,
  TASK_RETRY_DEFAULT,
} from '../../domain/retry/retry.ts';
import type { Settings } from '../../domain/settings/settings.ts';
import { type CompleteResult, completeTask, type Outcome } from '../../domain/task/operations.ts';
import { RECORD_MAX_BYTES, type Verdict } from '../../domain/task/records.ts';
import { type VerifyCommand, verifyCommands } from '../../domain/verify/commands.ts';
import { NOTHING_NOTED, writtenTexts } from '../../domain/verify/guardrails.ts';
import { type Checker, NO_WORK_FOUND, type Verified, verifiedOf } from '../../domain/verify/verification.ts';
import { isoTime } from '../../lib/time.ts';
import type { Interrupts } from '../../process/interrupts.ts';
import { type Changed, changeTask } from '../../store/change.ts';
import { doesItself, type Env } from '../env.ts';
import { writeVerdict } from './verdicts.ts';

/** The policy that decides on a task's failures: the task's own, else the settings', else the default as settings tune it. */
export function taskPolicy(settings: Settings, task: PlanTask | null): RetryPolicy | CompositeRetryPolicy {
  const { retry_attempts, retry_backoff_ms_max } = settings.agents;
  return resolveRetry({
    task: task?.retry ?? undefined,
    settings: settings.retry ?? undefined,
    default: { ...TASK_RETRY_DEFAULT, maxAttempts: retry_attempts, capMs: retry_backoff_ms_max },
  });
}

export interface Completion extends Checker {
  taskId: string;
  /** As planned; null for one that is not in the plan: then the settings decide alone. */
  task: PlanTask | null;
  outcome: Outcome;
  /** The caller has seen the worker's process group end. */
  workerGone: boolean;
  /**
   * The caller's outcome is only what it saw of the worker's end. It gives way to a verdict that the attempt has handed in
   * and that is not verified yet. Default: false, then such a verdict refuses another outcome.
   */
  yields?: boolean;
  /** Whether the lease is renewed by the caller while commands run. Default: false, then it is renewed here. */
  beats?: boolean;
  /** Told when a command begins. */
  onCheck?(command: VerifyCommand): void;
  /** What stops the verification. It is asked for when one begins, and told when it is over. */
  interrupts(): Interrupts & { stop(): void };
}

/**
 * Ends an attempt. A verdict of `ready_for_review` is verified first; disagreement is a failure, and the policy decides.
 * Returns null when the verification was stopped: then the task is as it was, and whoever comes next finishes it.
 * Throws STALE_ATTEMPT, LEASE_STOLEN, IO_ERROR.
 */
export async function endAttempt(env: Env, completion: Completion): Promise<Changed<CompleteResult> | null> {
  const commands = verifyCommands(env.settings.verify.commands, completion.task?.verify ?? []);
  // Most tasks have nothing to be checked, and loading what checks would be felt.
  const { reviewed, shipped } = routeOf(env.settings);
  const isEnd = reviewed && shipped && env.settings.workspace === 'none';
  if (commands.length === 0 && isEnd) return commit(env, completion, NOTHING_TO_CHECK);
  const { settleVerdict } = await import('./verification.ts');
  const settled = await settleVerdict(env, completion, commands);
  if (settled === null) return null;
  const changed = await commit(env, { ...completion, outcome: settled.outcome }, settled);
  if (settled.verified !== null)
    for (const text of writtenTexts(settled.verified)) env.warn(`task ${completion.taskId}: ${text}`);
  return changed;
}

const NOTHING_TO_CHECK = { verified: null, unreadable: false };

/** A verdict is written once, before the commit: whoever hands in another one for the same attempt is refused. */
async function commit(
  env: Env,
  completion: Completion,
  { verified, unreadable }: { verified: Verified | null; unreadable: boolean },
): Promise<Changed<CompleteResult>> {
  const { taskId, attemptId, claimId, outcome, workerGone } = completion;
  const request = {
    attemptId,
    claimId,
    outcome,
    verified,
    unreadable,
    policy: taskPolicy(env.settings, completion.task),
    route: routeOf(env.settings),
    workerGone,
    random: env.ctx.random,
  };
  return changeTask(env, taskId, async (record) => {
    const decision = completeTask(record, { ...request, nowMs: env.now() });
    if (outcome.kind === 'verdict' && outcome.written && verified === null && decision.record !== null) {
      await writeVerdict(env, taskId, attemptId, outcome.verdict);
      if (outcome.verdict.verdict === 'ready_for_review') await writeUnchecked(env, completion, outcome.verdict);
    }
    return decision;
  });
}

/** A verdict that nothing was to be checked of has a twin as well: so one without has not been verified. */
async function writeUnchecked(env: Env, { taskId, attemptId }: Completion, verdict: Verdict): Promise<void> {
  const verified = verifiedOf(
    {
      attemptId,
      verdict,
      found: NO_WORK_FOUND,
      notes: NOTHING_NOTED,
      worktreePath: null,
      checks: [],
      failure: null,
      verifiedAt: isoTime(env.now()),
      durationMs: 0,
    },
    RECORD_MAX_BYTES,
  );
  await env.store.createOnce(taskId, attemptId, 'verdict.verified.json', verified, env.newOp());
}

/** How far a verified task goes without a person. */
function routeOf(settings: Settings): { reviewed: boolean; shipped: boolean } {
  const { review, ship } = doesItself(settings);
  return { reviewed: !review, shipped: !ship };
}
