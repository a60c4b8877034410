/** `phases`: how far the plan is, and what can start now. */

import * as z from 'zod/mini';
import { PHASE_STATUSES, PRIORITIES } from '../domain/plan/plan.ts';
import {
  classifyTasks,
  overlapWarnings,
  queueFor,
  type SchedulingContext,
  surveyOf,
} from '../domain/schedule/readiness.ts';
import { PHASES_OF_WORK } from '../domain/task/records.ts';
import { recordWarnings, warningOf } from '../domain/warnings.ts';
import { schedulingContextOf } from '../engine/env.ts';
import { ForgeError } from '../lib/errors.ts';
import { closest } from '../lib/text.ts';
import { type LoadedPlan, requirePlan } from '../project/plan-file.ts';
import { command, flag, option, optionalText } from './shared/command.ts';
import * as data from './shared/data.ts';
import { divergences } from './shared/divergences.ts';
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
    phase: option(
      z.optional(z.enum(PHASES_OF_WORK)),
      PHASES_OF_WORK.join('|'),
      'With --ready, the kind of work (default: implement)',
    ),
    blocked_by: option(optionalText(), 'id', 'Only what waits for this task or phase'),
    limit: option(z.optional(z.int().check(z.gte(1))), 'n', 'At most this many ready tasks'),
  }),
  output: () => z.union([phasesSchema(), readySchema()]),
  /** Throws PHASES_NOT_FOUND, PHASES_PARSE_ERROR, INVALID_ARGS. */
  async run(context, { ready, phase, blocked_by: by, limit }) {
    const session = await openSession(context);
    const loaded = await requirePlan(session);
    const all = await readAll(session);
    const { reads } = all;
    const scheduling = schedulingContextOf(session, loaded.plan, await withSettledQuestions(session, reads));
    if (by !== undefined) requireName(loaded, by);
    const warnings = [
      ...loaded.warnings.map((text) => warningOf(text)),
      ...[...reads.values()].flatMap(recordWarnings),
    ];
    if (ready !== true) return { phases: phaseRows(scheduling, by), warnings };
    warnings.push(...(await divergences(session, loaded.plan, all)));
    const view =
      phase === 'review' || phase === 'ship'
        ? { ...queueFor(phase, scheduling), human: [] }
        : classifyTasks(scheduling);
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

function requireName({ plan, file }: LoadedPlan, name: string): void {
  if (plan.byId.has(name) || plan.phaseById.has(name)) return;
  const near = closest(name, [...plan.byId.keys(), ...plan.phaseById.keys()]);
  throw new ForgeError('INVALID_ARGS', `--blocked-by ${name}: there is no such task or phase in ${file}`, {
    ...(near === null ? {} : { hint: `Did you mean ${near}?` }),
  });
}

function phaseRows(scheduling: SchedulingContext, blockedBy: string | undefined): PhaseRow[] {
  const isShipped = (id: string) => {
    const record = scheduling.recordOf(id);
    return record !== null && record !== 'unreadable' && record.state.state === 'shipped';
  };
  const wanted = scheduling.plan.phases.filter((phase) => blockedBy === undefined || phase.blocked_by === blockedBy);
  return wanted.map((phase) => ({
    phase_id: phase.id,
    name: phase.name,
    status: phase.status,
    blocked_by: phase.blocked_by,
    finished: surveyOf(scheduling).finished(phase),
    tasks: phase.task_ids.length,
    shipped: phase.task_ids.filter(isShipped).length,
  }));
}
