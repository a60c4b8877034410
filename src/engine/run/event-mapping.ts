/** Maps the ends of attempts, reviews and merges, and what a run leaves, to run events. */

import { isOverByPlan, type PlanTask } from '../../domain/plan/plan.ts';
import { commandSource } from '../../domain/plan/task-command.ts';
import type { ClassifiedError } from '../../domain/retry/classify.ts';
import { reuseOf } from '../../domain/reuse/reuse.ts';
import type { OutputTail, RunEvent, RunFinished } from '../../domain/run/events.ts';
import { othersGoOn } from '../../domain/schedule/fates.ts';
import {
  type Reason,
  reasonsToWait,
  type SchedulingContext,
  surveyOf,
  type WaitCode,
} from '../../domain/schedule/readiness.ts';
import { parkedText } from '../../domain/steps/parking.ts';
import {
  errorInfo,
  type FailureReason,
  readable,
  seenState,
  type TaskRecord,
  type TaskState,
  type TaskSummary,
} from '../../domain/task/records.ts';
import { fromIso } from '../../lib/time.ts';
import type { FinishedAttempt } from '../attempt/running-attempt.ts';

interface Base {
  task_id: string;
  attempt_id: string;
  duration_ms: number;
  unchanged?: true;
}

/** The state that a task reached, and the failure that caused it; null when none did. */
interface Moved {
  state: TaskState;
  attempts: number;
  next_eligible_at: string | null;
  failure_reason: FailureReason | null;
  error: ClassifiedError | null;
  tail: OutputTail;
}

/** The task has moved on: to another try, or to where no further attempt follows. */
export function movedEvent(base: Base, { next_eligible_at, failure_reason, ...moved }: Moved, nowMs: number): RunEvent {
  const { state, attempts, error, tail } = moved;
  if (state === 'awaiting_respawn' && error !== null) {
    const delay_ms = next_eligible_at === null ? 0 : Math.max(0, fromIso(next_eligible_at) - nowMs);
    return { type: 'task_retry', ...base, attempts, error, next_eligible_at, delay_ms, tail };
  }
  return { type: 'task_finished', ...base, state, attempts, error, failure_reason, tail };
}

/** How an attempt at a task's own work ended. `stopped`: why the run stops what is at work; null: it does not. */
export function attemptEvent(
  base: Base,
  { end, record, tail }: FinishedAttempt,
  nowMs: number,
  stopped: string | null,
): RunEvent {
  const attempts = record.state.attempt_count;
  switch (end.kind) {
    case 'parked': {
      const { state, failure_reason = null, wake_at = null } = record.state;
      const waits = state === 'waiting' ? parkedText(record.state) : null;
      if (end.state !== 'failed') return { type: 'task_parked', ...base, state, wake_at, waits };
      return { type: 'task_finished', ...base, state, attempts, error: end.error, failure_reason, tail };
    }
    case 'lost':
      return { type: 'task_interrupted', ...base, state: record.state.state, why: end.why };
    case 'released':
      return { type: 'task_interrupted', ...base, state: end.state, why: stopped ?? 'the run was stopped' };
    default:
      return movedEvent(
        { ...base, ...(reuseOf(record)?.unchanged === true && { unchanged: true as const }) },
        { ...end.result, attempts, error: end.error, tail },
        nowMs,
      );
  }
}

/** The event of a task that has shipped before, and whose outputs were put back. */
export function putBackEvent({ state }: TaskRecord): RunEvent {
  const { task_id, current_attempt_id: attempt_id, attempt_count: attempts } = state;
  const rest = { error: null, failure_reason: null, tail: { stdout: '', stderr: '' } };
  return {
    type: 'task_finished',
    task_id,
    attempt_id,
    unchanged: true,
    state: 'shipped',
    attempts,
    duration_ms: 0,
    ...rest,
  };
}

/** The event of a task that failed because its workers were lost too often. `record` null: unreadable. */
export function gaveUpEvent(task_id: string, record: TaskSummary | null): RunEvent {
  return {
    type: 'task_finished',
    task_id,
    attempt_id: null,
    state: 'failed',
    attempts: record?.state.attempt_count ?? 0,
    duration_ms: 0,
    error: errorInfo(record?.state.last_error),
    failure_reason: record?.state.failure_reason ?? null,
    tail: { stdout: '', stderr: '' },
  };
}

/** What tasks wait for themselves; what only waits for another task or phase is left out. */
export function ownWaits(
  tasks: readonly PlanTask[],
  scheduling: SchedulingContext,
): { task_id: string; reason: string }[] {
  const survey = surveyOf(scheduling);
  return tasks.flatMap((task) => {
    const [reason] = reasonsToWait(task, scheduling, survey);
    if (reason === undefined) return [];
    const { code, on } = reason;
    // A limit is told of the task that has met it, where that is one of these.
    const isLimit = code === 'AGENT_LIMIT' && !tasks.some(({ id }) => id === on);
    if (on !== null && !isLimit && code !== 'OVERLAP_CONFLICT' && code !== 'RESOURCE_LIMIT') return [];
    // In front: a line is cut at its end.
    const how = reason.code === 'BACKOFF' ? `\`forge orchestrate retry ${task.id}\` starts it now, else ` : '';
    return { task_id: task.id, reason: how + reason.message };
  });
}

/** The selected tasks at the end of a run. */
export interface Leftovers {
  /** How many are in each state; `done` and `dropped` are the plan's word, `skipped` follows from conditions. */
  counts: Record<string, number>;
  /** What is neither over nor failed, and what it waits for. */
  blocked: Extract<RunEvent, { type: 'task_blocked' }>[];
  /** What has failed for good, in this run or before. */
  failed: RunFinished['failed'][number][];
}

/** `refused`: why this run did not continue with a task, by task id. */
export function leftovers(
  scheduling: SchedulingContext,
  selected: ReadonlySet<string>,
  refused: ReadonlyMap<string, string>,
): Leftovers {
  const left: Leftovers = { counts: {}, blocked: [], failed: [] };
  const survey = surveyOf(scheduling);
  for (const task of scheduling.plan.tasks) {
    if (!selected.has(task.id)) continue;
    const record = scheduling.recordOf(task.id);
    const planned = isOverByPlan(task) ? task.status : null;
    const state = planned ?? seenState(record);
    const reasons = reasonsToWait(task, scheduling, survey);
    const shown = reasons[0]?.code === 'TASK_SKIPPED' ? 'skipped' : state;
    left.counts[shown] = (left.counts[shown] ?? 0) + 1;
    if (planned !== null || shown === 'skipped' || state === 'shipped' || state === 'cancelled') continue;
    if (state === 'failed') {
      const error = errorInfo(readable(record)?.state.last_error);
      left.failed.push({ task_id: task.id, error, goes_on: othersGoOn(task, scheduling, (id) => selected.has(id)) });
      continue;
    }
    const why = refused.get(task.id);
    const waits = reasons.map((reason) => withRefusal(reason, why));
    const hasCommand = commandSource(task, scheduling.workers) !== null;
    const told = waits.length > 0 ? waits : [unstarted(hasCommand, state === 'awaiting_respawn', why)];
    left.blocked.push({ type: 'task_blocked', task_id: task.id, title: task.title, reasons: told });
  }
  return left;
}

/** The last event of a run. */
export function runFinished(
  { counts, blocked, failed }: Leftovers,
  run: Pick<RunFinished, 'run_id' | 'duration_ms' | 'spent' | 'interrupted'>,
): RunFinished {
  const exit_code = run.interrupted ? 130 : failed.some(({ goes_on }) => !goes_on) ? 1 : blocked.length > 0 ? 4 : 0;
  // The command adds them: the loop does not look at worktrees.
  return { type: 'run_finished', counts, failed, results: [], exit_code, ...run };
}

const ADDED_TO: readonly WaitCode[] = ['TASK_WAITS_FOR_REVIEW', 'TASK_WAITS_FOR_MERGE', 'TASK_IN_FLIGHT'];

/** Adds to a wait for what another process does, for a review or a merge, why this run could not make it or does not wait. */
function withRefusal(reason: Reason, why: string | undefined): Reason {
  return why === undefined || !ADDED_TO.includes(reason.code)
    ? reason
    : { ...reason, message: `${reason.message}: ${why}` };
}

/** Why a task that is ready was not started. */
function unstarted(hasCommand: boolean, isTried: boolean, why: string | undefined): Reason {
  const code = hasCommand ? 'NOT_STARTED' : 'NO_COMMAND';
  const next = isTried ? 'it is ready for its next attempt, which was not started' : 'it is ready and was not started';
  const ready = hasCommand ? next : 'it is ready and has no `run:`; an agent may claim it';
  return { code, message: why ?? ready, on: null };
}
