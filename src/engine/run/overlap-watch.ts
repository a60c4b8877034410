/** Warnings of a run about files that tasks in flight may both write, and what stood in the way of a claim. */

import type { Plan, PlanTask } from '../../domain/plan/plan.ts';
import type { RunEvent } from '../../domain/run/events.ts';
import { overlapWarnings } from '../../domain/schedule/overlap-warnings.ts';
import type { SchedulingContext } from '../../domain/schedule/readiness.ts';

/** Warns once of each task, of this run or others, whose files may conflict with those of a task that starts. `own`: those of this run. */
export function overlapWatch(emit: (event: RunEvent) => void) {
  const reported = new Set<string>();
  return (task: PlanTask, own: Iterable<string>, scheduling: SchedulingContext): void => {
    for (const message of overlapWarnings([task], scheduling, planned(own, scheduling.plan))) {
      if (!reported.has(message)) emit({ type: 'warning', message });
      reported.add(message);
    }
  };
}

function planned(ids: Iterable<string>, plan: Plan): PlanTask[] {
  return [...ids].flatMap((id) => plan.byId.get(id) ?? []);
}

/** The task that stood in the way of a claim, as the error says. */
export function inTheWay(error: unknown): string[] {
  const other = (error as { details?: { overlaps?: unknown } }).details?.overlaps;
  return typeof other === 'string' ? [other] : [];
}
