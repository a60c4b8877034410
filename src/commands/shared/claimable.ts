/** Which tasks may be claimed now, and why the others may not. */

import type { PlanTask } from '../../domain/plan/plan.ts';
import { classifyTasks, type Reason, reasonsToWait, type WaitCode } from '../../domain/schedule/readiness.ts';
import { refuseHeld } from '../../domain/task/operations.ts';
import type { TaskSummary } from '../../domain/task/records.ts';
import { isInFlight } from '../../domain/task/states.ts';
import { pendingVerification } from '../../domain/verify/verification.ts';
import { overlapConflict } from '../../engine/attempt/overlap.ts';
import { ownIdentity, schedulingContextOf, withRecord } from '../../engine/env.ts';
import { ForgeError, kindOf } from '../../lib/errors.ts';
import type { LoadedPlan } from '../../project/plan-file.ts';
import type { TaskSummaryRead } from '../../store/port.ts';
import type { Session } from './session.ts';

/** The task that is named; null: the next. Throws INVALID_ARGS unless it is one of both. */
export function oneTaskOrNext(
  verb: string,
  { task, next = false }: { task?: string | undefined; next?: boolean | undefined },
) {
  if (task !== undefined && next) {
    throw new ForgeError('INVALID_ARGS', `both a task (${task}) and --next are given`, { hint: 'Leave one out.' });
  }
  if (task === undefined && !next) {
    throw new ForgeError('INVALID_ARGS', `${verb} needs <task> or --next (or FORGE_TASK_ID)`);
  }
  return task ?? null;
}

/** The tasks that are ready, in order. Throws NOT_READY when there is none. */
export function requireReady(
  session: Session,
  loaded: LoadedPlan,
  reads: ReadonlyMap<string, TaskSummaryRead>,
): PlanTask[] {
  const { ready, waiting, human } = classifyTasks(schedulingContextOf(session, loaded.plan, reads));
  if (ready.length > 0) return ready;
  const left = waiting.length + human.length;
  if (left === 0) {
    const why = loaded.plan.tasks.length === 0 ? `${loaded.file} has none` : 'everything is done';
    throw new ForgeError('NOT_READY', `no task is ready: ${why}`, { hint: 'See `forge orchestrate status`.' });
  }
  throw new ForgeError('NOT_READY', `no task is ready; ${left === 1 ? 'one waits' : `${left} wait`}`, {
    hint: 'See what they wait for with `forge orchestrate phases --ready`.',
  });
}

/**
 * Finishes the verification that the task's last owner left undone, as every claim does first. Updates `reads`. Throws what
 * refuses a claim, and INTERRUPTED.
 */
export async function finishVerification(
  session: Session,
  loaded: LoadedPlan,
  task: PlanTask,
  reads: Map<string, TaskSummaryRead>,
  runId: string,
): Promise<void> {
  const record = reads.get(task.id)?.record ?? null;
  if (record === null || pendingVerification(record) === null) return;
  // What starts processes is not loaded for the many claims that start none.
  const { takeOverVerification } = await import('../../engine/attempt/start.ts');
  const interrupts = session.interrupts();
  try {
    const attempt = await takeOverVerification(session, {
      task,
      plan: loaded.plan,
      runId,
      owner: ownIdentity(session),
      refuse: (current) => refuseUnlessReady(session, loaded, task, reads, current),
      onCheck: ({ command }) => session.note(`verifying what task ${task.id} came to: ${command}`),
    });
    const stopListening = interrupts.listen(() => (interrupts.level > 1 ? attempt?.kill() : attempt?.interrupt()));
    const finished = await attempt?.finished;
    stopListening();
    if (finished?.end.kind === 'released') throw new ForgeError('INTERRUPTED', `task ${task.id} is not verified yet`);
  } finally {
    interrupts.stop();
  }
  reads.set(task.id, await session.store.read(task.id));
}

/** Takes the first of `tasks` that can be had; others may be quicker at any of them. Throws NOT_READY when they were at all. */
export async function claimFirstAvailable<T>(
  tasks: readonly PlanTask[],
  orNext: boolean,
  take: (task: PlanTask) => Promise<T>,
): Promise<T> {
  let refusal: unknown;
  for (const task of tasks) {
    try {
      return await take(task);
    } catch (error) {
      refusal = error;
      if (!orNext || !['contention', 'deferred'].includes(kindOf(error))) throw error;
    }
  }
  throw new ForgeError('NOT_READY', `others were quicker: none of the ${tasks.length} ready tasks is left`, {
    hint: 'See what the others wait for with `forge orchestrate phases --ready`.',
    cause: refusal,
  });
}

export function notReady(taskId: string, reasons: readonly Reason[]): ForgeError {
  return new ForgeError(
    'NOT_READY',
    `task ${taskId} is not ready: ${reasons.map((reason) => reason.message).join('; ')}`,
    {
      details: { task_id: taskId, reasons },
      ...hintFor(reasons[0]?.code),
    },
  );
}

/** What is over waits for nothing that `why` could name. */
function hintFor(code: WaitCode | undefined): { hint?: string } {
  if (code === 'TASK_FINISHED') return { hint: 'Take another: `forge orchestrate claim --next`.' };
  if (code === 'TASK_FAILED' || code === 'TASK_CANCELLED')
    return { hint: 'Have it tried again with `forge orchestrate retry <task>`.' };
  return {};
}

/**
 * Throws unless `record` may be claimed: LEASE_EXISTS and LEASE_NOT_EXPIRED when it is a lease, OVERLAP_CONFLICT when all
 * that it waits for is a task that writes the same files, else NOT_READY with every reason.
 */
export function refuseUnlessReady(
  session: Session,
  loaded: LoadedPlan,
  task: PlanTask,
  reads: ReadonlyMap<string, TaskSummaryRead>,
  record: TaskSummary | null,
): void {
  const scheduling = withRecord(schedulingContextOf(session, loaded.plan, reads), task.id, record);
  const reasons = reasonsToWait(task, scheduling);
  if (reasons.length === 0) return;
  if (record !== null && isInFlight(record.state.state)) refuseHeld(record, scheduling.observer);
  const [first] = reasons;
  if (first?.on && reasons.every(({ code }) => code === 'OVERLAP_CONFLICT'))
    throw overlapConflict(task.id, first.on, first.message);
  throw notReady(task.id, reasons);
}
