/** Which tasks say whether a task is ready. Pure. */

import { ancestorsOf } from '../../lib/ids.ts';
import type { Plan, PlanTask } from '../plan/plan.ts';
import { type OverlapRules, rivalsOf } from './overlap.ts';

/** The tasks whose records decide whether `task` is ready: itself, what it waits for by plan, and what it overlaps with. */
export function neededFor(task: PlanTask, plan: Plan, rules: OverlapRules): string[] {
  return [
    ...new Set([
      ...orderedBefore(task, plan),
      ...ancestorsOf(task.id),
      ...rivalsOf(task, plan, rules).map(({ id }) => id),
    ]),
  ];
}

export function orderedBefore(task: PlanTask, plan: Plan): string[] {
  const blockedBy = plan.phaseById.get(task.phase_id)?.blocked_by ?? null;
  const before = blockedBy === null ? [] : (plan.phaseById.get(blockedBy)?.task_ids ?? []);
  return [task.id, ...task.depends_on, ...before];
}
