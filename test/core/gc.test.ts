/** The rows of the gc table one by one: what is planned, at which edge it no longer is, and what it leads to. */

import { describe, expect, test } from 'vitest';
import {
  assertNeverGcRow,
  CHEAP_ROW_IDS,
  detectCheapDivergences,
  type GcOptions,
  type GcPlanRow,
  type GcSnapshot,
  planGc,
  plannedRows,
  reportedRows,
} from '../../src/core/gc.ts';
import type { SeenAttempt, SeenIssue, SeenTask } from '../../src/core/gc-plan.ts';
import { TASK_STATES, type TaskState } from '../../src/core/records.ts';
import { IN_FLIGHT_STATES, isTerminal, TERMINAL_TASK_STATES } from '../../src/core/task-state.ts';
import { isoTime } from '../../src/core/time.ts';
import {
  answer,
  applyModel,
  attempt,
  branch,
  brokenAnswer,
  brokenLease,
  EARLIER,
  issue,
  LATER,
  LIMIT,
  leaseFile,
  parked,
  question,
  seenLease,
  snapshot,
  task,
  worktree,
} from './helpers/snapshots.ts';
import { frozen, T0 } from './helpers/tasks.ts';

type Fields = Parameters<typeof snapshot>[0];

const IDENTITY = { version: 7, digest: 'd7' };
const FREE = TASK_STATES.filter((state) => !(IN_FLIGHT_STATES as readonly TaskState[]).includes(state));

function rows(fields: Fields, options: GcOptions = {}): readonly GcPlanRow[] {
  return planGc(frozen(snapshot(fields)), options).rows;
}

/** One task, and the rows that it leads to. */
const of = (seen: SeenTask, issues?: SeenIssue[], rest: Fields = {}) =>
  rows({ tasks: [seen], ...(issues === undefined ? {} : { issues }), ...rest });

const acts = (list: readonly GcPlanRow[]) => list.map(({ row, action }) => `${row} ${action}`);

/** The only item of a list, whole. */
function only(list: readonly GcPlanRow[]): GcPlanRow {
  expect(acts(list)).toHaveLength(1);
  return list[0] as GcPlanRow;
}

const stale = (state: TaskState, fields: Partial<SeenTask> = {}) =>
  task(state, { lease: seenLease('stale'), ...fields });

const report = (row: number, kind: string, reason: string, more = {}, rest = {}) => ({
  row,
  task_id: 'build',
  action: 'report_orphan',
  severity: 'warning',
  reason,
  payload: { kind, ...more },
  identity: IDENTITY,
  ...rest,
});

const unreadable = (row: number, reason: string, more = {}) =>
  report(row, 'unreadable', reason, more, { severity: 'error' });

test('a tree in which nothing is wrong has an empty plan', () => {
  expect(planGc(snapshot())).toEqual({ version: 1, rows: [] });
  expect(of(task('running'), [issue('in_progress', 'run-1')])).toEqual([]);
});

describe('row 1: in flight, and the tracker says that it is over', () => {
  test.each(IN_FLIGHT_STATES)('%s and cancelled there: cancelled here, whoever holds it', (state) => {
    expect(only(of(task(state), [issue('cancelled')]))).toEqual({
      row: 1,
      task_id: 'build',
      action: 'mark_terminal',
      severity: 'warning',
      reason: `it is ${state}, and issue I-1 is cancelled`,
      payload: { state: 'cancelled', issue_id: 'I-1', merged_sha: null },
      identity: IDENTITY,
    });
  });

  test.each(IN_FLIGHT_STATES)('%s and done there: shipped with a proof of merge', (state) => {
    expect(only(of(task(state, { merged_sha: 'c0ffee' }), [issue('done')]))).toEqual({
      row: 1,
      task_id: 'build',
      action: 'mark_terminal',
      severity: 'warning',
      reason: `it is ${state}, and issue I-1 is done, and c0ffee is in the base`,
      payload: { state: 'shipped', issue_id: 'I-1', merged_sha: 'c0ffee' },
      identity: IDENTITY,
    });
  });

  test.each(IN_FLIGHT_STATES)('%s and done there without a proof: only told', (state) => {
    const reason = `issue I-1 is done, the task is ${state}, and nothing proves that its work was merged`;
    expect(of(task(state), [issue('done')])).toEqual([
      report(1, 'tracker_claims_shipped', reason, { issue_id: 'I-1' }),
    ]);
  });

  test('a merge proves nothing about a cancelled issue', () => {
    const [row] = of(task('running', { merged_sha: 'c0ffee' }), [issue('cancelled')]);
    expect(row?.payload).toEqual({ state: 'cancelled', issue_id: 'I-1', merged_sha: null });
  });

  test.each(['open', 'in_progress', 'in_review'] as const)('not while the issue is %s', (state) => {
    expect(of(task('running'), [issue(state, 'run-1')])).toEqual([]);
  });

  test.each(FREE.filter((state) => state !== 'ready_for_review' && state !== 'shipped'))('not when %s', (state) => {
    expect(of(task(state), [issue('cancelled')])).toEqual([]);
    expect(of(task(state, { merged_sha: 'c0ffee' }), [issue('done')])).toEqual([]);
  });

  test('not without a word of the tracker', () => {
    const fields = { tasks: [task('running')] };
    expect(rows({ ...fields, tracker: { kind: 'down', why: 'no route' } })).toEqual([]);
    expect(rows({ ...fields, issues: [] })).toEqual([]);
    expect(rows({ ...fields, issues: [issue('cancelled', null, { task_id: 'other' })] })).toEqual([]);
  });

  test('an issue may belong to a task by the plan alone, but its own word goes first', () => {
    const plan = [{ id: 'build', tracker_issue_id: 'I-1' }];
    const found = (task_id: string | null) =>
      acts(of(task('running'), [issue('cancelled', null, { task_id })], { plan }));
    expect(found(null)).toEqual(['1 mark_terminal']);
    expect(found('other')).toEqual([]);
  });

  test('of several issues of a task the lowest id counts', () => {
    const issues = [issue('cancelled', null, { id: 'I-2' }), issue('in_progress', 'run-1')];
    expect(of(task('running'), issues)).toEqual([]);
    expect(of(task('running'), issues.toReversed())).toEqual([]);
  });

  test('of several tasks that name one issue the first id has it', () => {
    const plan = ['ship', 'build'].map((id) => ({ id, tracker_issue_id: 'I-1' }));
    const issues = [issue('cancelled', null, { task_id: null })];
    expect(acts(of(task('running'), issues, { plan }))).toEqual(['1 mark_terminal']);
    expect(acts(of(task('running'), issues, { plan: plan.toReversed() }))).toEqual(['1 mark_terminal']);
  });
});

describe('row 2: in flight and stale', () => {
  test.each(IN_FLIGHT_STATES)('%s', (state) => {
    expect(only(of(stale(state)))).toEqual({
      row: 2,
      task_id: 'build',
      action: 'mark_abandoned',
      severity: 'warning',
      reason: `it is ${state}, and its lease is stale: it ran out`,
      payload: { claim_id: 'claim-1', generation: 1, expires_at: LATER },
      identity: IDENTITY,
    });
  });

  test('also when the lease is gone', () => {
    expect(only(of(task('running', { lease: null, lease_files: [] })))).toMatchObject({
      action: 'mark_abandoned',
      reason: 'it is running, and it has no lease',
      payload: { claim_id: null, generation: null, expires_at: null },
    });
  });

  test.each(['live', 'grace'] as const)('not while the lease is %s', (standing) => {
    expect(of(task('running', { lease: seenLease(standing) }))).toEqual([]);
  });

  test.each(FREE.filter((state) => !isTerminal(state)))('not when %s', (state) => {
    expect(of(stale(state))).toEqual([]);
  });

  test('the one that is one too many says that the task fails', () => {
    const reason = (abandons: number) => only(of(stale('running', { abandons }))).reason;
    expect(reason(LIMIT - 1)).toBe(
      'it is running, and its lease is stale: it ran out; abandoned 3 times in a row, it fails',
    );
    expect(reason(LIMIT - 2)).toBe('it is running, and its lease is stale: it ran out');
  });
});

describe('row 3: claimed here and not in the tracker', () => {
  test.each(['live', 'grace'] as const)('when the lease is %s', (standing) => {
    expect(only(of(task('claimed', { lease: seenLease(standing) }), [issue()]))).toEqual({
      row: 3,
      task_id: 'build',
      action: 'mark_unclaimed',
      severity: 'warning',
      reason: 'run run-1 has claimed it, and issue I-1 is not claimed',
      payload: { issue_id: 'I-1', claim_id: 'claim-1', owner_run_id: 'run-1' },
      identity: IDENTITY,
    });
  });

  test('a stale claim is abandoned instead', () => {
    expect(acts(of(stale('claimed'), [issue()]))).toEqual(['2 mark_abandoned']);
  });

  test('not when somebody has claimed the issue', () => {
    expect(of(task('claimed'), [issue('in_progress', 'run-1')])).toEqual([]);
    expect(of(task('claimed'), [issue('in_progress', 'run-2')])).toEqual([]);
  });

  test('not without an issue, without a tracker, or while it is down', () => {
    expect(of(task('claimed'), [])).toEqual([]);
    expect(of(task('claimed'))).toEqual([]);
    expect(rows({ tasks: [task('claimed')], tracker: { kind: 'down', why: 'no route' } })).toEqual([]);
  });

  test('not when it is over there: row 1 says what then', () => {
    expect(acts(of(task('claimed'), [issue('cancelled')]))).toEqual(['1 mark_terminal']);
    expect(acts(of(task('claimed'), [issue('done')]))).toEqual(['1 report_orphan']);
  });

  test.each(TASK_STATES.filter((state) => state !== 'claimed' && state !== 'shipped'))('not when %s', (state) => {
    expect(of(task(state), [issue()])).toEqual([]);
  });
});

describe('row 4: claimed in the tracker by a run that is gone, and nothing here', () => {
  const RUNS = [
    { run_id: 'run-1', standing: 'dead' as const },
    { run_id: 'run-2', standing: 'ended' as const },
    { run_id: 'run-3', standing: 'open' as const },
  ];
  const held = (run_id: string | null, rest: Fields = {}) =>
    rows({ runs: RUNS, issues: [issue('in_progress', run_id)], ...rest });

  test.each(['run-1', 'run-2'])('%s', (run_id) => {
    expect(only(held(run_id))).toEqual({
      row: 4,
      task_id: 'build',
      action: 'recover',
      severity: 'warning',
      reason: `issue I-1 is claimed by run ${run_id}, which is gone, and nothing has happened to the task here`,
      payload: { issue_id: 'I-1', run_id },
      identity: null,
    });
  });

  test('an empty folder of the task says nothing against it', () => {
    expect(only(held('run-1', { tasks: [task(null)] }))).toMatchObject({ action: 'recover', identity: IDENTITY });
  });

  test('not for an open run, a run of somebody else, or nobody', () => {
    expect(held('run-3')).toEqual([]);
    expect(held('run-9')).toEqual([]);
    expect(held(null)).toEqual([]);
  });

  test.each(['done', 'cancelled'] as const)('not when the issue is %s', (state) => {
    expect(rows({ runs: RUNS, issues: [issue(state, 'run-1')] })).toEqual([]);
  });

  test('not when something is here: a state, a record that can not be read, a lease that counts', () => {
    expect(held('run-1', { tasks: [task('unclaimed')] })).toEqual([]);
    expect(acts(held('run-1', { tasks: [task(null, { problem: 'not JSON' })] }))).toEqual(['2 report_orphan']);
    expect(held('run-1', { tasks: [task(null, { lease: seenLease('grace') })] })).toEqual([]);
    expect(acts(held('run-1', { tasks: [task(null, { lease: seenLease('stale') })] }))).toEqual(['4 recover']);
  });

  test('of a task that is not in the plan it is only told', () => {
    const reason =
      'issue I-1 is claimed by run run-1, which is gone, and nothing has happened to the task here; it is not in the plan';
    expect(only(held('run-1', { plan: [] }))).toEqual(
      report(4, 'tracker_claimed_no_local', reason, { issue_id: 'I-1', run_id: 'run-1' }, { identity: null }),
    );
    expect(acts(held('run-1', { plan: null }))).toEqual(['4 recover']);
  });

  test('not while the tracker is down', () => {
    expect(rows({ runs: RUNS, tracker: { kind: 'down', why: 'no route' } })).toEqual([]);
  });
});

describe('row 5: parked on a question that is settled, or too old', () => {
  const PAST = isoTime(T0);
  const asked = (more: Partial<SeenAttempt> = {}) => ({
    attempts: [attempt('a1', { questions: [question()], ...more })],
  });
  const item = (action: string, reason: string, payload = {}) => ({
    row: 5,
    task_id: 'build',
    action,
    severity: 'warning',
    reason,
    payload: { question_id: 'q1', attempt_id: 'a1', ...payload },
    identity: IDENTITY,
  });

  test('answered', () => {
    const reason = 'its question is answered with keep by ada, and the task still waits';
    for (const until of [LATER, EARLIER]) {
      const seen = parked(until, asked({ answers: [answer()] }), 'drop');
      expect(only(of(seen))).toEqual(item('resume_answered', reason, { option_id: 'keep' }));
    }
  });

  test('answered with nothing: it has expired', () => {
    const seen = parked(LATER, asked({ answers: [answer('q1', null)] }));
    const reason = 'its question has expired, and the task still waits';
    expect(only(of(seen))).toEqual(item('resume_answered', reason, { option_id: null }));
  });

  test('of two answers the one with the first path counts', () => {
    const answers = [{ ...answer(), path: 'z.json', option_id: 'drop' }, answer()];
    for (const list of [answers, answers.toReversed()]) {
      expect(of(parked(LATER, asked({ answers: list })))[0]?.payload).toMatchObject({ option_id: 'keep' });
    }
  });

  test('past its deadline, with a default', () => {
    const reason = `nobody answered until ${PAST}; the default is drop`;
    expect(only(of(parked(PAST, {}, 'drop')))).toEqual(item('apply_default_answer', reason, { option_id: 'drop' }));
  });

  test('past its deadline, without', () => {
    const reason = `nobody answered until ${PAST}, and there is no default`;
    expect(only(of(parked(PAST)))).toEqual(item('expire_question', reason));
  });

  test('not a millisecond before the deadline, and never by one that is no time', () => {
    for (const until of [isoTime(T0 + 1), 'never', '']) {
      expect(of(parked(until))).toEqual([]);
      expect(of(parked(until, {}, 'drop'))).toEqual([]);
    }
    expect(rows({ tasks: [parked(EARLIER)], now: 'no time' })).toEqual([]);
  });

  test('not by an answer to another question, or in another attempt', () => {
    const other = [question('q2', 'answered')];
    const seen = parked(LATER, asked({ questions: [question(), ...other], answers: [answer('q2')] }));
    expect(of(seen)).toEqual([]);
    const elsewhere = attempt('a2', {
      questions: [question('q1', 'answered', 'a2')],
      answers: [answer('q1', 'keep', 'a2')],
    });
    expect(of(parked(LATER, { attempts: [...asked().attempts, elsewhere] }))).toEqual([]);
  });

  test('an answer that can not be read is told, and decides nothing, not even past the deadline', () => {
    const seen = (questions = [question()]) => parked(EARLIER, asked({ questions, answers: [brokenAnswer()] }), 'drop');
    const told = [unreadable(12, 'the answer to question q1 can not be read', { path: 'attempts/a1/answers/q1.json' })];
    expect(of(seen())).toEqual(told);
    // The record knows of the question, so the answer is not one without.
    expect(of(seen([]))).toEqual(told);
  });

  test.each(TASK_STATES.filter((state) => state !== 'blocked_on_question' && !isTerminal(state)))(
    'not when %s',
    (state) => {
      const { waits_for } = parked(EARLIER);
      expect(of(task(state, { waits_for }))).toEqual([]);
    },
  );

  test('not when the record does not say which question, or somebody holds the task', () => {
    expect(of(parked(EARLIER, { waits_for: null }))).toEqual([]);
    expect(of(parked(EARLIER, { lease: seenLease('grace') }))).toEqual([]);
    expect(acts(of(parked(EARLIER, { lease: seenLease('stale') })))).toEqual(['5 expire_question']);
  });
});

describe('row 6: waits for a review, and the tracker says done', () => {
  test('shipped with a proof of merge', () => {
    expect(only(of(task('ready_for_review', { merged_sha: 'c0ffee' }), [issue('done')]))).toEqual({
      row: 6,
      task_id: 'build',
      action: 'mark_terminal',
      severity: 'warning',
      reason: 'it is ready_for_review, and issue I-1 is done, and c0ffee is in the base',
      payload: { state: 'shipped', issue_id: 'I-1', merged_sha: 'c0ffee' },
      identity: IDENTITY,
    });
  });

  test('only told without', () => {
    const reason = 'issue I-1 is done, the task is ready_for_review, and nothing proves that its work was merged';
    expect(of(task('ready_for_review'), [issue('done')])).toEqual([
      report(6, 'tracker_done_unproven', reason, { issue_id: 'I-1' }),
    ]);
  });

  test.each(['open', 'in_progress', 'in_review', 'cancelled'] as const)('not when the issue is %s', (state) => {
    expect(of(task('ready_for_review', { merged_sha: 'c0ffee' }), [issue(state)])).toEqual([]);
  });

  test.each(['reviewed', 'merge_pending', 'unclaimed'] as const)('not when %s', (state) => {
    expect(of(task(state, { merged_sha: 'c0ffee' }), [issue('done')])).toEqual([]);
  });

  test('not while somebody holds it, and not while the tracker is down', () => {
    const seen = (standing: 'live' | 'stale') =>
      task('ready_for_review', { merged_sha: 'c0ffee', lease: seenLease(standing) });
    expect(of(seen('live'), [issue('done')])).toEqual([]);
    expect(acts(of(seen('stale'), [issue('done')]))).toEqual(['6 mark_terminal']);
    expect(rows({ tasks: [seen('stale')], tracker: { kind: 'down', why: 'no route' } })).toEqual([]);
  });
});

describe('row 7: shipped, and the tracker does not know', () => {
  test.each(['open', 'in_progress', 'in_review'] as const)('the issue is %s', (state) => {
    expect(only(of(task('shipped'), [issue(state)]))).toEqual({
      row: 7,
      task_id: 'build',
      action: 'close_tracker_issue',
      severity: 'info',
      reason: `it is shipped, and issue I-1 is ${state}`,
      payload: { issue_id: 'I-1' },
      identity: IDENTITY,
    });
  });

  test('an issue that was cancelled is only told', () => {
    expect(of(task('shipped'), [issue('cancelled')])).toEqual([
      report(7, 'shipped_not_closed', 'it is shipped, and issue I-1 was cancelled', { issue_id: 'I-1' }),
    ]);
  });

  test('not when it is done there, or there is nobody to tell', () => {
    expect(of(task('shipped'), [issue('done')])).toEqual([]);
    expect(of(task('shipped'), [])).toEqual([]);
    expect(rows({ tasks: [task('shipped')], tracker: { kind: 'down', why: 'no route' } })).toEqual([]);
  });

  test.each(TASK_STATES.filter((state) => state !== 'shipped' && state !== 'claimed'))('not when %s', (state) => {
    expect(of(task(state), [issue('in_review')])).toEqual([]);
  });
});

describe('row 8: handed in, and not verified', () => {
  const handedIn = (fields: Partial<SeenAttempt> = {}) => ({
    attempts: [attempt('a1', { verdict: 'ready_for_review', ...fields })],
  });
  const OPEN = FREE.filter((state) => !isTerminal(state));

  test.each(OPEN)('%s', (state) => {
    expect(only(of(task(state, { current_attempt_id: 'a1', ...handedIn() })))).toEqual({
      row: 8,
      task_id: 'build',
      action: 'reverify_verdict',
      severity: 'warning',
      reason: 'attempt a1 has handed in a verdict that nobody has verified',
      payload: { attempt_id: 'a1' },
      identity: IDENTITY,
    });
  });

  test.each(IN_FLIGHT_STATES)('%s with a stale lease, once it is abandoned', (state) => {
    const seen = stale(state, { current_attempt_id: 'a1', ...handedIn() });
    expect(acts(of(seen))).toEqual(['2 mark_abandoned', '8 reverify_verdict']);
    expect(acts(of({ ...seen, abandons: LIMIT - 1 }))).toEqual(['2 mark_abandoned']);
  });

  test.each(['live', 'grace'] as const)('not while the lease is %s: that is who verifies it', (standing) => {
    const held = { current_attempt_id: 'a1', lease: seenLease(standing), ...handedIn() };
    for (const state of ['claimed', 'running', 'ready_for_review'] as const) expect(of(task(state, held))).toEqual([]);
  });

  test('not when it has its twin, or another verdict, or none', () => {
    expect(of(task('ready_for_review', handedIn({ verified: true })))).toEqual([]);
    for (const verdict of ['changes_needed', 'blocked', null] as const) {
      expect(of(task('ready_for_review', handedIn({ verdict })))).toEqual([]);
    }
  });

  test('not when the attempt has ended without, but for a task that waits for its review', () => {
    const ended = { completed_attempt_id: 'a1', ...handedIn() };
    expect(of(task('awaiting_respawn', ended))).toEqual([]);
    expect(of(task('reviewed', ended))).toEqual([]);
    expect(acts(of(task('ready_for_review', ended)))).toEqual(['8 reverify_verdict']);
  });

  test('not for an attempt that is not the current one', () => {
    expect(of(task('awaiting_respawn', { current_attempt_id: 'a2', ...handedIn() }))).toEqual([]);
    expect(of(task('awaiting_respawn', { current_attempt_id: null, ...handedIn() }))).toEqual([]);
  });

  test.each(TERMINAL_TASK_STATES)('not when %s', (state) => {
    expect(of(task(state, handedIn()))).toEqual([]);
  });

  test.each([null, ...TASK_STATES])('a verdict that can not be read is told when %s', (state) => {
    const seen = task(state, { current_attempt_id: 'a9', ...handedIn({ verdict: 'unreadable' }) });
    expect(of(seen)).toEqual([
      unreadable(8, 'the verdict of attempt a1 can not be read', { path: 'attempts/a1/verdict.json' }),
    ]);
  });
});

describe('row 9: a branch without a worktree', () => {
  const item = (reason: string, merged: boolean, identity: object | null = IDENTITY) => ({
    row: 9,
    task_id: 'build',
    action: 'prune_branch',
    severity: 'info',
    reason,
    payload: { branch: 'forge/build', sha: 'c0ffee', merged },
    identity,
  });
  const with_ = (seen: SeenTask | null, fields = {}) =>
    rows({ tasks: seen === null ? [] : [seen], branches: [branch(fields)] });

  test('shipped', () => {
    const reason = 'forge/build has no worktree, and its task is shipped';
    expect(with_(task('shipped'))).toEqual([item(reason, false)]);
  });

  test.each(TERMINAL_TASK_STATES)('merged, and its task is %s', (state) => {
    const reason = 'forge/build has no worktree, and all of it is merged';
    expect(with_(task(state), { merged: true })).toEqual([item(reason, true)]);
  });

  test('merged, and of no task here', () => {
    const reason = 'forge/build has no worktree, and all of it is merged';
    expect(with_(null, { merged: true })).toEqual([item(reason, true, null)]);
    expect(with_(task(null), { merged: true })).toEqual([item(reason, true)]);
  });

  test('not with a worktree', () => {
    expect(with_(task('shipped'), { has_worktree: true, merged: true })).toEqual([]);
  });

  test('not when it is neither', () => {
    for (const seen of [null, task(null), task('failed'), task('cancelled')]) expect(with_(seen)).toEqual([]);
  });

  test.each(TASK_STATES.filter((state) => !isTerminal(state)))('not while the task is %s', (state) => {
    expect(with_(task(state), { merged: true })).toEqual([]);
  });

  test('not while nobody can tell: the record can not be read, or there is only a lease', () => {
    expect(acts(with_(task(null, { problem: 'not JSON' }), { merged: true }))).toEqual(['2 report_orphan']);
    expect(with_(task(null, { lease: seenLease() }), { merged: true })).toEqual([]);
    expect(acts(with_(task(null, { lease: seenLease('stale') }), { merged: true }))).toEqual(['9 prune_branch']);
  });
});

describe('row 10: a worktree without a task', () => {
  const orphan = (fields = {}, rest: Fields = {}, options: GcOptions = {}) =>
    rows({ worktrees: [worktree('gone', fields)], ...rest }, options);
  const REMOVE = { removeOrphanWorktrees: true };
  const told = (reason: string) =>
    report(10, 'worktree', reason, { path: '/trees/gone' }, { task_id: 'gone', severity: 'info', identity: null });

  test('is told', () => {
    expect(orphan()).toEqual([told('/trees/gone is the worktree of no task')]);
  });

  test('is removed when asked for', () => {
    expect(orphan({}, {}, REMOVE)).toEqual([
      {
        row: 10,
        task_id: 'gone',
        action: 'remove_worktree',
        severity: 'info',
        reason: '/trees/gone is the worktree of no task',
        payload: { path: '/trees/gone', branch: 'forge/gone', head: 'c0ffee' },
        identity: null,
      },
    ]);
  });

  test('a folder that git does not know is only told, whatever was asked for', () => {
    const expected = [told('/trees/gone is no worktree that git knows')];
    expect(orphan({ registered: false })).toEqual(expected);
    expect(orphan({ registered: false }, {}, REMOVE)).toEqual(expected);
  });

  test.each([
    ['the plan has the task', { plan: [{ id: 'gone', tracker_issue_id: null }] }],
    ['there is no plan', { plan: null }],
    ['a lease of it counts', { tasks: [task(null, { task_id: 'gone', lease: seenLease() })] }],
  ] as [string, Fields][])('not when %s', (_, rest) => {
    const found = orphan({}, rest, REMOVE).filter(({ row }) => row === 10);
    expect(found).toEqual([]);
  });

  test('not when something has happened to the task, though the plan has dropped it', () => {
    const tasks = [task('cancelled', { task_id: 'gone' })];
    expect(acts(orphan({}, { tasks }, REMOVE))).toEqual(['4 report_orphan']);
    const broken = [task(null, { task_id: 'gone', problem: 'not JSON' })];
    expect(acts(orphan({}, { tasks: broken }, REMOVE))).toEqual(['2 report_orphan', '4 report_orphan']);
  });

  test('an empty folder of the task does not keep it', () => {
    const tasks = [task(null, { task_id: 'gone' })];
    expect(only(orphan({}, { tasks }, REMOVE))).toMatchObject({ action: 'remove_worktree', identity: IDENTITY });
  });

  test('takes a merged branch along, unless another worktree has it', () => {
    const branches = [branch({ name: 'forge/gone', task_id: 'gone', has_worktree: true, merged: true })];
    expect(orphan({}, { branches }, REMOVE)).toMatchObject([
      { action: 'prune_branch', reason: 'forge/gone has the worktree of no task, and all of it is merged' },
      { action: 'remove_worktree' },
    ]);
    expect(acts(orphan({}, { branches }))).toEqual(['10 report_orphan']);
    const both = [worktree('gone'), worktree('build', { branch: 'forge/gone' })];
    for (const worktrees of [both, both.toReversed()]) {
      expect(acts(rows({ branches, worktrees }, REMOVE))).toEqual(['10 remove_worktree']);
    }
  });
});

describe('row 11: a question that nobody waits for', () => {
  const item = (reason: string) => ({
    row: 11,
    task_id: 'build',
    action: 'archive_question',
    severity: 'info',
    reason,
    payload: { question_id: 'q1', attempt_id: 'a1', path: 'attempts/a1/questions/q1.json', digest: 'd-q1' },
    identity: IDENTITY,
  });
  const asked = (status: string | null = 'open') => [attempt('a1', { questions: [question('q1', status)] })];

  test.each(TERMINAL_TASK_STATES)('the task is %s', (state) => {
    const expected = [item(`question q1 is open, and the task is ${state}`)];
    expect(of(task(state, { attempts: asked() }))).toEqual(expected);
  });

  test.each(TASK_STATES.filter((state) => !isTerminal(state)))('%s, and another attempt is current', (state) => {
    const expected = [item('question q1 is open, and its attempt is over')];
    expect(of(task(state, { current_attempt_id: 'a2', attempts: asked() }))).toEqual(expected);
    expect(of(task(state, { current_attempt_id: null, attempts: asked() }))).toEqual(expected);
  });

  test('nothing has happened to the task', () => {
    expect(acts(of(task(null, { attempts: asked() })))).toEqual(['11 archive_question']);
  });

  test('not in the current attempt, and not in the one that is waited for', () => {
    expect(of(task('running', { attempts: asked() }))).toEqual([]);
    expect(of(task('awaiting_respawn', { attempts: asked() }))).toEqual([]);
    expect(of(parked(LATER, { current_attempt_id: 'a2' }))).toEqual([]);
  });

  test.each(['answered', 'expired', 'budget_exhausted', 'sideways'])('not when it is %s', (status) => {
    expect(of(task('shipped', { attempts: asked(status) }))).toEqual([]);
  });

  test.each([null, ...TASK_STATES])('one that can not be read is told when %s', (state) => {
    expect(of(task(state, { current_attempt_id: 'a1', attempts: asked(null) }))).toEqual([
      unreadable(11, 'question q1 can not be read: not JSON', {
        path: 'attempts/a1/questions/q1.json',
        why: 'not JSON',
      }),
    ]);
  });
});

describe('row 12: an answer without its question', () => {
  const item = (attempt_id = 'a1') => ({
    row: 12,
    task_id: 'build',
    action: 'archive_answer',
    severity: 'info',
    reason: 'there is an answer to question q1, and no such question',
    payload: { question_id: 'q1', attempt_id, path: `attempts/${attempt_id}/answers/q1.json`, digest: 'd-q1' },
    identity: IDENTITY,
  });

  test.each([null, ...TASK_STATES])('%s', (state) => {
    expect(of(task(state, { attempts: [attempt('a1', { answers: [answer()] })] }))).toEqual([item()]);
  });

  test('also when it can not be read', () => {
    expect(of(task('running', { attempts: [attempt('a1', { answers: [brokenAnswer()] })] }))).toEqual([item()]);
  });

  test.each(['open', 'answered', 'expired', null])('not when the question is there, %s', (status) => {
    const attempts = [attempt('a1', { questions: [question('q1', status)], answers: [answer()] })];
    expect(plannedRows(planGc(snapshot({ tasks: [task('running', { attempts })] })))).toEqual([]);
  });

  test('a question of the same id in another attempt is another question', () => {
    const attempts = [
      attempt('a0', { answers: [answer('q1', 'keep', 'a0')] }),
      attempt('a1', { questions: [question()], answers: [answer()] }),
    ];
    expect(of(task('running', { attempts }))).toEqual([item('a0')]);
  });

  test('not while the task waits for that question, whose file alone is gone', () => {
    const attempts = [attempt('a1', { answers: [brokenAnswer()] })];
    expect(acts(of(parked(LATER, { attempts })))).toEqual(['12 report_orphan']);
    const other = [attempt('a1', { answers: [answer('q2')] })];
    expect(acts(of(parked(LATER, { attempts: other })))).toEqual(['12 archive_answer']);
  });
});

describe('row 13: more lease files than one', () => {
  const released = (list: readonly GcPlanRow[]) =>
    list.map(({ row, action, payload }) => `${row} ${action} ${'path' in payload ? payload.path : ''}`);
  const files = (adopted: boolean, ...lease_files: SeenTask['lease_files']) =>
    of(task('running', { adopted, lease_files }));

  test('with a record, its view stays', () => {
    expect(only(files(true, leaseFile('lease 2.json', 9), leaseFile()))).toEqual({
      row: 13,
      task_id: 'build',
      action: 'release_lease_admin',
      severity: 'warning',
      reason: 'lease 2.json is one lease too many',
      payload: {
        path: 'lease 2.json',
        claim_id: 'claim-1',
        generation: 9,
        owner_run_id: 'run-1',
        expires_at: LATER,
      },
      identity: IDENTITY,
    });
  });

  test('with a record whose view is gone, none is the lease', () => {
    expect(released(files(true, leaseFile('lease.b.json'), leaseFile('lease.a.json')))).toEqual([
      '13 release_lease_admin lease.a.json',
      '13 release_lease_admin lease.b.json',
    ]);
  });

  test('in a tree written by hand the highest generation stays', () => {
    const list = [leaseFile('lease.json', 1), leaseFile('lease.json.bak', 3), leaseFile('lease.a.json', 2)];
    const expected = ['13 release_lease_admin lease.a.json', '13 release_lease_admin lease.json'];
    expect(released(files(false, ...list))).toEqual(expected);
    expect(released(files(false, ...list.toReversed()))).toEqual(expected);
  });

  test('of one generation lease.json stays, then the first path', () => {
    const list = [leaseFile('lease.a.json'), leaseFile('lease.json'), leaseFile('lease.b.json')];
    const own = ['13 release_lease_admin lease.a.json', '13 release_lease_admin lease.b.json'];
    expect(released(files(false, ...list))).toEqual(own);
    const strays = [leaseFile('lease.b.json'), leaseFile('lease.a.json')];
    expect(released(files(false, ...strays))).toEqual(['13 release_lease_admin lease.b.json']);
  });

  test('not when there is one, or none', () => {
    for (const adopted of [true, false]) {
      expect(files(adopted, leaseFile('lease 2.json'))).toEqual([]);
      expect(files(adopted)).toEqual([]);
    }
  });

  test('one that can not be read is told, and is neither kept for it nor released', () => {
    const told = unreadable(13, 'lease.json can not be read: not JSON', { path: 'lease.json', why: 'not JSON' });
    expect(files(false, brokenLease(), leaseFile('lease.a.json'))).toEqual([told]);
    expect(files(true, brokenLease())).toEqual([told]);
    expect(released(files(true, brokenLease(), leaseFile('lease.a.json')))).toEqual([
      '13 release_lease_admin lease.a.json',
      '13 report_orphan lease.json',
    ]);
  });
});

describe('row 14: over, and still leased', () => {
  test.each(TERMINAL_TASK_STATES)('%s, however the lease stands', (state) => {
    for (const standing of ['live', 'grace', 'stale'] as const) {
      expect(only(of(task(state, { lease: seenLease(standing), lease_files: [leaseFile()] })))).toEqual({
        row: 14,
        task_id: 'build',
        action: 'release_lease_admin',
        severity: 'warning',
        reason: `it is ${state}, and run run-1 still has its lease`,
        payload: {
          path: 'lease.json',
          claim_id: 'claim-1',
          generation: 1,
          owner_run_id: 'run-1',
          expires_at: LATER,
        },
        identity: IDENTITY,
      });
    }
  });

  test('names the lease by where row 13 leaves it', () => {
    const lease_files = [leaseFile(), leaseFile('lease.z.json', 2)];
    const found = of(task('shipped', { adopted: false, lease: seenLease('live', { generation: 2 }), lease_files }));
    expect(found).toMatchObject([
      { row: 13, payload: { path: 'lease.json' } },
      { row: 14, payload: { path: 'lease.json' } },
    ]);
  });

  test.each(TASK_STATES.filter((state) => !isTerminal(state)))('not when %s', (state) => {
    expect(of(task(state, { lease: seenLease() }))).toEqual([]);
  });

  test('not without a lease', () => {
    expect(of(task('shipped'))).toEqual([]);
  });
});

describe('reports', () => {
  test('a record that can not be read is told once, and nothing else is done about its task', () => {
    const seen = stale('running', {
      problem: 'state.json: not JSON',
      lease_files: [leaseFile(), leaseFile('lease 2.json')],
      attempts: [attempt('a1', { answers: [answer()] })],
    });
    const why = 'state.json: not JSON';
    expect(of(seen, [issue('cancelled')])).toEqual([unreadable(2, `its record can not be read: ${why}`, { why })]);
  });

  test('a task that the plan does not have is told, and gc goes on with it', () => {
    const reason = 'build is not in the plan; it is kept and can not be claimed';
    const told = report(4, 'unplanned_task', reason, {}, { severity: 'info' });
    expect(of(task('abandoned'), undefined, { plan: [] })).toEqual([told]);
    expect(acts(of(stale('running'), undefined, { plan: [] }))).toEqual(['2 mark_abandoned', '4 report_orphan']);
    expect(of(task('abandoned'), undefined, { plan: null })).toEqual([]);
    expect(of(task(null), undefined, { plan: [] })).toEqual([]);
  });

  test('reports and plans are told apart', () => {
    const plan = planGc(snapshot({ plan: [], tasks: [stale('running')] }));
    expect(acts(plannedRows(plan))).toEqual(['2 mark_abandoned']);
    expect(acts(reportedRows(plan))).toEqual(['4 report_orphan']);
  });

  test('a name of any length does not push out what is wrong, and none reaches a terminal as it is', () => {
    const found = rows({ worktrees: [worktree(`\u001b[31m${'x'.repeat(900)}`)] });
    expect(only(found).reason).toMatch(/^\/trees\/x+… is the worktree of no task$/);
  });
});

describe('what one row leads to for the rows after it', () => {
  const asked = [attempt('a1', { questions: [question()], answers: [answer()] })];
  const strays = { lease_files: [leaseFile(), leaseFile('lease 2.json')] };
  const merged = { branches: [branch()] };

  const cases: [string, Partial<GcSnapshot> & Fields, string[]][] = [
    [
      'row 1 ships: its branch goes, and questions, answers, strays; its lease and its issue are settled by then',
      {
        tasks: [task('running', { merged_sha: 'c0ffee', attempts: asked, ...strays })],
        issues: [issue('done')],
        ...merged,
      },
      ['1 mark_terminal', '9 prune_branch', '11 archive_question', '12 archive_answer', '13 release_lease_admin'],
    ],
    [
      'row 1 cancels: a branch that is not merged stays',
      { tasks: [task('running')], issues: [issue('cancelled')], ...merged },
      ['1 mark_terminal'],
    ],
    [
      'row 2 abandons: strays go',
      { tasks: [stale('running', strays)] },
      ['2 mark_abandoned', '13 release_lease_admin'],
    ],
    [
      'row 2 fails: a merged branch and questions go as well, and row 14 finds no lease',
      {
        tasks: [stale('running', { abandons: LIMIT - 1, attempts: asked, ...strays })],
        branches: [branch({ merged: true })],
      },
      ['2 mark_abandoned', '9 prune_branch', '11 archive_question', '12 archive_answer', '13 release_lease_admin'],
    ],
    [
      'row 2 abandons: questions of the current attempt stay, and so does its branch',
      { tasks: [stale('running', { attempts: asked })], branches: [branch({ merged: true })] },
      ['2 mark_abandoned'],
    ],
    [
      'row 4 recovers: what an empty folder holds goes',
      {
        tasks: [task(null, { attempts: asked })],
        runs: [{ run_id: 'run-1', standing: 'dead' }],
        issues: [issue('in_progress', 'run-1')],
      },
      ['4 recover', '11 archive_question', '12 archive_answer'],
    ],
    [
      'row 5 settles: the question goes nowhere, another of its attempt is no longer waited for',
      {
        tasks: [
          parked(EARLIER, {
            current_attempt_id: 'a2',
            attempts: [attempt('a1', { questions: [question(), question('q2')] })],
          }),
        ],
      },
      ['5 expire_question', '11 archive_question'],
    ],
    [
      'row 5 settles what has lost its question: then nobody needs the answer',
      { tasks: [parked(LATER, { attempts: [attempt('a1', { answers: [answer()] })] })] },
      ['5 resume_answered', '12 archive_answer'],
    ],
    [
      'row 6 ships: its branch goes',
      { tasks: [task('ready_for_review', { merged_sha: 'c0ffee' })], issues: [issue('done')], ...merged },
      ['6 mark_terminal', '9 prune_branch'],
    ],
    [
      'row 11 archives a question: its answer goes as well, one of the same id elsewhere stays',
      {
        tasks: [
          task('running', {
            attempts: [
              attempt('a0', { questions: [question('q1', 'open', 'a0')], answers: [answer('q1', 'keep', 'a0')] }),
              ...asked,
            ],
          }),
        ],
      },
      ['11 archive_question', '12 archive_answer'],
    ],
    [
      'row 14 releases: row 7 closes and row 9 prunes regardless',
      { tasks: [task('shipped', { lease: seenLease(), ...strays })], issues: [issue('in_review')], ...merged },
      ['7 close_tracker_issue', '9 prune_branch', '13 release_lease_admin', '14 release_lease_admin'],
    ],
  ];

  test.each(cases)('%s', (_, fields, expected) => {
    const before = snapshot(fields);
    const plan = planGc(frozen(before));
    expect(acts(plan.rows)).toEqual(expected);
    const next = applyModel(before, plan, { reclaimed: true, verification: 'twin' });
    expect(acts(planGc(next).rows)).toEqual([]);
  });

  test('a claim that could not be taken again leaves a verdict that nobody verifies any more', () => {
    const attempts = [attempt('a1', { verdict: 'ready_for_review' })];
    const before = snapshot({ tasks: [task('claimed', { current_attempt_id: 'a1', attempts })], issues: [issue()] });
    const plan = planGc(before);
    expect(acts(plan.rows)).toEqual(['3 mark_unclaimed']);
    const again = (reclaimed: boolean) => planGc(applyModel(before, plan, { reclaimed, verification: 'passed' })).rows;
    expect(again(true)).toEqual([]);
    expect(acts(again(false))).toEqual(['8 reverify_verdict']);
  });
});

describe('order', () => {
  test('is row, then task, then path, by code points', () => {
    const lease_files = [leaseFile(), leaseFile('lease.\u{1f600}.json'), leaseFile('lease.\uffee.json')];
    const tasks = ['b', 'a', 'B', 'a.b', 'a-b'].map((task_id) => stale('running', { task_id, lease_files }));
    const found = rows({ plan: null, tasks }).map(({ row, task_id, payload }) =>
      [row, task_id, 'path' in payload ? payload.path : ''].join(' '),
    );
    const ids = ['B', 'a', 'a-b', 'a.b', 'b'];
    expect(found).toEqual([
      ...ids.map((id) => `2 ${id} `),
      ...ids.flatMap((id) => [`13 ${id} lease.\uffee.json`, `13 ${id} lease.\u{1f600}.json`]),
    ]);
  });
});

describe('cheap rows', () => {
  test('need neither git nor a tracker', () => {
    expect(CHEAP_ROW_IDS).toEqual([2, 5, 8, 11, 12, 13, 14]);
  });

  test('are found among all, with their reports', () => {
    const list = [leaseFile(), leaseFile('lease 2.json')];
    const over = { lease: seenLease(), lease_files: list };
    const attempts = [attempt('a1', { questions: [question()], answers: [answer()] })];
    const handedIn = [attempt('a1', { verdict: 'ready_for_review' })];
    const fields = snapshot({
      plan: [],
      tasks: [
        stale('running', { task_id: 't2' }),
        parked(EARLIER, { task_id: 't5' }),
        task('ready_for_review', { task_id: 't8', attempts: handedIn }),
        task('cancelled', { task_id: 't11', attempts }),
        task('shipped', { task_id: 't13', ...over }),
        task(null, { task_id: 't0', problem: 'not JSON' }),
        task('running', { task_id: 'build' }),
      ],
      issues: [issue('cancelled'), issue('open', null, { id: 'I-2', task_id: 't13' })],
      branches: [branch({ merged: true, task_id: 'none', name: 'forge/none' })],
      worktrees: [worktree('gone')],
    });
    expect(acts(detectCheapDivergences(frozen(fields)))).toEqual([
      '2 report_orphan',
      '2 mark_abandoned',
      '5 expire_question',
      '8 reverify_verdict',
      '11 archive_question',
      '12 archive_answer',
      '13 release_lease_admin',
      '14 release_lease_admin',
    ]);
    const all = new Set(planGc(fields).rows.map(({ row }) => row));
    expect([...all]).toEqual(expect.arrayContaining([1, 4, 7, 9, 10]));
  });
});

test('an action that nobody knows is a bug, and says which', () => {
  expect(() => assertNeverGcRow({ row: 99, action: 'dance' } as never)).toThrow('no such gc action: {"row":99');
});
