/** How `claim` and `exec` get a task, and why they may not have one. */

import type { PlanTask } from '../../domain/plan/plan.ts';
import { classifyTasks, isOver, type Reason, reasonsToWait } from '../../domain/schedule/readiness.ts';
import { anotherWasFirst, jumpAhead, notBegun } from '../../domain/schedule/run-order.ts';
import { refuseHeld } from '../../domain/task/operations.ts';
import type { RunManifest, TaskSummary } from '../../domain/task/records.ts';
import { isInFlight } from '../../domain/task/states.ts';
import { pendingVerification } from '../../domain/verify/verification.ts';
import { overlapConflict, resourceLimit, softOverlaps } from '../../engine/attempt/overlap.ts';
import type { TaskRequest } from '../../engine/attempt/running-attempt.ts';
import { ownIdentity, schedulingContextOf, withRecord } from '../../engine/env.ts';
import { errorMessage, ForgeError, invalidArgs, isOfOneTask } from '../../lib/errors.ts';
import { type LoadedPlan, requirePlan } from '../../project/plan-file.ts';
import type { TaskSummaryRead } from '../../store/port.ts';
import { plannedTask } from './planned.ts';
import { readAll, readForClaim, resumeSettled } from './reads.ts';
import { underRun } from './runs.ts';
import { interruptible, type Session } from './session.ts';

interface Choice {
  task?: string | undefined;
  next?: boolean | undefined;
  run?: string | undefined;
  /** The claim that is made; one that the task has already is a repeat. */
  claimId?: string;
}

/**
 * What `take` makes of the task that is named, or with `next` of the first that can be had, under the run that is named or a
 * new one with `fields`. `take` returns null when it has failed the task instead. Throws what refuses a claim, TASK_NOT_FOUND,
 * RUN_NOT_FOUND, INVALID_ARGS, INTERRUPTED.
 */
export async function takeTask<T extends object>(
  session: Session,
  verb: string,
  { task: named, next = false, run, claimId }: Choice,
  fields: Partial<RunManifest>,
  take: (wanted: Pick<TaskRequest, 'task' | 'plan' | 'runId' | 'refuse'>) => Promise<T | null>,
): Promise<T> {
  if (named !== undefined && next) throw invalidArgs(`both a task (${named}) and --next are given`, 'Leave one out.');
  if (named === undefined && !next) throw invalidArgs(`${verb} needs <task> or --next (or FORGE_TASK_ID)`);

  const loaded = await requirePlan(session);
  const { plan } = loaded;
  const one = named === undefined ? undefined : plannedTask(loaded, named);
  const reads: Map<string, TaskSummaryRead> =
    one === undefined ? (await readAll(session)).reads : await readForClaim(session, loaded, one);
  await resumeSettled(session, reads);
  const recordOf = ({ id }: PlanTask) => reads.get(id)?.record ?? null;
  const isRepeat = (record: TaskSummary | null) => record?.lease != null && record.lease.claim_id === claimId;
  const refuse = (task: PlanTask, record: TaskSummary | null) => {
    if (!isRepeat(record)) refuseUnlessReady(session, loaded, task, reads, record);
  };

  // What is known not to be ready is refused before a run is opened for nothing.
  const chosen = one ?? plan.tasks.find((task) => isRepeat(recordOf(task)));
  if (chosen !== undefined) refuse(chosen, recordOf(chosen));
  const candidates = chosen === undefined ? requireReady(session, loaded, reads) : [chosen];
  const held = chosen !== undefined && isRepeat(recordOf(chosen)) ? recordOf(chosen)?.lease?.owner_run_id : undefined;
  return underRun(session, held ?? run, fields, async (runId) => {
    let refusal: unknown;
    for (let [task, ...left] = candidates; task !== undefined; [task, ...left] = left) {
      try {
        await finishVerification(session, loaded, task, reads, runId);
        const taken = await take({ task, plan, runId, refuse: (record) => refuse(task, record) });
        if (taken === null) throw new ForgeError('NOT_READY', `task ${task.id} was abandoned too often and has failed`);
        // The task is taken, whatever can't be read now.
        const overlaps = await softOverlaps(session, plan, task).catch((error) => [errorMessage(error)]);
        for (const warning of overlaps) session.warn(warning);
        return taken;
      } catch (error) {
        refusal = error;
        if (!next) throw error;
        if (left.length > 0 && isOfOneTask(error)) {
          session.warn(errorMessage(error));
          continue;
        }
        // Others may be quicker at any of them.
        if (!anotherWasFirst(error)) throw error;
        left = notBegun(left, reads, await session.store.list());
        left = jumpAhead(left, claimContext(session, loaded, reads), session.ctx.random);
      }
    }
    throw new ForgeError('NOT_READY', `others were quicker: none of the ${candidates.length} ready tasks is left`, {
      hint: 'See what the others wait for with `forge orchestrate phases --ready`.',
      cause: refusal,
    });
  });
}

/** Who claims a task does it, whatever agent the settings name. */
function claimContext(session: Session, { plan }: LoadedPlan, reads: ReadonlyMap<string, TaskSummaryRead>) {
  return { ...schedulingContextOf(session, plan, reads), bringsWorker: true };
}

/** The tasks that are ready, in order. Throws NOT_READY when there is none. */
function requireReady(session: Session, loaded: LoadedPlan, reads: ReadonlyMap<string, TaskSummaryRead>): PlanTask[] {
  const { ready, waiting, human } = classifyTasks(claimContext(session, loaded, reads));
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
async function finishVerification(
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
  await interruptible(session, async (interrupts) => {
    const attempt = await takeOverVerification(session, {
      task,
      plan: loaded.plan,
      runId,
      owner: ownIdentity(session),
      refuse: (current) => refuseUnlessReady(session, loaded, task, reads, current),
      onCheck: ({ command }) => session.note(`verifying the result of task ${task.id}: ${command}`),
    });
    const stopListening = interrupts.listen(() => (interrupts.level > 1 ? attempt?.kill() : attempt?.interrupt()));
    const finished = await attempt?.finished;
    stopListening();
    if (finished?.end.kind === 'released') throw new ForgeError('INTERRUPTED', `task ${task.id} is not verified yet`);
  });
  reads.set(task.id, await session.store.read(task.id));
}

export function notReady(taskId: string, reasons: readonly Reason[]): ForgeError {
  const why = reasons.map(({ message }) => message).join('; ');
  const [first] = reasons;
  // What is over waits for nothing that `why` could name.
  const hint = isOver(reasons)
    ? { hint: 'Take another: `forge orchestrate claim --next`.' }
    : first?.code === 'TASK_FAILED' || first?.code === 'TASK_CANCELLED'
      ? { hint: `Have it tried again with \`forge orchestrate retry ${first.on ?? '<task>'}\`.` }
      : {};
  return new ForgeError('NOT_READY', `task ${taskId} is not ready: ${why}`, {
    details: { task_id: taskId, reasons },
    ...hint,
  });
}

/**
 * Throws unless `record` may be claimed: LEASE_EXISTS and LEASE_NOT_EXPIRED when it is a lease, OVERLAP_CONFLICT when all
 * that it waits for is a task that writes the same files, else NOT_READY with every reason.
 */
function refuseUnlessReady(
  session: Session,
  loaded: LoadedPlan,
  task: PlanTask,
  reads: ReadonlyMap<string, TaskSummaryRead>,
  record: TaskSummary | null,
): void {
  const scheduling = withRecord(claimContext(session, loaded, reads), task.id, record);
  const reasons = reasonsToWait(task, scheduling);
  if (reasons.length === 0) return;
  if (record !== null && isInFlight(record.state.state)) refuseHeld(record, scheduling.observer);
  const [first] = reasons;
  if (first?.on && reasons.every(({ code }) => code === 'OVERLAP_CONFLICT'))
    throw overlapConflict(task.id, first.on, first.message);
  if (first?.on && reasons.every(({ code }) => code === 'RESOURCE_LIMIT'))
    throw resourceLimit(task.id, first.on, first.message);
  throw notReady(task.id, reasons);
}
