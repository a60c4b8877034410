/** Parts of the answers of several commands. */

import * as z from 'zod/mini';
import { PRESETS } from '../../domain/plan/task-command.ts';
import { FAILURE_REASONS, TASK_STATES } from '../../domain/task/records.ts';

export const textOrNull = () => z.nullable(z.string());
export const countSchema = () => z.int().check(z.gte(0));
export const stateSchema = () => z.enum(TASK_STATES);
export const failureReasonSchema = () => z.nullable(z.enum(FAILURE_REASONS));
export const countsSchema = () => z.record(z.string(), countSchema());

/** What became of a task. */
export const moveSchema = () => z.strictObject({ task_id: z.string(), state: stateSchema() });

/** What became of an attempt and its task. */
export const endFields = () => ({
  task_id: z.string(),
  attempt_id: z.string(),
  state: stateSchema(),
  next_eligible_at: textOrNull(),
  failure_reason: failureReasonSchema(),
});

export const reasonsSchema = () => z.array(z.strictObject({ code: z.string(), message: z.string() }));

export const plannedFields = () => ({ task_id: z.string(), phase_id: z.string(), title: z.string() });
export const waitingSchema = () =>
  z.array(z.strictObject({ task_id: z.string(), code: z.string(), reason: z.string() }));
export const humanSchema = () => z.array(z.strictObject({ task_id: z.string(), title: z.string() }));

export const SEVERITIES = ['info', 'warning', 'error'] as const;

export const warningsSchema = () =>
  z.array(
    z.strictObject({
      task_id: textOrNull(),
      row: z.nullable(z.int()),
      action: textOrNull(),
      severity: z.enum(SEVERITIES),
      message: z.string(),
      suggestion: textOrNull(),
    }),
  );

/** Where the command line of a task was found: in the task, in the settings, or the name of a preset. */
export const commandSourceSchema = () =>
  z.enum(['run', 'worker_command', ...(Object.keys(PRESETS) as (keyof typeof PRESETS)[])]);

/** Why an attempt failed. */
export const errorSchema = () =>
  z.strictObject({
    class: z.string(),
    message: z.string(),
    exit_code: z.optional(z.int()),
    signal: z.optional(z.string()),
  });
