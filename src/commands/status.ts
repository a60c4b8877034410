/** `status`: where every task stands. */

import type { PlanTask } from '../domain/plan/plan.ts';
import type { FailureReason, LastError, TaskState } from '../domain/task/records.ts';
import { pendingVerification } from '../domain/verify/verification.ts';
import { recordWarnings, type Warning, warningOf } from '../domain/warnings.ts';
import { ForgeError } from '../lib/errors.ts';
import { requireUuid } from '../lib/ids.ts';
import { type LoadedPlan, loadPlan } from '../project/plan-file.ts';
import type { TaskSummaryRead } from '../store/port.ts';
import { divergences } from './shared/divergences.ts';
import { notEnforced } from './shared/not-enforced.ts';
import { readAll } from './shared/reads.ts';
import { isOfRun, type RunRow, runRow } from './shared/runs.ts';
import { type Call, openSession, type Session } from './shared/session.ts';

/** `unreadable`: the record can't be read; `warnings` says why. `done`, `dropped`: the plan's word for a task nobody works on. */
export type ShownState = TaskState | 'unreadable';

export interface StatusRow {
  task_id: string;
  /** Null for a task that is not in the plan. */
  phase_id: string | null;
  title: string | null;
  state: ShownState;
  /** The plan's word: active, paused, done, dropped; null for a task that is not in the plan. */
  planned: PlanTask['status'] | null;
  human: boolean;
  attempt_count: number;
  generation: number;
  run_id: string | null;
  lease_expires_at: string | null;
  next_eligible_at: string | null;
  failure_reason: FailureReason | null;
  last_error: LastError | null;
  /** The command that verifies what was handed in, by name, or was when whoever verified it died. */
  verifying: string | null;
}

export interface StatusData {
  project: string;
  counts: Record<string, number>;
  tasks: StatusRow[];
  runs: RunRow[];
  open_questions: number;
  warnings: Warning[];
}

/** With `run`, only the tasks that the run works on or touched last. Throws RUN_NOT_FOUND. */
export async function status(call: Call, options: { run?: string | undefined }): Promise<StatusData> {
  const session = openSession(call);
  const loaded = loadPlan(session);
  const all = await readAll(session);
  const { reads, runs } = all;
  const run = options.run === undefined ? null : requireUuid(options.run, '--run');
  if (run !== null && !runs.some((manifest) => manifest.run_id === run)) {
    throw new ForgeError('RUN_NOT_FOUND', `there is no run ${run}`);
  }
  const mine = (read: TaskSummaryRead | undefined) => run === null || (read !== undefined && isOfRun(read, run));
  const planned = (loaded?.plan.tasks ?? []).map((task) => ({ task, read: reads.get(task.id) }));
  const others = [...reads.values()].filter(
    (read) => loaded?.plan.byId.has(read.task_id) !== true && read.origin !== 'none',
  );
  const noticed = await divergences(session, loaded?.plan ?? null, all);
  const shown = [...planned, ...others.map((read) => ({ task: null, read }))].filter(({ read }) => mine(read));
  const tasks = shown.map(({ task, read }) => row(task, read));
  const counts: Record<string, number> = {};
  for (const { state } of tasks) counts[state] = (counts[state] ?? 0) + 1;
  return {
    project: loaded?.plan.project ?? session.settings.project.name ?? projectName(session),
    counts,
    tasks,
    runs: runs
      .filter((manifest) => run === null || manifest.run_id === run)
      .map((manifest) => runRow(session, manifest)),
    open_questions: tasks.filter((task) => task.state === 'blocked_on_question').length,
    warnings: [...warningsOf(session, loaded, shown), ...noticed],
  };
}

function projectName(session: Session): string {
  return session.paths.project.slice(session.paths.project.lastIndexOf('/') + 1);
}

function row(task: PlanTask | null, read: TaskSummaryRead | undefined): StatusRow {
  const record = read?.record ?? null;
  return {
    task_id: task?.id ?? read?.task_id ?? '',
    phase_id: task?.phase_id ?? null,
    title: task?.title ?? null,
    state: record?.state.state ?? (read?.problem ? 'unreadable' : 'unclaimed'),
    planned: task?.status ?? null,
    human: task?.human ?? false,
    attempt_count: record?.state.attempt_count ?? 0,
    generation: record?.memo.generation ?? 0,
    run_id: record?.lease?.owner_run_id ?? null,
    lease_expires_at: record?.lease?.expires_at ?? null,
    next_eligible_at: record?.state.next_eligible_at ?? null,
    failure_reason: failureReason(record?.state),
    last_error: record?.state.last_error ?? null,
    verifying: record === null ? null : (pendingVerification(record)?.command ?? null),
  };
}

/** A failed state that names no reason reads as `fatal`. */
function failureReason(
  state: { state: TaskState; failure_reason?: FailureReason | null | undefined } | undefined,
): FailureReason | null {
  if (state?.state !== 'failed') return null;
  return state.failure_reason ?? 'fatal';
}

function warningsOf(
  session: Session,
  loaded: LoadedPlan | null,
  shown: { task: PlanTask | null; read: TaskSummaryRead | undefined }[],
): Warning[] {
  const warnings = [...(loaded?.warnings ?? []), ...notEnforced(session.settings)].map((text) => warningOf(text));
  for (const { task, read } of shown) {
    if (read === undefined) continue;
    const { task_id } = read;
    if (loaded !== null && task === null) {
      const text = `task ${task_id} has a state but is not in ${loaded.file}; it is kept and cannot be claimed`;
      warnings.push(warningOf(text, task_id));
    }
    warnings.push(...recordWarnings(read));
  }
  return warnings;
}
