/** The content of the live view: what runs, what waits and why, open questions, and how much is left. */

import { madeIn } from '../../lib/once.ts';
import { fromIso } from '../../lib/time.ts';
import { addChild, type ChildCount, type ChildrenSum, childrenText, fanOutOf, noChildren } from '../fan-out/counts.ts';
import type { PlanTask } from '../plan/plan.ts';
import { openQuestion, type Question } from '../question/questions.ts';
import { criticalPath } from '../schedule/critical-path.ts';
import {
  hasWork,
  type Reason,
  reasonsToWait,
  type SchedulingContext,
  surveyOf,
  type WaitCode,
} from '../schedule/readiness.ts';
import { dueAt } from '../task/deadlines.ts';
import type { Liveness, OwnerIdentity } from '../task/identity.ts';
import { instantFor, leaseStanding } from '../task/leases.ts';
import { type PhaseOfWork, readable, type TaskSummary } from '../task/records.ts';
import { pendingVerification } from '../verify/verification.ts';

/** An attempt of the process that shows the view; its record may not have been read since. */
export interface OwnAttempt {
  attempt_id: string;
  attempt_number: number;
  /** Milliseconds since its worker was started. */
  age_ms: number;
}

export interface Standing {
  scheduling: SchedulingContext;
  /** The tasks that count; null: all of the plan. */
  selected: ReadonlySet<string> | null;
  own: ReadonlyMap<string, OwnAttempt>;
  /** Commands of the process that shows the view and that prepare worktrees, by task. Default: none. */
  setups?: ReadonlyMap<string, string>;
  /** Whether children of fan-outs are shown one by one. Default: one line has their number. */
  unfolded?: boolean;
}

export interface LiveRun {
  /** Of children that are folded, `<parent>/<fan-out>`. */
  task_id: string;
  title: string;
  /** Null while it is only claimed. */
  attempt_id: string | null;
  attempt_number: number;
  /** When it began, milliseconds since the epoch. */
  since_ms: number;
  /** The command that prepares its worktree; null: none. */
  setup: string | null;
  /** The running verification command; null: none. */
  checking: string | null;
  /** Null while it is not known. */
  phase: PhaseOfWork | null;
  /** The last line of its worker; empty when it is not known, or there is none. */
  line: string;
}

export interface LiveWait {
  code: WaitCode;
  message: string;
  on: string[];
  /** When the first of them is tried again, milliseconds since the epoch; null unless they are in backoff. */
  until_ms: number | null;
  tasks: string[];
}

export interface LiveQuestion {
  task_id: string;
  question_id: string;
  attempt_id: string;
  decision_key: string;
  /** Null while it is not known. */
  question: Question | null;
}

/** Each task counts once; dropped ones do not count. `over`: shipped, done in the plan, or skipped. */
const COUNTS = ['over', 'running', 'ready', 'waiting', 'asked', 'human', 'failed', 'cancelled', 'unreadable'] as const;
export type LiveCount = (typeof COUNTS)[number];

/** Of a run: how long it has taken, and about how long it still takes (null: nothing tells), milliseconds. */
export interface LiveProgress {
  elapsed_ms: number;
  left_ms: number | null;
}

export interface LiveModel {
  counts: Record<LiveCount, number>;
  running: LiveRun[];
  /** First what time or work in flight will free, then what waits for those, then what is paused. */
  waiting: LiveWait[];
  asked: LiveQuestion[];
  path: string[];
  /** Null where it is not of one run. */
  progress: LiveProgress | null;
}

const COUNTED: Partial<Record<WaitCode, LiveCount>> = {
  TASK_FINISHED: 'over',
  TASK_SKIPPED: 'over',
  TASK_FAILED: 'failed',
  TASK_CANCELLED: 'cancelled',
  TASK_IN_FLIGHT: 'running',
  TASK_WAITS_FOR_ANSWER: 'asked',
  TASK_HUMAN: 'human',
  TASK_UNREADABLE: 'unreadable',
};

/** Shown late or last; other codes come first. */
const RANKS: Partial<Record<WaitCode, number>> = {
  DEPENDENCY_PENDING: 1,
  PHASE_BLOCKED: 1,
  DEPENDENCY_FAILED: 2,
  DEPENDENCY_DROPPED: 2,
  TASK_PAUSED: 3,
  PHASE_NOT_ACTIVE: 3,
};

/** The live view of `standing`. The caller looks up `phase`, `line` and `question`. */
export function liveModel({ scheduling: asked, selected, own, setups, unfolded = false }: Standing): LiveModel {
  const scheduling = askingOnce(asked);
  const model: LiveModel = {
    counts: Object.fromEntries(COUNTS.map((count) => [count, 0])) as LiveModel['counts'],
    running: [],
    waiting: [],
    asked: [],
    path: [],
    progress: null,
  };
  const survey = surveyOf(scheduling);
  const waits = new Map<string, LiveWait>();
  const left = new Set<string>();
  const fanOuts = new Map<string, FoldedChildren>();
  for (const task of scheduling.plan.tasks) {
    if (task.status === 'dropped' || selected?.has(task.id) === false) continue;
    const record = readable(scheduling.recordOf(task.id));
    const why = reasonsToWait(task, scheduling, survey);
    const count = own.has(task.id) ? 'running' : countOf(why, record, scheduling);
    model.counts[count]++;
    if (count !== 'over' && count !== 'cancelled') left.add(task.id);
    const run = () => ({
      ...runOf(task, record, own.get(task.id), scheduling),
      setup: setups?.get(task.id) ?? null,
    });
    const fanOut = unfolded ? null : fanOutOf(task.id);
    if (fanOut !== null) fold(fanOuts, fanOut, count, count === 'running' ? run().since_ms : null);
    else if (count === 'running') model.running.push(run());
    if (count === 'asked') model.asked.push(...questionOf(record));
    else if (fanOut !== null || count === 'running') continue;
    else if (count === 'waiting') addWait(waits, task, why, backoffEnd(record, scheduling));
    else if (count === 'human') addWait(waits, task, [FOR_A_PERSON]);
    else if (count === 'ready' && !hasWork(task, scheduling)) addWait(waits, task, [FOR_AN_AGENT]);
  }
  for (const [task_id, folded] of fanOuts) model.running.push(...lineOfChildren(task_id, folded, scheduling));
  model.running.sort((a, b) => a.since_ms - b.since_ms);
  const running = new Set(model.running.map(({ task_id }) => task_id));
  const rank = ({ code, on }: LiveWait) => (RANKS[code] ?? 0) - (on.some((id) => running.has(id)) ? 0.5 : 0);
  model.waiting = [...waits.values()].sort((a, b) => rank(a) - rank(b));
  model.path = criticalPath(scheduling.plan, ({ id }) => left.has(id));
  return model;
}

interface FoldedChildren {
  sum: ChildrenSum;
  /** When the first of those that run has begun, milliseconds since the epoch; null where none runs. */
  since_ms: number | null;
}

const CHILD_COUNTED: Partial<Record<LiveCount, ChildCount>> = {
  over: 'done',
  failed: 'failed',
  unreadable: 'failed',
  cancelled: 'cancelled',
  asked: 'asking',
  running: 'running',
};

function fold(fanOuts: Map<string, FoldedChildren>, id: string, count: LiveCount, since: number | null): void {
  const folded = madeIn(fanOuts, id, () => ({ sum: noChildren(), since_ms: null }));
  addChild(folded.sum, CHILD_COUNTED[count] ?? null);
  if (since !== null) folded.since_ms = Math.min(since, folded.since_ms ?? since);
}

/** Children of which none is left have no line. */
function lineOfChildren(
  task_id: string,
  { sum, since_ms }: FoldedChildren,
  { observer }: SchedulingContext,
): LiveRun[] {
  if (sum.done + sum.failed + sum.cancelled === sum.all) return [];
  const none = { attempt_id: null, attempt_number: 0, setup: null, checking: null, phase: null };
  return [{ task_id, title: '', ...none, since_ms: since_ms ?? observer.nowMs, line: childrenText(sum) }];
}

/** Many tasks have the same owner, and on some systems a liveness check starts a process. */
function askingOnce(scheduling: SchedulingContext): SchedulingContext {
  const known = new Map<string, Liveness>();
  const liveness = (owner: OwnerIdentity) =>
    madeIn(known, JSON.stringify(owner), () => scheduling.observer.liveness(owner));
  return { ...scheduling, observer: { ...scheduling.observer, liveness } };
}

const FOR_AN_AGENT: Reason = { code: 'NO_COMMAND', message: 'an agent may claim it', on: null };
const FOR_A_PERSON: Reason = { code: 'TASK_HUMAN', message: 'a person does it', on: null };

function countOf(reasons: readonly Reason[], record: TaskSummary | null, scheduling: SchedulingContext): LiveCount {
  const said = reasons.flatMap(({ code }) => COUNTED[code] ?? [])[0];
  if (said === 'over' || said === 'failed' || said === 'cancelled') return said;
  // A live lease, whatever the state.
  if (record?.lease && leaseStanding(record.lease, scheduling.observer).kind === 'live') return 'running';
  return said ?? (reasons.length > 0 ? 'waiting' : 'ready');
}

function runOf(
  task: PlanTask,
  record: TaskSummary | null,
  own: OwnAttempt | undefined,
  { observer }: SchedulingContext,
): Omit<LiveRun, 'setup'> {
  const lease = record?.lease ?? null;
  const checked = record === null ? null : pendingVerification(record);
  const since = own === undefined ? fromIso(lease?.acquired_at ?? '') : observer.nowMs - own.age_ms;
  return {
    task_id: task.id,
    title: task.title,
    attempt_id: own?.attempt_id ?? checked?.attempt_id ?? lease?.attempt_id ?? null,
    attempt_number: own?.attempt_number ?? record?.state.attempt_count ?? 0,
    since_ms: Number.isNaN(since) ? observer.nowMs : since,
    checking: checked === null ? null : (checked.command ?? 'what was handed in'),
    phase: null,
    line: '',
  };
}

function questionOf(record: TaskSummary | null): LiveQuestion[] {
  const open = record === null ? null : openQuestion(record);
  if (record === null || open === null) return [];
  const { question_id, attempt_id, decision_key } = open;
  return [{ task_id: record.state.task_id, question_id, attempt_id, decision_key, question: null }];
}

/** When a backoff ends, milliseconds since the epoch; null for none. */
function backoffEnd(record: TaskSummary | null, { observer }: SchedulingContext): number | null {
  const at = record?.state.next_eligible_at;
  return record && at ? fromIso(dueAt(at, record.memo.backoff, instantFor(observer))) : null;
}

function addWait(
  waits: Map<string, LiveWait>,
  task: PlanTask,
  reasons: Reason[],
  backoffEnd: number | null = null,
): void {
  const [first] = reasons;
  if (first === undefined) return;
  const { code, message } = first;
  const on = reasons.flatMap((reason) => (reason.code === code && reason.on !== null ? [reason.on] : []));
  const until_ms = code === 'BACKOFF' ? backoffEnd : null;
  // What a parked task waits for, and until when, only its message says.
  const key = [code, ...on, ...(code === 'TASK_PARKED' ? [message] : [])].join(' ');
  const wait = waits.get(key);
  if (wait === undefined) waits.set(key, { code, message, on, until_ms, tasks: [task.id] });
  else {
    wait.tasks.push(task.id);
    if (until_ms !== null) wait.until_ms = Math.min(wait.until_ms ?? until_ms, until_ms);
  }
}
