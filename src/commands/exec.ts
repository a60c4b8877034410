/** `exec`: claim a task, do it with a command of your own, complete it. */

import path from 'node:path';
import * as z from 'zod/mini';
import type { PlanTask } from '../domain/plan/plan.ts';
import { parkedText } from '../domain/steps/parking.ts';
import type { FinishedAttempt } from '../engine/attempt/running-attempt.ts';
import { setupBaseline } from '../engine/attempt/setup-baseline.ts';
import { startAttempt } from '../engine/attempt/start.ts';
import { requireWorktrees } from '../engine/attempt/workspace.ts';
import { ownIdentity } from '../engine/env.ts';
import { EXIT, invalidArgs } from '../lib/errors.ts';
import { yielding } from '../lib/fs/drivers.ts';
import { codeOf } from '../process/exit-code.ts';
import { UNINTERRUPTED } from '../process/interrupts.ts';
import { takeTask } from './shared/claimable.ts';
import { command, flag, optionalRunField, optionalTaskField, rest } from './shared/command.ts';
import { countSchema, stateSchema, textOrNull } from './shared/data.ts';
import { endRun } from './shared/runs.ts';
import { interruptible, openSession, type Session } from './shared/session.ts';

export const exec = command({
  changes: true,
  notes:
    'The command has this terminal. Exits with what the command exits with (128 + n when signal n ended it), with 1 when\n' +
    'that is 0 and the result does not count, with 3 when the lease was lost, with 130 when interrupted.',
  usage: '[<task>|--next] [options] -- <command...>',
  examples: [
    ['exec build -- make all', 'do build by make'],
    ['exec --next -- ./agent.sh', 'do whatever is next'],
  ],
  input: z.object({
    task: optionalTaskField({ unless: 'next' }),
    next: flag('The first task that is ready'),
    run: optionalRunField(),
    command: rest('The command and its arguments; no shell is in between'),
  }),
  output: () =>
    z.strictObject({
      task_id: z.string(),
      attempt_id: z.string(),
      attempt_number: countSchema(),
      state: stateSchema(),
      next_eligible_at: textOrNull(),
      /** The command's own code (128 + n for signal n), 1 where that is 0 and the result does not count, 3 when the lease was lost, 130 when interrupted. */
      exit_code: z.int(),
      why: textOrNull(),
    }),
  /** Throws NOT_READY, OVERLAP_CONFLICT, LEASE_EXISTS, LEASE_NOT_EXPIRED, TASK_NOT_FOUND, RUN_NOT_FOUND, INVALID_ARGS, IO_ERROR. */
  async run(context, options) {
    if (options.command.length === 0) {
      throw invalidArgs('say which command does the work', 'forge orchestrate exec <task> -- make report');
    }
    const { terminal = false } = context;
    // While the command runs; setup and verification have no terminal.
    let leavesKeys = false;
    const heard = { interrupts: () => context.interrupts?.({ leavesKeys: () => leavesKeys }) ?? UNINTERRUPTED };
    return interruptible(heard, async (interrupts) => {
      const session = await openSession(context, yielding);
      const trackerSettled = session.background();
      await requireWorktrees(session);
      const owner = ownIdentity(session);
      const { task, runId, attempt } = await takeTask(session, 'exec', options, { owner }, async (wanted) => {
        const command = { argv: [...options.command] };
        const check = setupBaseline(session);
        const started = await startAttempt(session, {
          ...wanted,
          owner,
          command: () => command,
          output: terminal ? 'terminal' : 'inherit',
          interrupts,
          onSetup: (line) => session.note(`setting up: ${line}`),
          onGitSetup: (setup, prepared) => check(wanted.task.id, setup, prepared?.trusted),
          // A program that takes Ctrl-C for something else goes on. That it was pressed may be heard here only after the command has ended of it.
          isInterrupt: (exit) => {
            leavesKeys = false;
            return terminal && exit.signal === 'SIGINT';
          },
        });
        leavesKeys = terminal && started?.hasWorker === true;
        return started && { ...wanted, attempt: started };
      });
      const stopListening = interrupts.listen(() => (interrupts.level > 1 ? attempt.kill() : attempt.interrupt()));
      try {
        const finished = await attempt.finished;
        if (options.run === undefined) await endRun(session, runId);
        if (session.settings.notify.length > 0) await tell(session, task, runId, attempt.attemptId, finished);
        const next_eligible_at = finished.record.state.next_eligible_at ?? null;
        const { attemptId: attempt_id, number: attempt_number } = attempt;
        return { task_id: task.id, attempt_id, attempt_number, next_eligible_at, ...outcomeOf(finished) };
      } finally {
        stopListening();
        await trackerSettled();
      }
    });
  },
});

/** Notifies those that `notify` of the settings names of the end of the attempt. */
async function tell(session: Session, task: PlanTask, runId: string, attempt_id: string, finished: FinishedAttempt) {
  const { Notifier } = await import('../engine/run/notifier.ts');
  const { attemptEvent } = await import('../engine/run/event-mapping.ts');
  const { questionWatch } = await import('../engine/run/question-watch.ts');
  const project = session.settings.project.name ?? path.basename(session.paths.project);
  const notifier = new Notifier(session, { run_id: runId, project, titleOf: () => task.title });
  const base = { task_id: task.id, attempt_id, duration_ms: finished.durationMs };
  notifier.see(attemptEvent(base, finished, session.now(), null));
  await questionWatch(session, attempt_id, notifier.see).tell(await session.store.read(task.id));
  await notifier.settled();
}

function outcomeOf({ end, exit, record }: FinishedAttempt) {
  switch (end.kind) {
    case 'completed':
      return {
        state: end.result.state,
        exit_code: codeOf(exit) || (end.error === null ? EXIT.ok : EXIT.failed),
        why: end.error?.message ?? null,
      };
    case 'parked': {
      const why = record.state.state === 'waiting' ? parkedText(record.state) : 'it asked a question';
      return { state: end.state, exit_code: codeOf(exit), why: end.error?.message ?? why };
    }
    case 'released':
      return { state: end.state, exit_code: EXIT.interrupted, why: 'interrupted' };
    case 'lost':
      return { state: record.state.state, exit_code: EXIT.conflict, why: end.why };
  }
}
