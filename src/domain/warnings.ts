/** What verbs warn of in the data of their answers. */

import * as z from 'zod/mini';
import { GC_SEVERITIES, type GcSeverity } from './gc/severities.ts';

export const WarningSchema = () =>
  z.strictObject({
    /** Null where the warning is not about one task. */
    task_id: z.nullable(z.string()),
    /** Row of gc's table that applies; null, like `action` and `suggestion`, for a warning that is not of gc. */
    row: z.nullable(z.int()),
    action: z.nullable(z.string()),
    severity: z.enum(GC_SEVERITIES),
    /** One sentence. */
    message: z.string(),
    /** What to do about it. */
    suggestion: z.nullable(z.string()),
  });
export type Warning = z.infer<ReturnType<typeof WarningSchema>>;

export function warningOf(message: string, task_id: string | null = null, severity: GcSeverity = 'warning'): Warning {
  return { task_id, row: null, action: null, severity, message, suggestion: null };
}

interface RecordOddities {
  task_id: string;
  /** Why the record can't be read; null when it can. */
  problem: string | null;
  warnings: readonly string[];
}

/** Why the record of a task can't be read, and what is odd about it. */
export function recordWarnings({ task_id, problem, warnings }: RecordOddities): Warning[] {
  const about = (text: string, severity?: GcSeverity) => warningOf(`task ${task_id}: ${text}`, task_id, severity);
  const odd = warnings.map((text) => about(text));
  return problem === null ? odd : [about(problem, 'error'), ...odd];
}
