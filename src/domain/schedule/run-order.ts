/** Parts of a plan in the order of work: for a run, which needs the first few tasks that are ready, and for who reviews and merges. Pure. */

import { kindOf } from '../../lib/errors.ts';
import { madeIn } from '../../lib/once.ts';
import { conditionOn, type PlanPhase, type PlanTask, phaseBefore } from '../plan/plan.ts';
import { readable } from '../task/records.ts';
import { type IntegrationPhase, isTerminal, phaseDue } from '../task/states.ts';
import {
  dueNow,
  hasWork,
  isOver,
  isShipped,
  reasonsToWait,
  type SchedulingContext,
  surveyOf,
  type TaskClasses,
} from './readiness.ts';
import { byOrder } from './selection.ts';

/** The tasks that have not shipped, in the order in which they are given out. */
export function inOrder(scheduling: SchedulingContext): PlanTask[] {
  return scheduling.plan.tasks.filter(({ id }) => !isShipped(id, scheduling)).sort(byOrder(scheduling.plan));
}

/** Whether `refusal` of a claim says that another process was first: the task, or what it needs, is not as it was when it was seen to be ready. */
export function anotherWasFirst(refusal: unknown): boolean {
  return ['contention', 'deferred'].includes(kindOf(refusal));
}

/**
 * Of `tasks`, those that no other has begun since they were seen: there is something of them, `now`, only if it is `known` that there was then.
 * So a claimer that was outrun need not read the others.
 */
export function notBegun(
  tasks: readonly PlanTask[],
  known: { has(taskId: string): boolean },
  now: readonly string[],
): PlanTask[] {
  const begun = new Set(now);
  return tasks.filter(({ id }) => known.has(id) || !begun.has(id));
}

/** How many tasks are the next few, as among which a claimer chooses when another was first: several for each of those that usually work side by side. */
const SPREAD = 64;

/**
 * What has not shipped of `tasks` in the order of work, for a claimer to which another was first. It goes on at random among the next that are
 * as urgent: claimers that keep to one order meet at every task. `random`: a number in [0, 1).
 */
export function jumpAhead(tasks: readonly PlanTask[], scheduling: SchedulingContext, random: () => number): PlanTask[] {
  const left = tasks.filter(({ id }) => !isShipped(id, scheduling));
  const order = byOrder(scheduling.plan);
  const next = left.slice(0, SPREAD).filter((task, _, [first = task]) => order(first, task) === 0);
  const by = Math.floor(random() * next.length);
  return [...next.slice(by), ...next.slice(0, by), ...left.slice(next.length)];
}

/**
 * The tasks that a run has left. It remembers for each that waits for another which one that is, and asks no more until that one has changed: so
 * what a run asks when a task ends does not grow with the plan.
 */
export class WorkQueue {
  /** All of them, in the order of work. */
  readonly order: readonly PlanTask[];
  readonly #places: ReadonlyMap<string, number>;
  /** Of which nothing is remembered, in the same order. */
  #left: readonly PlanTask[];
  readonly #waiting = new Map<string, PlanTask[]>();

  constructor(order: readonly PlanTask[]) {
    this.order = order;
    this.#left = order;
    this.#places = new Map(order.map(({ id }, place) => [id, place]));
  }

  /** Those that may be ready, in order. `changed`: ids of the tasks whose records were read again since the last call. */
  *candidates(scheduling: SchedulingContext, changed: Iterable<string>): Generator<PlanTask> {
    const left = this.#withThoseBehind(changed);
    const open: PlanTask[] = [];
    const blockerOf = blockersIn(scheduling);
    let seen = 0;
    try {
      for (const task of left) {
        seen += 1;
        // One that has shipped waits for itself: it may be begun again.
        const before = isShipped(task.id, scheduling) ? task.id : blockerOf(task);
        if (before === null) {
          open.push(task);
          yield task;
        } else this.#wait(task, before);
      }
    } finally {
      this.#left = [...open, ...left.slice(seen)];
    }
  }

  /** Ids of those of `selected` that are ready and would be begun for the first time, among the next few. */
  *upcoming(scheduling: SchedulingContext, selected: ReadonlySet<string>): Generator<string> {
    const survey = surveyOf(scheduling);
    for (const task of this.#left.slice(0, SPREAD)) {
      const isNew = selected.has(task.id) && readable(scheduling.recordOf(task.id)) === null;
      if (isNew && hasWork(task, scheduling) && reasonsToWait(task, scheduling, survey).length === 0) yield task.id;
    }
  }

  /** The same tasks for a run to which another was first, see `jumpAhead`. */
  ahead(scheduling: SchedulingContext, random: () => number): WorkQueue {
    return new WorkQueue(jumpAhead(this.order, scheduling, random));
  }

  #wait(task: PlanTask, before: string): void {
    madeIn(this.#waiting, before, () => []).push(task);
  }

  #withThoseBehind(changed: Iterable<string>): readonly PlanTask[] {
    const behind: PlanTask[] = [];
    for (const id of changed) {
      // All of a large plan may wait for one: too many for the arguments of one call.
      for (const task of this.#waiting.get(id) ?? []) behind.push(task);
      this.#waiting.delete(id);
    }
    const place = ({ id }: PlanTask) => this.#places.get(id) ?? 0;
    return behind.length === 0 ? this.#left : [...this.#left, ...behind].sort((a, b) => place(a) - place(b));
  }
}

/** Tells of a task another without whose end it is not given out; null where that takes more to tell. */
function blockersIn(scheduling: SchedulingContext): (task: PlanTask) => string | null {
  const { plan } = scheduling;
  const isLeft = (id: string) => {
    const { state = 'unclaimed' } = readable(scheduling.recordOf(id))?.state ?? {};
    return plan.byId.get(id)?.status === 'active' && !isTerminal(state);
  };
  const ofPhases = new Map<string, string | null>();
  const lastOf = ({ status, task_ids }: PlanPhase) => (status === 'done' ? null : (task_ids.findLast(isLeft) ?? null));
  return (task) => {
    // One that is optional may be skipped, which no record says.
    const before = task.depends_on.find((id) => {
      const { when, optional } = conditionOn(task, id);
      return when === 'success' && !optional && isLeft(id);
    });
    if (before !== undefined) return before;
    const phase = phaseBefore(plan, task);
    // So may any task of a phase, in a plan with conditions.
    return phase === undefined || plan.hasFinalizers ? null : madeIn(ofPhases, phase.id, () => lastOf(phase));
  };
}

/** The tasks that wait for a review or a merge: those for which it may be done now, and why the others wait. */
export function queueFor(
  phase: IntegrationPhase,
  scheduling: SchedulingContext,
): Pick<TaskClasses, 'ready' | 'waiting'> {
  const survey = surveyOf(scheduling);
  const queue: Pick<TaskClasses, 'ready' | 'waiting'> = { ready: [], waiting: [] };
  for (const task of scheduling.plan.tasks) {
    const record = readable(scheduling.recordOf(task.id));
    if (record === null || phaseDue(record.state.state) !== phase) continue;
    const reasons = reasonsToWait(task, scheduling, survey);
    if (isOver(reasons)) continue;
    if (dueNow(task, scheduling, survey) === phase) queue.ready.push(task);
    else queue.waiting.push({ task, reasons });
  }
  return queue;
}
