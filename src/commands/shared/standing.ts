/** Where a project stands, and the command that moves it on. */

import * as z from 'zod/mini';
import { isOverByPlan } from '../../domain/plan/plan.ts';
import { othersGoOn } from '../../domain/schedule/fates.ts';
import * as readiness from '../../domain/schedule/readiness.ts';
import { queueFor } from '../../domain/schedule/run-order.ts';
import { mayStillRun } from '../../domain/schedule/run-selection.ts';
import { HeldSchema, heldOf } from '../../domain/task/held.ts';
import { readable, seenState } from '../../domain/task/records.ts';
import { isInFlight } from '../../domain/task/states.ts';
import { schedulingContextOf } from '../../engine/env.ts';
import { ForgeError } from '../../lib/errors.ts';
import { findProject } from '../../project/find-project.ts';
import { loadPlan } from '../../project/plan-file.ts';
import { countBy, countSchema, countsSchema, textOrNull } from './data.ts';
import { readAll, withSettledQuestions } from './reads.ts';
import { type CommandContext, openSession, type Session } from './session.ts';

export const standingSchema = () =>
  z.strictObject({
    /** Null when there is no project here. */
    project: textOrNull(),
    plan: textOrNull(),
    counts: countsSchema(),
    ready: countSchema(),
    in_flight: countSchema(),
    waiting: countSchema(),
    human: countSchema(),
    /** What runs have given up, and why. */
    held: z.array(z.strictObject({ task_id: z.string(), ...HeldSchema().shape })),
    next: z.strictObject({ command: z.string(), why: z.string() }),
  });
export type Standing = z.infer<ReturnType<typeof standingSchema>>;

/** Never fails for want of a project: then the next command is `init`. Throws PHASES_PARSE_ERROR, SETTINGS_INVALID. */
export async function standingOf(context: CommandContext): Promise<Standing> {
  const session = await sessionIfAny(context);
  const loaded = session && (await loadPlan(session));
  if (session === null || loaded === null) {
    const next = { command: 'forge orchestrate init', why: 'there is no plan here yet' };
    const project = session?.paths.project ?? null;
    return { project, plan: null, counts: {}, ready: 0, in_flight: 0, waiting: 0, human: 0, held: [], next };
  }
  const { plan, file } = loaded;
  const { reads } = await readAll(session);
  const scheduling = schedulingContextOf(session, plan, await withSettledQuestions(session, reads));
  const classes = readiness.classifyTasks(scheduling);
  // Counted as `status` counts them: as they are, not as the next claim will find them.
  const now = schedulingContextOf(session, plan, reads);
  const states = plan.tasks.map(({ id }) => seenState(now.recordOf(id)));
  const fates = readiness.surveyOf(now).fates();
  const shown = plan.tasks.map((task, i) =>
    isOverByPlan(task) ? task.status : fates.skipOf(task.id) !== null ? 'skipped' : (states[i] ?? ''),
  );
  return {
    project: plan.project,
    plan: file,
    counts: countBy(shown),
    ready: classes.ready.length,
    in_flight: states.filter((state) => state !== 'unreadable' && isInFlight(state)).length,
    waiting: reallyWaiting(classes).length,
    human: classes.human.length,
    held: plan.tasks.flatMap(({ id }) => heldNow(id, now)),
    next: nextCommand(scheduling, classes, file),
  };
}

/** Null where there is no project, or nothing in it. */
async function sessionIfAny(context: CommandContext): Promise<Session | null> {
  if (findProject(context.ctx.cwd, context.dir) === null) return null;
  try {
    return await openSession(context);
  } catch (error) {
    if (error instanceof ForgeError && error.code === 'PHASES_NOT_FOUND') return null;
    throw error;
  }
}

function heldNow(task_id: string, { recordOf }: readiness.SchedulingContext) {
  const record = readable(recordOf(task_id));
  const held = record && heldOf(record);
  return held === null ? [] : [{ task_id, ...held }];
}

/** Reasons of tasks that are over or have an owner: these are counted by their state. */
const NOT_WAITING: readonly readiness.WaitCode[] = [
  'TASK_IN_FLIGHT',
  'LEASE_IN_GRACE',
  'TASK_FAILED',
  'TASK_CANCELLED',
];

function reallyWaiting({ waiting }: readiness.TaskClasses): readiness.TaskClasses['waiting'] {
  return waiting.filter(({ reasons }) => !reasons.some(({ code }) => NOT_WAITING.includes(code)));
}

/** What moves the plan on, most useful first. */
function nextCommand(scheduling: readiness.SchedulingContext, classes: readiness.TaskClasses, file: string) {
  const { ready, waiting, human } = classes;
  const { tasks } = scheduling.plan;
  const next = (command: string, why: string) => ({ command: `forge orchestrate ${command}`, why });

  if (waiting.some(({ reasons }) => reasons.some(({ code }) => code === 'TASK_WAITS_FOR_ANSWER')))
    return next('questions --open', 'a worker waits for an answer');
  if (mayStillRun(scheduling, new Set(tasks.map(({ id }) => id)), { answers: false }).length > 0)
    return next('run', 'tasks are ready, or will be');
  const failed = tasks.find(
    (task) => seenState(scheduling.recordOf(task.id)) === 'failed' && !othersGoOn(task, scheduling),
  );
  if (failed !== undefined)
    return next(`logs ${failed.id}`, `it failed; then \`forge orchestrate retry ${failed.id}\``);
  if (ready.some((task) => !readiness.hasWork(task, scheduling)))
    return next('claim --next', 'what is ready waits for an agent');
  const [toShip] = queueFor('ship', scheduling).ready;
  if (toShip !== undefined) return next(`ship ${toShip.id}`, 'it is reviewed');
  const [toReview] = queueFor('review', scheduling).ready;
  if (toReview !== undefined) {
    const why = 'it waits for a review, and review.command is not set; `review --help` has the file';
    return next(`review ${toReview.id} --file review.json`, why);
  }
  const [person] = human;
  if (person !== undefined)
    return next(`show ${person.id}`, `a person does it; then \`forge orchestrate done ${person.id}\``);
  const blocked = reallyWaiting(classes)[0] ?? waiting[0];
  if (blocked !== undefined) return next(`why ${blocked.task.id}`, 'nothing can start now');
  return next('status', tasks.length === 0 ? `there are no tasks in ${file} yet` : 'everything is done');
}
