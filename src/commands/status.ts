/** `status`: where every task stands. */

import * as z from 'zod/mini';
import { type PlanTask, TASK_STATUSES } from '../domain/plan/plan.ts';
import { type FailureReason, LastErrorSchema, TASK_STATES, type TaskState } from '../domain/task/records.ts';
import { pendingVerification } from '../domain/verify/verification.ts';
import { recordWarnings, type Warning, warningOf } from '../domain/warnings.ts';
import { ForgeError } from '../lib/errors.ts';
import { requireUuid } from '../lib/ids.ts';
import { type LoadedPlan, loadPlan } from '../project/plan-file.ts';
import type { TaskSummaryRead } from '../store/port.ts';
import { command, flag, optionalRunField, SAMPLE } from './shared/command.ts';
import {
  countSchema,
  countsSchema,
  failureReasonSchema,
  notEnforced,
  textOrNull,
  warningsSchema,
} from './shared/data.ts';
import { divergences } from './shared/divergences.ts';
import { readAll } from './shared/reads.ts';
import { isOfRun, runRow, runRowSchema } from './shared/runs.ts';
import { openSession, type Session } from './shared/session.ts';

const rowSchema = () =>
  z.strictObject({
    task_id: z.string(),
    /** Null for a task that is not in the plan. */
    phase_id: textOrNull(),
    title: textOrNull(),
    /** `unreadable`: the record can't be read; `warnings` says why. */
    state: z.enum([...TASK_STATES, 'unreadable']),
    /** The plan's word; null for a task that is not in the plan. */
    planned: z.nullable(z.enum(TASK_STATUSES)),
    human: z.boolean(),
    attempt_count: countSchema(),
    generation: countSchema(),
    run_id: textOrNull(),
    lease_expires_at: textOrNull(),
    next_eligible_at: textOrNull(),
    failure_reason: failureReasonSchema(),
    last_error: z.nullable(LastErrorSchema()),
    /** The name of the command that verifies the result, also of a verification that was cut short. */
    verifying: textOrNull(),
  });
export type StatusRow = z.infer<ReturnType<typeof rowSchema>>;
export type ShownState = StatusRow['state'];

export const status = command({
  changes: false,
  examples: [
    ['status', 'every task, by phase'],
    ['status --json', 'the same for a script'],
    ['status --watch', 'the live view of `run`, from another terminal'],
    [`status --run ${SAMPLE.run}`, 'what one run works on'],
  ],
  input: z.object({
    run: optionalRunField('Only the tasks of this run'),
    watch: flag('What runs and what waits, kept up to date until Ctrl-C; needs a terminal', { terminal: true }),
  }),
  output: () =>
    z.strictObject({
      project: z.string(),
      counts: countsSchema(),
      tasks: z.array(rowSchema()),
      runs: z.array(runRowSchema()),
      open_questions: countSchema(),
      warnings: warningsSchema(),
    }),
  /** With `run`, only the tasks that the run works on or touched last. Throws RUN_NOT_FOUND. */
  async run(context, options) {
    const session = await openSession(context);
    const loaded = await loadPlan(session);
    const all = await readAll(session);
    const { reads, runs } = all;
    const chosen = options.run === undefined ? null : requireUuid(options.run, '--run');
    if (chosen !== null && !runs.some((manifest) => manifest.run_id === chosen)) {
      throw new ForgeError('RUN_NOT_FOUND', `there is no run ${chosen}`);
    }
    const mine = (read: TaskSummaryRead | undefined) =>
      chosen === null || (read !== undefined && isOfRun(read, chosen));
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
        .filter((manifest) => chosen === null || manifest.run_id === chosen)
        .map((manifest) => runRow(session, manifest)),
      open_questions: tasks.filter((task) => task.state === 'blocked_on_question').length,
      warnings: [...warningsOf(session, loaded, shown), ...noticed],
    };
  },
});

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
