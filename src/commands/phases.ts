/** `phases`: how far the plan is, and what can start now. */

import * as z from 'zod/mini';
import { PHASE_STATUSES, PRIORITIES } from '../domain/plan/plan.ts';
import { overlapWarnings } from '../domain/schedule/overlap-warnings.ts';
import * as readiness from '../domain/schedule/readiness.ts';
import { queueFor } from '../domain/schedule/run-order.ts';
import { PHASES_OF_WORK, seenState } from '../domain/task/records.ts';
import { recordWarnings, warningOf } from '../domain/warnings.ts';
import { schedulingContextOf } from '../engine/env.ts';
import { invalidArgs } from '../lib/errors.ts';
import { requirePlan } from '../project/plan-file.ts';
import { command, flag, optional } from './shared/command.ts';
import * as data from './shared/data.ts';
import { divergences } from './shared/divergences.ts';
import { nearest } from './shared/planned.ts';
import { readAll, withSettledQuestions } from './shared/reads.ts';
import { openSession } from './shared/session.ts';

const readySchema = () =>
  z.strictObject({
    ready: z.array(z.strictObject({ ...data.plannedFields(), priority: z.enum(PRIORITIES) })),
    waiting: data.waitingSchema(),
    human: data.humanSchema(),
    warnings: data.warningsSchema(),
  });
export type ReadyData = z.infer<ReturnType<typeof readySchema>>;

const phasesSchema = () =>
  z.strictObject({
    phases: z.array(
      z.strictObject({
        phase_id: z.string(),
        name: z.string(),
        status: z.enum(PHASE_STATUSES),
        blocked_by: data.textOrNull(),
        finished: z.boolean(),
        tasks: data.countSchema(),
        shipped: data.countSchema(),
      }),
    ),
    warnings: data.warningsSchema(),
  });
export type PhaseRow = z.infer<ReturnType<typeof phasesSchema>>['phases'][number];

export const phases = command({
  changes: false,
  examples: [
    ['phases', 'every phase, and how far it is'],
    ['phases --ready', 'what can start now, and what the rest waits for'],
    ['phases --ready --limit 1 --json', 'the next task, for a script'],
    ['phases --ready --blocked-by build', 'what waits for the task build'],
  ],
  input: z.object({
    ready: flag('What can start now, and what the rest waits for'),
    phase: optional.choice(PHASES_OF_WORK, 'With --ready, the kind of work (default: implement)'),
    blocked_by: optional.text('id', 'Only what waits for this task or phase'),
    limit: optional.integer('n', [1], 'At most this many ready tasks'),
  }),
  output: () => z.union([phasesSchema(), readySchema()]),
  /** Throws PHASES_NOT_FOUND, PHASES_PARSE_ERROR, INVALID_ARGS. */
  async run(context, { ready, phase, blocked_by: by, limit }) {
    const session = await openSession(context);
    const loaded = await requirePlan(session);
    const all = await readAll(session);
    const { reads } = all;
    const scheduling = schedulingContextOf(session, loaded.plan, await withSettledQuestions(session, reads));
    const { byId, phaseById } = loaded.plan;
    if (by !== undefined && !byId.has(by) && !phaseById.has(by)) {
      const message = `--blocked-by ${by}: there is no such task or phase in ${loaded.file}`;
      throw invalidArgs(message, nearest(by, [...byId.keys(), ...phaseById.keys()]).hint);
    }
    const warnings = [
      ...loaded.warnings.map((text) => warningOf(text)),
      ...[...reads.values()].flatMap(recordWarnings),
    ];
    if (ready !== true) return { phases: phaseRows(scheduling, by), warnings };
    warnings.push(...(await divergences(session, loaded.plan, all)));
    const view =
      phase === 'review' || phase === 'ship'
        ? { ...queueFor(phase, scheduling), human: [] }
        : readiness.classifyTasks(scheduling);
    if (phase === undefined || phase === 'implement')
      warnings.push(...overlapWarnings(view.ready, scheduling).map((text) => warningOf(text)));
    if (by !== undefined) {
      const waiting = view.waiting.filter(({ reasons }) => reasons.some(({ on }) => on === by));
      return { ready: [], waiting: waiting.map(data.waitingRow), human: [], warnings };
    }
    return {
      ready: view.ready.slice(0, limit).map((task) => ({ ...data.plannedRow(task), priority: task.priority })),
      waiting: view.waiting.map(data.waitingRow),
      human: view.human.map(data.humanRow),
      warnings,
    };
  },
});

function phaseRows(scheduling: readiness.SchedulingContext, blockedBy: string | undefined): PhaseRow[] {
  const isShipped = (id: string) => seenState(scheduling.recordOf(id)) === 'shipped';
  const fates = readiness.surveyOf(scheduling).fates();
  const wanted = scheduling.plan.phases.filter((phase) => blockedBy === undefined || phase.blocked_by === blockedBy);
  return wanted.map((phase) => ({
    phase_id: phase.id,
    name: phase.name,
    status: phase.status,
    blocked_by: phase.blocked_by,
    finished: fates.isFinished(phase),
    tasks: phase.task_ids.length,
    shipped: phase.task_ids.filter(isShipped).length,
  }));
}
