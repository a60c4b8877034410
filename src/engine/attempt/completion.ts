/** What the end of an attempt is decided by: what is asked for, and the policy in force. */

import type { PlanTask } from '../../domain/plan/plan.ts';
import { type CompositeRetryPolicy, coercePolicy, type RetryPolicy, resolveRetry } from '../../domain/retry/retry.ts';
import { SETUP_FAILED, TASK_RETRY_DEFAULT } from '../../domain/retry/schema.ts';
import type { Settings } from '../../domain/settings/settings.ts';
import type { Outcome } from '../../domain/task/complete-attempt.ts';
import type { VerifyCommand } from '../../domain/verify/commands.ts';
import type { Checker } from '../../domain/verify/verification.ts';
import type { Interrupts } from '../../process/interrupts.ts';

/** Attempts of a setup that fails, where no policy says otherwise. */
const SETUP_ATTEMPTS = 3;

/**
 * The policy that decides on a task's failures: the task's own, else the settings', else the default as settings tune it. By default setups
 * that fail are counted apart, so that they leave the worker its attempts.
 */
export function taskPolicy(settings: Settings, task: PlanTask | null): RetryPolicy | CompositeRetryPolicy {
  const { retry_attempts, retry_backoff_ms_max, setup } = settings.agents;
  const site = { ...TASK_RETRY_DEFAULT, maxAttempts: retry_attempts, capMs: retry_backoff_ms_max };
  const declared = task?.retry ?? settings.retry ?? undefined;
  if (declared !== undefined || setup.length === 0) return resolveRetry({ task: declared, default: site });
  const max_attempts = Math.min(SETUP_ATTEMPTS, retry_attempts);
  return coercePolicy([{ retry_on: [SETUP_FAILED], max_attempts }, {}], site);
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
  /** Whether the caller keeps the lease while commands run. Default: false, then it is kept here. */
  leaseKept?: boolean;
  /** Called when a command begins. */
  onCheck?(command: VerifyCommand): void;
  /** Opens the interrupts of a verification; `stop` is called when it is over. */
  interrupts(): Interrupts & { stop(): void };
}
