/** The records that a command reads before it decides, and the change of one that is known. */

import { agentFor } from '../../domain/agents/known.ts';
import { awaitedChildren } from '../../domain/fan-out/join.ts';
import { isOverByPlan, type PlanTask, tasksNamed } from '../../domain/plan/plan.ts';
import { type Reason, reasonsToWait } from '../../domain/schedule/readiness.ts';
import { sharersOf } from '../../domain/schedule/resources.ts';
import { neededFor, orderedBefore } from '../../domain/schedule/selection.ts';
import type { TaskRecord } from '../../domain/task/records.ts';
import { isTerminal } from '../../domain/task/states.ts';
import type { Decision } from '../../domain/task/transition.ts';
import { schedulingContextOf } from '../../engine/env.ts';
import { errorMessage, ForgeError, isOfAll } from '../../lib/errors.ts';
import { requireTaskId } from '../../lib/ids.ts';
import { type LoadedPlan, loadPlan } from '../../project/plan-file.ts';
import * as change from '../../store/change.ts';
import type { Snapshot, TaskRead, TaskSummaryRead } from '../../store/port.ts';
import { plannedTask } from './planned.ts';
import type { Session } from './session.ts';

/** The records that a question about `task` may need, and no others. What it waits for may wait for others that have failed. */
export async function readFor(session: Session, { plan }: LoadedPlan, task: PlanTask): Promise<Map<string, TaskRead>> {
  const reads = new Map<string, TaskRead>();
  const needed = new Set(neededFor(task, plan, session.settings.agents));
  const before = new Set(orderedBefore(task, plan));
  let there: Set<string> | null = null;
  for (const id of needed) {
    // Of many most may be still to come, and a list tells that of all of them.
    if (needed.size > 10) there ??= new Set(await session.store.list());
    if (there?.has(id) ?? true) reads.set(id, await session.store.read(id));
    const record = id === task.id ? reads.get(id)?.record : null;
    // One that is parked goes on when its children are over.
    for (const child of record ? awaitedChildren(id, record, plan).flat() : []) needed.add(child.id);
    const planned = plan.byId.get(id);
    const state = reads.get(id)?.record?.state.state ?? 'unclaimed';
    if (planned === undefined || planned.status === 'done' || isTerminal(state) || !before.has(id)) continue;
    for (const other of orderedBefore(planned, plan)) {
      before.add(other);
      needed.add(other);
    }
  }
  return reads;
}

/** The records that say whether `task` may be claimed. One that shares a resource may have to wait for any other in line for it. */
export async function readForClaim(
  session: Session,
  loaded: LoadedPlan,
  task: PlanTask,
): Promise<Map<string, TaskSummaryRead>> {
  const shares = sharersOf(task, loaded.plan, session.settings.limits).length > 0;
  return shares ? (await readAll(session)).reads : readFor(session, loaded, task);
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
    const resumed = await unlessDamaged(session, () => change.resumeIfSettled(session, read));
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
    const seen = await unlessDamaged(session, () => change.withSettledQuestion(session, record));
    if (seen !== null) next.set(id, { ...read, record: seen });
  }
  return next;
}

/** Every reason why a task can't start now; none when it can. */
export async function reasonsFor(session: Session, loaded: LoadedPlan, task: PlanTask) {
  return (await waitsOf(session, loaded, task)).map(({ code, message }) => ({ code, message }));
}

/** `reasonsFor`, and what each waits for. `instead`: tasks that count as they are here. Default: none. */
export async function waitsOf(
  session: Session,
  loaded: LoadedPlan,
  task: PlanTask,
  instead: ReadonlyMap<string, TaskRead> = new Map(),
): Promise<Reason[]> {
  // Any task that an agent does may have met a limit of its account.
  const needsAll = agentFor(task, session.settings.agents) !== null;
  const known = needsAll ? (await readAll(session)).reads : await readForClaim(session, loaded, task);
  const reads = await withSettledQuestions(session, new Map([...known, ...instead]));
  return reasonsToWait(task, schedulingContextOf(session, loaded.plan, reads));
}

/** What is damaged in a task, or none of forge's, stops that task and no other. Throws IO_ERROR where the system refuses. */
export async function unlessDamaged<T>(session: Session, look: () => Promise<T>): Promise<T | null> {
  try {
    return await look();
  } catch (error) {
    if (isOfAll(error)) throw error;
    session.warn(errorMessage(error));
    return null;
  }
}

/**
 * The record of a task that something has happened to, with its version. Throws INVALID_ID; STATE_NOT_FOUND when it is
 * planned but untouched, TASK_NOT_FOUND when it is neither planned nor known.
 */
export async function requireRecord(session: Session, taskId: string): Promise<TaskRead & { record: TaskRecord }> {
  const read = await change.readToDecide(session, requireTaskId(taskId));
  if (read.record !== null) return { ...read, record: read.record };
  throw await unknownTask(session, taskId);
}

async function unknownTask(session: Session, taskId: string): Promise<ForgeError> {
  const loaded = await loadPlan(session);
  if (loaded === null) return new ForgeError('TASK_NOT_FOUND', `there is no task ${taskId} in ${session.store.place}`);
  const task = plannedTask(loaded, taskId);
  if (isOverByPlan(task)) return change.noState(taskId, { hint: `The plan says that it is ${task.status}.` });
  const hint = `It is a checkpoint: \`forge orchestrate done ${taskId}\` says that it is done.`;
  return change.noState(taskId, task.human ? { hint } : {});
}

/** Changes a task that something has happened to. Throws like `requireRecord`, and what `decide` throws. */
export async function changeKnown<R>(
  session: Session,
  taskId: string,
  decide: (record: TaskRecord) => Decision<R> | Promise<Decision<R>>,
  options: Pick<change.ChangeOptions, 'offered'> = {},
): Promise<change.Changed<R>> {
  const unknown = () => unknownTask(session, taskId);
  return change.changeTask(session, requireTaskId(taskId), decide, { ...options, unknown });
}

/** A planned task that nothing has happened to is known too. */
export async function requireKnown(session: Session, taskId: string): Promise<void> {
  if (!(await isPlanned(session, taskId))) await requireRecord(session, taskId);
}

async function isPlanned(session: Session, taskId: string): Promise<boolean> {
  return (await loadPlan(session))?.plan.byId.has(taskId) === true;
}

/**
 * For `changeTask`: a planned task that nothing has happened to is known too. It is asked whenever there is no record, since another process may
 * have removed it meanwhile. Throws INVALID_ID.
 */
export function orUnknown(session: Session, taskId: string): Pick<change.ChangeOptions, 'unknown'> {
  requireTaskId(taskId);
  return { unknown: async () => ((await isPlanned(session, taskId)) ? null : unknownTask(session, taskId)) };
}

/** The ids of the known tasks that a name means: of one with a matrix all that it makes. Throws like `requireRecord`. */
export async function idsKnown(session: Session, name: string): Promise<string[]> {
  const loaded = await loadPlan(session);
  const made = loaded === null ? [] : tasksNamed(loaded.plan, name).map(({ id }) => id);
  if (made.length > 0) return made;
  await requireRecord(session, name);
  return [name];
}
