/** What a run does next, for one that asks after each task of a large plan: it needs the first few tasks that are ready, and not what all others wait for. Pure. */

import { conditionOn, type PlanTask } from '../plan/plan.ts';
import { type IntegrationPhase, isTerminal } from '../task/states.ts';
import { dueNow, isShipped, readableRecord, reasonsToWait, type SchedulingContext, type Survey } from './readiness.ts';
import { byOrder } from './selection.ts';

/** The tasks that have not shipped, in the order in which they are given out. */
export function inOrder(scheduling: SchedulingContext): PlanTask[] {
  return scheduling.plan.tasks.filter(({ id }) => !isShipped(id, scheduling)).sort(byOrder(scheduling.plan));
}

/** Whether nothing keeps the task from being given out; quick for one that waits for another, as most of a large plan do. */
export function isReady(task: PlanTask, scheduling: SchedulingContext, survey: Survey): boolean {
  // One that is optional may be skipped, which no record says.
  const waits = (id: string) => {
    const { when, optional } = conditionOn(task, id);
    const isPlain = when === 'success' && !optional;
    return isPlain && scheduling.plan.byId.get(id)?.status === 'active' && isOpen(id, scheduling);
  };
  return !task.depends_on.some(waits) && reasonsToWait(task, scheduling, survey).length === 0;
}

/** Whether the task has not come to an end, whatever that would be. */
function isOpen(taskId: string, scheduling: SchedulingContext): boolean {
  return !isTerminal(readableRecord(taskId, scheduling)?.state.state ?? 'unclaimed');
}

/** What forge itself does about verified tasks among `tasks`: first merges, then reviews; each in their order. */
export function dueTasks(
  tasks: readonly PlanTask[],
  scheduling: SchedulingContext,
  survey: Survey,
): { task: PlanTask; phase: IntegrationPhase }[] {
  if (!scheduling.does.review && !scheduling.does.ship) return [];
  const due = tasks.flatMap((task) => {
    const phase = dueNow(task, scheduling, survey);
    return phase !== null && scheduling.does[phase] ? [{ task, phase }] : [];
  });
  return due.sort((a, b) => Number(a.phase === 'review') - Number(b.phase === 'review'));
}
