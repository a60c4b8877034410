/** The plan with the children that its tasks have made. Pure. */

import { filledTask, indexed, type Plan, type PlanTask } from '../plan/plan.ts';
import type { RetryYaml } from '../retry/schema.ts';
import { type Child, childId, type FanOut } from './fan-outs.ts';

/**
 * Each child stands right behind its parent, with its own children behind it. A phase has none of them among its `task_ids`: whether it is
 * finished is for the parent, which may go on without a child that has failed. `setsOf`: those of a task, in their order.
 */
export function withChildren(plan: Plan, setsOf: (taskId: string) => readonly FanOut[]): Plan {
  const tasks: PlanTask[] = [];
  const add = (task: PlanTask) => {
    tasks.push(task);
    for (const { name, children } of setsOf(task.id)) for (const child of children) add(childTask(task, name, child));
  };
  for (const task of plan.tasks) add(task);
  return tasks.length === plan.tasks.length ? plan : indexed({ ...plan, tasks });
}

/** What a child does is its own; when and where it is done is as for its parent. */
function childTask(
  parent: PlanTask,
  fanOut: string,
  { name, run, title, env, retry, timeout_ms, input }: Child,
): PlanTask {
  const { phase_id, type, priority, status, question_budget, continue_on_error } = parent;
  const { worker, model, args, shell, cwd, changes } = parent;
  return filledTask({
    ...{ phase_id, type, priority, status, question_budget, continue_on_error },
    ...{ worker, model, args, shell, cwd, changes },
    id: childId(parent.id, fanOut, name),
    parent: parent.id,
    input,
    title: title ?? name,
    run,
    timeout_ms,
    env,
    retry: retry as RetryYaml | null,
  });
}
