/** What verbs warn of in the data of their answers. */

import type { GcAction, GcRowId } from './gc/gc-plan.ts';
import type { GcSeverity } from './gc/severities.ts';

export interface Warning {
  /** Null where the warning is not about one task. */
  task_id: string | null;
  /** Row of gc's table that applies; null, like `action` and `suggestion`, for a warning that is not of gc. */
  row: GcRowId | null;
  action: GcAction | null;
  severity: GcSeverity;
  /** One sentence. */
  message: string;
  /** What to do about it. */
  suggestion: string | null;
}

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
