/** What the package exports: the functions that the product itself decides with. */

/** What `buildSnapshot` and `adminReleaseLeaseByIdentity` work on: `await openSession({ ctx: systemContext(), dir, warn })`. */
export { type CommandContext, openSession, type Session } from './commands/shared/session.ts';
export { assertNeverGcRow, type GcPlan, type GcPlanRow, type GcRowId, type GcSnapshot } from './domain/gc/gc-plan.ts';
export { CHEAP_ROW_IDS, detectCheapDivergences, planGc } from './domain/gc/plan-gc.ts';
export type { GcOptions } from './domain/gc/projection.ts';
export { parsePlan } from './domain/plan/parse.ts';
export type { Plan, PlanPhase, PlanTask } from './domain/plan/plan.ts';
export { type ClassifiedError, classifyError, type ErrorRule, type WorkerEnd } from './domain/retry/classify.ts';
export { bumpRetryCount, nextEligibleAt, nextRetryState } from './domain/retry/next-try.ts';
export { backoffMs, CompositeRetryPolicy, coercePolicy, RetryPolicy, resolveRetry } from './domain/retry/retry.ts';
export { STEP_RETRY_DEFAULT, TASK_RETRY_DEFAULT, WAIT_RETRY_DEFAULT } from './domain/retry/schema.ts';
export type { RunEvent } from './domain/run/events.ts';
export {
  classifyTasks,
  type Reason,
  reasonsToWait,
  type SchedulingContext,
  type TaskClasses,
} from './domain/schedule/readiness.ts';
export { parseSettings } from './domain/settings/parse.ts';
export type { Settings } from './domain/settings/settings.ts';
export { type LeaseObserver, type LeaseStanding, leaseStanding } from './domain/task/leases.ts';
export type {
  AttemptManifest,
  FailureReason,
  Lease,
  RunManifest,
  TaskRecord,
  TaskState,
  TaskStateRecord,
  Verdict,
} from './domain/task/records.ts';
export { TERMINAL_TASK_STATES, type Transition } from './domain/task/states.ts';
export { type AdminRelease, type AdminReleaseResult, adminReleaseLeaseByIdentity } from './engine/gc/admin-release.ts';
export { buildSnapshot, type GcSources } from './engine/gc/snapshot.ts';
export { ERROR_CODES, type ErrorCode, EXIT, ForgeError, type Problem } from './lib/errors.ts';
export { systemContext } from './process/system-context.ts';
