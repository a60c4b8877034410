/** What people should know of tasks that write the same files and are at work side by side. Pure. */

import type { PlanTask } from '../plan/plan.ts';
import { holdsBack, overlapOf, overlapText } from './overlap.ts';
import { type SchedulingContext, surveyOf } from './readiness.ts';

const OVERLAPS_SHOWN = 10;

/**
 * Warnings about tasks in flight that overlap with some of `tasks` without excluding them. `more` are in flight although no record
 * says so yet.
 */
export function overlapWarnings(
  tasks: readonly PlanTask[],
  scheduling: SchedulingContext,
  more: readonly PlanTask[] = [],
): string[] {
  if (tasks.every((task) => task.write_globs.length === 0)) return [];
  const writing = [...new Set([...surveyOf(scheduling).writing(), ...more])];
  const warnings = tasks.flatMap((task) =>
    writing.flatMap((other) => {
      const overlap = other.id === task.id ? null : overlapOf(task, other);
      if (overlap === null || holdsBack(task, other, scheduling.rules) !== null) return [];
      return [`task ${task.id} may conflict: ${overlapText(other.id, overlap)}`];
    }),
  );
  const left = warnings.length - OVERLAPS_SHOWN;
  return left > 0 ? [...warnings.slice(0, OVERLAPS_SHOWN), `${left} more such overlaps`] : warnings;
}
