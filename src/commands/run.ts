/** `run`: work through the plan. */

import os from 'node:os';
import type { PlanTask } from '../domain/plan/plan.ts';
import { commandFor, type TaskCommand } from '../domain/plan/task-command.ts';
import type { RunEvent, RunFinished } from '../domain/run/events.ts';
import type { LiveModel } from '../domain/run/live-model.ts';
import { outlook, overlapReason, type Reason } from '../domain/schedule/readiness.ts';
import { selectedTasks } from '../domain/schedule/run-selection.ts';
import type { IntegrationPhase } from '../domain/task/states.ts';
import { type Warning, warningOf } from '../domain/warnings.ts';
import { missingAgent, requireWorktrees } from '../engine/attempt/workspace.ts';
import { ownIdentity, worldOf } from '../engine/env.ts';
import { PlanSource } from '../engine/run/plan-source.ts';
import { RunLoop } from '../engine/run/run-loop.ts';
import { yielding } from '../lib/fs/drivers.ts';
import type { Interrupts } from '../process/interrupts.ts';
import { missingProgram } from '../process/programs.ts';
import type { LoadedPlan } from '../project/plan-file.ts';
import { requirePlan } from '../project/plan-file.ts';
import { notEnforced } from './shared/not-enforced.ts';
import { foresee, plannedTask, readAll } from './shared/reads.ts';
import { endRun, openRun } from './shared/runs.ts';
import { type Call, openSession, type Session } from './shared/session.ts';

export interface RunVerbOptions {
  /** Workers at a time; the settings' agents.max_parallel, else the number of cores. */
  maxParallel?: number | undefined;
  /** Only these, with everything they depend on. */
  tasks?: readonly string[] | undefined;
  /** `continue` (default): go on with what does not depend on a failed task. `stop`: start nothing new. */
  onFailure?: 'continue' | 'stop' | undefined;
  /** Emit `task_output` as workers write. Default: false; their logs keep it anyway. */
  output?: boolean | undefined;
  /** Handed a function that says how things stand whenever it is asked; null as long as that is not known. */
  watched?: ((look: () => LiveModel | null) => void) | undefined;
}

/** Runs to the end and returns how it ended; `emit` is told everything on the way. Throws PHASES_*, SETTINGS_INVALID, TASK_NOT_FOUND, IO_ERROR. */
export async function run(
  call: Call,
  options: RunVerbOptions,
  interrupts: Interrupts,
  emit: (event: RunEvent) => void,
): Promise<RunFinished> {
  const session = openSession({ ...call, warn: (message) => emit({ type: 'warning', message }) }, yielding);
  const loaded = requirePlan(session);
  for (const id of options.tasks ?? []) plannedTask(loaded, id);
  await requireWorktrees(session);
  const owner = ownIdentity(session);
  const manifest = await openRun(session, { owner });
  for (const message of warningsOf(session, loaded)) emit({ type: 'warning', message });
  const trackerSettled = session.background();
  const loop = new RunLoop(
    session,
    {
      runId: manifest.run_id,
      owner,
      maxParallel: options.maxParallel ?? session.settings.agents.max_parallel ?? os.availableParallelism(),
      tasks: options.tasks === undefined || options.tasks.length === 0 ? null : options.tasks,
      onFailure: options.onFailure ?? 'continue',
      output: options.output ?? false,
    },
    new PlanSource(session, loaded),
    interrupts,
    // The last word comes when there is nothing left to warn of.
    (event) => event.type !== 'run_finished' && emit(event),
  );
  if (options.watched !== undefined) {
    const { LiveDetails } = await import('../engine/run/live-details.ts');
    const live = new LiveDetails(session);
    options.watched(() => {
      const standing = loop.standing();
      return standing && live.model(standing);
    });
  }
  const finished = await loop.run();
  await trackerSettled();
  emit(finished);
  await endRun(session, manifest.run_id);
  return finished;
}

/** What a person should know before anything is started. */
function warningsOf({ settings, ctx, paths }: Session, { plan, warnings }: LoadedPlan): string[] {
  const missing = missingProgram(settings.agents, ctx.env, paths.project);
  const needed = missing !== null && plan.tasks.some((task) => task.run === null && !task.human);
  const agent = `agents.worker is ${settings.agents.worker}, and there is no ${missing} on PATH; see \`forge orchestrate doctor\``;
  return [...warnings, ...notEnforced(settings), ...(needed ? [agent] : [])];
}

export interface DryRunData {
  /** In the order in which they would be started. */
  would_start: {
    task_id: string;
    phase_id: string;
    title: string;
    /** The command line, and whether it is the task's own `run`, the settings' `worker_command` or a preset by that name. */
    command: string;
    command_from: TaskCommand['from'];
  }[];
  /** What would be done first about tasks that are verified. */
  would_finish: { task_id: string; phase_id: string; title: string; phase: IntegrationPhase }[];
  /** Ready, but without a command: they wait for an agent. */
  for_agents: { task_id: string; phase_id: string; title: string }[];
  waiting: { task_id: string; code: string; reason: string }[];
  human: { task_id: string; title: string }[];
  max_parallel: number;
  warnings: Warning[];
}

/**
 * Of what is ready and has a command, in its order: what starts, and what waits for its agent to be there, or for one of those
 * that start first and write the same.
 */
function startsOf(
  session: Session,
  ready: readonly PlanTask[],
  maxParallel: number,
): { starts: ({ task: PlanTask } & TaskCommand)[]; waits: { task: PlanTask; reasons: Shown[] }[] } {
  const { agents } = session.settings;
  const starts: ({ task: PlanTask } & TaskCommand)[] = [];
  const waits: { task: PlanTask; reasons: Shown[] }[] = [];
  for (const task of ready) {
    const own = commandFor(task, agents);
    if (own === null) continue;
    const missing = missingAgent(session, task.id, own.from);
    const overlaps = starts.slice(0, maxParallel).flatMap((other) => overlapReason(task, other.task, agents) ?? []);
    const reasons: Shown[] = missing === null ? overlaps : [missing];
    if (reasons.length === 0) starts.push({ task, ...own });
    else waits.push({ task, reasons });
  }
  return { starts, waits };
}

type Shown = Pick<Reason, 'message'> & { code: string };

/** What `run` would start now, by the decision that `run` itself starts with. Changes nothing. */
export async function dryRun(call: Call, options: RunVerbOptions): Promise<DryRunData> {
  const session = openSession(call);
  const loaded = requirePlan(session);
  for (const id of options.tasks ?? []) plannedTask(loaded, id);
  await requireWorktrees(session);
  const { reads } = await readAll(session);
  const selected = selectedTasks(options.tasks?.length ? options.tasks : null, loaded.plan);
  const { ready, due, waiting, human } = outlook(worldOf(session, loaded.plan, await foresee(session, reads)));
  const chosen = ready.filter(({ id }) => selected.has(id));
  const row = ({ id, phase_id, title }: (typeof ready)[number]) => ({ task_id: id, phase_id, title });
  const { agents } = session.settings;
  const max_parallel = options.maxParallel ?? agents.max_parallel ?? os.availableParallelism();
  const { starts, waits } = startsOf(session, chosen, max_parallel);
  return {
    would_start: starts.map(({ task, command, from }) => ({ ...row(task), command, command_from: from })),
    would_finish: due.filter(({ task }) => selected.has(task.id)).map(({ task, phase }) => ({ ...row(task), phase })),
    for_agents: chosen.filter((task) => commandFor(task, agents) === null).map(row),
    waiting: [...waits, ...waiting]
      .filter(({ task }) => selected.has(task.id) && !due.some((other) => other.task === task))
      .map(({ task, reasons }) => ({
        task_id: task.id,
        code: reasons[0]?.code ?? '',
        reason: reasons.map(({ message }) => message).join('; '),
      })),
    human: human.filter(({ id }) => selected.has(id)).map(({ id, title }) => ({ task_id: id, title })),
    max_parallel,
    warnings: warningsOf(session, loaded).map((text) => warningOf(text)),
  };
}
