/**
 * What keeps a coding agent from being started for any task: a limit of its account that one task has met, or something there that only a
 * person can mend. It is read from the records of those tasks, so every run of the project knows it at once. Pure.
 */

import { NEEDS_PERSON } from '../agents/events.ts';
import { agentFor, isAgent, LOGINS } from '../agents/known.ts';
import type { Plan, PlanTask } from '../plan/plan.ts';
import type { WorkerSettings } from '../plan/task-command.ts';
import { errorText } from '../retry/classify.ts';
import { dueAt, msUntil } from '../task/deadlines.ts';
import { instantFor, type LeaseObserver } from '../task/leases.ts';
import type { TaskSummary } from '../task/records.ts';
import { phaseDue } from '../task/states.ts';
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
    if (!isSummary(record) || !record.state.last_error) continue;
    const { state, last_error: error, next_eligible_at: next } = record.state;
    const { agent, backoff } = record.memo;
    if (!isAgent(agent)) continue;
    const before = holds.get(agent);
    if (state === 'failed' && NEEDS_PERSON.some((cause) => cause === error.class)) {
      const mend = error.class === 'auth' ? `log in with \`${LOGINS[agent]}\`` : 'see to its account';
      const message = `${agent} can't be used: ${errorText(error)} (task ${task.id}); ${mend}, then \`forge orchestrate retry ${task.id}\``;
      holds.set(agent, { task_id: task.id, until: null, message });
    } else if (state === 'awaiting_respawn' && error.class === 'rate_limit' && next && before?.until !== null) {
      if (msUntil(next, backoff, instant) <= 0) continue;
      const until = dueAt(next, backoff, instant);
      if (before !== undefined && before.until >= until) continue;
      holds.set(agent, { task_id: task.id, until, message: `${agent}: limit until ${until} (task ${task.id})` });
    }
  }
  return holds;
}

/** Why no agent is started for the task now; none where there is another reason for that, or who asks brings a worker. */
export function agentReasons(
  task: PlanTask,
  { recordOf, workers, bringsWorker }: Standing & { bringsWorker?: boolean },
  holds: () => ReadonlyMap<string, AgentHold>,
): { code: 'AGENT_LIMIT' | 'AGENT_REFUSED'; message: string; on: string }[] {
  const agent = bringsWorker === true ? null : agentFor(task, workers);
  if (agent === null) return [];
  const record = recordOf(task.id);
  // What is handed in needs no agent any more.
  const isDone = isSummary(record) && (phaseDue(record.state.state) !== null || pendingVerification(record) !== null);
  const hold = isDone ? undefined : holds().get(agent);
  if (hold === undefined || hold.task_id === task.id) return [];
  return [{ code: hold.until === null ? 'AGENT_REFUSED' : 'AGENT_LIMIT', message: hold.message, on: hold.task_id }];
}

function isSummary(record: TaskSummary | null | 'unreadable'): record is TaskSummary {
  return record !== null && record !== 'unreadable';
}
