/** `show`: everything about one task. */

import * as z from 'zod/mini';
import { AgentSessionSchema } from '../domain/agents/session.ts';
import { prunedAt } from '../domain/gc/retention.ts';
import { PlanTaskSchema } from '../domain/plan/plan.ts';
import { commandFor, resumeText } from '../domain/plan/task-command.ts';
import { reuseOf } from '../domain/reuse/reuse.ts';
import { ReviewedSchema, ShippedSchema } from '../domain/review/reviews.ts';
import { type Step, StepSchema } from '../domain/steps/journal.ts';
import { ATTEMPT_OUTCOMES, attemptEndOf } from '../domain/task/attempt-ends.ts';
import { attemptsThatHappened } from '../domain/task/attempts.ts';
import { doneByHandOf, rerunOf } from '../domain/task/by-hand.ts';
import { dueAt, type Instant } from '../domain/task/deadlines.ts';
import { HeldSchema, heldOf } from '../domain/task/held.ts';
import { LeaseSchema, PHASES_OF_WORK, type TaskRecord, TaskStateSchema } from '../domain/task/records.ts';
import { spendingOf } from '../domain/task/spending.ts';
import { pendingVerification, VerifiedSchema } from '../domain/verify/verification.ts';
import { warningOf } from '../domain/warnings.ts';
import { instantOf } from '../engine/env.ts';
import { errorMessage, orNull } from '../lib/errors.ts';
import { requireTaskId } from '../lib/ids.ts';
import { loadPlan } from '../project/plan-file.ts';
import type { TaskRead } from '../store/port.ts';
import { command, taskField } from './shared/command.ts';
import { commandSourceSchema, countSchema, reasonsSchema, textOrNull, warningsSchema } from './shared/data.ts';
import { reasonsFor, requireRecord } from './shared/reads.ts';
import { resultFields, resultReader } from './shared/results.ts';
import { openSession, type Session } from './shared/session.ts';

const attemptSchema = () =>
  z.strictObject({
    attempt_id: z.string(),
    attempt_number: z.nullable(z.int()),
    run_id: z.string(),
    dispatched_at: z.string(),
    current: z.boolean(),
    /** What kind of work it was; reviews and merges have no number. */
    phase: z.enum(PHASES_OF_WORK),
    /** The result of its verification; null when there is none, or it cannot be read. */
    verified: z.nullable(VerifiedSchema()),
    /** The outcome of a review or a merge; null for anything else, and when it is not known. */
    review: z.nullable(ReviewedSchema()),
    ship: z.nullable(ShippedSchema()),
    /** What its agent has said of its session; null for another worker, and before the attempt has ended. */
    session: z.nullable(AgentSessionSchema()),
    outcome: z.enum(ATTEMPT_OUTCOMES),
    /** What went wrong, its message empty where only the class is kept; null where nothing did, or it is not known any more. */
    error: z.nullable(z.strictObject({ class: z.string(), message: z.string() })),
    /** Null while it runs, and where it is not known. */
    ended_at: textOrNull(),
    /** Until its end, or until now. */
    duration_ms: z.nullable(z.number()),
    /** Folder of the attempt's logs. */
    path: z.string(),
    /** When `gc --prune` has removed them; null: it has not. */
    pruned_at: textOrNull(),
  });

export const show = command({
  changes: false,
  examples: [
    ['show build', 'plan, state, lease, attempts and claims of build'],
    ['show build --json', 'the same for a script'],
  ],
  input: z.object({ task: taskField() }),
  output: () =>
    z.strictObject({
      task_id: z.string(),
      /** Null when the task is not in the plan. */
      task: z.nullable(PlanTaskSchema()),
      /** What `run` starts for it, and where that stands; null when it is not in the plan, a person's, or waits for an agent. */
      command: z.nullable(
        z.strictObject({
          command: z.string(),
          shell: z.nullable(z.readonly(z.array(z.string()))),
          from: commandSourceSchema(),
        }),
      ),
      /** Null when nothing has happened to the task. */
      state: z.nullable(TaskStateSchema()),
      lease: z.nullable(LeaseSchema()),
      /** The verification under way, or the one that was cut short: its command, and since when. */
      verifying: z.nullable(z.strictObject({ attempt_id: z.string(), command: textOrNull(), since: z.string() })),
      ready: z.boolean(),
      reasons: reasonsSchema(),
      /** Why a run has given it up; null when none has, or it has moved on since. */
      held: z.nullable(HeldSchema()),
      /** A command line that goes on with the session of its last agent by hand; null where there is none. */
      resume: textOrNull(),
      ...resultFields(),
      /** When a person said that it is done, and why; null for one that has shipped by its own work, or has not. */
      done_by_hand: z.nullable(z.strictObject({ at: z.string(), note: textOrNull() })),
      /** When it was begun again from the start last, and how often; null when it never was. */
      rerun: z.nullable(z.strictObject({ at: z.string(), times: countSchema() })),
      /** It was not done again: its outputs are there by what was kept of the same inputs. */
      unchanged: z.boolean(),
      /** What is done of it, and what is not, oldest first; empty where it has no steps. */
      steps: z.array(StepSchema()),
      attempts: z.array(attemptSchema()),
      /** Of its claims, oldest first. */
      history: z.array(z.record(z.string(), z.unknown())),
      warnings: warningsSchema(),
    }),
  /** Throws INVALID_ID, TASK_NOT_FOUND, SCHEMA_INVALID. */
  async run(context, { task }) {
    const session = await openSession(context);
    for (let look = 1; ; look++) {
      const { version, data } = await lookAt(session, task);
      // A task that has changed meanwhile would be shown partly as it was before.
      if (look === LOOKS || (await session.store.read(task)).version === version) return data;
    }
  },
});

/** A task that changes all the time is shown as the last look has it. */
const LOOKS = 3;

/** What is to be shown of the task, and the version of its record that it is about. */
async function lookAt(session: Session, taskId: string) {
  const loaded = await loadPlan(session);
  const task = loaded?.plan.byId.get(requireTaskId(taskId)) ?? null;
  const read = task === null ? await requireRecord(session, taskId) : await session.store.read(taskId);
  const reasons = task === null || loaded === null ? [] : await reasonsFor(session, loaded, task);
  const byHand = read.record && doneByHandOf(read.record);
  const again = read.record && rerunOf(read.record);
  const pending = read.record && pendingVerification(read.record);
  const warnings = read.warnings.map((text) => warningOf(text, taskId));
  if (read.problem !== null) warnings.push(warningOf(read.problem, taskId, 'error'));
  if (task === null) {
    warnings.push(warningOf('the task is not in the plan; it is kept and cannot be claimed', taskId));
  }
  // Else something is in the place of its folder, and what that leads to is none of the task's.
  const isThere = read.problem === null || read.origin !== 'none';
  const strays = isThere ? await session.store.gc.strayAttempts(taskId, read.record) : [];
  warnings.push(...strays.map((text) => warningOf(text, taskId, 'error')));
  const history = isThere ? await session.eventLog.read({ log: 'claim-history', taskId }) : [];
  const data = {
    task_id: taskId,
    task,
    command: task === null || task.human ? null : commandFor(task, session.settings.agents),
    ...(read.record === null ? { state: null, lease: null } : asTheyHold(read.record, instantOf(session))),
    verifying: pending && { attempt_id: pending.attempt_id, command: pending.command, since: pending.since },
    ready: task !== null && reasons.length === 0,
    reasons,
    held: read.record && heldOf(read.record),
    resume: read.record && resumeText(spendingOf(read.record)?.session ?? null),
    done_by_hand: byHand && { at: byHand.at, note: byHand.note },
    rerun: again && { at: again.at, times: again.times },
    unchanged: read.record !== null && reuseOf(read.record)?.unchanged === true,
    ...resultReader(session)(taskId, read.record),
    steps: await stepsOf(session, read),
    attempts: isThere ? await attemptRows(session, read, history) : [],
    history,
    warnings,
  };
  return { version: read.version, data };
}

/** State and lease with the deadlines that count, where the clock was set since. */
function asTheyHold({ state, lease, memo }: TaskRecord, now: Instant): Pick<TaskRecord, 'state' | 'lease'> {
  const held = (at: string) => dueAt(at, memo.backoff, now);
  const { next_eligible_at: next, wake_at: wake } = state;
  return {
    state: {
      ...state,
      ...(next ? { next_eligible_at: held(next) } : {}),
      ...(wake ? { wake_at: held(wake) } : {}),
    },
    lease: lease && { ...lease, expires_at: dueAt(lease.expires_at, lease.clock, now) },
  };
}

/** Most tasks have none, and what reads them is not loaded for those. */
async function stepsOf(session: Session, { record }: TaskRead): Promise<Step[]> {
  if (record?.memo.journal === undefined) return [];
  const { readJournal } = await import('../engine/steps/task-journal.ts');
  try {
    return [...((await readJournal(session, record))?.steps.values() ?? [])];
  } catch (error) {
    session.warn(`its steps can't be read: ${errorMessage(error)}`);
    return [];
  }
}

/** All that have left a manifest when no record can be read that says which of them happened. */
async function attemptRows(
  session: Session,
  { task_id, record, problem }: TaskRead,
  history: readonly Record<string, unknown>[],
): Promise<z.infer<ReturnType<typeof attemptSchema>>[]> {
  const manifests = await session.store.listAttempts(task_id);
  const happened = problem === null ? attemptsThatHappened(manifests, record?.state) : manifests;
  const { store } = session;
  return Promise.all(
    happened.map(async (manifest) => {
      const { attempt_id, attempt_number, run_id, dispatched_at, phase } = manifest;
      const verified = await orNull(() => store.readDocument('verified', task_id, attempt_id));
      const review = phase === 'review' ? await orNull(() => store.readDocument('review', task_id, attempt_id)) : null;
      const ship = phase === 'ship' ? await orNull(() => store.readDocument('ship', task_id, attempt_id)) : null;
      return {
        attempt_id,
        attempt_number: attempt_number ?? null,
        run_id,
        dispatched_at,
        current: attempt_id === record?.state.current_attempt_id,
        phase,
        verified,
        review,
        ship,
        session: await orNull(() => store.readDocument('session', task_id, attempt_id)),
        ...attemptEndOf(manifest, { record, history, verified, review, ship, nowMs: session.now() }),
        path: session.artifacts.folder({ taskId: task_id, attemptId: attempt_id }),
        pruned_at: prunedAt(history, dispatched_at),
      };
    }),
  );
}
