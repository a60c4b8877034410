/** What tasks in flight leave to a run: which tasks wait for files or resources, and warnings about overlaps. */

import type { Plan, PlanTask } from '../../domain/plan/plan.ts';
import type { RunEvent } from '../../domain/run/events.ts';
import { overlapWarnings } from '../../domain/schedule/overlap-warnings.ts';
import {
  isInLine,
  reasonsToWait,
  type SchedulingContext,
  type Survey,
  surveyOf,
} from '../../domain/schedule/readiness.ts';
import { Lines } from '../../domain/schedule/resources.ts';

export type OverlapWatch = ReturnType<typeof overlapWatch>;

export function overlapWatch(emit: (event: RunEvent) => void) {
  const reported = new Set<string>();
  return {
    /**
     * What this run starts by: its `own` tasks are in flight too, though no record may say so yet. `isReady` is asked of the tasks that it may start, in
     * order, and keeps resources for those in line, but for what a task `surrounding` the run has: that is not free before the run has ended.
     */
    starts(scheduling: SchedulingContext, own: ReadonlyMap<string, unknown>, surrounding: ReadonlySet<string>) {
      const seen = surveyOf(scheduling);
      const besides = (others: readonly PlanTask[]) => [
        ...new Set([...others, ...planned(own.keys(), scheduling.plan)]),
      ];
      const lines = new Lines();
      const survey: Survey = {
        ...seen,
        writing: () => besides(seen.writing()),
        using: () => besides(seen.using()),
        before: (_, resource) => lines.of(resource),
      };
      const isReady = (task: PlanTask) => {
        if (reasonsToWait(task, scheduling, survey).length === 0) return true;
        if (isInLine(task, scheduling, survey, surrounding)) lines.add(task);
        return false;
      };
      return { survey, isReady };
    },

    /** Warns once of each task, of this run or others, whose files may conflict with those of `task`. */
    tell(task: PlanTask, own: Iterable<string>, scheduling: SchedulingContext): void {
      for (const message of overlapWarnings([task], scheduling, planned(own, scheduling.plan))) {
        if (!reported.has(message)) emit({ type: 'warning', message });
        reported.add(message);
      }
    },
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
