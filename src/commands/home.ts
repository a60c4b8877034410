/** Bare `forge orchestrate`: where things stand, and the exact next command. */

import * as z from 'zod/mini';
import type { PlanTask } from '../domain/plan/plan.ts';
import {
  classifyTasks,
  hasWork,
  queueFor,
  type SchedulingContext,
  type WaitCode,
} from '../domain/schedule/readiness.ts';
import { mayStillRun } from '../domain/schedule/run-selection.ts';
import { type IntegrationPhase, isInFlight } from '../domain/task/states.ts';
import { schedulingContextOf } from '../engine/env.ts';
import { ForgeError } from '../lib/errors.ts';
import { findProject } from '../project/find-project.ts';
import { loadPlan } from '../project/plan-file.ts';
import { command } from './shared/command.ts';
import { countSchema, countsSchema, textOrNull } from './shared/data.ts';
import { readAll, withSettledQuestions } from './shared/reads.ts';
import { type CommandContext, openSession, type Session } from './shared/session.ts';

const output = () =>
  z.strictObject({
    /** Null when there is no project here. */
    project: textOrNull(),
    plan: textOrNull(),
    counts: countsSchema(),
    ready: countSchema(),
    in_flight: countSchema(),
    waiting: countSchema(),
    human: countSchema(),
    next: z.strictObject({ command: z.string(), why: z.string() }),
  });
export type HomeData = z.infer<ReturnType<typeof output>>;

export const home = command({
  changes: false,
  examples: [['', 'where things stand, and the next command']],
  input: z.object({}),
  output,
  run,
});

/** Reasons of tasks that are over or have an owner: these are counted by their state. */
const NOT_WAITING: readonly WaitCode[] = ['TASK_IN_FLIGHT', 'LEASE_IN_GRACE', 'TASK_FAILED', 'TASK_CANCELLED'];

/** Never fails for want of a project: then the next command is `init`. Throws PHASES_PARSE_ERROR, SETTINGS_INVALID. */
async function run(context: CommandContext): Promise<HomeData> {
  const empty = { project: null, plan: null, counts: {}, ready: 0, in_flight: 0, waiting: 0, human: 0 };
  const start = { ...empty, next: { command: 'forge orchestrate init', why: 'there is no plan here yet' } };
  if (findProject(context.ctx.cwd, context.dir) === null) return start;
  let session: Session;
  try {
    session = await openSession(context);
  } catch (error) {
    if (error instanceof ForgeError && error.code === 'PHASES_NOT_FOUND') return start;
    throw error;
  }
  const loaded = await loadPlan(session);
  if (loaded === null) return { ...start, project: session.paths.project };
  const { reads } = await readAll(session);
  const scheduling = schedulingContextOf(session, loaded.plan, await withSettledQuestions(session, reads));
  const { ready, waiting: unready, human } = classifyTasks(scheduling);
  const waiting = unready.filter(({ reasons }) => !reasons.some(({ code }) => NOT_WAITING.includes(code)));
  // Counted as `status` counts them: as they are, not as the next claim will find them.
  const { recordOf } = schedulingContextOf(session, loaded.plan, reads);
  const counts: Record<string, number> = {};
  let in_flight = 0;
  for (const task of loaded.plan.tasks) {
    const record = recordOf(task.id);
    const known = record === 'unreadable' ? 'unreadable' : (record?.state.state ?? 'unclaimed');
    const state = task.status === 'done' || task.status === 'dropped' ? task.status : known;
    counts[state] = (counts[state] ?? 0) + 1;
    if (known !== 'unreadable' && isInFlight(known)) in_flight++;
  }
  const ids = new Set(loaded.plan.tasks.map((task) => task.id));
  const facts = {
    asked: unready.some(({ reasons }) => reasons.some(({ code }) => code === 'TASK_WAITS_FOR_ANSWER')),
    failed: loaded.plan.tasks.find((task) => stateOf(scheduling.recordOf(task.id)) === 'failed')?.id ?? null,
    runnable: mayStillRun(scheduling, ids).length > 0,
    forAgents: ready.find((task) => !hasWork(task, scheduling))?.id ?? null,
    waiting: (waiting[0] ?? unready[0])?.task.id ?? null,
    due: nextIntegration(scheduling),
    empty: loaded.plan.tasks.length === 0,
    human: human[0]?.id ?? null,
  };
  return {
    project: loaded.plan.project,
    plan: loaded.file,
    counts,
    ready: ready.length,
    in_flight,
    waiting: waiting.length,
    human: human.length,
    next: nextCommand(facts, loaded.file),
  };
}

function nextIntegration(scheduling: SchedulingContext): Facts['due'] {
  const first = (phase: IntegrationPhase) => queueFor(phase, scheduling).ready.map((task) => ({ task, phase }))[0];
  return first('ship') ?? first('review') ?? null;
}

function stateOf(record: ReturnType<ReturnType<typeof schedulingContextOf>['recordOf']>): string {
  return record === null ? 'unclaimed' : record === 'unreadable' ? 'unreadable' : record.state.state;
}

interface Facts {
  /** A worker has asked something. */
  asked: boolean;
  failed: string | null;
  runnable: boolean;
  forAgents: string | null;
  waiting: string | null;
  /** A task that is verified, and waits for a person to have it reviewed or merged. */
  due: { task: PlanTask; phase: IntegrationPhase } | null;
  human: string | null;
  empty: boolean;
}

/** What moves the plan on, most useful first. */
function nextCommand(facts: Facts, planFile: string): HomeData['next'] {
  if (facts.asked) return { command: 'forge orchestrate questions --open', why: 'a worker waits for an answer' };
  if (facts.runnable) return { command: 'forge orchestrate run', why: 'tasks are ready, or will be' };
  if (facts.failed !== null) {
    return {
      command: `forge orchestrate logs ${facts.failed}`,
      why: `it failed; then \`forge orchestrate retry ${facts.failed}\``,
    };
  }
  if (facts.forAgents !== null)
    return { command: 'forge orchestrate claim --next', why: 'what is ready waits for an agent' };
  if (facts.due !== null) {
    const { task, phase } = facts.due;
    if (phase === 'ship') return { command: `forge orchestrate ship ${task.id}`, why: 'it is reviewed' };
    return {
      command: `forge orchestrate review ${task.id} --file review.json`,
      why: 'it waits for a review, and review.command is not set; `review --help` has the file',
    };
  }
  if (facts.human !== null)
    return {
      command: `forge orchestrate show ${facts.human}`,
      why: `a person does it; then set \`status: done\` in ${planFile}`,
    };
  if (facts.waiting !== null)
    return { command: `forge orchestrate why ${facts.waiting}`, why: 'nothing can start now' };
  const why = facts.empty ? `there are no tasks in ${planFile} yet` : 'everything is done';
  return { command: 'forge orchestrate status', why };
}
