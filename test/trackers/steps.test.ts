/** The calls that bring an issue to the state of its task. */

import { describe, expect, it } from 'vitest';
import {
  freshRecord,
  type Lease,
  TASK_STATES,
  type TaskRecord,
  type TaskState,
} from '../../src/domain/task/records.ts';
import { isInFlight, type Move } from '../../src/domain/task/states.ts';
import { ISSUE_STATES, type IssueState, issuesByTask, type TrackerIssue } from '../../src/domain/tracker-issues.ts';
import { concernsTracker, type TrackerStep, trackerSteps } from '../../src/trackers/steps.ts';

const T0 = '2030-01-01T00:00:00.000Z';
const RUN = 'run-now';

function recordIn(state: TaskState): TaskRecord {
  const fresh = freshRecord('build', T0);
  const lease = { owner_run_id: RUN } as Lease;
  const last_error = { class: 'exit.1', message: 'boom\n\u001b[31mred' };
  return {
    ...fresh,
    lease: isInFlight(state) ? lease : null,
    state: { ...fresh.state, state, attempt_count: 2, ...(state === 'failed' ? { last_error } : {}) },
  };
}

const issueIn = (state: IssueState, claimed_by: string | null = null): TrackerIssue => ({
  id: '7',
  task_id: 'build',
  state,
  claimed_by,
});

function steps(
  state: TaskState,
  issue: TrackerIssue,
  moves: readonly Move[] = ['claim'],
  ours = issue.claimed_by !== null,
) {
  return trackerSteps({ record: recordIn(state), moves, issue, ours });
}

/** What the issue is after the steps, as a tracker would have it. */
function after(issue: TrackerIssue, taken: readonly TrackerStep[]): TrackerIssue {
  let seen = issue;
  for (const step of taken) seen = { ...seen, ...effectOf(step, seen) };
  return seen;
}

function effectOf(step: TrackerStep, { state, claimed_by }: TrackerIssue): Partial<TrackerIssue> {
  const closed = state === 'done' || state === 'cancelled';
  switch (step.call) {
    case 'claim':
      if (closed || (claimed_by ?? step.run_id) !== step.run_id) return {};
      return { claimed_by: step.run_id, state: 'in_progress' };
    case 'release':
      if (claimed_by !== step.run_id) return {};
      return { claimed_by: null, state: closed ? state : 'open' };
    case 'set_state':
      return { state: step.state };
    case 'comment':
      return {};
  }
}

describe('unclaimed issue', () => {
  it.each<[TaskState, TrackerStep[]]>([
    ['unclaimed', []],
    ['claimed', [{ call: 'claim', run_id: RUN }]],
    ['dispatched', [{ call: 'claim', run_id: RUN }]],
    ['running', [{ call: 'claim', run_id: RUN }]],
    ['blocked_on_question', []],
    ['awaiting_respawn', []],
    ['abandoned', []],
    ['failed', []],
    ['ready_for_review', [{ call: 'set_state', state: 'in_review' }]],
    ['reviewed', [{ call: 'set_state', state: 'in_review' }]],
    ['merge_pending', [{ call: 'set_state', state: 'in_review' }]],
    ['shipped', [{ call: 'set_state', state: 'done' }]],
    ['cancelled', [{ call: 'set_state', state: 'cancelled' }]],
  ])('an unclaimed issue follows a task that is %s', (state, expected) => {
    expect(steps(state, issueIn('open'))).toEqual({ steps: expected, conflict: null });
  });
});

it('the issue names the run of work that was done while the tracker was down', () => {
  const record = recordIn('shipped');
  record.state.updated_by = { run_id: RUN, claim_id: 'c', generation: 1 };
  expect(trackerSteps({ record, moves: ['ship'], issue: issueIn('open'), ours: false }).steps).toEqual([
    { call: 'claim', run_id: RUN },
    { call: 'set_state', state: 'done' },
  ]);
});

describe('issue claimed by a run of this tree', () => {
  const held = issueIn('in_progress', RUN);

  it.each<[TaskState, TrackerStep[]]>([
    ['running', []],
    ['unclaimed', [{ call: 'release', run_id: RUN }]],
    ['awaiting_respawn', [{ call: 'release', run_id: RUN }]],
    ['blocked_on_question', [{ call: 'release', run_id: RUN }]],
    ['ready_for_review', [{ call: 'set_state', state: 'in_review' }]],
    ['shipped', [{ call: 'set_state', state: 'done' }]],
    ['cancelled', [{ call: 'set_state', state: 'cancelled' }]],
  ])('an issue claimed by a run of this tree follows a task that is %s', (state, expected) => {
    expect(steps(state, held).steps).toEqual(expected);
  });

  it('an issue changes its claim when another run has taken the task', () => {
    expect(steps('running', issueIn('in_progress', 'run-before')).steps).toEqual([
      { call: 'release', run_id: 'run-before' },
      { call: 'claim', run_id: RUN },
    ]);
  });

  it('an issue is in progress again when its task was sent back', () => {
    expect(steps('claimed', issueIn('in_review', RUN)).steps).toEqual([{ call: 'claim', run_id: RUN }]);
  });
});

describe('issue claimed by others', () => {
  const theirs = issueIn('in_progress', 'ann');

  it.each<[TaskState]>([['running'], ['ready_for_review'], ['cancelled']])(
    'an issue claimed by others is left alone with a warning when the task is %s',
    (state) => {
      expect(steps(state, theirs, ['claim'], false)).toEqual({
        steps: [],
        conflict: `issue 7 is claimed by ann, and task build is ${state}`,
      });
    },
  );

  it.each<[TaskState]>([['unclaimed'], ['awaiting_respawn']])(
    'an issue claimed by others is left alone when the task is %s',
    (state) => {
      expect(steps(state, theirs, ['unclaim'], false)).toEqual({ steps: [], conflict: null });
    },
  );

  it('an issue claimed by others is done when the task is shipped', () => {
    expect(steps('shipped', theirs, ['ship'], false).steps).toEqual([{ call: 'set_state', state: 'done' }]);
  });
});

describe('issue closed by a person', () => {
  it.each<[IssueState, TaskState]>([
    ['done', 'running'],
    ['cancelled', 'running'],
    ['cancelled', 'shipped'],
    ['done', 'cancelled'],
    ['cancelled', 'failed'],
  ])('an issue closed as %s stays so, with a warning, when the task is %s', (closed, state) => {
    const { steps: taken, conflict } = steps(state, issueIn(closed), ['fail']);
    expect(taken).toEqual([]);
    expect(conflict).toBe(`issue 7 is ${closed}, and task build is ${state}`);
  });

  it('a closed issue opens again when its task is reopened', () => {
    expect(steps('unclaimed', issueIn('cancelled'), ['reopen']).steps).toEqual([{ call: 'set_state', state: 'open' }]);
    expect(steps('unclaimed', issueIn('done', RUN), ['reopen']).steps).toEqual([
      { call: 'set_state', state: 'open' },
      { call: 'release', run_id: RUN },
    ]);
    expect(steps('unclaimed', issueIn('done'), ['rerun']).steps).toEqual([{ call: 'set_state', state: 'open' }]);
    expect(steps('running', issueIn('done'), ['reopen', 'claim']).steps).toEqual([
      { call: 'set_state', state: 'open' },
      { call: 'claim', run_id: RUN },
    ]);
  });
});

describe('failed task', () => {
  it('a failure releases the issue and comments why, on one line', () => {
    expect(steps('failed', issueIn('in_progress', RUN), ['start', 'fail']).steps).toEqual([
      { call: 'release', run_id: RUN },
      { call: 'comment', text: 'task build has failed at attempt 2: exit.1: boom red' },
    ]);
  });

  it('a failure is commented by the commit that caused it, and by no other', () => {
    expect(steps('failed', issueIn('open'), []).steps).toEqual([]);
  });
});

it('the steps of any issue lead to one that needs no further step', () => {
  for (const state of TASK_STATES) {
    for (const seen of ISSUE_STATES) {
      for (const claimedBy of [null, RUN, 'run-before']) {
        for (const moves of [[], ['reopen'], ['rerun']] as const) {
          const issue = issueIn(seen, claimedBy);
          const first = steps(state, issue, moves);
          const then = after(issue, first.steps);
          expect(steps(state, then, []).steps, `${state} ${seen} ${claimedBy}`).toEqual([]);
        }
      }
    }
  }
});

describe('moves that trackers show', () => {
  it.each<[Move[], boolean]>([
    [[], false],
    [['dispatch'], false],
    [['dispatch', 'start'], false],
    [['claim', 'dispatch', 'start'], true],
    [['resume'], true],
    [['verify', 'pass_review', 'ship'], true],
  ])('the moves %j are shown in a tracker: %j', (moves, expected) => {
    expect(concernsTracker(moves)).toBe(expected);
  });
});

describe('issue of a task', () => {
  const issues: TrackerIssue[] = [
    { id: '9', task_id: 'build', state: 'open', claimed_by: null },
    { id: '3', task_id: 'build', state: 'open', claimed_by: null },
    { id: '4', task_id: null, state: 'open', claimed_by: null },
  ];
  it.each<[string, string | null, string | null]>([
    ['build', null, '3'],
    ['build', '4', '3'],
    ['build', '5', '3'],
    ['test', null, null],
    ['test', '5', null],
    ['test', '9', null],
    ['test', '4', '4'],
  ])('the issue of task %s, planned as %s, is %s', (task, planned, expected) => {
    const plan = [{ id: task, tracker_issue_id: planned }];
    expect(issuesByTask(plan, issues).get(task)?.id ?? null).toBe(expected);
  });
});
