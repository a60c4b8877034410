/** Beginning tasks again from the start: which ones, in which order, and that none is begun when one of them can't be. */

import { isRedefined } from '../../domain/plan/definition.ts';
import { isActive, isOverByPlan, type PlanTask } from '../../domain/plan/plan.ts';
import { changedTasks, isReusable, reuseOf } from '../../domain/reuse/reuse.ts';
import { dependencyOrder, dependentsOf } from '../../domain/schedule/selection.ts';
import { isUntouched, refuseRerun, rerunShipped, rerunTask } from '../../domain/task/by-hand.ts';
import type { TaskRecord } from '../../domain/task/records.ts';
import { isInFlight } from '../../domain/task/states.ts';
import type { MoveResult } from '../../domain/task/transition.ts';
import { ForgeError } from '../../lib/errors.ts';
import { ancestorsOf } from '../../lib/ids.ts';
import type { LoadedPlan } from '../../project/plan-file.ts';
import { changeTask, readToDecide } from '../../store/change.ts';
import { idsMeant, plannedTask } from './planned.ts';
import type { Session } from './session.ts';

export interface Rerun {
  /** Ids of the tasks to begin again, each behind those that it depends on. */
  tasks: string[];
  /** Tasks that were made of the results of these, and are not begun again; in the same order. */
  dependents: string[];
}

/**
 * The effect of beginning the tasks of these names again; with `withDependents` the tasks that depend on them are begun again as well. Changes nothing. Throws
 * INVALID_ID, TASK_NOT_FOUND, and ILLEGAL_TRANSITION when one of them can't be begun again now.
 */
export async function planRerun(
  session: Session,
  loaded: LoadedPlan,
  names: readonly string[],
  withDependents: boolean,
): Promise<Rerun> {
  const { plan } = loaded;
  const taskIds = idsMeant(loaded, names);
  for (const id of taskIds) refuseOver(plannedTask(loaded, id));
  const named = new Set(taskIds);
  const found = dependentsOf(taskIds, plan);
  const tasks: string[] = [];
  const dependents: string[] = [];
  for (const id of dependencyOrder(plan)) {
    const isNamed = named.has(id);
    if (!isNamed && !found.has(id)) continue;
    const { record } = await readToDecide(session, id);
    // What nothing has happened to was made of nothing.
    if (!isNamed && (record === null || isUntouched(record) || isOverByPlan(plan.byId.get(id)))) continue;
    if (!isNamed && !withDependents) {
      dependents.push(id);
      continue;
    }
    if (record !== null) refuseRerun(record);
    tasks.push(id);
  }
  await refuseWorkingChildren(session, loaded, new Set(tasks));
  return { tasks, dependents };
}

/**
 * Begins these tasks again, in their order; a repeat finishes what one that was cut off has left. `fresh`: those of which nothing that is kept is
 * used. `changed`: those that have shipped, and that another process may have begun again meanwhile. Throws as `planRerun` does.
 */
export async function rerunTasks(
  session: Session,
  { tasks }: Pick<Rerun, 'tasks'>,
  fresh: ReadonlySet<string>,
  changed: readonly string[] = [],
): Promise<MoveResult[]> {
  const again = (record: TaskRecord, id: string) =>
    changed.includes(id) ? rerunShipped(record, session.now()) : rerunTask(record, session.now(), fresh.has(id));
  const moved: MoveResult[] = [];
  for (const id of tasks) moved.push((await changeTask(session, id, (record) => again(record, id))).result);
  return moved;
}

/**
 * The tasks among `selected` that have shipped, and are to be done again since what they read has changed or what they made is gone; each behind
 * those that it depends on. With `puttingBack` what is gone is put back before, where it is kept: of these tasks.
 */
export async function changedSince(
  session: Session,
  { plan }: LoadedPlan,
  selected: ReadonlySet<string>,
  puttingBack: boolean,
): Promise<{ changed: string[]; putBack: TaskRecord[] }> {
  const isAsked = (task: PlanTask) =>
    selected.has(task.id) && isActive(plan, task) && isReusable(task, session.settings);
  const back: TaskRecord[] = [];
  if (!plan.tasks.some(isAsked)) return { changed: [], putBack: back };
  const reused = dependencyOrder(plan)
    .flatMap((id) => plan.byId.get(id) ?? [])
    .filter(isAsked);
  const { putBack, standsBy } = await import('../../engine/attempt/reuse.ts');
  const records = new Map<string, TaskRecord | null>();
  const readRecord = async (id: string) => {
    const record = records.get(id) ?? (await session.store.read(id)).record;
    records.set(id, record);
    return record;
  };
  const standing = new Map<string, boolean>();
  for (const task of reused) {
    const record = await readRecord(task.id);
    const reuse = record === null ? null : reuseOf(record);
    // It was done by a plan that did not say `cache`, or by another program than its own.
    if (record !== null && reuse === null && isRedefined(task, record)) standing.set(task.id, false);
    if (record === null || reuse === null) continue;
    const { isSame, isPresent } = await standsBy(session, task, record, reuse, readRecord);
    const isBack = puttingBack && isSame && !isPresent && (await putBack(session, task, reuse));
    if (isBack) back.push(record);
    standing.set(task.id, isPresent || isBack);
  }
  const changed = changedTasks(reused, standing);
  return { changed: changed.map(({ id }) => id), putBack: back };
}

function refuseOver(task: PlanTask): void {
  const { id, status } = task;
  if (!isOverByPlan(task)) return;
  throw new ForgeError('ILLEGAL_TRANSITION', `the plan says that task ${id} is ${status}`, {
    details: { task_id: id, move: 'rerun' },
    hint: 'Set its `status: active` in the plan first.',
  });
}

/** A child at work would write for a set that is gone. */
async function refuseWorkingChildren(
  session: Session,
  { plan }: LoadedPlan,
  tasks: ReadonlySet<string>,
): Promise<void> {
  for (const { id, parent } of plan.tasks) {
    if (parent === null || !ancestorsOf(id).some((above) => tasks.has(above))) continue;
    const state = (await session.store.read(id)).record?.state.state ?? 'unclaimed';
    if (!isInFlight(state)) continue;
    throw new ForgeError('ILLEGAL_TRANSITION', `task ${parent} can't be begun again: its child ${id} is ${state}`, {
      details: { task_id: parent, state, move: 'rerun' },
      hint: `Wait for it, or end it first with \`forge orchestrate cancel ${id}\`, and repeat the command.`,
    });
  }
}
