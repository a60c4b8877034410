/** `run`: work through the plan. */

import os from 'node:os';
import * as z from 'zod/mini';
import type { PlanTask } from '../domain/plan/plan.ts';
import { commandFor, commandSource, hasLines, type TaskCommand, workerWarnings } from '../domain/plan/task-command.ts';
import { isReusable, reuseWarnings } from '../domain/reuse/reuse.ts';
import { reviewWarnings } from '../domain/review/reviewer.ts';
import { type RunEvent, type RunFinished, RunFinishedSchema } from '../domain/run/events.ts';
import type { LiveModel } from '../domain/run/live-model.ts';
import { OUTPUTS, type OutputMode } from '../domain/run/output.ts';
import { dueTasks, hasWork, isOver, reasonsToWait, surveyOf } from '../domain/schedule/readiness.ts';
import { unlimitedTexts } from '../domain/schedule/resources.ts';
import { inOrder } from '../domain/schedule/run-order.ts';
import { startsBy } from '../domain/schedule/starts.ts';
import { claimsAround } from '../domain/task/workspaces.ts';
import { warningOf } from '../domain/warnings.ts';
import { missingAgent, requireWorktrees } from '../engine/attempt/workspace.ts';
import { ownIdentity, schedulingContextOf } from '../engine/env.ts';
import { putBackEvent } from '../engine/run/event-mapping.ts';
import type { Notifier } from '../engine/run/notifier.ts';
import { PlanSource } from '../engine/run/plan-source.ts';
import { RunLoop } from '../engine/run/run-loop.ts';
import { invalidArgs } from '../lib/errors.ts';
import { yielding } from '../lib/fs/drivers.ts';
import { growHeapSlowly } from '../process/heap.ts';
import { Lanes } from '../process/lanes.ts';
import { missingProgram, workerEnvironment } from '../process/programs.ts';
import { refuseOverLimit } from '../project/over-limit.ts';
import { type LoadedPlan, requirePlan } from '../project/plan-file.ts';
import { command, flag, optional } from './shared/command.ts';
import * as data from './shared/data.ts';
import { idsMeant } from './shared/planned.ts';
import { readAll, withSettledQuestions } from './shared/reads.ts';
import { rerunTasks } from './shared/rerun.ts';
import { resultsOf } from './shared/results.ts';
import { begunAgain, rerunFor, reusableIn, selectionOf, wouldBeUnchanged } from './shared/run-again.ts';
import type { RunReports } from './shared/run-report.ts';
import { endRun, openRun } from './shared/runs.ts';
import { type CommandContext, interruptible, openSession, type Session } from './shared/session.ts';

const input = z.object({
  max_parallel: optional.integer('n', [1, 1000], 'Workers at a time (default: the settings, else the cores)'),
  task: optional.texts('id', 'Only this task and what it depends on; may be repeated', { id: 'task' }),
  only: optional.texts('id', 'Only this task, not what it depends on; may be repeated', { id: 'task' }),
  from: optional.texts('id', 'Begin this task again, and all that depend on it; may be repeated', { id: 'task' }),
  force: flag('Do the tasks of --task, --only or --from again without what is kept; alone: all with `cache`'),
  on_failure: optional.choice(
    ['continue', 'stop', 'stop-all'],
    'stop: start nothing new after a failure; stop-all: also stop what is at work (default: continue)',
  ),
  output: optional.choice(
    OUTPUTS,
    'What is shown of workers: failures (default), each line, all at the end, or nothing',
  ),
  wait: flag(
    'Wait for people when nothing else is left: answers and signals, as on a terminal, and checkpoints; else it ends with 4',
  ),
  junit: optional.text('file', 'Write at the end the outcome of each task, as JUnit XML'),
  summary: optional.text(
    'file',
    'Write a summary in Markdown at the end; added to the one of the step in GitHub Actions',
  ),
  no_bell: flag('Do not ring when a person is needed', { terminal: true }),
  dry_run: flag('Show what would be started now; change nothing'),
});
type Input = z.infer<typeof input>;

const dryRunSchema = () =>
  z.strictObject({
    /** In the order in which they would be started. */
    would_start: z.array(
      z.strictObject({
        ...data.plannedFields(),
        /** The command line, and whether it is the task's own `run`, the settings' `worker_command` or a preset by that name. */
        command: z.string(),
        command_from: data.commandSourceSchema(),
      }),
    ),
    /** What would be done first about tasks that are verified. */
    would_finish: z.array(z.strictObject({ ...data.plannedFields(), phase: z.enum(['review', 'ship']) })),
    /** Not done again: what is missing of their outputs would be put back, where it is known before others are done. */
    unchanged: z.array(z.strictObject(data.plannedFields())),
    /** Ready, but without a command: they wait for an agent. */
    for_agents: z.array(z.strictObject(data.plannedFields())),
    waiting: data.waitingSchema(),
    human: data.humanSchema(),
    max_parallel: data.countSchema(),
    warnings: data.warningsSchema(),
  });
export type DryRunData = z.infer<ReturnType<typeof dryRunSchema>>;

/** What a run that is watched needs beyond its events. */
export interface RunContext extends CommandContext<RunEvent> {
  /** Unless the input has it. Default: `failures`. */
  output?: OutputMode | undefined;
  /** A person watches, who may answer. Default: false. */
  person?: boolean | undefined;
  /** Given what failed as workflow commands of GitHub Actions, a line each, before the run is finished. */
  annotate?: ((lines: readonly string[]) => void) | undefined;
  /** Handed a function that says how things stand whenever it is asked; null as long as that is not known. `bell`: it rings for a person. */
  watched?: ((look: () => LiveModel | null, bell: boolean) => void) | undefined;
}

export const run = command({
  changes: true,
  notes:
    'Starts the command of every task that is ready, tries failures again as the plan says, and ends when nothing is left\n' +
    'that could start without a person. Exits with 1 when a task failed, else with 4 when some are left, else with 0.\n' +
    'Ctrl-C stops the workers and gives their tasks back; a second Ctrl-C does not wait for them.\n' +
    'On a terminal, lines below the log show what runs and what waits; not with --json, nor where CI is set.',
  examples: [
    ['run', 'the whole plan'],
    ['run --max-parallel 4 --on-failure stop', 'four at a time, until the first failure'],
    ['run --task build --task docs', 'two tasks and what they depend on'],
    ['run --wait', 'also for answers, signals and checkpoints of people'],
    ['run --output prefixed', 'with every line that a worker writes'],
    ['run --from build', 'build again, and all that was made of it'],
    ['run --only docs --force', 'docs once more, and nothing else'],
    ['run --junit reports/forge.xml --summary summary.md', 'with reports, for CI'],
    ['run --dry-run', 'only show what would be started'],
  ],
  input,
  output: () => z.union([dryRunSchema(), RunFinishedSchema()]),
  run: async (context: RunContext, options): Promise<DryRunData | RunFinished> =>
    options.dry_run === true ? dryRun(context, options) : runPlan(context, options),
});

/** Tasks of a plan from which on its run collects unused memory often. In short runs that costs more than it saves: a fifth of the CPU of one of 100 with nothing to do. */
const LONG_RUN = 2_000;

/** Runs to the end and returns how it ended; `emit` is told everything on the way. Throws PHASES_*, SETTINGS_INVALID, TASK_NOT_FOUND, IO_ERROR. */
export function runPlan(context: RunContext, given: Input): Promise<RunFinished> {
  let reports: RunReports | null = null;
  let notifier: Notifier | null = null;
  const emit = (event: RunEvent) => {
    reports?.add(event);
    context.emit?.(event);
    notifier?.see(event);
  };
  const warn = (message: string) => emit({ type: 'warning', message });
  return interruptible(context, async (interrupts) => {
    const session = await openSession({ ...context, warn }, yielding);
    const { loaded: before, options } = await planFor(session, given);
    if (before.plan.tasks.length >= LONG_RUN) growHeapSlowly();
    const again = await rerunFor(session, before, options, true);
    if (options.junit !== undefined || options.summary !== undefined)
      reports = (await import('./shared/run-report.ts')).reportsFor(session, options);
    const owner = ownIdentity(session);
    const changed = await otherMeaning(session, before);
    const within = claimsAround(session.ctx.env);
    const manifest = await openRun(session, { owner, ...(within.length > 0 && { within }) });
    await rerunTasks(session, again, again.fresh, again.changed);
    // Of a task that begins again the children of before are in the plan no more.
    const loaded = again.tasks.length === 0 ? before : await requirePlan(session);
    for (const message of [...warningsOf(session, loaded), ...changed]) warn(message);
    const trackerSettled = session.background();
    const source = new PlanSource(session, loaded);
    const writeReports = () => reports?.write(source.current.plan, selectionOf(options)(source.current.plan));
    if (session.settings.notify.length > 0) notifier = await notifierOf(session, manifest.run_id, source);
    const lanes = new Lanes(workerEnvironment(session.ctx.env, session.paths.project));
    const loop = new RunLoop(
      session,
      {
        runId: manifest.run_id,
        owner,
        maxParallel: maxParallelOf(session, options),
        spawn: (worker) => lanes.start(worker),
        select: selectionOf(options),
        rerun: again.tasks,
        onFailure: options.on_failure ?? 'continue',
        output: options.output ?? context.output ?? 'failures',
        answers: options.wait === true || context.person === true,
        checkpoints: options.wait === true,
      },
      source,
      interrupts,
      (event) => {
        // The last word comes when there is nothing left to warn of.
        if (event.type !== 'run_finished') emit(event);
        if (event.type === 'run_started') for (const record of again.putBack) emit(putBackEvent(record));
      },
    );
    if (context.watched !== undefined) {
      const { liveDetails } = await import('../engine/run/live-details.ts');
      const { progressOf } = await import('../engine/run/durations.ts');
      const modelOf = liveDetails(session);
      const slots = maxParallelOf(session, options);
      const progress = progressOf(session, { startedMs: session.ctx.monotonicMs(), slots });
      context.watched(
        () => {
          const standing = loop.standing();
          return standing && { ...modelOf(standing), progress: progress(standing) };
        },
        session.settings.bell && options.no_bell !== true,
      );
    }
    const ended = await loop
      .run()
      .finally(() => lanes.end())
      .catch(async (error) => {
        await writeReports();
        throw error;
      });
    if (!ended.interrupted && session.settings.worktrees.keep_ms !== null)
      await (await import('./shared/shipped-worktrees.ts')).removeShippedWorktrees(session);
    if (!ended.interrupted && session.settings.retention !== null) {
      const removed = await (await import('./shared/prune.ts')).pruneByRetention(session, session.settings.retention);
      if (removed !== null) emit({ type: 'pruned', ...removed });
    }
    await trackerSettled();
    const standing = loop.standing();
    const results = standing === null ? [] : resultsOf(session, standing.scheduling, manifest.run_id);
    const finished = { ...ended, results };
    reports?.add(finished);
    await writeReports();
    if (context.annotate !== undefined && finished.failed.length > 0)
      context.annotate((await import('./shared/annotations.ts')).annotationsOf(session, source.current, finished));
    // Its warnings come before the last word.
    notifier?.see(finished);
    await notifier?.settled(interrupts.level > 1);
    context.emit?.(finished);
    await endRun(session, manifest.run_id);
    return finished;
  });
}

/** Nothing is loaded where nothing is to be told. */
async function notifierOf(session: Session, run_id: string, plans: PlanSource): Promise<Notifier> {
  const { Notifier } = await import('../engine/run/notifier.ts');
  const titleOf = (taskId: string) => plans.current.plan.byId.get(taskId)?.title ?? null;
  return new Notifier(session, { run_id, project: plans.current.plan.project, titleOf });
}

/** The plan, in which every task that is asked for must be, and which these are. Refuses what could not be done in any case. */
async function planFor(session: Session, options: Input): Promise<{ loaded: LoadedPlan; options: Input }> {
  const { task = [], only = [], from = [], force = false } = options;
  if (options.dry_run === true && (options.junit ?? options.summary) !== undefined)
    throw invalidArgs('--dry-run runs nothing that --junit or --summary could report', 'Leave one of them out.');
  if (only.length > 0 && task.length + from.length > 0)
    throw invalidArgs('--only goes with neither --task nor --from', 'Name all tasks with --only, or none.');
  const loaded = await requirePlan(session);
  if (force && task.length + only.length + from.length + reusableIn(session, loaded).length === 0)
    throw invalidArgs(
      '--force needs --task, --only or --from, since no task has `cache`',
      'Say what to do again, such as: run --force --task build',
    );
  const meant = { task: idsMeant(loaded, task), only: idsMeant(loaded, only), from: idsMeant(loaded, from) };
  await refuseOverLimit(loaded, session.settings.limits);
  await requireWorktrees(session);
  return { loaded, options: { ...options, ...meant } };
}

function maxParallelOf({ settings }: Session, { max_parallel }: Input): number {
  return max_parallel ?? settings.agents.max_parallel ?? os.availableParallelism();
}

/** What a person should know before anything is started. */
function warningsOf({ settings, settingsWarnings, ctx, paths }: Session, { plan, warnings }: LoadedPlan): string[] {
  const tasks = plan.tasks.filter(({ human }) => !human);
  const presets = [...new Set(tasks.map((task) => commandSource(task, settings.agents)))];
  const missing = presets.filter((from) => missingProgram(from, ctx.env, paths.project) !== null);
  const needed = missing.map(
    (from) =>
      `there is no ${missingProgram(from, ctx.env, paths.project)} on PATH for worker: ${from}; see \`forge orchestrate doctor\``,
  );
  return [
    ...warnings,
    ...settingsWarnings,
    ...unlimitedTexts(plan.tasks, settings.limits),
    ...data.notEnforced(settings),
    ...workerWarnings(tasks, settings.agents),
    ...reviewWarnings(tasks, settings),
    ...reuseWarnings(tasks, settings),
    ...needed,
  ];
}

/** Said by the first run of a project whose earlier runs went on after a line that failed. */
async function otherMeaning({ store }: Session, { plan }: LoadedPlan): Promise<string[]> {
  const task = plan.tasks.find(({ run, verify, shell }) => shell === null && [run ?? '', ...verify].some(hasLines));
  if (task === undefined) return [];
  const runs = await store.listRuns();
  if (runs.length === 0 || runs.some(({ stops_at_failure }) => stops_at_failure === true)) return [];
  return [
    `scripts of several lines now end at the first line that fails, such as those of task ${task.id}; before, only the last line counted. \`shell: sh\` in the plan keeps that`,
  ];
}

/** What `run` would start now, by the decision that `run` itself starts with. Changes nothing. */
export async function dryRun(context: CommandContext, given: Input): Promise<DryRunData> {
  const session = await openSession(context);
  const { loaded, options } = await planFor(session, given);
  const { agents } = session.settings;
  const { reads } = await readAll(session);
  const { tasks, fresh } = await rerunFor(session, loaded, options, false);
  const again = await begunAgain(session, tasks);
  for (const [id, read] of again) reads.set(id, read);
  const selected = selectionOf(options)(loaded.plan);
  const scheduling = schedulingContextOf(session, loaded.plan, await withSettledQuestions(session, reads));
  const survey = surveyOf(scheduling);
  const max_parallel = maxParallelOf(session, options);
  const starts: ({ task: PlanTask } & TaskCommand)[] = [];
  const forAgents: PlanTask[] = [];
  const human: PlanTask[] = [];
  const waits: { task: PlanTask; reasons: readonly data.ShownReason[] }[] = [];
  const unchanged: PlanTask[] = [];
  const isUnchanged = async (task: PlanTask) =>
    isReusable(task, session.settings) && (await wouldBeUnchanged(session, task, again, fresh));
  const { waitsOf } = startsBy(scheduling, () => starts.slice(0, max_parallel).map(({ task }) => task.id));
  for (const task of inOrder(scheduling).filter(({ id }) => selected.has(id))) {
    const own = commandFor(task, agents);
    const reasons = hasWork(task, scheduling) ? waitsOf(task) : reasonsToWait(task, scheduling, survey);
    const missing = own === null || reasons.length > 0 ? null : missingAgent(session, task.id, own.from);
    if (reasons.some(({ code }) => code === 'TASK_HUMAN')) human.push(task);
    else if (reasons.length > 0) waits.push(...(isOver(reasons) ? [] : [{ task, reasons }]));
    else if (own === null) forAgents.push(task);
    else if (missing !== null) waits.push({ task, reasons: [missing] });
    else if (await isUnchanged(task)) unchanged.push(task);
    else starts.push({ task, ...own });
  }
  const due = dueTasks(scheduling.plan.tasks, scheduling, survey);
  const isDue = new Set(due.map(({ task }) => task));
  return {
    would_start: starts.map(({ task, command, from }) => ({ ...data.plannedRow(task), command, command_from: from })),
    would_finish: due
      .filter(({ task }) => selected.has(task.id))
      .map(({ task, phase }) => ({ ...data.plannedRow(task), phase })),
    unchanged: unchanged.map(data.plannedRow),
    for_agents: forAgents.map(data.plannedRow),
    waiting: waits.filter(({ task }) => !isDue.has(task)).map(data.waitingRow),
    human: human.map(data.humanRow),
    max_parallel,
    warnings: warningsOf(session, loaded).map((text) => warningOf(text)),
  };
}
