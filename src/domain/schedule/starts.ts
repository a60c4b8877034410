/** What a run starts by, task by task: for the run itself, and for the look ahead at one. Pure. */

import type { PlanTask } from '../plan/plan.ts';
import { isInLine, type Reason, reasonsToWait, type SchedulingContext, type Survey, surveyOf } from './readiness.ts';
import { Lines } from './resources.ts';

/**
 * `own`: ids of the tasks that are in flight too, though no record may say so yet, whenever they are asked for. `waitsOf` says why a task waits, and
 * nothing of one that may start; it is asked of the tasks that the run may start, in order, and keeps resources for those in line, but for what a
 * task `surrounding` the run has: that is not free before the run has ended.
 */
export function startsBy(
  scheduling: SchedulingContext,
  own: () => Iterable<string>,
  surrounding: ReadonlySet<string> = new Set(),
): { survey: Survey; waitsOf(task: PlanTask): Reason[] } {
  const seen = surveyOf(scheduling);
  const besides = (others: readonly PlanTask[]) => [
    ...new Set([...others, ...Array.from(own()).flatMap((id) => scheduling.plan.byId.get(id) ?? [])]),
  ];
  const lines = new Lines();
  const survey: Survey = {
    ...seen,
    writing: () => besides(seen.writing()),
    using: () => besides(seen.using()),
    before: (_, resource) => lines.of(resource),
  };
  const waitsOf = (task: PlanTask) => {
    const reasons = reasonsToWait(task, scheduling, survey);
    if (reasons.length > 0 && isInLine(task, scheduling, survey, surrounding)) lines.add(task);
    return reasons;
  };
  return { survey, waitsOf };
}
