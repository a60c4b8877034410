/**
 * What a tracker is to be told after a task has moved. It is decided by where the task stands now, not by each move: so
 * whoever comes later, or again, brings the issue to the same place.
 */

import type { IssueState, TrackerIssue } from '../domain/gc/gc-plan.ts';
import type { TaskRecord, TaskState } from '../domain/task/records.ts';
import type { Move } from '../domain/task/states.ts';
import { oneLine } from '../lib/text.ts';

/** One call of a `Tracker`, about the issue that was asked for. */
export type TrackerStep =
  | { call: 'claim'; run_id: string }
  | { call: 'release'; run_id: string }
  | { call: 'set_state'; state: IssueState }
  | { call: 'comment'; text: string };

export interface TrackerSteps {
  /** In order. */
  steps: TrackerStep[];
  /** Where tracker and tree disagree and a person has to say who is right; null when they don't. */
  conflict: string | null;
}

export interface TrackerQuestion {
  /** As it is committed. */
  record: TaskRecord;
  /** Taken since the tracker was told last. */
  moves: readonly Move[];
  issue: TrackerIssue;
  /** Whether the issue is claimed by a run of this tree. Then the tree knows better who works on it. */
  ours: boolean;
}

/** Within a claim, these change nothing that a tracker shows. */
const UNTOLD: readonly Move[] = ['dispatch', 'start'];

/** Whether any of `moves` is one that a tracker shows. */
export function concernsTracker(moves: readonly Move[]): boolean {
  return moves.some((move) => !UNTOLD.includes(move));
}

const ISSUE_STATE_OF: Record<TaskState, IssueState> = {
  unclaimed: 'open',
  claimed: 'in_progress',
  dispatched: 'in_progress',
  running: 'in_progress',
  // Nobody works on these, also where somebody will again.
  blocked_on_question: 'open',
  awaiting_respawn: 'open',
  abandoned: 'open',
  failed: 'open',
  ready_for_review: 'in_review',
  reviewed: 'in_review',
  merge_pending: 'in_review',
  shipped: 'done',
  cancelled: 'cancelled',
};

/**
 * The issue of a task: one that names the task, of several the first by id; else the one that the plan names for it, unless
 * that one names another task. gc has it so too. Null when there is none.
 */
export function issueOf(
  taskId: string,
  plannedIssueId: string | null,
  issues: readonly TrackerIssue[],
): TrackerIssue | null {
  const naming = issues.filter(({ task_id }) => task_id === taskId);
  if (naming.length === 0) {
    return issues.find(({ id, task_id }) => id === plannedIssueId && task_id === null) ?? null;
  }
  return naming.reduce<TrackerIssue | null>(
    (first, next) => (first === null || next.id < first.id ? next : first),
    null,
  );
}

/** What brings the issue to where the task stands. What a person has closed stays closed, unless the task was reopened. */
export function trackerSteps({ record, moves, issue, ours }: TrackerQuestion): TrackerSteps {
  const { task_id, state } = record.state;
  const wanted = ISSUE_STATE_OF[state];
  const closed = issue.state === 'done' || issue.state === 'cancelled';
  const reopened = closed && moves.includes('reopen');
  if (closed && !reopened) {
    const agree = wanted === issue.state;
    return {
      steps: [],
      conflict: agree ? null : `issue ${shown(issue.id)} is ${issue.state}, and task ${task_id} is ${state}`,
    };
  }
  const foreign = issue.claimed_by !== null && !ours;
  // That it is done is a fact, whoever else has meant to do it.
  if (foreign && wanted !== 'done' && wanted !== 'open') {
    return {
      steps: [],
      conflict: `issue ${shown(issue.id)} is claimed by ${shown(issue.claimed_by ?? '')}, and task ${task_id} is ${state}`,
    };
  }
  const seen: TrackerIssue = reopened ? { ...issue, state: 'open' } : issue;
  return {
    steps: [
      ...(reopened ? [{ call: 'set_state' as const, state: 'open' as const }] : []),
      ...(foreign && wanted === 'open' ? [] : stepsTo(wanted, seen, record)),
      ...failureOf(record, moves),
    ],
    conflict: null,
  };
}

function stepsTo(wanted: IssueState, issue: TrackerIssue, { state, lease }: TaskRecord): TrackerStep[] {
  const { claimed_by } = issue;
  if (wanted === 'in_progress' && lease !== null) {
    const run_id = lease.owner_run_id;
    if (claimed_by === run_id) return issue.state === 'in_progress' ? [] : [{ call: 'claim', run_id }];
    const former: TrackerStep[] = claimed_by === null ? [] : [{ call: 'release', run_id: claimed_by }];
    return [...former, { call: 'claim', run_id }];
  }
  if (wanted === 'open' && claimed_by !== null) return [{ call: 'release', run_id: claimed_by }];
  if (issue.state === wanted) return [];
  // Who did it stays written at what is in review, or done; also where it was done before the tracker heard of it.
  const doer = wanted === 'in_review' || wanted === 'done' ? state.updated_by.run_id : null;
  const late: TrackerStep[] = claimed_by === null && doer !== null ? [{ call: 'claim', run_id: doer }] : [];
  return [...late, { call: 'set_state', state: wanted }];
}

/** The commit that fails a task says so once; the attempt's number tells it from a later failure of the same kind. */
function failureOf({ state }: TaskRecord, moves: readonly Move[]): TrackerStep[] {
  if (!moves.includes('fail') || state.state !== 'failed') return [];
  const error = state.last_error;
  const why = error === undefined || error === null ? '' : `: ${error.class}: ${error.message}`;
  const text = oneLine(`task ${state.task_id} has failed at attempt ${state.attempt_count}${why}`, COMMENT_MAX_CHARS);
  return [{ call: 'comment', text }];
}

const COMMENT_MAX_CHARS = 500;

/** Names in a tracker are anybody's words. */
function shown(name: string): string {
  return oneLine(name, 80);
}
