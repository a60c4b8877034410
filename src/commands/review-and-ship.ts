/** `review` and `ship`: take a verified task further by hand, one at a time. */

import type { Review } from '../domain/review/reviews.ts';
import { dueNow, reasonsToWait } from '../domain/schedule/readiness.ts';
import { refuseHeld } from '../domain/task/operations.ts';
import { type FailureReason, RECORD_MAX_BYTES, type TaskRecord, type TaskState } from '../domain/task/records.ts';
import { type IntegrationPhase, phaseDue } from '../domain/task/states.ts';
import { observerOf, ownIdentity, worldOf, worldWith } from '../engine/env.ts';
import type { IntegrationEnd, IntegrationRequest } from '../engine/integration/integration.ts';
import { parseReview, reviewTask } from '../engine/integration/review.ts';
import { shipOne } from '../engine/integration/ship.ts';
import { ForgeError } from '../lib/errors.ts';
import { yielding } from '../lib/fs/drivers.ts';
import { requireTaskId } from '../lib/ids.ts';
import { loadPlan } from '../project/plan-file.ts';
import { readUserFile } from '../project/user-files.ts';
import { notReady } from './shared/claimable.ts';
import { plannedTask, readFor, requireRecord } from './shared/reads.ts';
import { endRun, underRun } from './shared/runs.ts';
import { type Call, openSession, type Session } from './shared/session.ts';

/** What became of the task. */
interface FinishData {
  task_id: string;
  /** The attempt that the review, or the merge, was. */
  attempt_id: string;
  state: TaskState;
  next_eligible_at: string | null;
  failure_reason: FailureReason | null;
}

export interface ReviewData extends FinishData {
  verdict: Review['verdict'];
  findings: Review['findings'];
}

export interface ShipData extends FinishData {
  /** The branch that has the work now, and the commit by which it was merged; null where nothing was to be merged. */
  base: string | null;
  merge_sha: string | null;
}

/**
 * Reviews a task by the settings' command, or by `file`: a review that somebody has written.
 * Throws what `finish` throws, and SCHEMA_INVALID (the file).
 */
export async function review(
  call: Call,
  options: { task: string; run?: string | undefined; file?: string | undefined },
): Promise<ReviewData> {
  const { file } = options;
  const handedIn = file === undefined ? null : parseReview(readUserFile(file, '--file', RECORD_MAX_BYTES / 2), file);
  const { session, data } = await finish(call, options, 'review', (session, request) =>
    reviewTask(session, { ...request, handedIn }),
  );
  const reviewed = await session.store.readDocument('review', data.task_id, data.attempt_id);
  return { ...data, verdict: reviewed?.verdict ?? 'pass', findings: reviewed?.findings ?? [] };
}

/** Merges a task into the base, as the settings say. Throws what `finish` throws. */
export async function ship(call: Call, options: { task: string; run?: string | undefined }): Promise<ShipData> {
  const { session, data } = await finish(call, options, 'ship', shipOne);
  const shipped = await session.store.readDocument('ship', data.task_id, data.attempt_id);
  return { ...data, base: shipped?.base ?? null, merge_sha: shipped?.merge_sha ?? null };
}

/**
 * Throws TASK_NOT_FOUND, STATE_NOT_FOUND, RUN_NOT_FOUND; ILLEGAL_TRANSITION when the task does not wait for this;
 * LEASE_EXISTS; NOT_READY when it can't be done, which changes nothing; VERIFICATION_FAILED when the task has to be worked
 * on again (`data` says what became of it); LEASE_STOLEN; INTERRUPTED; IO_ERROR.
 */
async function finish(
  call: Call,
  { task, run }: { task: string; run?: string | undefined },
  phase: IntegrationPhase,
  work: (session: Session, request: IntegrationRequest) => Promise<IntegrationEnd>,
): Promise<{ session: Session; data: FinishData }> {
  const session = openSession(call, yielding);
  const taskId = requireTaskId(task);
  const loaded = loadPlan(session);
  const { record: seen } = await requireRecord(session, taskId);
  // What is not in the plan is kept, and taken nowhere.
  const planned = loaded === null ? null : plannedTask(loaded, taskId);
  const reads = loaded === null || planned === null ? null : await readFor(session, loaded, planned);
  const refuse = (record: TaskRecord) => {
    // The table of moves has a word for what does not wait for this at all.
    if (phaseDue(record.state.state) !== phase) return;
    refuseHeld(record, observerOf(session));
    // Without any plan the settings decide alone.
    if (loaded === null || planned === null || reads === null) return;
    const world = worldWith(worldOf(session, loaded.plan, reads), taskId, record);
    if (dueNow(planned, world) !== phase) throw notReady(taskId, reasonsToWait(planned, world));
  };
  refuse(seen);
  const owner = ownIdentity(session);
  const interrupts = session.interrupts();
  try {
    const end = await underRun(session, run, { owner }, async (runId) => {
      const onCommand = (command: string) =>
        session.note(`${phase === 'review' ? 'reviewing' : 'verifying'}: ${command}`);
      const ended = await work(session, { taskId, task: planned, runId, owner, refuse, interrupts, onCommand });
      if (run === undefined) await endRun(session, runId);
      return ended;
    });
    return { session, data: outcome(taskId, phase, end) };
  } finally {
    interrupts.stop();
  }
}

function outcome(taskId: string, phase: IntegrationPhase, end: IntegrationEnd): FinishData {
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
      if (end.kind === 'done') return data;
      const { state, next_eligible_at } = result;
      const next = state === 'failed' ? 'it has failed' : `it is tried again ${next_eligible_at ?? 'now'}`;
      throw new ForgeError('VERIFICATION_FAILED', `task ${taskId} is not ${what}: ${end.error.message}; ${next}`, {
        details: { ...data, class: end.error.class },
        data,
      });
    }
  }
}
