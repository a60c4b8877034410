/**
 * What keeps a coding agent from being started for any task: a limit of its account that one task has met, or something there that only a
 * person can mend. It is read from the records of those tasks, so every run of the project knows it at once. Pure.
 */

import { fromIso, isoTime } from '../../lib/time.ts';
import { NEEDS_PERSON } from '../agents/events.ts';
import { type Agent, agentFor, isAgent, isPresetAgent, LOGINS } from '../agents/known.ts';
import type { Plan, PlanTask } from '../plan/plan.ts';
import type { WorkerSettings } from '../plan/task-command.ts';
import { errorText } from '../retry/classify.ts';
import { type ReviewHold, reviewHoldOf } from '../review/review-hold.ts';
import { type Instant, msUntil } from '../task/deadlines.ts';
import { instantFor, type LeaseObserver } from '../task/leases.ts';
import type { TaskSummary } from '../task/records.ts';
import { isInFlight, phaseDue } from '../task/states.ts';
import { pendingVerification } from '../verify/verification.ts';

export interface AgentHold {
  /** The task whose attempt has met it. */
  task_id: string;
  /** When it is over, as ISO 8601; null: when a person has mended it and retried that task. */
  until: string | null;
  /** What it is, and what to do about it. */
  message: string;
}

interface Standing {
  plan: Plan;
  recordOf(taskId: string): TaskSummary | null | 'unreadable';
  observer: LeaseObserver;
  workers: WorkerSettings;
}

/** The agents that are held, by name; of several limits the one that ends last. */
export function agentHolds({ plan, recordOf, observer }: Omit<Standing, 'workers'>): ReadonlyMap<string, AgentHold> {
  const holds = new Map<string, AgentHold>();
  const instant = instantFor(observer);
  for (const task of plan.tasks) {
    const record = recordOf(task.id);
    if (!isSummary(record)) continue;
    const reviews = phaseDue(record.state.state) === 'review' ? reviewHoldOf(record) : null;
    if (reviews !== null) holdReviewer(holds, task.id, reviews, instant);
    if (!record.state.last_error) continue;
    const { state, last_error: error } = record.state;
    const { agent } = record.memo;
    if (!isAgent(agent)) continue;
    const before = holds.get(agent);
    if (state === 'failed' && NEEDS_PERSON.some((cause) => cause === error.class)) {
      const mend = mendText(agent, error.class);
      const message = `${agent} can't be used: ${errorText(error)} (task ${task.id}); ${mend}, then \`forge orchestrate retry ${task.id}\``;
      holds.set(agent, { task_id: task.id, until: null, message });
    } else if (error.class === 'rate_limit' && before?.until !== null) {
      const hold = limitOf(agent, task.id, record, instant);
      if (hold !== null && (before === undefined || before.until < hold.until)) holds.set(agent, hold);
    }
  }
  return holds;
}

/** After a limit one task is tried alone for so long, milliseconds: an account that is still at its limit says so soon. */
const PROBE_MS = 60_000;

/** The limit that a task has met: until it ends, and until that task has shown that it has ended; null where that is over. */
function limitOf(agent: string, task_id: string, { state, lease, memo }: TaskSummary, instant: Instant) {
  const { next_eligible_at: next } = state;
  const hold = (leftMs: number, what: string) => {
    const until = isoTime(instant.nowMs + leftMs);
    return leftMs > 0 ? { task_id, until, message: `${agent}: ${what} until ${until} (task ${task_id})` } : null;
  };
  const first = `task ${task_id} tries first whether its limit has ended,`;
  if (isInFlight(state.state) && lease !== null) {
    const agoMs = instant.nowMs - fromIso(lease.acquired_at);
    return agoMs < 0 ? null : hold(PROBE_MS - agoMs, first);
  }
  if (state.state !== 'awaiting_respawn' || !next) return null;
  const leftMs = msUntil(next, memo.backoff, instant);
  return leftMs > 0 ? hold(leftMs, 'limit') : hold(leftMs + PROBE_MS, first);
}

function mendText(agent: Agent, name: string): string {
  if (name !== 'auth') return 'see to its account';
  return isPresetAgent(agent) ? `log in with \`${LOGINS[agent]}\`` : 'log in with its own command';
}

/** What a review has met. A person who has mended it has the task reviewed again, as each new run does once. */
function holdReviewer(holds: Map<string, AgentHold>, task_id: string, met: ReviewHold, instant: Instant): void {
  const { agent, until } = met;
  if (!isAgent(agent)) return;
  const before = holds.get(agent);
  const by = `review of task ${task_id}`;
  if (until === null) {
    const mend = mendText(agent, met.class);
    const message = `${agent} can't be used: ${errorText(met)} (${by}); ${mend}, then \`forge orchestrate review ${task_id}\``;
    holds.set(agent, { task_id, until: null, message });
  } else if (
    msUntil(until, null, instant) > 0 &&
    (before === undefined || (before.until !== null && before.until < until))
  )
    holds.set(agent, { task_id, until, message: `${agent}: limit until ${until} (${by})` });
}

/** Why no agent is started for the task now; none where there is another reason for that, or who asks brings a worker. */
export function agentReasons(
  task: PlanTask,
  { recordOf, workers, reviewer, bringsWorker }: Standing & { reviewer: string | null; bringsWorker?: boolean },
  holds: () => ReadonlyMap<string, AgentHold>,
): { code: 'AGENT_LIMIT' | 'AGENT_REFUSED'; message: string; on: string }[] {
  if (bringsWorker === true) return [];
  const record = recordOf(task.id);
  const due = isSummary(record) ? phaseDue(record.state.state) : null;
  // What is handed in needs no agent any more, but for its review.
  const isDone = due !== null || (isSummary(record) && pendingVerification(record) !== null);
  const agent = due === 'review' ? reviewer : isDone ? null : agentFor(task, workers);
  const hold = agent === null ? undefined : holds().get(agent);
  // An attempt waits for its own limit by its backoff.
  if (hold === undefined || (hold.task_id === task.id && (due === null || hold.until === null))) return [];
  return [{ code: hold.until === null ? 'AGENT_REFUSED' : 'AGENT_LIMIT', message: hold.message, on: hold.task_id }];
}

function isSummary(record: TaskSummary | null | 'unreadable'): record is TaskSummary {
  return record !== null && record !== 'unreadable';
}
