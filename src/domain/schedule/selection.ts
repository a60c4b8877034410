/** Which tasks a decision is about: those that a run selects, and those that say whether a task is ready. Pure. */

import type { Plan, PlanTask } from '../plan/plan.ts';
import { type OverlapRules, rivalsOf } from './overlap.ts';

/** The tasks whose records decide whether `task` is ready: itself, what it waits for by plan, and what it overlaps with. */
export function neededFor(task: PlanTask, plan: Plan, rules: OverlapRules): string[] {
  return [...new Set([...orderedBefore(task, plan), ...rivalsOf(task, plan, rules).map(({ id }) => id)])];
}

export function orderedBefore(task: PlanTask, plan: Plan): string[] {
  const blockedBy = plan.phaseById.get(task.phase_id)?.blocked_by ?? null;
  const before = blockedBy === null ? [] : (plan.phaseById.get(blockedBy)?.task_ids ?? []);
  return [task.id, ...task.depends_on, ...before];
}

/** `taskIds` with everything they depend on, directly, through others, and through the phases before theirs; null: the whole plan. */
export function selectedTasks(taskIds: readonly string[] | null, plan: Plan): ReadonlySet<string> {
  if (taskIds === null) return new Set(plan.byId.keys());
  const selected = new Set<string>();
  const queue = [...taskIds];
  for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
    const task = plan.byId.get(id);
    if (selected.has(id) || task === undefined) continue;
    selected.add(id);
    queue.push(...orderedBefore(task, plan));
  }
  return selected;
}
