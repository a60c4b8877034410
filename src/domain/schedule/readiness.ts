/** Whether a task may be given out now, and if not, why. `phases`, `why`, `claim` and `run` all decide here. */

import { ancestorsOf } from '../../lib/ids.ts';
import { once } from '../../lib/once.ts';
import { oneLine } from '../../lib/text.ts';
import { awaitedChildren, overAmong } from '../fan-out/join.ts';
import { conditionOn, isFinalizer, isOverByPlan, type Plan, type PlanTask } from '../plan/plan.ts';
import { commandSource, type WorkerSettings } from '../plan/task-command.ts';
import { openQuestion } from '../question/questions.ts';
import { errorText } from '../retry/classify.ts';
import type { Settings } from '../settings/settings.ts';
import { parkedText } from '../steps/parking.ts';
import { dueAt, msUntil } from '../task/deadlines.ts';
import { instantFor, type LeaseObserver, leaseStanding, unseenOwner } from '../task/leases.ts';
import { readable, type SeenRecord, seenState, type TaskSummary } from '../task/records.ts';
import { type IntegrationPhase, isClaimable, phaseDue } from '../task/states.ts';
import { pendingVerification } from '../verify/verification.ts';
import { type AgentHold, agentHolds, agentReasons } from './agent-holds.ts';
import { budgetReasons, projectUsedUp } from './budgets.ts';
import { decidingWith, type Fates, fatesOf, outcomeTogether, verdictOn } from './fates.ts';
import { holdsBack, isWorkedOn, type OverlapRules, overlapText } from './overlap.ts';
import { type Limits, Lines, resourceReasons, shortageOf } from './resources.ts';
import { byOrder } from './selection.ts';
import type { Reason, WaitCode } from './wait-codes.ts';

export type { Reason, WaitCode };

export interface SchedulingContext {
  plan: Plan;
  /** The record of a task; null for one without state. */
  recordOf(taskId: string): SeenRecord;
  observer: LeaseObserver;
  /** Whether forge itself reviews and merges, by the settings. */
  does: Readonly<Record<IntegrationPhase, boolean>>;
  workers: WorkerSettings;
  /** The agent that reviews; null: a command does, or nothing. */
  reviewer: string | null;
  rules: OverlapRules;
  limits: Limits;
  budget: Settings['budget'];
  /** Nothing more is started but finalizers: what is not in flight counts as over for them. Default: false. */
  stopping?: boolean;
  /** Who asks does the task itself, so that the agent of the settings is not started. Default: false. */
  bringsWorker?: boolean;
}

/** What is the same for all tasks, computed once. */
export interface Survey {
  fates(): Fates;
  holds(): ReadonlyMap<string, AgentHold>;
  projectUsedUp(): string | null;
  /** Tasks in flight that write files, and that use resources. */
  writing(): readonly PlanTask[];
  using(): readonly PlanTask[];
  /** Those before `task` that are in line for resources and use this one, see `isInLine`. */
  before(task: PlanTask, resource: string): Iterable<PlanTask>;
}

export function surveyOf(scheduling: SchedulingContext): Survey {
  const isHeld = ({ id }: PlanTask) => {
    const record = readable(scheduling.recordOf(id));
    return record !== null && isWorkedOn(record, scheduling.observer);
  };
  const using = once(() => scheduling.plan.tasks.filter((task) => Object.keys(task.uses).length > 0 && isHeld(task)));
  const writing = once(() => scheduling.plan.tasks.filter((task) => task.write_globs.length > 0 && isHeld(task)));
  const { plan } = scheduling;
  const places = once(() => new Map([...plan.tasks].sort(byOrder(plan)).map(({ id }, place) => [id, place])));
  const placeOf = ({ id }: PlanTask) => places().get(id) ?? 0;
  const lines = once(() => {
    const made = new Lines();
    const inLine = plan.tasks.filter((task) => isInLine(task, scheduling, survey));
    for (const task of inLine.sort((a, b) => placeOf(a) - placeOf(b))) made.add(task);
    return made;
  });
  const survey: Survey = {
    fates: once(() => fatesOf(scheduling)),
    holds: once(() => agentHolds(scheduling)),
    projectUsedUp: once(() => projectUsedUp(scheduling)),
    writing,
    using,
    *before(task, resource) {
      for (const other of lines().of(resource)) {
        if (placeOf(other) >= placeOf(task)) return;
        // No agent may come for what only agents do.
        if (hasWork(other, scheduling) || !hasWork(task, scheduling)) yield other;
      }
    },
  };
  return survey;
}

/**
 * Whether the task waits for nothing but resources that others in flight have. What it uses is kept for it: smaller tasks could have it wait for
 * ever. `unless`: tasks that keep what they have for as long as it is waited for. Default: none.
 */
export function isInLine(
  task: PlanTask,
  scheduling: SchedulingContext,
  survey: Survey,
  unless: ReadonlySet<string> = new Set(),
): boolean {
  const { limits } = scheduling;
  if (shortageOf(task, survey.using(), limits) === null || isShortBy(unless, task, scheduling, survey)) return false;
  const reasons = reasonsToWait(task, scheduling, { ...survey, before: () => [] });
  return reasons.every(({ code }) => code === 'RESOURCE_LIMIT');
}

/** Whether `task` could not start if only the tasks in `ids` were in flight. */
export function isShortBy(
  ids: ReadonlySet<string>,
  task: PlanTask,
  { limits }: SchedulingContext,
  { using }: Survey,
): boolean {
  const others = ids.size === 0 ? [] : using().filter(({ id }) => ids.has(id));
  return shortageOf(task, others, limits) !== null;
}

/** What is handed in is verified, reviewed and merged whatever was used for it. */
function isWorkDone(taskId: string, scheduling: SchedulingContext): boolean {
  const record = readable(scheduling.recordOf(taskId));
  return record !== null && (phaseDue(record.state.state) !== null || pendingVerification(record) !== null);
}

const NOT_FINAL: readonly WaitCode[] = ['BACKOFF', 'TASK_PAUSED', 'TASK_WAITS_FOR_REVIEW', 'TASK_WAITS_FOR_MERGE'];

/** Every reason why the task cannot be given out now, its own first. Empty: it is ready. */
export function reasonsToWait(task: PlanTask, scheduling: SchedulingContext, survey = surveyOf(scheduling)): Reason[] {
  const own = ownReasons(task, scheduling, survey);
  // A task that is over or has an owner waits for nothing else.
  if (own.some((reason) => !NOT_FINAL.includes(reason.code))) return own;
  const before = [
    ...phaseReasons(task, scheduling, survey),
    ...task.depends_on.flatMap((id) => dependencyReason(task, id, scheduling, survey) ?? []),
  ];
  // Last: it is the person's turn when nothing else is left.
  if (task.human)
    return [...own, ...before, reason('TASK_HUMAN', `a person does it, then \`forge orchestrate done ${task.id}\``)];
  return [
    ...own,
    ...agentReasons(task, scheduling, survey.holds),
    ...budgetReasons(task, scheduling, survey.projectUsedUp).filter(() => !isWorkDone(task.id, scheduling)),
    ...before,
    // A review or a merge writes none of its files, and uses nothing.
    ...(own.some(isFinishWait) ? [] : besideReasons(task, scheduling, survey)),
  ];
}

function besideReasons(task: PlanTask, { rules, limits }: SchedulingContext, survey: Survey): Reason[] {
  const { writing, using, before } = survey;
  const others = task.write_globs.length === 0 ? [] : writing();
  return [
    ...others.flatMap((other) => overlapReason(task, other, rules) ?? []),
    ...resourceReasons(task, using, limits, (resource) => before(task, resource)),
  ];
}

/** Why `task` waits for another in flight; null when it does not. */
function overlapReason(task: PlanTask, other: PlanTask, rules: OverlapRules): Reason | null {
  const overlap = other.id === task.id ? null : holdsBack(task, other, rules);
  return overlap && reason('OVERLAP_CONFLICT', overlapText(other.id, overlap), other.id);
}

function reason(code: WaitCode, message: string, on: string | null = null): Reason {
  return { code, message, on };
}

function ownReasons(task: PlanTask, scheduling: SchedulingContext, { fates }: Survey): Reason[] {
  if (isOverByPlan(task)) return [reason('TASK_FINISHED', `the plan says that it is ${task.status}`)];
  // Whatever the plan says since: a shipped task is over.
  if (isShipped(task.id, scheduling)) return [reason('TASK_FINISHED', 'it is shipped')];
  const skip = fates().skipOf(task.id);
  if (skip !== null) return [reason('TASK_SKIPPED', `it is skipped: ${skip.why}`, skip.on)];
  const over =
    task.parent === null
      ? undefined
      : ancestorsOf(task.id).find((id) => readable(scheduling.recordOf(id))?.state.state === 'cancelled');
  if (over !== undefined) return [reason('TASK_CANCELLED', `${over}, which made it, was cancelled`, over)];
  const reasons: Reason[] = [];
  if (task.status === 'paused') reasons.push(reason('TASK_PAUSED', 'it is paused in the plan'));
  const record = scheduling.recordOf(task.id);
  if (record === 'unreadable')
    return [reason('TASK_UNREADABLE', 'its record cannot be read; see `forge orchestrate doctor`')];
  if (record !== null) reasons.push(...recordReasons(record, scheduling));
  // A plan that was read before its record was removed has it still; it was over before its parent was.
  const done =
    record === null && task.parent !== null ? ancestorsOf(task.id).find((id) => isShipped(id, scheduling)) : undefined;
  if (done !== undefined) return [reason('TASK_FINISHED', `${done}, which made it, is shipped`, done)];
  return reasons;
}

type RecordContext = Pick<SchedulingContext, 'observer' | 'recordOf'> & { plan: Pick<Plan, 'childrenOf'> };

/** Those that stand in the task's record, and in those of its children. */
export function recordReasons(record: TaskSummary, scheduling: RecordContext): Reason[] {
  const { observer } = scheduling;
  const { state, next_eligible_at, failure_reason } = record.state;
  if (state === 'failed')
    return [reason('TASK_FAILED', `it failed (${failure_reason ?? 'fatal'})${lastFailure(record, ': ')}`)];
  if (state === 'cancelled') return [reason('TASK_CANCELLED', 'it was cancelled')];
  if (state === 'blocked_on_question') return [reason('TASK_WAITS_FOR_ANSWER', waitsForAnswer(record, observer))];
  const due = phaseDue(state);
  if (due !== null) return [finishReason(due, record, observer)];
  if (state === 'waiting') return parkedReasons(record, scheduling);
  const held = heldReason(record, observer);
  if (held !== null) return [held];
  const { backoff } = record.memo;
  const instant = instantFor(observer);
  if (isClaimable(state) && next_eligible_at && msUntil(next_eligible_at, backoff, instant) > 0) {
    const at = dueAt(next_eligible_at, backoff, instant);
    return [reason('BACKOFF', `it is tried again at ${at}${lastFailure(record, ', after ')}`)];
  }
  return [];
}

function parkedReasons(record: TaskSummary, scheduling: RecordContext): Reason[] {
  const { observer, plan } = scheduling;
  const { wake_at: at = null } = record.state;
  const { backoff } = record.memo;
  const instant = instantFor(observer);
  if (at !== null && msUntil(at, backoff, instant) <= 0) return [];
  const joins = awaitedChildren(record.state.task_id, record, plan).map((children) => [
    overAmong(children, scheduling),
    children.length,
  ]);
  if (joins.some(([over, all]) => over === all)) return [];
  const counts = joins.map(([over, all]) => ` (${over} of ${all} are over)`);
  const text = parkedText(record.state, at && dueAt(at, backoff, instant)) + counts.join('');
  const signal = record.state.waits_for?.find(({ kind }) => kind === 'wait-for');
  const how = signal ? `; \`forge orchestrate signal ${record.state.task_id} ${signal.name}\` sends it` : '';
  return [reason('TASK_PARKED', text + how)];
}

/** What went wrong last, behind `joint`; empty where that is not known. */
function lastFailure({ state: { last_error } }: TaskSummary, joint: string): string {
  return last_error ? joint + errorText(last_error) : '';
}

function finishReason(due: IntegrationPhase, record: TaskSummary, observer: LeaseObserver): Reason {
  const by = heldReason(record, observer) && `by run ${record.lease?.owner_run_id}`;
  const [waits, goesOn] =
    due === 'review'
      ? ['it waits for a review', 'it is being reviewed']
      : ['it waits to be merged', 'it is being merged'];
  return reason(WAIT_CODES[due], by === null ? waits : `${goesOn} ${by}`);
}

function waitsForAnswer(record: TaskSummary, observer: LeaseObserver): string {
  const open = openQuestion(record);
  if (open === null) return 'it asked a question that is not answered';
  const { decision_key, question_id } = open;
  const until = dueAt(open.expires_at, open.clock, instantFor(observer));
  return `it asked about ${oneLine(decision_key, 60)} (question ${question_id}), open until ${until}`;
}

/** A lease that still counts. A task in flight whose lease was deleted has no owner. */
export function heldReason(record: TaskSummary, observer: LeaseObserver): Reason | null {
  if (record.lease === null) return null;
  const standing = leaseStanding(record.lease, observer);
  if (standing.kind === 'stale') return null;
  const by = `run ${record.lease.owner_run_id}`;
  const unseen = unseenOwner(record.lease, observer);
  return standing.kind === 'live'
    ? reason('TASK_IN_FLIGHT', `${doing(record, observer)} by ${by} until ${standing.until}${unseen}`)
    : reason('LEASE_IN_GRACE', `the lease of ${by} has run out; it may be taken from ${standing.until} on${unseen}`);
}

function doing(record: TaskSummary, observer: LeaseObserver): string {
  const pending = pendingVerification(record);
  if (pending === null) return record.state.state;
  // Its verifier was stopped or killed; the lease holds on.
  if (observer.liveness(pending.verifier) === 'dead') return 'handed in and still to be verified, claimed';
  return pending.command === null ? 'being verified' : `being verified (${pending.command})`;
}

/** Whether a runner has anything to do for the task: its command, its verification, its review, its merge. */
export function hasWork(task: PlanTask, scheduling: SchedulingContext): boolean {
  if (commandSource(task, scheduling.workers) !== null) return true;
  const record = readable(scheduling.recordOf(task.id));
  if (record === null) return false;
  const due = phaseDue(record.state.state);
  return due === null ? pendingVerification(record) !== null : scheduling.does[due];
}

/** What may be done now about a verified task; null when nothing, or when it has an owner. */
export function dueNow(
  task: PlanTask,
  scheduling: SchedulingContext,
  survey = surveyOf(scheduling),
): IntegrationPhase | null {
  const record = readable(scheduling.recordOf(task.id));
  const due = record && phaseDue(record.state.state);
  if (record === null || due === null || heldReason(record, scheduling.observer) !== null) return null;
  const [wait, ...others] = reasonsToWait(task, scheduling, survey);
  return others.length === 0 && wait !== undefined && isFinishWait(wait) ? due : null;
}

function isFinishWait({ code }: Reason): boolean {
  return code === WAIT_CODES.review || code === WAIT_CODES.ship;
}

/** Whether these are the reasons of a task for which nothing is left to do: it is done, or skipped. */
export function isOver([first]: readonly Reason[]): boolean {
  return first?.code === 'TASK_FINISHED' || first?.code === 'TASK_SKIPPED';
}

export const WAIT_CODES = { review: 'TASK_WAITS_FOR_REVIEW', ship: 'TASK_WAITS_FOR_MERGE' } as const;

/** What forge itself does about verified tasks among `tasks`: first merges, then reviews; each in their order. */
export function dueTasks(
  tasks: readonly PlanTask[],
  scheduling: SchedulingContext,
  survey: Survey,
): { task: PlanTask; phase: IntegrationPhase }[] {
  if (!scheduling.does.review && !scheduling.does.ship) return [];
  const due = tasks.flatMap((task) => {
    const phase = dueNow(task, scheduling, survey);
    return phase !== null && scheduling.does[phase] ? [{ task, phase }] : [];
  });
  return due.sort((a, b) => Number(a.phase === 'review') - Number(b.phase === 'review'));
}

function phaseReasons(task: PlanTask, scheduling: SchedulingContext, { fates }: Survey): Reason[] {
  const phase = scheduling.plan.phaseById.get(task.phase_id);
  if (phase === undefined) return [];
  if (phase.status !== 'active') return [reason('PHASE_NOT_ACTIVE', `phase ${phase.id} is ${phase.status}`, phase.id)];
  const before = phase.blocked_by === null ? undefined : scheduling.plan.phaseById.get(phase.blocked_by);
  if (before === undefined || fates().isFinished(before)) return [];
  // A phase that can't be finished any more keeps no finalizer from its work.
  if (isFinalizer(task) && fates().isOver(before)) return [];
  const over = fates().lostOver(task.id);
  const why = over === undefined ? '' : `, and ${standing(over, scheduling)}`;
  return [reason('PHASE_BLOCKED', `phase ${phase.id} waits for phase ${before.id}${why}`, before.id)];
}

export function isShipped(taskId: string, scheduling: SchedulingContext): boolean {
  return readable(scheduling.recordOf(taskId))?.state.state === 'shipped';
}

function dependencyReason(task: PlanTask, id: string, scheduling: SchedulingContext, { fates }: Survey): Reason | null {
  const condition = conditionOn(task, id);
  const together = decidingWith(task, id);
  if (id !== together[0]) return null;
  const { outcomeOf, lostOver } = fates();
  const outcome = outcomeTogether(together.map(outcomeOf));
  const verdict = verdictOn(condition, outcome, scheduling.plan.byId.get(id)?.continue_on_error === true);
  if (verdict === 'holds') return null;
  const isAlone = together.length === 1;
  const on = together.find((other) => outcomeOf(other) === outcome) ?? id;
  const words = {
    success: `it depends on ${id}`,
    failure: `it runs only when ${isAlone ? id : `one of ${condition.matrix}`} fails`,
    always: `it comes after ${id}`,
  };
  const waits = `${words[condition.when]}, ${isAlone ? 'which' : `and ${on}`}`;
  if (outcome === 'dropped') return reason('DEPENDENCY_DROPPED', `${waits} was dropped`, on);
  const state = seenState(scheduling.recordOf(on));
  if (outcome === 'failed' || outcome === 'cancelled') return reason('DEPENDENCY_FAILED', `${waits} is ${state}`, on);
  const over = lostOver(on);
  if (over === undefined) return reason('DEPENDENCY_PENDING', `${waits} is ${state}`, on);
  return reason('DEPENDENCY_FAILED', `${waits} can't start: ${standing(over, scheduling)}`, on);
}

/** How the task stands over which others are lost. */
function standing(id: string, scheduling: SchedulingContext): string {
  const isDropped = scheduling.plan.byId.get(id)?.status === 'dropped';
  return `${id} is ${isDropped ? 'dropped' : readable(scheduling.recordOf(id))?.state.state}`;
}

export interface TaskClasses {
  /** Ready tasks in the order in which they are given out: phase, urgency, place in the plan. */
  ready: PlanTask[];
  /** What forge itself does about verified tasks: first merges, then reviews; each in plan order. */
  due: { task: PlanTask; phase: IntegrationPhase }[];
  /** Tasks with work left that cannot be given out now, with all their reasons. */
  waiting: { task: PlanTask; reasons: Reason[] }[];
  /** Checkpoints for a person that are not done. */
  human: PlanTask[];
}

/** Decides what can start now, for who claims and for who looks. What a run starts by: `startsBy`. */
export function classifyTasks(scheduling: SchedulingContext): TaskClasses {
  const survey = surveyOf(scheduling);
  const result: TaskClasses = { ready: [], due: [], waiting: [], human: [] };
  for (const task of scheduling.plan.tasks) {
    const reasons = reasonsToWait(task, scheduling, survey);
    if (reasons.length === 0) result.ready.push(task);
    else if (reasons.some(({ code }) => code === 'TASK_HUMAN')) result.human.push(task);
    else if (!isOver(reasons)) result.waiting.push({ task, reasons });
  }
  result.due = dueTasks(scheduling.plan.tasks, scheduling, survey);
  result.ready.sort(byOrder(scheduling.plan));
  return result;
}
