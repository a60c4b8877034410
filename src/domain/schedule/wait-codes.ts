/** Why a task cannot be given out. */

export type WaitCode =
  | 'TASK_FINISHED'
  /** A condition of what it depends on can't come true any more. */
  | 'TASK_SKIPPED'
  | 'TASK_FAILED'
  | 'TASK_CANCELLED'
  | 'TASK_PAUSED'
  | 'TASK_HUMAN'
  | 'TASK_IN_FLIGHT'
  | 'TASK_WAITS_FOR_ANSWER'
  /** Parked: until a time, or a signal. */
  | 'TASK_PARKED'
  | 'TASK_WAITS_FOR_REVIEW'
  | 'TASK_WAITS_FOR_MERGE'
  | 'TASK_UNREADABLE'
  | 'LEASE_IN_GRACE'
  | 'BACKOFF'
  | 'PHASE_NOT_ACTIVE'
  | 'PHASE_BLOCKED'
  | 'DEPENDENCY_PENDING'
  | 'DEPENDENCY_FAILED'
  | 'DEPENDENCY_DROPPED'
  /** A task in flight writes the same files. */
  | 'OVERLAP_CONFLICT'
  /** Tasks in flight use what it needs, up to the limit, or it is kept for one before it. */
  | 'RESOURCE_LIMIT'
  /** The account of the agent that a run starts for it is at a limit, or needs a person. */
  | 'AGENT_LIMIT'
  | 'AGENT_REFUSED'
  /** What the task, or the project, may use is used up. */
  | 'BUDGET'
  /** Ready, but only an agent can do it: it has no command. */
  | 'NO_COMMAND'
  /** Ready, but the run ended before its turn. */
  | 'NOT_STARTED';

export interface Reason {
  code: WaitCode;
  message: string;
  /** The task or phase that it waits for; null when it is the task itself. */
  on: string | null;
}
