/** What a run works on, and what of it may still start by itself. Pure. */

import { madeIn } from '../../lib/once.ts';
import { awaitedChildren } from '../fan-out/join.ts';
import type { Plan, PlanTask } from '../plan/plan.ts';
import { openQuestion } from '../question/questions.ts';
import { readable, type TaskSummary } from '../task/records.ts';
import { isTerminal, phaseDue } from '../task/states.ts';
import { edges, turns } from './critical-path.ts';
import {
  hasWork,
  heldReason,
  isOver,
  isShortBy,
  reasonsToWait,
  type SchedulingContext,
  surveyOf,
  WAIT_CODES,
  type WaitCode,
} from './readiness.ts';
import { orderedBefore } from './selection.ts';

/**
 * `taskIds` with everything they depend on, directly, through others, and through the phases before theirs, and with the children of all of
 * these; null: the whole plan. `alone`: only these with their children. Default: false.
 */
export function selectedTasks(taskIds: readonly string[] | null, plan: Plan, alone = false): ReadonlySet<string> {
  if (taskIds === null) return new Set(plan.byId.keys());
  const selected = new Set<string>(alone ? taskIds.filter((id) => plan.byId.has(id)) : []);
  const queue = alone ? [] : [...taskIds];
  const phases = new Set<string>();
  for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
    const task = plan.byId.get(id);
    if (selected.has(id) || task === undefined) continue;
    selected.add(id);
    // What a phase waits for is the same for all of its tasks.
    for (const other of phases.has(task.phase_id) ? task.depends_on : orderedBefore(task, plan)) queue.push(other);
    phases.add(task.phase_id);
  }
  // A child stands behind its parent.
  for (const { id, parent } of plan.tasks) if (parent !== null && selected.has(parent)) selected.add(id);
  return selected;
}

/** Reasons that time or work in flight removes. */
const PASSING: readonly WaitCode[] = ['BACKOFF', 'AGENT_LIMIT', 'TASK_IN_FLIGHT', 'LEASE_IN_GRACE', 'RESOURCE_LIMIT'];

interface Awaited {
  surrounding?: ReadonlySet<string>;
  answers?: boolean;
  checkpoints?: boolean;
}

/**
 * The tasks among `selected` that a runner can still start without a person or an agent: those with a command whose every
 * obstacle is in flight, in backoff, or can still start itself. `surrounding`: tasks in flight that wait for the runner itself. Default: none.
 * `answers`: whether what others send is waited for too: the answer to an open question, or its deadline, and a signal. Default: true.
 * `checkpoints`: whether a person's checkpoints count as well, since they are waited for. Default: false.
 */
export function mayStillRun(
  scheduling: SchedulingContext,
  selected: ReadonlySet<string>,
  { surrounding = new Set(), answers = true, checkpoints = false }: Awaited = {},
): PlanTask[] {
  const survey = surveyOf(scheduling);
  const known = new Map<string, boolean>();
  const ofPhases = new Map<string, boolean>();
  const progresses = (id: string): boolean => {
    const before = known.get(id);
    if (before !== undefined) return before;
    // The plan has no cycles; the entry only prevents an endless loop.
    known.set(id, false);
    const task = scheduling.plan.byId.get(id);
    const answer = task !== undefined && judge(task);
    known.set(id, answer);
    return answer;
  };
  const judge = (task: PlanTask): boolean => {
    const reasons = reasonsToWait(task, scheduling, survey);
    if (isOver(reasons)) return true;
    if (surrounding.has(task.id)) return false;
    if (reasons.some(({ code }) => code === 'TASK_IN_FLIGHT' || code === 'LEASE_IN_GRACE')) return true;
    const record = readable(scheduling.recordOf(task.id));
    const isUnderWay = record !== null && phaseDue(record.state.state) !== null;
    if (isUnderWay && heldReason(record, scheduling.observer) !== null) return true;
    if (!isAwaited(task)) return false;
    // What these have ends with the runner alone.
    if (isShortBy(surrounding, task, scheduling, survey)) return false;
    return reasons.every(({ code, on }) => {
      if (code === 'OVERLAP_CONFLICT') return on === null || !surrounding.has(on);
      if (PASSING.includes(code)) return true;
      if (code === 'TASK_HUMAN') return checkpoints;
      // Its deadline settles a question that the record names.
      if (code === 'TASK_WAITS_FOR_ANSWER') return answers && record !== null && openQuestion(record) !== null;
      if (code === 'TASK_PARKED')
        return record !== null && (Boolean(record.state.wake_at) || mayJoin(task.id, record) || mayBeSent(record));
      if (code === WAIT_CODES.review) return scheduling.does.review;
      if (code === WAIT_CODES.ship) return scheduling.does.ship;
      if (code === 'DEPENDENCY_PENDING' && on !== null) return progresses(on);
      if (code === 'PHASE_BLOCKED' && on !== null)
        return madeIn(ofPhases, on, () => scheduling.plan.phaseById.get(on)?.task_ids.every(progresses) ?? true);
      return false;
    });
  };
  const isAwaited = (task: PlanTask) =>
    selected.has(task.id) && (hasWork(task, scheduling) || (checkpoints && task.human));
  // Without a time limit it may never come.
  const mayBeSent = ({ state }: TaskSummary) =>
    answers && (state.waits_for ?? []).some(({ kind }) => kind === 'wait-for');
  const hasEnded = (id: string) => isTerminal(readable(scheduling.recordOf(id))?.state.state ?? 'unclaimed');
  const mayJoin = (id: string, record: TaskSummary) =>
    awaitedChildren(id, record, scheduling.plan).some((all) =>
      all.every((child) => hasEnded(child.id) || progresses(child.id)),
    );
  const asked = scheduling.plan.tasks.filter(isAwaited);
  // In turn: a chain of thousands in which each asks for the next has more levels than a stack.
  for (const node of turns(edges(scheduling.plan, asked))) if (asked[node] !== undefined) progresses(asked[node].id);
  return asked.filter((task) => progresses(task.id) && !isOver(reasonsToWait(task, scheduling, survey)));
}
