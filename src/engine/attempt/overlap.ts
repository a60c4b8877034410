/**
 * The overlap check after a claim. Each record is committed alone, so two tasks that write the same files, or use the same limited resource,
 * can be claimed at the same moment. A claim of such a task is therefore dispatched only after its owner has read the other records again.
 *
 * Each owner reads after its own commit, so at least the later of two sees the other and gives its claim back: two never
 * continue. The order in `goesFirst` makes sure that one does.
 */

import type { Plan, PlanTask } from '../../domain/plan/plan.ts';
import {
  clearClaim,
  holdsBack,
  isUnchecked,
  isWorkedOn,
  overlapOf,
  overlapText,
  rivalsOf,
  yieldClaim,
} from '../../domain/schedule/overlap.ts';
import { overlapWarnings } from '../../domain/schedule/overlap-warnings.ts';
import { sharersOf, shortageOf, shortageText } from '../../domain/schedule/resources.ts';
import { abandonTask } from '../../domain/task/operations.ts';
import type { TaskRecord } from '../../domain/task/records.ts';
import { isInFlight } from '../../domain/task/states.ts';
import { repeated } from '../../domain/task/transition.ts';
import { errorMessage, ForgeError, orNull } from '../../lib/errors.ts';
import { changeTask } from '../../store/change.ts';
import type { TaskRead } from '../../store/port.ts';
import { type Env, observerOf, schedulingContextOf } from '../env.ts';
import { stopFormerWorker } from './takeover.ts';

/** Milliseconds between two looks, and how many are made while those that are to give way have not done so. */
const LOOK = { pauseMs: 20, times: 100 };

const pause = () => new Promise<void>((resolve) => setTimeout(resolve, LOOK.pauseMs));

/** The tasks that may keep this one from being worked on: they write the same files, or use the same limited resources. */
export function rivalsFor({ settings }: Pick<Env, 'settings'>, plan: Pick<Plan, 'tasks'>, task: PlanTask): PlanTask[] {
  const sharers = sharersOf(task, plan, settings.limits);
  return [...new Set([...rivalsOf(task, plan, settings.agents), ...sharers])];
}

/**
 * Returns when no task that excludes this one is worked on, and what it uses is within the limits, so that it may be dispatched. Otherwise the
 * claim is given back, uncharged. Throws OVERLAP_CONFLICT, RESOURCE_LIMIT, and what reading and stopping others throws.
 */
export async function lookForRivals(
  env: Env,
  plan: Pick<Plan, 'tasks'>,
  task: PlanTask,
  claimId: string,
  wait = pause,
): Promise<void> {
  const rivals = rivalsFor(env, plan, task);
  const planned = new Map(rivals.map((rival) => [rival.id, rival]));
  const against = (records: readonly TaskRecord[]) =>
    obstacle(
      env,
      task,
      records.flatMap(({ state }) => planned.get(state.task_id) ?? []),
    );
  try {
    for (let look = 1; ; look++) {
      const others = await workedOn(env, rivals, task.id);
      const error =
        against(others.filter((each) => goesFirst(each, claimId))) ?? (look < LOOK.times ? null : against(others));
      if (error !== null) throw error;
      if (against(others) === null) return;
      await wait();
    }
  } catch (error) {
    const reason = errorMessage(error);
    // A claim that is lost already, or that expires by itself, stays: what stood in its way is what the caller has to know.
    await orNull(() => changeTask(env, task.id, (record) => yieldClaim(record, { claimId, reason, nowMs: env.now() })));
    throw error;
  }
}

/** What keeps the task from being worked on beside these; null when nothing does. */
function obstacle({ settings }: Pick<Env, 'settings'>, task: PlanTask, others: readonly PlanTask[]): ForgeError | null {
  for (const other of others) {
    const overlap = holdsBack(task, other, settings.agents);
    if (overlap !== null) return overlapConflict(task.id, other.id, overlapText(other.id, overlap));
  }
  const shortage = shortageOf(task, others, settings.limits);
  return shortage && resourceLimit(task.id, shortage.holders[0] ?? null, shortageText(shortage));
}

/** `lookForRivals`, and its outcome noted in the claim, for who dispatches later. Throws LEASE_STOLEN too. */
export async function settleClaim(
  env: Env,
  plan: Pick<Plan, 'tasks'>,
  task: PlanTask,
  record: TaskRecord,
): Promise<void> {
  const claimId = record.lease?.claim_id;
  if (claimId === undefined || !isUnchecked(record)) return;
  await lookForRivals(env, plan, task, claimId);
  await changeTask(env, task.id, (current) => clearClaim(current, { claimId, nowMs: env.now() }));
}

/**
 * Of claims that are still to look the one with the smaller id goes first. All the others are past their look, or may be:
 * they never give way.
 */
function goesFirst(other: TaskRecord, claimId: string): boolean {
  return !isUnchecked(other) || (other.lease?.claim_id ?? '') < claimId;
}

/**
 * The records of the rivals that are worked on. One with a stale lease is abandoned, as its own next claim would do:
 * otherwise its owner, which may only be paused, could continue with that claim.
 */
async function workedOn(env: Env, rivals: readonly PlanTask[], by: string): Promise<TaskRecord[]> {
  const found: TaskRecord[] = [];
  for (const id of await touched(env, rivals)) {
    const read = await env.store.read(id, { thorough: true });
    // No command commits to an unreadable record, so no owner continues with it.
    if (read.record === null || read.problem !== null || !isInFlight(read.record.state.state)) continue;
    const record = isWorkedOn(read.record, observerOf(env)) ? read.record : await abandoned(env, id, by);
    if (isWorkedOn(record, observerOf(env))) found.push(record);
  }
  return found;
}

/** Those that something has happened to: where many tasks write one file, most are still to come. */
async function touched({ store }: Pick<Env, 'store'>, tasks: readonly PlanTask[]): Promise<string[]> {
  if (tasks.length === 0) return [];
  const there = new Set(await store.list());
  return tasks.flatMap(({ id }) => (there.has(id) ? [id] : []));
}

async function abandoned(env: Env, taskId: string, by: string): Promise<TaskRecord> {
  const reason = `its owner was gone when task ${by}, which writes the same files, was claimed`;
  const { record } = await changeTask(env, taskId, (current) => {
    const abandonLimit = env.settings.agents.retry_attempts;
    return abandonTask(current, { observer: observerOf(env), abandonLimit, reason }) ?? repeated(null);
  });
  if (record.lease === null) await stopFormerWorker(env, record);
  return record;
}

/** What is to be said of tasks in flight that overlap with this one, though it need not wait for them. */
export async function softOverlaps(env: Env, plan: Plan, task: PlanTask): Promise<string[]> {
  const reads = new Map<string, TaskRead>();
  const others = plan.tasks.filter((other) => overlapOf(task, other) !== null);
  for (const id of await touched(env, others)) reads.set(id, await env.store.read(id));
  return overlapWarnings([task], schedulingContextOf(env, plan, reads));
}

export function overlapConflict(taskId: string, other: string, text: string): ForgeError {
  return new ForgeError('OVERLAP_CONFLICT', `task ${taskId} has to wait: ${text}`, {
    details: { task_id: taskId, overlaps: other },
    hint: `Wait until ${other} is done, or take another task: \`forge orchestrate claim --next\`.`,
  });
}

export function resourceLimit(taskId: string, other: string | null, text: string): ForgeError {
  return new ForgeError('RESOURCE_LIMIT', `task ${taskId} has to wait: ${text}`, {
    details: { task_id: taskId, ...(other === null ? {} : { overlaps: other }) },
  });
}
