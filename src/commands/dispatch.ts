/** `dispatch`: open the attempt of a claim. One claim has one attempt; a repeat returns it. */

import * as z from 'zod/mini';
import { newId } from '../domain/context.ts';
import { builtOn } from '../domain/plan/plan.ts';
import { isUnchecked } from '../domain/schedule/overlap.ts';
import { manifestOf } from '../domain/task/attempts.ts';
import { type DispatchRequest, dispatchTask } from '../domain/task/operations.ts';
import { PHASES_OF_WORK, type TaskRecord } from '../domain/task/records.ts';
import { NO_WORKTREE, toldOf, type Work } from '../domain/verify/evidence.ts';
import { stopFormerWorker } from '../engine/attempt/takeover.ts';
import { instantOf, looksAtGit, ttlOf } from '../engine/env.ts';
import { ForgeError } from '../lib/errors.ts';
import { requireUuid } from '../lib/ids.ts';
import { requirePlan } from '../project/plan-file.ts';
import { changeTask } from '../store/change.ts';
import { SETUP_LOG } from '../store/port.ts';
import { claimField, command, optional, runField, SAMPLE, taskField } from './shared/command.ts';
import { countSchema, textOrNull } from './shared/data.ts';
import { plannedOrNull, plannedTask } from './shared/planned.ts';
import { requireRecord } from './shared/reads.ts';
import { interruptible, openSession, type Session } from './shared/session.ts';

export const dispatch = command({
  changes: true,
  examples: [
    [`dispatch build --claim ${SAMPLE.claim} --run ${SAMPLE.run}`, 'begin with build'],
    ['dispatch --json', 'the task, claim and run in FORGE_*'],
  ],
  input: z.object({
    task: taskField(),
    claim: claimField(),
    run: runField(),
    phase: optional.choice(PHASES_OF_WORK, 'The kind of work (default: implement)', { env: 'FORGE_PHASE' }),
  }),
  output: () =>
    z.strictObject({
      task_id: z.string(),
      attempt_id: z.string(),
      attempt_number: countSchema(),
      phase: z.enum(PHASES_OF_WORK),
      /** Where the work is to be done; null: in the project folder. */
      worktree_path: textOrNull(),
    }),
  /**
   * Throws LEASE_STOLEN, LEASE_IDENTITY_MISMATCH, STATE_NOT_FOUND, TASK_NOT_FOUND; OVERLAP_CONFLICT for a claim that was cut
   * short; SETTINGS_INVALID, NOT_READY, IO_ERROR, SETUP_FAILED, INTERRUPTED over a worktree.
   */
  async run(context, options) {
    const kind = options.phase ?? 'implement';
    const session = await openSession(context);
    const claimId = requireUuid(options.claim, '--claim');
    const runId = requireUuid(options.run, '--run');
    const fresh = newId(session.ctx);
    const decide = (record: TaskRecord, work?: DispatchRequest['work']) =>
      dispatchTask(record, {
        ...(work === undefined ? {} : { work }),
        claimId,
        runId,
        attemptId: fresh,
        worker: null,
        ttlMs: ttlOf(session, record),
        instant: instantOf(session),
      });
    let { record: seen } = await requireRecord(session, options.task);
    if (isUnchecked(seen) && seen.lease?.claim_id === claimId && seen.lease.owner_run_id === runId) {
      seen = await checkOverlap(session, options.task, seen);
    }
    // Refuses before the former worker is stopped: only the owner may do that.
    const { record: next } = decide(seen);
    await stopFormerWorker(session, seen);
    // Before the attempt is open, so that the claim stands and this may be repeated when it fails.
    const begun = next === null ? NO_WORKTREE : await workOf(session, seen, { claimId, attemptId: fresh });
    const openAttempt = (record: TaskRecord) => {
      const decision = decide(record, begun);
      if (decision.record === null) return decision;
      const manifest = manifestOf(
        {
          attempt_id: fresh,
          task_id: options.task,
          run_id: runId,
          claim_id: claimId,
          generation: decision.record.lease?.generation ?? 0,
          phase: kind,
          ...toldOf(begun),
          attempt_number: decision.result.attempt_number,
          worker: null,
        },
        session.ctx.machine(),
        session.now(),
      );
      return { ...decision, documents: [{ kind: 'manifest' as const, attemptId: fresh, value: manifest }] };
    };
    const { result } = await changeTask(session, options.task, openAttempt);
    const opened = result.attempt_id;
    // What was committed just now is known; a look at the disk could only fail, and the commit stands.
    const manifest = opened === fresh ? null : await session.store.readDocument('manifest', options.task, opened);
    const { phase, worktree_path } = manifest ?? { phase: kind, worktree_path: begun.worktree_path };
    return { task_id: options.task, ...result, phase, worktree_path };
  },
});

/** Makes the overlap check of a claim whose process was killed before it. Throws OVERLAP_CONFLICT. */
async function checkOverlap(session: Session, taskId: string, seen: TaskRecord): Promise<TaskRecord> {
  const { settleClaim } = await import('../engine/attempt/overlap.ts');
  const loaded = await requirePlan(session);
  await settleClaim(session, loaded.plan, plannedTask(loaded, taskId), seen);
  return (await requireRecord(session, taskId)).record;
}

/** Where the task is to be worked on: its worktree, made and prepared if need be, where the settings ask for one. */
async function workOf(
  session: Session,
  record: TaskRecord,
  attempt: { claimId: string; attemptId: string },
): Promise<Work> {
  if (!looksAtGit(session)) return NO_WORKTREE;
  const { begunFor, setupNow, workAt } = await import('../engine/attempt/workspace.ts');
  const { setupBaseline } = await import('../engine/attempt/setup-baseline.ts');
  const { task_id: id } = record.state;
  const check = setupBaseline(session);
  await check(id, await setupNow(session));
  if (session.settings.workspace !== 'worktree') return workAt(session, record, null);
  const { beginWork } = await import('../engine/attempt/resolve-workspace.ts');
  const { workspaceForNext } = await import('../git/worktree.ts');
  const task = await plannedOrNull(session, id);
  const depends_on = task === null ? [] : builtOn(task);
  const place = await workspaceForNext(session, { id, depends_on }, record, await begunFor(session, record));
  return interruptible(session, async (interrupts) => {
    const onSetup = (line: string) => session.note(`setting up: ${line}`);
    const whom = { ...attempt, taskId: id, task };
    const { work, fault, trusted } = await beginWork(session, whom, record, place, { interrupts, onSetup });
    await check(id, work.git_setup, trusted);
    if (fault === null) return work;
    throw new ForgeError('SETUP_FAILED', `the worktree of task ${id} could not be prepared: ${fault.message}`, {
      details: { class: fault.class },
      hint: `See ${session.artifacts.logPath(whom, SETUP_LOG)}. The claim stands: fix what failed, or agents.setup in .forge/settings.yaml, and repeat the command.`,
    });
  });
}
