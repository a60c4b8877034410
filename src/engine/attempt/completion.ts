/** What the end of an attempt is decided by: what is asked for, and the policy in force. */

import { NEEDS_PERSON, TRANSIENT } from '../../domain/agents/events.ts';
import { agentFor } from '../../domain/agents/known.ts';
import type { AgentSession } from '../../domain/agents/session.ts';
import type { PlanTask } from '../../domain/plan/plan.ts';
import {
  type CompositeRetryPolicy,
  coercePolicy,
  type PolicyDeclaration,
  type RetryPolicy,
  resolveRetry,
} from '../../domain/retry/retry.ts';
import { SETUP_FAILED, TASK_RETRY_DEFAULT } from '../../domain/retry/schema.ts';
import type { Reuse } from '../../domain/reuse/reuse.ts';
import type { Settings } from '../../domain/settings/settings.ts';
import type { Outcome } from '../../domain/task/complete-attempt.ts';
import type { TaskRecord } from '../../domain/task/records.ts';
import type { Decision } from '../../domain/task/transition.ts';
import type { VerifyCommand } from '../../domain/verify/commands.ts';
import type { Checker } from '../../domain/verify/verification.ts';
import type { Interrupts } from '../../process/interrupts.ts';

/** Attempts of a setup that fails, where no policy says otherwise. */
const SETUP_ATTEMPTS = 3;

/**
 * The policy that decides on a task's failures: the task's own, else the settings', else the default as settings tune it. By default setups
 * that fail are counted apart, so that they leave the worker its attempts, and so is what a coding agent says that it has given up over.
 */
export function taskPolicy(settings: Settings, task: PlanTask | null): RetryPolicy | CompositeRetryPolicy {
  const { retry_attempts, retry_backoff_ms_max, setup } = settings.agents;
  const site = { ...TASK_RETRY_DEFAULT, maxAttempts: retry_attempts, capMs: retry_backoff_ms_max };
  const declared = task?.retry ?? settings.retry ?? undefined;
  const most = (attempts: number) => Math.min(attempts, retry_attempts);
  const policies: PolicyDeclaration[] = [
    ...(setup.length === 0 ? [] : [{ retry_on: [SETUP_FAILED], max_attempts: most(SETUP_ATTEMPTS) }]),
    ...(task === null || agentFor(task, settings.agents) === null ? [] : agentPolicies(most)),
  ];
  if (declared !== undefined || policies.length === 0) return resolveRetry({ task: declared, default: site });
  const hasRest = policies.some(({ retry_on }) => retry_on === undefined);
  return coercePolicy(hasRest ? policies : [...policies, {}], site);
}

/** What has passed its checks, and a reviewer or a newer base wants changed. */
const SENT_BACK = ['review', 'ship'];

/**
 * What ends by itself is tried as often as anything, from half a minute on; a login or a bill is not mended by another try; anything else
 * an agent that knows of it gets right at once, or hardly ever.
 */
export function agentPolicies(most: (attempts: number) => number) {
  return [
    { retry_on: [...TRANSIENT], base: '30s' },
    { retry_on: [...NEEDS_PERSON], max_attempts: 1 },
    { retry_on: SENT_BACK },
    { max_attempts: most(2) },
  ];
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
  /** What its coding agent has said of its session. Default: null, another worker. */
  session?: AgentSession | null;
  /** What it is known by, where its outputs are kept. Default: null, they are not. */
  reuse?: Reuse | null;
  /** How its outputs look now, for `reuse`. Default: null, that is not known. */
  made?(): string | null;
  /** Opens the attempt in the same commit, where nothing was to be done. Default: it is open. Throws LEASE_STOLEN. */
  begin?: ((record: TaskRecord) => Decision<unknown>) | undefined;
  /** As in `Charge`. */
  commit?: string | undefined;
  /** Whether the caller keeps the lease while commands run. Default: false, then it is kept here. */
  leaseKept?: boolean;
  /** Called when a command begins. */
  onCheck?(command: VerifyCommand): void;
  /** Opens the interrupts of a verification; `stop` is called when it is over. */
  interrupts(): Interrupts & { stop(): void };
}
