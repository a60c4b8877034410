/** Follows what the agent of an attempt says of its session, and counts what ended attempts have used. */

import type { Adapter } from '../../domain/agents/events.ts';
import { AgentOutput, adapterOf } from '../../domain/agents/output.ts';
import { type AgentSession, newSession, sessionAfter, usedSince } from '../../domain/agents/session.ts';
import type { PlanTask } from '../../domain/plan/plan.ts';
import { isBudgeted } from '../../domain/schedule/budgets.ts';
import type { TaskRecord, TaskSummary } from '../../domain/task/records.ts';
import { type EndedAttempt, type Spending, spendingOf, withReview, withSpent } from '../../domain/task/spending.ts';
import { type Decision, repeated } from '../../domain/task/transition.ts';
import { orNull } from '../../lib/errors.ts';
import { fromIso } from '../../lib/time.ts';
import { changeTask } from '../../store/change.ts';
import type { AttemptArtifacts, AttemptRef } from '../../store/port.ts';
import type { Env } from '../env.ts';
import type { LogFollower } from './output.ts';

/** Reads the log of an agent as it grows. */
export interface SessionMeter extends LogFollower {
  /** What the log says so far, with what is only told in parts. */
  read(): AgentSession;
}

/** `before`: the session of the last attempt, as it was counted; null where it had none. */
export function sessionMeter(
  artifacts: AttemptArtifacts,
  attempt: AttemptRef,
  { agent, adapter, before }: { agent: string; adapter: Adapter; before: Spending['session'] },
): SessionMeter {
  const output = new AgentOutput(adapter);
  const counted = adapter.countsOn === true ? before : null;
  let session = newSession(attempt.attemptId, agent);
  let offset = 0;
  return {
    skip() {
      offset = artifacts.readLog(attempt, 'stdout.log', -1).next;
    },
    read() {
      for (;;) {
        const { text, next } = artifacts.readLog(attempt, 'stdout.log', offset);
        offset = next;
        if (text === '') break;
        for (const said of output.read(text)) if (typeof said !== 'string') session = sessionAfter(session, said);
      }
      const { used } = output;
      return usedSince(used === null ? session : sessionAfter(session, used), counted);
    },
  };
}

/** The meter of an attempt at a task; null where its worker's output is not understood. `agent`: by its preset. */
export function meterOf(
  { artifacts }: Pick<Env, 'artifacts'>,
  record: TaskSummary,
  attemptId: string,
  agent: string | null | undefined,
): SessionMeter | null {
  const adapter = adapterOf(agent);
  if (adapter === null || !agent) return null;
  const before = spendingOf(record)?.session ?? null;
  return sessionMeter(artifacts, { taskId: record.state.task_id, attemptId }, { agent, adapter, before });
}

/** Counts what an attempt that has ended has used, once; returns the record with it. Throws IO_ERROR. */
export async function countSpent(env: Env, taskId: string, ended: EndedAttempt): Promise<TaskRecord> {
  const { attemptId, session } = ended;
  const { record } = await changeTask(env, taskId, (current, _, standing) => {
    const memo = withSpent(current, ended);
    if (memo === null) return repeated(null);
    return counting(current, memo, attemptId, standing === null ? session : null);
  });
  return record;
}

/** Counts what a review by an agent has used. Throws IO_ERROR. */
export async function countReview(env: Env, { taskId, attemptId }: AttemptRef, session: AgentSession): Promise<void> {
  await changeTask(env, taskId, (current) => counting(current, withReview(current, session), attemptId, session));
}

/** Nothing but what was used is noted: the task stands where it stood. `session`: its document; null: none is made. */
function counting(
  record: TaskRecord,
  memo: Partial<TaskRecord['memo']>,
  attemptId: string,
  session: AgentSession | null,
): Decision<null> {
  const documents = session === null ? [] : [{ kind: 'session' as const, attemptId, value: session }];
  return { ...repeated(null), record: { ...record, memo: { ...record.memo, ...memo } }, documents };
}

/**
 * Counts the last attempt of a task where its owner has ended before it could. `lease`: as it was before the task was taken up; its last
 * heartbeat is the last that is known of the attempt.
 */
export async function countLeft(
  env: Env,
  record: TaskRecord,
  task: PlanTask,
  lease: TaskRecord['lease'],
): Promise<TaskRecord> {
  const { task_id: taskId, current_attempt_id: attemptId } = record.state;
  if (attemptId === null || spendingOf(record)?.attempt_id === attemptId) return record;
  const meter = meterOf(env, record, attemptId, record.memo.agent);
  if (meter === null && !isBudgeted(task, env.settings.budget)) return record;
  const manifest = await orNull(() => env.store.readDocument('manifest', taskId, attemptId));
  const cwd = manifest?.worktree_path ?? env.paths.project;
  const seen = lease?.attempt_id === attemptId ? (lease.last_heartbeat_at ?? lease.acquired_at) : null;
  const wallClockMs = manifest && seen ? Math.max(0, fromIso(seen) - fromIso(manifest.dispatched_at)) : 0;
  return countSpent(env, taskId, { attemptId, session: meter?.read() ?? null, cwd, wallClockMs });
}

/** Counts an attempt of an agent that has claimed its task by itself; what forge has started counts it itself. Throws IO_ERROR. */
export async function countOwn(env: Env, { taskId, attemptId }: AttemptRef): Promise<void> {
  const manifest = await orNull(() => env.store.readDocument('manifest', taskId, attemptId));
  if (manifest === null || manifest.worker) return;
  const wallClockMs = Math.max(0, env.now() - fromIso(manifest.dispatched_at));
  const cwd = manifest.worktree_path ?? env.paths.project;
  await countSpent(env, taskId, { attemptId, session: null, cwd, wallClockMs });
}
