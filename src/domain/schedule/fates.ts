/**
 * The fate of tasks, for those that wait for them: which are over, which are skipped, and which can never start because something that
 * they wait for has failed for good. Computed from records; nothing of it is kept. Pure.
 */

import { once } from '../../lib/once.ts';
import {
  conditionOn,
  type DependencyCondition,
  isFinalizer,
  isOverByPlan,
  type Plan,
  type PlanPhase,
  type PlanTask,
  phaseBefore,
} from '../plan/plan.ts';
import { readable, type SeenRecord, seenState, type TaskState } from '../task/records.ts';
import { isInFlight } from '../task/states.ts';
import { edges, turns } from './critical-path.ts';

/**
 * `skipped`: a condition can't come true any more. `lost`: it waits for one that has failed, was cancelled or was dropped. `stopped`: the
 * run that asks starts it no more. `open`: it may still start, or is under way.
 */
export type Outcome = 'succeeded' | 'failed' | 'cancelled' | 'dropped' | 'skipped' | 'lost' | 'stopped' | 'open';

interface Standing {
  plan: Plan;
  recordOf(taskId: string): SeenRecord;
  /** Who asks starts nothing more but finalizers. Default: false. */
  stopping?: boolean;
}

/** Why a task is skipped: the task that it does not start for, and what that is, in words. */
interface Skip {
  on: string;
  why: string;
}

export interface Fates {
  outcomeOf(taskId: string): Outcome;
  /** The task over which this one is lost; undefined: it is not. */
  lostOver(taskId: string): string | undefined;
  /** Null: it is not skipped. */
  skipOf(taskId: string): Skip | null;
  /** Whether the plan says so, or all its tasks have succeeded, go on after an error, were dropped or are skipped. */
  isFinished(phase: PlanPhase): boolean;
  /** Whether none of its tasks is open. */
  isOver(phase: PlanPhase): boolean;
}

/**
 * Whether others go on when the task has failed: by its word in the plan, or since the task that made it is over, and did not fail by it. `judges`:
 * of which tasks that are not over it is awaited whether they fail by a child. Default: of none.
 */
export function othersGoOn(
  task: PlanTask,
  standing: Pick<Standing, 'plan' | 'recordOf'>,
  judges: (taskId: string) => boolean = () => false,
): boolean {
  if (task.continue_on_error) return true;
  const parent = standing.plan.byId.get(task.parent ?? '');
  if (parent === undefined) return false;
  const state = seenState(standing.recordOf(parent.id));
  if (isOverByPlan(parent) || state === 'shipped' || state === 'cancelled') return true;
  return (state !== 'failed' && judges(parent.id)) || othersGoOn(parent, standing, judges);
}

export type Verdict = 'holds' | 'waits' | 'skips' | 'loses';

/**
 * The tasks whose outcomes decide together whether `task` starts for `id`, which is one of them: where it is for the failure of a matrix all
 * combinations, else `id` alone.
 */
export function decidingWith(task: Pick<PlanTask, 'depends_on' | 'conditions'>, id: string): readonly string[] {
  const { when, matrix } = conditionOn(task, id);
  if (when !== 'failure' || matrix === undefined) return [id];
  return task.depends_on.filter((other) => conditionOn(task, other).matrix === matrix);
}

/** The outcome of tasks that decide together: a failure once all of them are over and one has failed. */
export function outcomeTogether(outcomes: readonly Outcome[]): Outcome {
  return WEIGHTS.find((outcome) => outcomes.includes(outcome)) ?? 'open';
}

const WEIGHTS: readonly Outcome[] = [
  'open',
  'failed',
  'cancelled',
  'stopped',
  'lost',
  'succeeded',
  'skipped',
  'dropped',
];

/** What the outcome of a task means for one that depends on it. `goesOn`: its failure counts as success. */
export function verdictOn({ when, optional }: DependencyCondition, outcome: Outcome, goesOn: boolean): Verdict {
  if (outcome === 'open') return 'waits';
  if (when === 'always') return 'holds';
  if (outcome === 'stopped') return 'waits';
  if (outcome === 'skipped' || outcome === 'dropped') {
    if (optional) return 'holds';
    return outcome === 'dropped' && when === 'success' ? 'loses' : 'skips';
  }
  if (outcome === 'lost') return 'loses';
  if (when === 'failure') return outcome === 'succeeded' ? 'skips' : 'holds';
  return outcome === 'succeeded' || (outcome === 'failed' && goesOn) ? 'holds' : 'loses';
}

export function fatesOf(standing: Standing): Fates {
  const { plan, recordOf } = standing;
  const states = new Map<string, TaskState | null>();
  const stateOf = (id: string): TaskState | null => {
    const before = states.get(id);
    if (before !== undefined) return before;
    const state = readable(recordOf(id))?.state.state ?? null;
    states.set(id, state);
    return state;
  };
  const outcomes = new Map<string, Outcome>();
  const lost = new Map<string, string>();
  const skipped = new Map<string, Skip>();
  const ended = ({ id, status }: PlanTask): Outcome | null => {
    const state = stateOf(id);
    if (status === 'done' || state === 'shipped') return 'succeeded';
    if (status === 'dropped') return 'dropped';
    return state === 'failed' || state === 'cancelled' ? state : null;
  };
  // Most plans have no conditions, and in most nothing has failed: then nothing is worked out, and few records are read.
  const mayDiffer = standing.stopping === true || plan.hasFinalizers;
  const known = (id: string): Outcome => {
    const task = plan.byId.get(id);
    return (task && ended(task)) ?? outcomes.get(id) ?? 'open';
  };
  const outcomeOf = (id: string): Outcome => {
    const task = plan.byId.get(id);
    const end = task === undefined ? null : ended(task);
    if (end !== null) return end;
    workOut();
    return outcomes.get(id) ?? 'open';
  };
  const everyTask = (phase: PlanPhase, holds: (outcome: Outcome, task: PlanTask) => boolean) =>
    phase.task_ids.every((id) => holds(known(id), plan.byId.get(id) as PlanTask));
  const finished = new Map<string, boolean>();
  const isFinished = (phase: PlanPhase) => {
    const answer = finished.get(phase.id) ?? (phase.status === 'done' || everyTask(phase, isPassed));
    finished.set(phase.id, answer);
    return answer;
  };
  const isOver = (phase: PlanPhase) => isFinished(phase) || everyTask(phase, (outcome) => outcome !== 'open');
  /** The task over which a phase is never finished; undefined: it may be. */
  const lostPhases = new Map<string, string | undefined>();

  const judge = (task: PlanTask): Outcome => {
    const state = stateOf(task.id);
    if (state !== null && !MAY_START.includes(state))
      return standing.stopping === true && !isInFlight(state) && !isFinalizer(task) ? 'stopped' : 'open';
    let root: string | undefined;
    for (const id of task.depends_on) {
      const together = decidingWith(task, id);
      const outcome = outcomeTogether(together.map(known));
      const condition = conditionOn(task, id);
      const verdict = verdictOn(condition, outcome, plan.byId.get(id)?.continue_on_error === true);
      if (verdict === 'skips') {
        skipped.set(task.id, { on: id, why: skipText(condition, id, outcome) });
        return 'skipped';
      }
      const trouble = together.find((other) => known(other) === outcome) ?? id;
      if (verdict === 'loses') root ??= lost.get(trouble) ?? trouble;
    }
    const before = phaseBefore(plan, task);
    if (before !== undefined && !isFinished(before) && !isFinalizer(task)) root ??= lostPhases.get(before.id);
    if (root === undefined) return standing.stopping === true && !isFinalizer(task) ? 'stopped' : 'open';
    lost.set(task.id, root);
    return 'lost';
  };

  const workOut = once(() => {
    if (!mayDiffer && !plan.tasks.some((task) => isTrouble(ended(task)))) return;
    const left = plan.tasks.filter((task) => !isOverByPlan(task));
    for (const node of turns(edges(plan, left))) {
      const task = left[node];
      const phase = plan.phases[node - left.length];
      if (task !== undefined) outcomes.set(task.id, ended(task) ?? judge(task));
      else if (phase !== undefined) {
        const trouble = phase.task_ids.find((id) => {
          const outcome = known(id);
          return (
            outcome === 'lost' || (outcome !== 'dropped' && isTrouble(outcome) && !isPassed(outcome, plan.byId.get(id)))
          );
        });
        lostPhases.set(phase.id, trouble === undefined ? undefined : (lost.get(trouble) ?? trouble));
      }
    }
  });
  const workedOut = <T>(answer: () => T): T => {
    workOut();
    return answer();
  };
  return {
    outcomeOf,
    lostOver: (id) => workedOut(() => lost.get(id)),
    skipOf: (id) => (mayDiffer ? workedOut(() => skipped.get(id) ?? null) : null),
    isFinished: (phase) => (mayDiffer ? workedOut(() => isFinished(phase)) : isFinished(phase)),
    isOver: (phase) => workedOut(() => isOver(phase)),
  };
}

/** The states from which a condition still decides; null counts too. */
const MAY_START: readonly TaskState[] = ['unclaimed', 'abandoned', 'awaiting_respawn'];

function isTrouble(outcome: Outcome | null): boolean {
  return outcome === 'failed' || outcome === 'cancelled' || outcome === 'dropped';
}

function isPassed(outcome: Outcome, task: PlanTask | undefined): boolean {
  if (outcome === 'failed') return task?.continue_on_error === true;
  return outcome === 'succeeded' || outcome === 'dropped' || outcome === 'skipped';
}

function skipText({ when, matrix }: DependencyCondition, id: string, outcome: Outcome): string {
  if (when === 'failure' && matrix !== undefined)
    return `it runs only when one of ${matrix} fails, and none has failed`;
  const is = outcome === 'succeeded' ? 'has not failed' : `is ${outcome}`;
  return when === 'failure' ? `it runs only when ${id} fails, and ${id} ${is}` : `it depends on ${id}, which ${is}`;
}
