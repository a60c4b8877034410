/** Which tasks say whether a task is ready. Pure. */

import { ancestorsOf } from '../../lib/ids.ts';
import { madeIn } from '../../lib/once.ts';
import { isOverByPlan, type Plan, type PlanTask, PRIORITIES, phaseBefore } from '../plan/plan.ts';
import { turns } from './critical-path.ts';
import { type OverlapRules, rivalsOf } from './overlap.ts';

/** The tasks whose records decide whether `task` is ready: itself, what it waits for by plan, and what it overlaps with; where it shares resources, any. */
export function neededFor(task: PlanTask, plan: Plan, rules: OverlapRules): string[] {
  return [
    ...new Set([
      ...orderedBefore(task, plan),
      ...ancestorsOf(task.id),
      ...rivalsOf(task, plan, rules).map(({ id }) => id),
    ]),
  ];
}

/**
 * The tasks that depend on any of `taskIds`, directly or through others, without these. The result of a child is part of its parent, which
 * stands for what depends on it. Phases count for nothing here: they order work, and hand on no result.
 */
export function dependentsOf(taskIds: readonly string[], plan: Plan): Set<string> {
  const usersOf = usersIn(plan);
  const found = new Set<string>();
  const queue = [...taskIds];
  for (const id of queue) {
    for (const user of usersOf.get(id) ?? []) {
      if (found.has(user)) continue;
      found.add(user);
      queue.push(user);
    }
  }
  for (const id of taskIds) found.delete(id);
  return found;
}

/** Ids of all tasks, each behind those that it depends on. */
export function dependencyOrder(plan: Plan): string[] {
  const usersOf = usersIn(plan);
  const places = new Map(plan.tasks.map(({ id }, place) => [id, place]));
  const after = plan.tasks.map(({ id }) => (usersOf.get(id) ?? []).flatMap((user) => places.get(user) ?? []));
  return Array.from(turns(after), (place) => plan.tasks[place]?.id ?? '');
}

/** Phase, then urgency; a stable sort keeps the plan's order within both. */
export function byOrder(plan: Plan): (a: PlanTask, b: PlanTask) => number {
  const phases = new Map(plan.phases.map((phase, index) => [phase.id, index]));
  const urgency = urgencies(plan);
  return (a, b) => (phases.get(a.phase_id) ?? 0) - (phases.get(b.phase_id) ?? 0) || urgency(a) - urgency(b);
}

/**
 * How urgent each task is, the most urgent first, from 0: as its priority says, or as that of one that waits for it, directly or through
 * others. One that the plan calls done or dropped waits for nothing.
 */
function urgencies(plan: Plan): (task: PlanTask) => number {
  const own = ({ priority }: PlanTask) => PRIORITIES.indexOf(priority);
  const [first] = plan.tasks;
  // Most plans have one priority.
  if (plan.tasks.every(({ priority }) => priority === first?.priority)) return own;
  const usersOf = usersIn(plan);
  const known = new Map<string, number>();
  for (const id of dependencyOrder(plan).reverse()) {
    const task = plan.byId.get(id);
    if (task === undefined) continue;
    const users = isOverByPlan(task) ? [] : (usersOf.get(id) ?? []);
    let least = own(task);
    for (const user of users) {
      if (!isOverByPlan(plan.byId.get(user))) least = Math.min(least, known.get(user) ?? least);
    }
    known.set(id, least);
  }
  return (task) => known.get(task.id) ?? own(task);
}

/** By a task those that use its result. */
function usersIn(plan: Plan): Map<string, string[]> {
  const usersOf = new Map<string, string[]>();
  const add = (id: string, user: string) => madeIn(usersOf, id, () => []).push(user);
  for (const task of plan.tasks) {
    for (const id of task.depends_on) add(id, task.id);
    if (task.parent !== null) add(task.id, task.parent);
  }
  return usersOf;
}

export function orderedBefore(task: PlanTask, plan: Plan): string[] {
  return [task.id, ...task.depends_on, ...(phaseBefore(plan, task)?.task_ids ?? [])];
}
