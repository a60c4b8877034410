/** `status`: where every task stands. */

import path from 'node:path';
import * as z from 'zod/mini';
import { redefinedText } from '../domain/plan/definition.ts';
import { type PlanTask, TASK_STATUSES } from '../domain/plan/plan.ts';
import { reuseOf } from '../domain/reuse/reuse.ts';
import { agentHolds } from '../domain/schedule/agent-holds.ts';
import type { Fates } from '../domain/schedule/fates.ts';
import { surveyOf } from '../domain/schedule/readiness.ts';
import { dueAt, type Instant } from '../domain/task/deadlines.ts';
import { HeldSchema, heldOf } from '../domain/task/held.ts';
import { LastErrorSchema, TASK_STATES, type TaskSummary } from '../domain/task/records.ts';
import { SpentSchema, spendingOf, spentInAll, sumOf } from '../domain/task/spending.ts';
import { isInFlight, isTerminal } from '../domain/task/states.ts';
import { pendingVerification } from '../domain/verify/verification.ts';
import { recordWarnings, type Warning, warningOf } from '../domain/warnings.ts';
import { instantOf, schedulingContextOf } from '../engine/env.ts';
import { ancestorsOf, parentOf } from '../lib/ids.ts';
import { firstOf } from '../lib/text.ts';
import { isoTime } from '../lib/time.ts';
import { type LoadedPlan, loadPlan } from '../project/plan-file.ts';
import { type AttemptRef, STREAMS, type TaskSummaryRead } from '../store/port.ts';
import { command, flag, optionalRunField, SAMPLE } from './shared/command.ts';
import * as data from './shared/data.ts';
import { divergences } from './shared/divergences.ts';
import { readAll } from './shared/reads.ts';
import { resultFields, resultReader } from './shared/results.ts';
import { isOfRun, requireRun, runRow, runRowSchema } from './shared/runs.ts';
import { openSession, type Session } from './shared/session.ts';

const rowSchema = () =>
  z.strictObject({
    task_id: z.string(),
    /** The task that has made it; null for others. */
    parent: data.textOrNull(),
    /** Null for a task that is not in the plan. */
    phase_id: data.textOrNull(),
    title: data.textOrNull(),
    /** `unreadable`: the record can't be read; `warnings` says why. */
    state: z.enum([...TASK_STATES, 'unreadable']),
    /** The plan's word; null for a task that is not in the plan. */
    planned: z.nullable(z.enum(TASK_STATUSES)),
    human: z.boolean(),
    /** Why it is skipped: a condition of what it depends on can't come true any more; null: it is not. */
    skipped: data.textOrNull(),
    /** Its `continue_on_error`: when it fails, others go on. */
    continue_on_error: z.boolean(),
    attempt_count: data.countSchema(),
    generation: data.countSchema(),
    run_id: data.textOrNull(),
    lease_expires_at: data.textOrNull(),
    /** When a running worker last wrote to its logs; null for one that has none, or is not running. */
    last_output_at: data.textOrNull(),
    /** What its worker says that it does now: a step, a wait; null where it says nothing. */
    doing: data.textOrNull(),
    next_eligible_at: data.textOrNull(),
    /** When a parked task goes on; null for another, and where that is not known. */
    wake_at: data.textOrNull(),
    /** What a parked task waits for. */
    waits_for: z.array(z.strictObject({ kind: z.string(), name: z.string() })),
    failure_reason: data.failureReasonSchema(),
    last_error: z.nullable(LastErrorSchema()),
    /** The name of the command that verifies the result, also of a verification that was cut short. */
    verifying: data.textOrNull(),
    /** What its attempts have used, since its beginning; null where nothing was counted. */
    spent: z.nullable(SpentSchema()),
    /** Why a run has given it up; null when none has, or it has moved on since. */
    held: z.nullable(HeldSchema()),
    /** It was not done again: its outputs are there by what was kept of the same inputs. */
    unchanged: z.boolean(),
    ...resultFields(),
  });

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
    children: flag('List the children of fan-outs one by one; else their parent has their number', { terminal: true }),
    watch: flag('What runs and what waits, kept up to date until Ctrl-C; needs a terminal', { terminal: true }),
  }),
  output: () =>
    z.strictObject({
      project: z.string(),
      counts: data.countsSchema(),
      tasks: z.array(rowSchema()),
      runs: z.array(runRowSchema()),
      open_questions: data.countSchema(),
      /** By all of `tasks`. */
      spent: SpentSchema(),
      /** What keeps coding agents from being started; `until` null: a person has to mend it. */
      agents: z.array(
        z.strictObject({ agent: z.string(), task_id: z.string(), until: data.textOrNull(), message: z.string() }),
      ),
      warnings: data.warningsSchema(),
    }),
  /** With `run`, only the tasks that the run works on or touched last. Throws RUN_NOT_FOUND. */
  async run(context, options) {
    const session = await openSession(context);
    // Before the plan: what was claimed is in it by then, also where it was added just now.
    const all = await readAll(session);
    const loaded = await loadPlan(session);
    const { reads, runs } = all;
    const chosen = options.run === undefined ? null : (await requireRun(session, options.run)).run_id;
    const mine = (read: TaskSummaryRead | undefined) =>
      chosen === null || (read !== undefined && isOfRun(read, chosen));
    const planned = (loaded?.plan.tasks ?? []).map((task) => ({ task, read: reads.get(task.id) }));
    const isPlanned = (id: string) => loaded?.plan.byId.has(id) === true;
    const isOpen = (id: string) => {
      const record = reads.get(id)?.record ?? null;
      return record !== null && isPlanned(id) && !isTerminal(record.state.state);
    };
    // Children of a task that was begun again wait until it makes them again.
    const isOfBefore = ({ task_id, record }: TaskSummaryRead) => !record?.lease && ancestorsOf(task_id).some(isOpen);
    const others = [...reads.values()].filter(
      (read) => !isPlanned(read.task_id) && read.origin !== 'none' && !isOfBefore(read),
    );
    const noticed = await divergences(session, loaded?.plan ?? null, all);
    const shown = [...planned, ...others.map((read) => ({ task: null, read }))].filter(({ read }) => mine(read));
    const scheduling = loaded && schedulingContextOf(session, loaded.plan, reads);
    const fates = scheduling && surveyOf(scheduling).fates();
    const resultOf = resultReader(session);
    const now = instantOf(session);
    const tasks = shown.map(({ task, read }) => row(task, read, { fates, session, now, resultOf }));
    return {
      project: loaded?.plan.project ?? session.settings.project.name ?? path.basename(session.paths.project),
      counts: data.countBy(tasks.map(({ state, skipped }) => (skipped === null ? state : 'skipped'))),
      tasks,
      runs: runs
        .filter((manifest) => chosen === null || manifest.run_id === chosen)
        .map((manifest) => runRow(session, manifest)),
      spent: sumOf(tasks.flatMap(({ spent }) => spent ?? [])),
      open_questions: tasks.filter((task) => task.state === 'blocked_on_question').length,
      agents: scheduling === null ? [] : [...agentHolds(scheduling)].map(([agent, hold]) => ({ agent, ...hold })),
      warnings: [...warningsOf(session, loaded, shown), ...noticed],
    };
  },
});

interface Seen {
  fates: Fates | null;
  session: Session;
  now: Instant;
  resultOf: ReturnType<typeof resultReader>;
}

function row(
  task: PlanTask | null,
  read: TaskSummaryRead | undefined,
  { fates, session, now, resultOf }: Seen,
): z.infer<ReturnType<typeof rowSchema>> {
  const record = read?.record ?? null;
  const atWork = record && attemptAtWork(record);
  const task_id = task?.id ?? read?.task_id ?? '';
  const { state, lease, memo } = record ?? {};
  return {
    task_id,
    parent: parentOf(task_id),
    phase_id: task?.phase_id ?? null,
    title: task?.title ?? null,
    state: state?.state ?? (read?.problem ? 'unreadable' : 'unclaimed'),
    planned: task?.status ?? null,
    human: task?.human ?? false,
    skipped: fates?.skipOf(task_id)?.why ?? null,
    continue_on_error: task?.continue_on_error ?? false,
    attempt_count: state?.attempt_count ?? 0,
    generation: memo?.generation ?? 0,
    run_id: lease?.owner_run_id ?? null,
    lease_expires_at: lease ? dueAt(lease.expires_at, lease.clock, now) : null,
    last_output_at: atWork && lastOutput(session, atWork),
    doing: (atWork && session.artifacts.doing(atWork)) || null,
    next_eligible_at: state?.next_eligible_at ? dueAt(state.next_eligible_at, memo?.backoff, now) : null,
    wake_at: state?.wake_at ? dueAt(state.wake_at, memo?.backoff, now) : null,
    waits_for: (state?.waits_for ?? []).map(({ kind, name }) => ({ kind, name })),
    // A failed state that names no reason reads as `fatal`.
    failure_reason: state?.state === 'failed' ? (state.failure_reason ?? 'fatal') : null,
    last_error: state?.last_error ?? null,
    verifying: record && (pendingVerification(record)?.command ?? null),
    spent: record && spendingOf(record) && spentInAll(record),
    held: record && heldOf(record),
    unchanged: record !== null && reuseOf(record)?.unchanged === true,
    ...resultOf(task_id, record),
  };
}

/** The attempt whose worker is at work; null where none is. */
function attemptAtWork({ state, lease }: TaskSummary): AttemptRef | null {
  const { task_id: taskId, current_attempt_id: attemptId } = state;
  return lease === null || attemptId === null || !isInFlight(state.state) ? null : { taskId, attemptId };
}

function lastOutput({ artifacts }: Session, attempt: AttemptRef): string | null {
  const times = STREAMS.flatMap((stream) => artifacts.writtenAt(attempt, `${stream}.log`) ?? []);
  return times.length === 0 ? null : isoTime(Math.max(...times));
}

function warningsOf(
  session: Session,
  loaded: LoadedPlan | null,
  shown: { task: PlanTask | null; read: TaskSummaryRead | undefined }[],
): Warning[] {
  const records = new Map(shown.map(({ read }) => [read?.task_id, read?.record ?? null]));
  const recordOf = (taskId: string) => records.get(taskId);
  const { settings, settingsWarnings } = session;
  const texts = [...(loaded?.warnings ?? []), ...settingsWarnings, ...data.notEnforced(settings)];
  const changed = loaded && redefinedText(loaded.plan, recordOf, settings);
  const warnings = [...texts, ...(changed === null ? [] : [changed])].map((text) => warningOf(text));
  const odd = shown.flatMap(({ read }) => (read === undefined ? [] : recordWarnings(read)));
  const left = shown.flatMap(({ task, read }) => (task === null && read !== undefined ? [read.task_id] : []));
  if (loaded === null || left.length === 0) return [...warnings, ...odd];
  // One for all: a plan may have been replaced.
  const text =
    left.length === 1
      ? `task ${left[0]} has a state but is not in ${loaded.file}; it is kept and cannot be claimed`
      : `${left.length} tasks have a state but are not in ${loaded.file}; they are kept and cannot be claimed: ${firstOf(left, 10)}`;
  return [...warnings, warningOf(text, left.length === 1 ? left[0] : null), ...odd];
}
