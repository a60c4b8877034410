/** Parts of the answers of several commands. */

import * as z from 'zod/mini';
import type { PlanTask } from '../../domain/plan/plan.ts';
import { PRESETS } from '../../domain/plan/task-command.ts';
import type { ClassifiedError } from '../../domain/retry/classify.ts';
import type { Reason } from '../../domain/schedule/readiness.ts';
import type { Settings } from '../../domain/settings/settings.ts';
import type { CompleteResult } from '../../domain/task/complete-attempt.ts';
import { FAILURE_REASONS, TASK_STATES } from '../../domain/task/records.ts';
import { WarningSchema } from '../../domain/warnings.ts';
import { ForgeError } from '../../lib/errors.ts';

export const textOrNull = () => z.nullable(z.string());
export const countSchema = () => z.int().check(z.gte(0));
export const stateSchema = () => z.enum(TASK_STATES);
export const failureReasonSchema = () => z.nullable(z.enum(FAILURE_REASONS));

/** How many there are of each word. */
export const countsSchema = () => z.record(z.string(), countSchema());
export function countBy(words: Iterable<string>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}

/** The state of a task after a command. */
export const moveSchema = () => z.strictObject({ task_id: z.string(), state: stateSchema() });

/** An attempt and its task after a command. */
export const endFields = () => ({
  task_id: z.string(),
  attempt_id: z.string(),
  state: stateSchema(),
  next_eligible_at: textOrNull(),
  failure_reason: failureReasonSchema(),
});

/** The error of a verb whose work is done, and has found that the task is not `what` it was to be. */
export function notPassed(what: string, data: CompleteResult, error: ClassifiedError, more: object = {}): ForgeError {
  const { task_id, state, next_eligible_at } = data;
  const next = state === 'failed' ? 'it has failed' : `it is tried again ${next_eligible_at ?? 'now'}`;
  return new ForgeError('VERIFICATION_FAILED', `task ${task_id} is not ${what}: ${error.message}; ${next}`, {
    details: { ...data, class: error.class, ...more },
    data,
  });
}

export const reasonsSchema = () => z.array(z.strictObject({ code: z.string(), message: z.string() }));

export const plannedFields = () => ({ task_id: z.string(), phase_id: z.string(), title: z.string() });
export const plannedRow = ({ id, phase_id, title }: PlanTask) => ({ task_id: id, phase_id, title });

/** Tasks that can't be given out, each with the code of the first reason. */
export const waitingSchema = () =>
  z.array(z.strictObject({ task_id: z.string(), code: z.string(), reason: z.string() }));
export const waitingRow = ({ task, reasons }: { task: PlanTask; reasons: readonly ShownReason[] }) => ({
  task_id: task.id,
  code: reasons[0]?.code ?? '',
  reason: reasons.map(({ message }) => message).join('; '),
});
export type ShownReason = Pick<Reason, 'message'> & { code: string };

export const humanSchema = () => z.array(z.strictObject({ task_id: z.string(), title: z.string() }));
export const humanRow = ({ id, title }: PlanTask) => ({ task_id: id, title });

export const warningsSchema = () => z.array(WarningSchema());

/** Where the command line of a task was found: in the task, in the settings, or the name of a preset. */
export const commandSourceSchema = () =>
  z.enum(['run', 'worker_command', 'acp', ...(Object.keys(PRESETS) as (keyof typeof PRESETS)[])]);

/** What settings may say that this version accepts but does not act on yet. Always reported. */
export function notEnforced({ tracker, agents, workspace, ship }: Settings): string[] {
  const isUnused = agents.setup.length > 0 && workspace === 'none' && ship.policy === 'none';
  return [
    ...(tracker.type === 'github' ? ['not supported yet: tracker.type: github is not kept in step'] : []),
    ...(isUnused
      ? ['agents.setup is not run: it prepares worktrees, and there are none without `workspace: worktree`']
      : []),
  ];
}
