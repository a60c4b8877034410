/** What a command reads before it decides: the plan, the records that the decision needs, or all of them. */

import type { Plan, PlanTask } from '../../domain/plan/plan.ts';
import { neededFor } from '../../domain/schedule/readiness.ts';
import type { TaskRecord } from '../../domain/task/records.ts';
import type { Decision } from '../../domain/task/transition.ts';
import { ForgeError } from '../../lib/errors.ts';
import { requireTaskId } from '../../lib/ids.ts';
import { closest } from '../../lib/text.ts';
import { type LoadedPlan, loadPlan } from '../../project/plan-file.ts';
import {
  type Changed,
  changeTask,
  refuseUnreadable,
  resumeIfSettled,
  withSettledQuestion,
} from '../../store/change.ts';
import type { Snapshot, TaskRead, TaskSummaryRead } from '../../store/port.ts';
import type { Session } from './session.ts';

/** The task of that id in the plan. Throws INVALID_ID, TASK_NOT_FOUND. */
export function plannedTask({ plan, file }: LoadedPlan, taskId: string): PlanTask {
  const task = plan.byId.get(requireTaskId(taskId));
  if (task !== undefined) return task;
  const near = closest(taskId, plan.byId.keys());
  throw new ForgeError('TASK_NOT_FOUND', `there is no task ${taskId} in ${file}`, {
    ...(near === null ? {} : { hint: `Did you mean ${near}?` }),
  });
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

/** The records that a question about `task` may need, and no others. */
export async function readFor(session: Session, loaded: LoadedPlan, task: PlanTask): Promise<Map<string, TaskRead>> {
  const reads = new Map<string, TaskRead>();
  const needed = neededFor(task, loaded.plan, session.settings.agents);
  // Of many most may be still to come, and a list tells that of all of them.
  const there = needed.length > 10 ? new Set(await session.store.list()) : null;
  for (const id of needed) if (there?.has(id) ?? true) reads.set(id, await session.store.read(id));
  return reads;
}

/** Everything in the tree at one look, the tasks by their ids. */
export type AllRead = Omit<Snapshot, 'tasks'> & { reads: Map<string, TaskSummaryRead> };

export async function readAll(session: Session): Promise<AllRead> {
  const { tasks, ...rest } = await session.store.snapshot();
  const reads = new Map<string, TaskSummaryRead>();
  for (const read of tasks) reads.set(read.task_id, read);
  return { reads, ...rest };
}

/** Moves the tasks on whose questions are settled, as every command does that may give them out. Updates `reads`. */
export async function resumeSettled(session: Session, reads: Map<string, TaskSummaryRead>): Promise<void> {
  for (const [id, read] of reads) {
    const resumed = await unlessDamaged(session, () => resumeIfSettled(session, read));
    if (resumed !== null) reads.set(id, await session.store.read(id));
  }
}

/** `reads` as `resumeSettled` would leave them, for those who only look: what they show is what the next claim sees. */
export async function withSettledQuestions(
  session: Session,
  reads: ReadonlyMap<string, TaskSummaryRead>,
): Promise<ReadonlyMap<string, TaskSummaryRead>> {
  const parked = [...reads.values()].filter(({ record }) => record?.state.state === 'blocked_on_question');
  if (parked.length === 0) return reads;
  const next = new Map(reads);
  for (const { task_id: id } of parked) {
    const read = await session.store.read(id);
    const { record, problem } = read;
    if (record === null || problem !== null) continue;
    const seen = await unlessDamaged(session, () => withSettledQuestion(session, record));
    if (seen !== null) next.set(id, { ...read, record: seen });
  }
  return next;
}

/** A damaged answer stops its own task and no other. Throws IO_ERROR. */
async function unlessDamaged<T>(session: Session, look: () => Promise<T>): Promise<T | null> {
  try {
    return await look();
  } catch (error) {
    if (!(error instanceof ForgeError) || error.code === 'IO_ERROR') throw error;
    session.warn(error.message);
    return null;
  }
}

/**
 * The record of a task that something has happened to, with its version. Throws INVALID_ID; STATE_NOT_FOUND when it is
 * planned but untouched, TASK_NOT_FOUND when it is neither planned nor known.
 */
export async function requireRecord(session: Session, taskId: string): Promise<TaskRead & { record: TaskRecord }> {
  const read = await session.store.read(requireTaskId(taskId), { thorough: true });
  refuseUnreadable(read);
  if (read.record !== null) return { ...read, record: read.record };
  throw await unknownTask(session, taskId);
}

async function unknownTask(session: Session, taskId: string): Promise<ForgeError> {
  const loaded = await loadPlan(session);
  if (loaded === null) return new ForgeError('TASK_NOT_FOUND', `there is no task ${taskId} in ${session.store.place}`);
  plannedTask(loaded, taskId);
  return new ForgeError('STATE_NOT_FOUND', `nothing has happened to task ${taskId} yet`);
}

/** Changes a task that something has happened to. Throws like `requireRecord`, and what `decide` throws. */
export async function changeKnown<R>(
  session: Session,
  taskId: string,
  decide: (record: TaskRecord) => Decision<R> | Promise<Decision<R>>,
): Promise<Changed<R>> {
  return changeTask(session, requireTaskId(taskId), async (record, read) => {
    if (read.record === null) throw await unknownTask(session, taskId);
    return decide(record);
  });
}

/** A planned task that nothing has happened to is known too. */
export async function requireKnown(session: Session, taskId: string): Promise<void> {
  if ((await loadPlan(session))?.plan.byId.has(taskId) === true) return;
  await requireRecord(session, taskId);
}
