/** `show`: everything about one task. */

import type { Plan, PlanTask } from '../domain/plan/plan.ts';
import { commandFor, type TaskCommand } from '../domain/plan/task-command.ts';
import type { Reviewed, Shipped } from '../domain/review/reviews.ts';
import { type Reason, reasonsToWait } from '../domain/schedule/readiness.ts';
import { attemptsThatHappened } from '../domain/task/attempts.ts';
import type { PhaseOfWork, TaskRecord } from '../domain/task/records.ts';
import { pendingVerification, type Verified } from '../domain/verify/verification.ts';
import { type Warning, warningOf } from '../domain/warnings.ts';
import { worldOf } from '../engine/env.ts';
import { unlessInvalid } from '../lib/errors.ts';
import { requireTaskId } from '../lib/ids.ts';
import { type LoadedPlan, loadPlan } from '../project/plan-file.ts';
import type { TaskRead } from '../store/port.ts';
import { foresee, readFor, requireRecord } from './shared/reads.ts';
import { type Call, openSession, type Session } from './shared/session.ts';

export interface ShowData {
  task_id: string;
  /** The plan's part; null when the task is not in the plan. */
  task: PlanTask | null;
  /** What `run` starts for it, and where that stands; null when it is not in the plan, a person's, or waits for an agent. */
  command: TaskCommand | null;
  /** Null when nothing has happened to the task. */
  state: TaskRecord['state'] | null;
  lease: TaskRecord['lease'];
  /** What was handed in is being verified, or was when whoever verified it died: by which command, since when. */
  verifying: { attempt_id: string; command: string | null; since: string } | null;
  ready: boolean;
  reasons: { code: string; message: string }[];
  attempts: AttemptRow[];
  history: Record<string, unknown>[];
  warnings: Warning[];
}

export interface AttemptRow {
  attempt_id: string;
  attempt_number: number | null;
  run_id: string;
  dispatched_at: string;
  current: boolean;
  /** What kind of work it was; reviews and merges have no number. */
  phase: PhaseOfWork;
  /** What came of verifying it; null when nobody did, or it can't be read. */
  verified: Verified | null;
  /** What a review, or a merge, came to; null for anything else, and when it is not known. */
  review: Reviewed | null;
  ship: Shipped | null;
  /** Folder of the attempt's logs. */
  path: string;
}

/** Throws INVALID_ID, TASK_NOT_FOUND, SCHEMA_INVALID. */
export async function show(call: Call, options: { task: string }): Promise<ShowData> {
  const session = openSession(call);
  const loaded = loadPlan(session);
  const task = loaded?.plan.byId.get(requireTaskId(options.task)) ?? null;
  const read = task === null ? await requireRecord(session, options.task) : await session.store.read(options.task);
  const reasons = task === null || loaded === null ? [] : await reasonsFor(session, loaded, task);
  const warnings = read.warnings.map((text) => warningOf(text, options.task));
  if (read.problem !== null) warnings.push(warningOf(read.problem, options.task, 'error'));
  if (task === null) {
    warnings.push(warningOf('the task is not in the plan; it is kept and cannot be claimed', options.task));
  }
  return {
    task_id: options.task,
    task,
    command: task === null || task.human ? null : commandFor(task, session.settings.agents),
    state: read.record?.state ?? null,
    lease: read.record?.lease ?? null,
    verifying: read.record && verifyingOf(read.record),
    ready: task !== null && reasons.length === 0,
    reasons: reasons.map(({ code, message }) => ({ code, message })),
    attempts: await attemptRows(session, read),
    history: await session.eventLog.read({ log: 'claim-history', taskId: options.task }),
    warnings,
  };
}

function verifyingOf(record: TaskRecord): ShowData['verifying'] {
  const pending = pendingVerification(record);
  return pending && { attempt_id: pending.attempt_id, command: pending.command, since: pending.since };
}

async function reasonsFor(session: Session, loaded: LoadedPlan & { plan: Plan }, task: PlanTask): Promise<Reason[]> {
  const reads = await foresee(session, await readFor(session, loaded, task));
  return reasonsToWait(task, worldOf(session, loaded.plan, reads));
}

/** All that have left a manifest when no record can be read that says which of them happened. */
async function attemptRows(session: Session, { task_id, record, problem }: TaskRead): Promise<AttemptRow[]> {
  const manifests = await session.store.listAttempts(task_id);
  const none = { attempt_count: 0, current_attempt_id: null };
  const happened = problem === null ? attemptsThatHappened(manifests, record?.state ?? none) : manifests;
  const { store } = session;
  return Promise.all(
    happened.map(async ({ attempt_id, attempt_number, run_id, dispatched_at, phase }) => ({
      attempt_id,
      attempt_number: attempt_number ?? null,
      run_id,
      dispatched_at,
      current: attempt_id === record?.state.current_attempt_id,
      phase,
      verified: await unlessInvalid(() => store.readDocument('verified', task_id, attempt_id)),
      review: phase === 'review' ? await unlessInvalid(() => store.readDocument('review', task_id, attempt_id)) : null,
      ship: phase === 'ship' ? await unlessInvalid(() => store.readDocument('ship', task_id, attempt_id)) : null,
      path: session.artifacts.folder({ taskId: task_id, attemptId: attempt_id }),
    })),
  );
}
