/** `phases`: how far the plan is, and what can start now. */

import * as z from 'zod/mini';
import { PHASE_STATUSES, PRIORITIES } from '../domain/plan/plan.ts';
import {
  classifyTasks,
  isPhaseOver,
  overlapWarnings,
  queueFor,
  type Reason,
  type SchedulingContext,
  type TaskClasses,
} from '../domain/schedule/readiness.ts';
import { PHASES_OF_WORK } from '../domain/task/records.ts';
import { recordWarnings, warningOf } from '../domain/warnings.ts';
import { schedulingContextOf } from '../engine/env.ts';
import { ForgeError } from '../lib/errors.ts';
import { closest } from '../lib/text.ts';
import { type LoadedPlan, requirePlan } from '../project/plan-file.ts';
import { command, flag, option, optionalText } from './shared/command.ts';
import { countSchema, humanSchema, plannedFields, textOrNull, waitingSchema, warningsSchema } from './shared/data.ts';
import { divergences } from './shared/divergences.ts';
import { readAll, withSettledQuestions } from './shared/reads.ts';
import { type CommandContext, openSession } from './shared/session.ts';

const input = z.object({
  ready: flag('What can start now, and what the rest waits for'),
  phase: option(
    z.optional(z.enum(PHASES_OF_WORK)),
    PHASES_OF_WORK.join('|'),
    'With --ready, the kind of work (default: implement)',
  ),
  blocked_by: option(optionalText(), 'id', 'Only what waits for this task or phase'),
  limit: option(z.optional(z.int().check(z.gte(1))), 'n', 'At most this many ready tasks'),
});

const readySchema = () =>
  z.strictObject({
    ready: z.array(z.strictObject({ ...plannedFields(), priority: z.enum(PRIORITIES) })),
    waiting: waitingSchema(),
    human: humanSchema(),
    warnings: warningsSchema(),
  });
export type ReadyData = z.infer<ReturnType<typeof readySchema>>;

const phasesSchema = () =>
  z.strictObject({
    phases: z.array(
      z.strictObject({
        phase_id: z.string(),
        name: z.string(),
        status: z.enum(PHASE_STATUSES),
        blocked_by: textOrNull(),
        finished: z.boolean(),
        tasks: countSchema(),
        shipped: countSchema(),
      }),
    ),
    warnings: warningsSchema(),
  });
export type PhaseRow = z.infer<ReturnType<typeof phasesSchema>>['phases'][number];

const output = () => z.union([phasesSchema(), readySchema()]);
export type PhasesData = z.infer<ReturnType<typeof output>>;

export const phases = command({
  changes: false,
  examples: [
    ['phases', 'every phase, and how far it is'],
    ['phases --ready', 'what can start now, and what the rest waits for'],
    ['phases --ready --limit 1 --json', 'the next task, for a script'],
    ['phases --ready --blocked-by build', 'what waits for the task build'],
  ],
  input,
  output,
  run,
});

/** Throws PHASES_NOT_FOUND, PHASES_PARSE_ERROR, INVALID_ARGS. */
async function run(context: CommandContext, options: z.infer<typeof input>): Promise<PhasesData> {
  const session = await openSession(context);
  const loaded = await requirePlan(session);
  const all = await readAll(session);
  const { reads } = all;
  const scheduling = schedulingContextOf(session, loaded.plan, await withSettledQuestions(session, reads));
  if (options.blocked_by !== undefined) requireName(loaded, options.blocked_by);
  const warnings = [...loaded.warnings.map((text) => warningOf(text)), ...[...reads.values()].flatMap(recordWarnings)];
  if (options.ready !== true) return { phases: phaseRows(scheduling, options.blocked_by), warnings };
  warnings.push(...(await divergences(session, loaded.plan, all)));
  const view =
    options.phase === 'review' || options.phase === 'ship'
      ? viewOf({ ...queueFor(options.phase, scheduling), human: [] }, [])
      : readyNow(scheduling);
  const by = options.blocked_by;
  warnings.push(...view.warnings.map((text) => warningOf(text)));
  return {
    ready: by === undefined ? view.ready.slice(0, options.limit) : [],
    waiting: view.waiting.filter(({ reasons }) => by === undefined || reasons.some(({ on }) => on === by)).map(first),
    human: by === undefined ? view.human : [],
    warnings,
  };
}

function requireName({ plan, file }: LoadedPlan, name: string): void {
  if (plan.byId.has(name) || plan.phaseById.has(name)) return;
  const near = closest(name, [...plan.byId.keys(), ...plan.phaseById.keys()]);
  throw new ForgeError('INVALID_ARGS', `--blocked-by ${name}: there is no such task or phase in ${file}`, {
    ...(near === null ? {} : { hint: `Did you mean ${near}?` }),
  });
}

function phaseRows(scheduling: SchedulingContext, blockedBy: string | undefined): PhaseRow[] {
  const wanted = scheduling.plan.phases.filter((phase) => blockedBy === undefined || phase.blocked_by === blockedBy);
  return wanted.map((phase) => {
    const shipped = phase.task_ids.filter((id) => {
      const record = scheduling.recordOf(id);
      return record !== null && record !== 'unreadable' && record.state.state === 'shipped';
    }).length;
    const { id: phase_id, name, status, blocked_by } = phase;
    return {
      phase_id,
      name,
      status,
      blocked_by,
      finished: isPhaseOver(phase, scheduling),
      tasks: phase.task_ids.length,
      shipped,
    };
  });
}

interface View {
  ready: ReadyData['ready'];
  waiting: { task_id: string; reasons: Reason[] }[];
  human: ReadyData['human'];
  warnings: string[];
}

function readyNow(scheduling: SchedulingContext): View {
  const view = classifyTasks(scheduling);
  return viewOf(view, overlapWarnings(view.ready, scheduling));
}

function viewOf({ ready, waiting, human }: Pick<TaskClasses, 'ready' | 'waiting' | 'human'>, warnings: string[]): View {
  return {
    ready: ready.map(({ id, phase_id, title, priority }) => ({ task_id: id, phase_id, title, priority })),
    waiting: waiting.map(({ task, reasons }) => ({ task_id: task.id, reasons })),
    human: human.map(({ id, title }) => ({ task_id: id, title })),
    warnings,
  };
}

function first({ task_id, reasons }: { task_id: string; reasons: Reason[] }): ReadyData['waiting'][number] {
  return { task_id, code: reasons[0]?.code ?? '', reason: reasons.map(({ message }) => message).join('; ') };
}
