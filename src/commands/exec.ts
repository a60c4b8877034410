/** `exec`: claim a task, do it with a command of your own, complete it. */

import os from 'node:os';
import type { PlanTask } from '../domain/plan/plan.ts';
import type { TaskRecord, TaskState } from '../domain/task/records.ts';
import { softOverlaps } from '../engine/attempt/overlap.ts';
import type { FinishedAttempt, RunningAttempt } from '../engine/attempt/running-attempt.ts';
import { startAttempt } from '../engine/attempt/start.ts';
import { requireWorktrees } from '../engine/attempt/workspace.ts';
import { ownIdentity } from '../engine/env.ts';
import { EXIT, ForgeError, unreachable } from '../lib/errors.ts';
import { yielding } from '../lib/fs/drivers.ts';
import type { WorkerExit } from '../process/gated-worker.ts';
import type { Interrupts } from '../process/interrupts.ts';
import type { LoadedPlan } from '../project/plan-file.ts';
import { requirePlan } from '../project/plan-file.ts';
import type { TaskSummaryRead } from '../store/port.ts';
import { claimFirstAvailable, finishVerification, refuseUnlessReady, requireReady } from './shared/claimable.ts';
import { plannedTask, readAll, resumeSettled } from './shared/reads.ts';
import { endRun, underRun } from './shared/runs.ts';
import { type Call, openSession, type Session } from './shared/session.ts';

export interface ExecOptions {
  task?: string | undefined;
  next?: boolean | undefined;
  run?: string | undefined;
  /** The command and its arguments; no shell is in between. */
  command: readonly string[];
}

export interface ExecData {
  task_id: string;
  attempt_id: string;
  attempt_number: number;
  state: TaskState;
  next_eligible_at: string | null;
  /** What this process exits with: the command's own code (128 + n for signal n), 3 when the lease was lost, 130 when interrupted. */
  exit_code: number;
  why: string | null;
}

/** Throws NOT_READY, OVERLAP_CONFLICT, LEASE_EXISTS, LEASE_NOT_EXPIRED, TASK_NOT_FOUND, RUN_NOT_FOUND, INVALID_ARGS, IO_ERROR. */
export async function exec(call: Call, options: ExecOptions, interrupts: Interrupts): Promise<ExecData> {
  if (options.command.length === 0) {
    throw new ForgeError('INVALID_ARGS', 'say which command does the work', {
      hint: 'forge orchestrate exec <task> -- make report',
    });
  }
  const session = openSession(call, yielding);
  const trackerSettled = session.background();
  const { task, attempt, runId } = await start(session, options);
  const stopListening = interrupts.listen(() => (interrupts.level > 1 ? attempt.kill() : attempt.interrupt()));
  try {
    const finished = await attempt.finished;
    if (options.run === undefined) await endRun(session, runId);
    return dataOf(task, attempt, finished);
  } finally {
    stopListening();
    await trackerSettled();
  }
}

interface Started {
  task: PlanTask;
  attempt: RunningAttempt;
  /** The run that it is done under. */
  runId: string;
}

async function start(session: Session, options: ExecOptions): Promise<Started> {
  const loaded = requirePlan(session);
  const { reads } = await readAll(session);
  await resumeSettled(session, reads);
  const candidates = candidatesOf(session, loaded, reads, options);
  await requireWorktrees(session);
  const owner = ownIdentity(session);
  return underRun(session, options.run, { owner }, (runId) =>
    claimFirstAvailable(candidates, options.next === true, async (task) => {
      const refuse = (record: TaskRecord) => refuseUnlessReady(session, loaded, task, reads, record);
      await finishVerification(session, loaded, task, reads, runId);
      const command = { argv: [...options.command] };
      const attempt = await startAttempt(session, {
        task,
        plan: loaded.plan,
        runId,
        owner,
        command,
        output: 'inherit',
        refuse,
      });
      if (attempt !== null) {
        for (const warning of await softOverlaps(session, loaded.plan, task)) session.warn(warning);
        return { task, attempt, runId };
      }
      throw new ForgeError('NOT_READY', `task ${task.id} was abandoned too often and has failed`);
    }),
  );
}

function candidatesOf(
  session: Session,
  loaded: LoadedPlan,
  reads: ReadonlyMap<string, TaskSummaryRead>,
  options: ExecOptions,
): PlanTask[] {
  if (options.next === true) return requireReady(session, loaded, reads);
  if (options.task === undefined) throw new ForgeError('INVALID_ARGS', 'say which task to work on, or --next');
  const task = plannedTask(loaded, options.task);
  refuseUnlessReady(session, loaded, task, reads, reads.get(task.id)?.record ?? null);
  return [task];
}

function dataOf(task: PlanTask, attempt: RunningAttempt, { end, exit, record }: FinishedAttempt): ExecData {
  const base = { task_id: task.id, attempt_id: attempt.attemptId, attempt_number: attempt.number };
  const next_eligible_at = record.state.next_eligible_at ?? null;
  switch (end.kind) {
    case 'completed':
      return {
        ...base,
        state: end.result.state,
        next_eligible_at,
        exit_code: codeOf(exit),
        why: end.error?.message ?? null,
      };
    case 'asked':
      return {
        ...base,
        state: end.state,
        next_eligible_at,
        exit_code: codeOf(exit),
        why: end.error?.message ?? 'it asked a question',
      };
    case 'released':
      return { ...base, state: end.state, next_eligible_at, exit_code: EXIT.interrupted, why: 'interrupted' };
    case 'lost':
      return { ...base, state: record.state.state, next_eligible_at, exit_code: EXIT.conflict, why: end.why };
    default:
      return unreachable(end);
  }
}

/** The command's own code, 128 + n for signal n. */
function codeOf(exit: WorkerExit): number {
  return exit.code ?? (exit.signal === null ? EXIT.failed : 128 + signalNumber(exit.signal));
}

function signalNumber(name: string): number {
  return os.constants.signals[name as NodeJS.Signals] ?? 0;
}
