/** `exec`: claim a task, do it with a command of your own, complete it. */

import os from 'node:os';
import * as z from 'zod/mini';
import type { PlanTask } from '../domain/plan/plan.ts';
import type { TaskRecord } from '../domain/task/records.ts';
import { softOverlaps } from '../engine/attempt/overlap.ts';
import type { FinishedAttempt, RunningAttempt } from '../engine/attempt/running-attempt.ts';
import { startAttempt } from '../engine/attempt/start.ts';
import { requireWorktrees } from '../engine/attempt/workspace.ts';
import { ownIdentity } from '../engine/env.ts';
import { EXIT, ForgeError, unreachable } from '../lib/errors.ts';
import { yielding } from '../lib/fs/drivers.ts';
import type { WorkerExit } from '../process/gated-worker.ts';
import { type Interrupts, UNINTERRUPTED } from '../process/interrupts.ts';
import { type LoadedPlan, requirePlan } from '../project/plan-file.ts';
import type { TaskSummaryRead } from '../store/port.ts';
import {
  claimFirstAvailable,
  finishVerification,
  oneTaskOrNext,
  refuseUnlessReady,
  requireReady,
} from './shared/claimable.ts';
import { command, flag, optionalRunField, optionalTaskField, rest } from './shared/command.ts';
import { countSchema, stateSchema, textOrNull } from './shared/data.ts';
import { plannedTask, readAll, resumeSettled } from './shared/reads.ts';
import { endRun, underRun } from './shared/runs.ts';
import { type CommandContext, openSession, type Session } from './shared/session.ts';

const input = z.object({
  task: optionalTaskField({ unless: '--next' }),
  next: flag('The first task that is ready'),
  run: optionalRunField(),
  command: rest('The command and its arguments; no shell is in between'),
});
type Input = z.infer<typeof input>;

const output = () =>
  z.strictObject({
    task_id: z.string(),
    attempt_id: z.string(),
    attempt_number: countSchema(),
    state: stateSchema(),
    next_eligible_at: textOrNull(),
    /** The command's own code (128 + n for signal n), 3 when the lease was lost, 130 when interrupted. */
    exit_code: z.int(),
    why: textOrNull(),
  });
export type ExecData = z.infer<ReturnType<typeof output>>;

export const exec = command({
  changes: true,
  notes:
    'The command has this terminal. Exits with what the command exits with (128 + n when signal n ended it), with 3 when\n' +
    'the lease was lost, with 130 when interrupted.',
  usage: '[<task>|--next] [options] -- <command...>',
  examples: [
    ['exec build -- make all', 'do build by make'],
    ['exec --next -- ./agent.sh', 'do whatever is next'],
  ],
  input,
  output,
  run,
});

/** Throws NOT_READY, OVERLAP_CONFLICT, LEASE_EXISTS, LEASE_NOT_EXPIRED, TASK_NOT_FOUND, RUN_NOT_FOUND, INVALID_ARGS, IO_ERROR. */
async function run(context: CommandContext, options: Input): Promise<ExecData> {
  const chosen = oneTaskOrNext('exec', options);
  if (options.command.length === 0) {
    throw new ForgeError('INVALID_ARGS', 'say which command does the work', {
      hint: 'forge orchestrate exec <task> -- make report',
    });
  }
  const interrupts = context.interrupts?.() ?? UNINTERRUPTED;
  try {
    return await work(context, options, chosen, interrupts);
  } finally {
    interrupts.stop();
  }
}

async function work(
  context: CommandContext,
  options: Input,
  chosen: string | null,
  interrupts: Interrupts,
): Promise<ExecData> {
  const session = await openSession(context, yielding);
  const trackerSettled = session.background();
  const { task, attempt, runId } = await start(session, options, chosen);
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

async function start(session: Session, options: Input, chosen: string | null): Promise<Started> {
  const loaded = await requirePlan(session);
  const { reads } = await readAll(session);
  await resumeSettled(session, reads);
  const candidates = candidatesOf(session, loaded, reads, chosen);
  await requireWorktrees(session);
  const owner = ownIdentity(session);
  return underRun(session, options.run, { owner }, (runId) =>
    claimFirstAvailable(candidates, chosen === null, async (task) => {
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
  chosen: string | null,
): PlanTask[] {
  if (chosen === null) return requireReady(session, loaded, reads);
  const task = plannedTask(loaded, chosen);
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
