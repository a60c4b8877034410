/**
 * Decides what a tracker is told after a task has moved. It depends on the task's current state, not on each move, so repeated and
 * late calls lead to the same issue.
 */

import { errorText } from '../domain/retry/classify.ts';
import type { TaskRecord, TaskState } from '../domain/task/records.ts';
import type { Move } from '../domain/task/states.ts';
import { type IssueState, isClosed, type TrackerIssue } from '../domain/tracker-issues.ts';
import { oneLine } from '../lib/text.ts';

/** One call of a `Tracker` about the given issue. */
export type TrackerStep =
  | { call: 'claim'; run_id: string }
  | { call: 'release'; run_id: string }
  | { call: 'set_state'; state: IssueState }
  | { call: 'comment'; text: string };

export interface TrackerSteps {
  /** In order. */
  steps: TrackerStep[];
  /** Where tracker and tree disagree and a person has to decide; null when they don't. */
  conflict: string | null;
}

export interface TrackerQuestion {
  /** As committed. */
  record: TaskRecord;
  /** Taken since the tracker was last told. */
  moves: readonly Move[];
  issue: TrackerIssue;
  /** Whether the issue is claimed by a run of this tree. Then the tree is right about its owner. */
  ours: boolean;
}

/** Moves within a claim that a tracker does not show. */
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
  // The task has no owner now, even if it will be retried.
  blocked_on_question: 'open',
  waiting: 'open',
  awaiting_respawn: 'open',
  abandoned: 'open',
  failed: 'open',
  ready_for_review: 'in_review',
  reviewed: 'in_review',
  merge_pending: 'in_review',
  shipped: 'done',
  cancelled: 'cancelled',
};

const NOTHING: TrackerSteps = { steps: [], conflict: null };

/** The steps that bring the issue to the task's state. A closed issue stays closed, unless the task was reopened. */
export function trackerSteps({ record, moves, issue, ours }: TrackerQuestion): TrackerSteps {
  const { task_id, state } = record.state;
  const wanted = ISSUE_STATE_OF[state];
  const disputed = (how: string) => ({
    steps: [],
    conflict: `issue ${shown(issue.id)} is ${how}, and task ${task_id} is ${state}`,
  });
  const reopened = isClosed(issue) && moves.some((move) => move === 'reopen' || move === 'rerun');
  if (isClosed(issue) && !reopened) return wanted === issue.state ? NOTHING : disputed(issue.state);
  const foreign = issue.claimed_by !== null && !ours;
  // A shipped task is done, whatever claim the issue has.
  if (foreign && wanted !== 'done' && wanted !== 'open') return disputed(`claimed by ${shown(issue.claimed_by ?? '')}`);
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
  // An issue in review or done keeps its claim, also when the work was done while the tracker was down.
  const doer = wanted === 'in_review' || wanted === 'done' ? state.updated_by.run_id : null;
  const late: TrackerStep[] = claimed_by === null && doer !== null ? [{ call: 'claim', run_id: doer }] : [];
  return [...late, { call: 'set_state', state: wanted }];
}

/** The commit that fails a task adds one comment; the attempt's number distinguishes it from a later failure of the same kind. */
function failureOf({ state }: TaskRecord, moves: readonly Move[]): TrackerStep[] {
  if (!moves.includes('fail') || state.state !== 'failed') return [];
  const error = state.last_error;
  const why = error === undefined || error === null ? '' : `: ${errorText(error)}`;
  const text = oneLine(`task ${state.task_id} has failed at attempt ${state.attempt_count}${why}`, COMMENT_MAX_CHARS);
  return [{ call: 'comment', text }];
}

const COMMENT_MAX_CHARS = 500;

/** Names in a tracker are untrusted text. */
function shown(name: string): string {
  return oneLine(name, 80);
}
