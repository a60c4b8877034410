/** Overlaps as a run sees them: tasks that wait for its own, and warnings about the others. */

import type { Plan, PlanTask } from '../../domain/plan/plan.ts';
import type { RunEvent } from '../../domain/run/events.ts';
import { holdsBack } from '../../domain/schedule/overlap.ts';
import { overlapWarnings } from '../../domain/schedule/overlap-warnings.ts';
import type { SchedulingContext } from '../../domain/schedule/readiness.ts';
import { shortageOf } from '../../domain/schedule/resources.ts';
import type { Env } from '../env.ts';

export type OverlapWatch = ReturnType<typeof overlapWatch>;

export function overlapWatch({ settings }: Pick<Env, 'settings'>, emit: (event: RunEvent) => void) {
  const reported = new Set<string>();
  return {
    /** Whether `task` has to wait for one of this run's own, which may be claimed only in a moment: no record says so yet. `using`: as in a survey. */
    waits(task: PlanTask, own: Iterable<string>, plan: Plan, using: () => readonly PlanTask[]): boolean {
      const others = planned(own, plan);
      if (others.some((other) => holdsBack(task, other, settings.agents) !== null)) return true;
      if (Object.keys(task.uses).length === 0) return false;
      return shortageOf(task, [...new Set([...others, ...using()])], settings.limits) !== null;
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
