/** What `review` and `ship` share: take a verified task one step further by hand. */

import { dueNow, reasonsToWait } from '../../domain/schedule/readiness.ts';
import type { CompleteResult } from '../../domain/task/complete-attempt.ts';
import { refuseHeld } from '../../domain/task/operations.ts';
import type { TaskRecord } from '../../domain/task/records.ts';
import { type IntegrationPhase, phaseDue } from '../../domain/task/states.ts';
import { observerOf, ownIdentity, schedulingContextOf, withRecord } from '../../engine/env.ts';
import type { IntegrationEnd, IntegrationRequest } from '../../engine/integration/integration.ts';
import { ForgeError } from '../../lib/errors.ts';
import { yielding } from '../../lib/fs/drivers.ts';
import { requireTaskId } from '../../lib/ids.ts';
import { loadPlan } from '../../project/plan-file.ts';
import { notReady } from './claimable.ts';
import { notPassed } from './data.ts';
import { plannedTask } from './planned.ts';
import { readFor, requireRecord } from './reads.ts';
import { endRun, underRun } from './runs.ts';
import { type CommandContext, interruptible, openSession, type Session } from './session.ts';

/**
 * Throws TASK_NOT_FOUND, STATE_NOT_FOUND, RUN_NOT_FOUND; ILLEGAL_TRANSITION when the task does not wait for this;
 * LEASE_EXISTS; NOT_READY when it can't be done, which changes nothing; VERIFICATION_FAILED when the task has to be worked
 * on again (`data` says how it goes on); LEASE_STOLEN; INTERRUPTED; IO_ERROR.
 */
export async function integrate(
  context: CommandContext,
  { task, run }: { task: string; run?: string | undefined },
  phase: IntegrationPhase,
  work: (session: Session, request: IntegrationRequest) => Promise<IntegrationEnd>,
): Promise<{ session: Session; data: CompleteResult }> {
  const session = await openSession(context, yielding);
  const taskId = requireTaskId(task);
  const loaded = await loadPlan(session);
  const { record: seen } = await requireRecord(session, taskId);
  // What is not in the plan is kept, and taken nowhere.
  const planned = loaded && plannedTask(loaded, taskId);
  const reads = loaded && planned && (await readFor(session, loaded, planned));
  const refuse = (record: TaskRecord) => {
    // The table of moves has a word for what does not wait for this at all.
    if (phaseDue(record.state.state) !== phase) return;
    refuseHeld(record, observerOf(session));
    // Without any plan the settings decide alone.
    if (loaded === null || planned === null || reads === null) return;
    // A person who asks for it knows better than what an agent has said last.
    const scheduling = {
      ...withRecord(schedulingContextOf(session, loaded.plan, reads), taskId, record),
      bringsWorker: true,
    };
    if (dueNow(planned, scheduling) !== phase) throw notReady(taskId, reasonsToWait(planned, scheduling));
  };
  refuse(seen);
  const owner = ownIdentity(session);
  return interruptible(session, async (interrupts) => {
    const end = await underRun(session, run, { owner }, async (runId) => {
      const onCommand = (command: string) =>
        session.note(`${phase === 'review' ? 'reviewing' : 'verifying'}: ${command}`);
      const onSetup = (command: string) => session.note(`setting up: ${command}`);
      const told = { interrupts, onSetup, onCommand };
      const ended = await work(session, { taskId, task: planned, runId, owner, refuse, ...told });
      if (run === undefined) await endRun(session, runId);
      return ended;
    });
    return { session, data: outcome(taskId, phase, end) };
  });
}

function outcome(taskId: string, phase: IntegrationPhase, end: IntegrationEnd): CompleteResult {
  const what = phase === 'review' ? 'reviewed' : 'shipped';
  switch (end.kind) {
    case 'deferred':
      throw end.error;
    case 'lost':
      throw new ForgeError('LEASE_STOLEN', `task ${taskId} is not ${what}: ${end.why}`);
    case 'released':
      throw new ForgeError('INTERRUPTED', `task ${taskId} is not ${what} yet`);
    default: {
      const { attempts: _, ...result } = end.result;
      const data = { ...result, attempt_id: end.attemptId };
      if (end.kind === 'sent_back') throw notPassed(what, data, end.error);
      return data;
    }
  }
}
