/** What the package exports: the functions that the product itself decides with. */

export { type ClassifiedError, classifyError, type ErrorRule, type WorkerEnd } from './core/classify.ts';
export { ERROR_CODES, type ErrorCode, EXIT, ForgeError, type Problem } from './core/errors.ts';
export {
  assertNeverGcRow,
  CHEAP_ROW_IDS,
  detectCheapDivergences,
  type GcOptions,
  type GcPlan,
  type GcPlanRow,
  type GcRowId,
  type GcSnapshot,
  planGc,
} from './core/gc.ts';
export { type LeaseObserver, type LeaseStanding, leaseStanding } from './core/leases.ts';
export type { Plan, PlanPhase, PlanTask } from './core/plan.ts';
export { parsePlan } from './core/plan-parser.ts';
export { type Outlook, outlook, type Reason, reasonsToWait, type World } from './core/readiness.ts';
export type {
  AttemptManifest,
  FailureReason,
  Lease,
  RunManifest,
  TaskRecord,
  TaskState,
  TaskStateRecord,
  Verdict,
} from './core/records.ts';
export {
  backoffMs,
  bumpRetryCount,
  CompositeRetryPolicy,
  coercePolicy,
  nextEligibleAt,
  nextRetryState,
  RetryPolicy,
  STEP_RETRY_DEFAULT,
  TASK_RETRY_DEFAULT,
  WAIT_RETRY_DEFAULT,
} from './core/retry.ts';
export type { RunEvent } from './core/run-events.ts';
export type { Settings } from './core/settings.ts';
export { parseSettings } from './core/settings-parser.ts';
export { TERMINAL_TASK_STATES, type Transition } from './core/task-state.ts';
export { systemContext } from './host/context.ts';
export { type AdminRelease, type AdminReleaseResult, adminReleaseLeaseByIdentity } from './runner/admin-release.ts';
export { buildSnapshot, type GcSources } from './runner/gc-snapshot.ts';
/** What `buildSnapshot` and `adminReleaseLeaseByIdentity` work on: `openSession({ ctx: systemContext(), dir, warn })`. */
export { type Call, openSession, type Session } from './verbs/session.ts';
