/** Which tasks can never start, because something that they wait for has failed for good. Pure. */

import type { Plan, PlanTask } from '../plan/plan.ts';
import type { TaskState, TaskSummary } from '../task/records.ts';

interface Standing {
  plan: Plan;
  recordOf(taskId: string): TaskSummary | null | 'unreadable';
}

/**
 * For every task that waits in vain, through others and through phases, the task that it is over: one that has failed, or was cancelled or
 * dropped. A dropped task is only waited for by name: its phase can be finished without it.
 */
export function lostTasks({ plan, recordOf }: Standing): ReadonlyMap<string, string> {
  const stateOf = (id: string): TaskState | null => {
    const record = recordOf(id);
    return record === null || record === 'unreadable' ? null : record.state.state;
  };
  const isOver = ({ id, status }: PlanTask) => status === 'done' || stateOf(id) === 'shipped';
  const hasFailed = (task: PlanTask) => !isOver(task) && ['failed', 'cancelled'].includes(stateOf(task.id) ?? '');
  const queue = plan.tasks.filter((task) => hasFailed(task) || task.status === 'dropped');
  const lost = new Map<string, string>();
  if (queue.length === 0) return lost;

  const waiting = new Map<string, PlanTask[]>();
  const waits = (on: string, task: PlanTask) => void waiting.set(on, [...(waiting.get(on) ?? []), task]);
  for (const task of plan.tasks) for (const id of task.depends_on) waits(`task ${id}`, task);
  for (const { blocked_by, status, task_ids } of plan.phases) {
    if (blocked_by === null || plan.phaseById.get(blocked_by)?.status === 'done' || status === 'done') continue;
    for (const id of task_ids) waits(`phase ${blocked_by}`, plan.byId.get(id) as PlanTask);
  }
  const roots = new Map(queue.map(({ id }) => [id, id]));
  for (let task = queue.shift(); task !== undefined; task = queue.shift()) {
    const root = roots.get(task.id) as string;
    // A phase is finished by its own tasks.
    const phase =
      task.status === 'dropped' || task.parent !== null ? [] : (waiting.get(`phase ${task.phase_id}`) ?? []);
    for (const next of [...(waiting.get(`task ${task.id}`) ?? []), ...phase]) {
      if (roots.has(next.id) || isOver(next)) continue;
      roots.set(next.id, root);
      lost.set(next.id, root);
      queue.push(next);
    }
  }
  return lost;
}
