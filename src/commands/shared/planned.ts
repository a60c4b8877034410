/** Tasks of the plan by the names that a person gives them. */

import { isActive, type Plan, type PlanTask, tasksNamed } from '../../domain/plan/plan.ts';
import { ForgeError, orNull } from '../../lib/errors.ts';
import { requireTaskId } from '../../lib/ids.ts';
import { closest, firstOf } from '../../lib/text.ts';
import { type LoadedPlan, loadPlan } from '../../project/plan-file.ts';
import type { Session } from './session.ts';

/** The task of that id in the plan. Throws INVALID_ID, TASK_NOT_FOUND. */
export function plannedTask({ plan, file }: LoadedPlan, taskId: string): PlanTask {
  const task = plan.byId.get(requireTaskId(taskId));
  if (task !== undefined) return task;
  const made = tasksNamed(plan, taskId).map(({ id }) => id);
  if (made.length > 0) {
    throw new ForgeError('TASK_NOT_FOUND', `${taskId} is ${made.length} tasks, by its matrix: say which`, {
      hint: `Such as ${firstOf(made)}.`,
    });
  }
  throw new ForgeError('TASK_NOT_FOUND', `there is no task ${taskId} in ${file}`, nearest(taskId, plan.byId.keys()));
}

/** The ids of the tasks that `names` mean, in the plan: of a task with a matrix all that it makes. Throws INVALID_ID, TASK_NOT_FOUND. */
export function idsMeant(loaded: LoadedPlan, names: readonly string[]): string[] {
  return names.flatMap((name) => {
    const tasks = tasksNamed(loaded.plan, requireTaskId(name));
    return (tasks.length > 0 ? tasks : [plannedTask(loaded, name)]).map(({ id }) => id);
  });
}

/** A hint at what was probably meant; none where nothing is close. */
export function nearest(word: string, known: Iterable<string>): { hint?: string } {
  const near = closest(word, known);
  return near === null ? {} : { hint: `Did you mean ${near}?` };
}

/** Whether the plan lets a task go on that could; warns where it does not. A plan that can't be read says nothing. */
export async function goesOnByPlan(session: Session, taskId: string): Promise<boolean> {
  const plan = (await orNull(() => loadPlan(session)))?.plan;
  const task = plan?.byId.get(taskId);
  if (plan === undefined || task === undefined || isActive(plan, task)) return true;
  const { status, phase_id } = task;
  const what =
    status === 'active' ? `its phase ${phase_id} is ${plan.phaseById.get(phase_id)?.status}` : `it is ${status}`;
  session.warn(`task ${taskId} does not go on: the plan says that ${what}`);
  return false;
}

/** A plan that is being edited must not keep a worker from its task: then the settings decide alone. */
export async function plannedOrNull(session: Session, taskId: string): Promise<PlanTask | null> {
  return (await planUnlessInvalid(session, 'the settings decide alone'))?.byId.get(taskId) ?? null;
}

/** Null when there is no plan, or it can't be read: then with a warning that ends in `then`. */
export async function planUnlessInvalid(session: Session, then: string): Promise<Plan | null> {
  try {
    return (await loadPlan(session))?.plan ?? null;
  } catch (error) {
    if (!(error instanceof ForgeError)) throw error;
    session.warn(`${error.message}; ${then}`);
    return null;
  }
}
