/**
 * What keeps a coding agent from being started for any task: a limit of its account that one task has met, or something there that only a
 * person can mend. It is read from the records of those tasks, so every run of the project knows it at once. Pure.
 */

import { madeIn } from '../../lib/once.ts';
import { fromIso, isoTime } from '../../lib/time.ts';
import { NEEDS_PERSON } from '../agents/events.ts';
import { type Agent, agentFor, isAgent, isPresetAgent, LOGINS } from '../agents/known.ts';
import type { Plan, PlanTask } from '../plan/plan.ts';
import type { WorkerSettings } from '../plan/task-command.ts';
import { errorText } from '../retry/classify.ts';
import { type ReviewHold, reviewHoldOf } from '../review/review-hold.ts';
import { type Instant, msUntil } from '../task/deadlines.ts';
import { instantFor, type LeaseObserver } from '../task/leases.ts';
import { readable, type SeenRecord, type TaskSummary } from '../task/records.ts';
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
  recordOf(taskId: string): SeenRecord;
  observer: LeaseObserver;
  workers: WorkerSettings;
}

/** The agents that are held, by name. What a person has to mend comes before limits. */
export function agentHolds({ plan, recordOf, observer }: Omit<Standing, 'workers'>): ReadonlyMap<string, AgentHold> {
  const holds = new Map<string, AgentHold>();
  const limits = new Map<Agent, MetLimit[]>();
  /** When work of each was handed in last, milliseconds since the epoch. */
  const handedIn = new Map<Agent, number>();
  const instant = instantFor(observer);
  for (const task of plan.tasks) {
    const record = readable(recordOf(task.id));
    if (record === null) continue;
    const { state, last_error: error, updated_at } = record.state;
    const { agent } = record.memo;
    const reviews = phaseDue(state) === 'review' ? reviewHoldOf(record) : null;
    if (reviews !== null) holdReviewer(holds, task.id, reviews, instant);
    if (!isAgent(agent)) continue;
    if (phaseDue(state) !== null || state === 'shipped')
      handedIn.set(agent, Math.max(handedIn.get(agent) ?? 0, fromIso(updated_at)));
    else if (state === 'failed' && NEEDS_PERSON.some((cause) => cause === error?.class) && error) {
      holds.set(agent, toMend(agent, error, task.id, 'retry'));
    } else if (error?.class === 'rate_limit') {
      const met = limitMet(task.id, record, instant);
      if (met !== null) madeIn(limits, agent, () => []).push(met);
    }
  }
  for (const [agent, met] of limits) {
    const hold = limitHold(agent, met, { handedInMs: handedIn.get(agent) ?? 0, nowMs: instant.nowMs });
    if (hold !== null) holdUntil(holds, agent, hold);
  }
  return holds;
}

/** Of several holds that which lasts longest; one that a person has to mend has no end. */
function holdUntil(holds: Map<string, AgentHold>, agent: Agent, hold: AgentHold & { until: string }): void {
  const before = holds.get(agent);
  if (before === undefined || (before.until !== null && before.until < hold.until)) holds.set(agent, hold);
}

/** How long a limit of an account holds, where the agent does not say, milliseconds. */
export const LIMIT_MS = 300_000;

/** After a limit one task is tried alone for so long, milliseconds: an account that is still at its limit says so soon. */
const PROBE_MS = 60_000;

/** `holds`: it has not ended; `tries`: it has, and its task is at work; `ended`: it has, and its task may begin. */
interface MetLimit {
  task_id: string;
  is: 'holds' | 'tries' | 'ended';
  /** Until the limit ends, or until it has been tried for long enough; above 0. */
  leftMs: number;
}

/** The limit that a task has met; null where it is over. */
function limitMet(task_id: string, { state, lease, memo }: TaskSummary, instant: Instant): MetLimit | null {
  const { next_eligible_at: next } = state;
  const met = (is: MetLimit['is'], leftMs: number) => (leftMs > 0 ? { task_id, is, leftMs } : null);
  if (isInFlight(state.state) && lease !== null) {
    const agoMs = instant.nowMs - fromIso(lease.acquired_at);
    return agoMs < 0 ? null : met('tries', PROBE_MS - agoMs);
  }
  // Its policy does not try it again, and the account has its limit all the same.
  if (state.state === 'failed')
    return met('holds', Math.min(LIMIT_MS, fromIso(state.updated_at) + LIMIT_MS - instant.nowMs));
  if (state.state !== 'awaiting_respawn' || !next) return null;
  const leftMs = msUntil(next, memo.backoff, instant);
  return leftMs > 0 ? met('holds', leftMs) : met('ended', leftMs + PROBE_MS);
}

/**
 * What several tasks have met, as one: a limit that has not ended, of several the last; else the one task that tries whether it has. Null
 * once work that was handed in since shows that it has.
 */
function limitHold(
  agent: Agent,
  met: readonly MetLimit[],
  { handedInMs, nowMs }: { handedInMs: number; nowMs: number },
): (AgentHold & { until: string }) | null {
  const last = (is: MetLimit['is']) =>
    met.filter((each) => each.is === is).sort((one, other) => other.leftMs - one.leftMs)[0];
  const hold = last('holds') ?? last('tries') ?? last('ended');
  if (hold === undefined) return null;
  const { task_id, is, leftMs } = hold;
  if (is === 'ended' && nowMs + leftMs - PROBE_MS < handedInMs) return null;
  const until = isoTime(nowMs + leftMs);
  const [what, how] =
    is === 'holds'
      ? ['limit', `; \`forge orchestrate retry ${task_id}\` tries it now`]
      : [`task ${task_id} tries first whether its limit has ended,`, ''];
  return { task_id, until, message: `${agent}: ${what} until ${until} (task ${task_id}${how})` };
}

/** What only a person can mend, who then repeats what has met it: `verb`. */
function toMend(
  agent: Agent,
  error: Parameters<typeof errorText>[0],
  task_id: string,
  verb: 'retry' | 'review',
): AgentHold {
  const login = isPresetAgent(agent) ? `log in with \`${LOGINS[agent]}\`` : 'log in with its own command';
  const of = verb === 'review' ? 'review of ' : '';
  const mend = error.class === 'auth' ? login : 'see to its account';
  const message = `${agent} can't be used: ${errorText(error)} (${of}task ${task_id}); ${mend}, then \`forge orchestrate ${verb} ${task_id}\``;
  return { task_id, until: null, message };
}

/** What a review has met. A person who has mended it has the task reviewed again, as each new run does once. */
function holdReviewer(holds: Map<string, AgentHold>, task_id: string, met: ReviewHold, instant: Instant): void {
  const { agent, until } = met;
  if (!isAgent(agent)) return;
  if (until === null) holds.set(agent, toMend(agent, met, task_id, 'review'));
  else if (msUntil(until, null, instant) > 0)
    holdUntil(holds, agent, { task_id, until, message: `${agent}: limit until ${until} (review of task ${task_id})` });
}

/** Why no agent is started for the task now; none where there is another reason for that, or who asks brings a worker. */
export function agentReasons(
  task: PlanTask,
  { recordOf, workers, reviewer, bringsWorker }: Standing & { reviewer: string | null; bringsWorker?: boolean },
  holds: () => ReadonlyMap<string, AgentHold>,
): { code: 'AGENT_LIMIT' | 'AGENT_REFUSED'; message: string; on: string }[] {
  if (bringsWorker === true) return [];
  const record = readable(recordOf(task.id));
  const due = record && phaseDue(record.state.state);
  // What is handed in needs no agent any more, but for its review.
  const isDone = due !== null || (record !== null && pendingVerification(record) !== null);
  const agent = due === 'review' ? reviewer : isDone ? null : agentFor(task, workers);
  const hold = agent === null ? undefined : holds().get(agent);
  // An attempt waits for its own limit by its backoff.
  if (hold === undefined || (hold.task_id === task.id && (due === null || hold.until === null))) return [];
  return [{ code: hold.until === null ? 'AGENT_REFUSED' : 'AGENT_LIMIT', message: hold.message, on: hold.task_id }];
}
