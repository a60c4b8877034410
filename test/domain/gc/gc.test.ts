/** gc rows 1 to 7, where the record, the tracker and a person disagree; and the plan as a whole. */

import { describe, expect, test } from 'vitest';
import type { GcAttempt } from '../../../src/domain/gc/gc-plan.ts';
import { assertNeverGcRow, type GcSnapshot, plannedRows, reportedRows } from '../../../src/domain/gc/gc-plan.ts';
import { CHEAP_ROW_IDS, detectCheapDivergences, planGc } from '../../../src/domain/gc/plan-gc.ts';
import { TASK_STATES } from '../../../src/domain/task/records.ts';
import { IN_FLIGHT_STATES, isTerminal } from '../../../src/domain/task/states.ts';
import { isoTime } from '../../../src/lib/time.ts';
import {
  acts,
  type Fields,
  FREE,
  IDENTITY,
  of,
  only,
  report,
  rows,
  stale,
  unreadable,
} from '../../support/domain/gc-plans.ts';
import {
  answer,
  applyModel,
  attempt,
  branch,
  brokenAnswer,
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
} from '../../support/domain/snapshots.ts';
import { frozen, T0 } from '../../support/domain/tasks.ts';

test('a consistent tree has an empty gc plan', () => {
  expect(planGc(snapshot())).toEqual({ version: 1, rows: [] });
  expect(of(task('running'), [issue('in_progress', 'run-1')])).toEqual([]);
});

describe('row 1', () => {
  test.each(IN_FLIGHT_STATES)(
    'row 1 cancels a task that is %s when its issue is cancelled, live lease or not',
    (state) => {
      expect(only(of(task(state), [issue('cancelled')]))).toEqual({
        row: 1,
        task_id: 'build',
        action: 'mark_terminal',
        severity: 'warning',
        reason: `it is ${state}, and issue I-1 is cancelled`,
        payload: { state: 'cancelled', issue_id: 'I-1', merged_sha: null },
        identity: IDENTITY,
      });
    },
  );

  test.each(IN_FLIGHT_STATES)(
    'row 1 ships a task that is %s when its issue is done, with a proof of merge',
    (state) => {
      expect(only(of(task(state, { merged_sha: 'c0ffee' }), [issue('done')]))).toEqual({
        row: 1,
        task_id: 'build',
        action: 'mark_terminal',
        severity: 'warning',
        reason: `it is ${state}, and issue I-1 is done, and c0ffee is in the base`,
        payload: { state: 'shipped', issue_id: 'I-1', merged_sha: 'c0ffee' },
        identity: IDENTITY,
      });
    },
  );

  test.each(IN_FLIGHT_STATES)(
    'row 1 only reports a task that is %s when its issue is done without a proof',
    (state) => {
      const reason = `issue I-1 is done, the task is ${state}, and nothing proves that its work was merged`;
      expect(of(task(state), [issue('done')])).toEqual([
        report(1, 'tracker_claims_shipped', reason, { issue_id: 'I-1' }),
      ]);
    },
  );

  test('row 1 cancels a merged task whose issue is cancelled', () => {
    const [row] = of(task('running', { merged_sha: 'c0ffee' }), [issue('cancelled')]);
    expect(row?.payload).toEqual({ state: 'cancelled', issue_id: 'I-1', merged_sha: null });
  });

  test.each(['open', 'in_progress', 'in_review'] as const)('row 1 finds nothing while the issue is %s', (state) => {
    expect(of(task('running'), [issue(state, 'run-1')])).toEqual([]);
  });

  test.each(FREE.filter((state) => state !== 'ready_for_review' && state !== 'shipped'))(
    'row 1 finds nothing when %s',
    (state) => {
      expect(of(task(state), [issue('cancelled')])).toEqual([]);
      expect(of(task(state, { merged_sha: 'c0ffee' }), [issue('done')])).toEqual([]);
    },
  );

  test('row 1 finds nothing without an answer of the tracker', () => {
    const fields = { tasks: [task('running')] };
    expect(rows({ ...fields, tracker: { kind: 'down', why: 'no route' } })).toEqual([]);
    expect(rows({ ...fields, issues: [] })).toEqual([]);
    expect(rows({ ...fields, issues: [issue('cancelled', null, { task_id: 'other' })] })).toEqual([]);
  });

  test('an issue belongs to the task it names, else to the one that the plan names', () => {
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

  test('an issue that names the task counts before one that the plan names', () => {
    const plan = [{ id: 'build', tracker_issue_id: 'I-1' }];
    const issues = [issue('cancelled', null, { task_id: null }), issue('in_progress', 'run-1', { id: 'I-2' })];
    expect(of(task('running'), issues, { plan })).toEqual([]);
    expect(of(task('running'), issues.toReversed(), { plan })).toEqual([]);
  });
});

describe('row 2', () => {
  test.each(IN_FLIGHT_STATES)('row 2 abandons a stale task that is %s', (state) => {
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

  test('row 2 abandons an in-flight task without a lease', () => {
    expect(only(of(task('running', { lease: null, lease_files: [] })))).toMatchObject({
      action: 'mark_abandoned',
      reason: 'it is running, and it has no lease',
      payload: { claim_id: null, generation: null, expires_at: null },
    });
  });

  test.each(['live', 'grace'] as const)('row 2 finds nothing while the lease is %s', (standing) => {
    expect(of(task('running', { lease: seenLease(standing) }))).toEqual([]);
  });

  test.each(FREE.filter((state) => !isTerminal(state)))('row 2 finds nothing when %s', (state) => {
    expect(of(stale(state))).toEqual([]);
  });

  test('row 2 says that the task fails at the limit of abandonments', () => {
    const reason = (abandons: number) => only(of(stale('running', { abandons }))).reason;
    expect(reason(LIMIT - 1)).toBe(
      'it is running, and its lease is stale: it ran out; abandoned 3 times in a row, it fails',
    );
    expect(reason(LIMIT - 2)).toBe('it is running, and its lease is stale: it ran out');
  });
});

describe('row 3', () => {
  test.each(['live', 'grace'] as const)('row 3 claims the issue again when the lease is %s', (standing) => {
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

  test('row 3 leaves a stale claim to row 2', () => {
    expect(acts(of(stale('claimed'), [issue()]))).toEqual(['2 mark_abandoned']);
  });

  test('row 3 finds nothing when the issue is claimed', () => {
    expect(of(task('claimed'), [issue('in_progress', 'run-1')])).toEqual([]);
    expect(of(task('claimed'), [issue('in_progress', 'run-2')])).toEqual([]);
  });

  test('row 3 finds nothing without an issue or an available tracker', () => {
    expect(of(task('claimed'), [])).toEqual([]);
    expect(of(task('claimed'))).toEqual([]);
    expect(rows({ tasks: [task('claimed')], tracker: { kind: 'down', why: 'no route' } })).toEqual([]);
  });

  test('row 3 leaves a closed issue to row 1', () => {
    expect(acts(of(task('claimed'), [issue('cancelled')]))).toEqual(['1 mark_terminal']);
    expect(acts(of(task('claimed'), [issue('done')]))).toEqual(['1 report_orphan']);
  });

  test.each(TASK_STATES.filter((state) => state !== 'claimed' && state !== 'shipped'))(
    'row 3 finds nothing when %s',
    (state) => {
      expect(of(task(state), [issue()])).toEqual([]);
    },
  );
});

describe('row 4', () => {
  const RUNS = [
    { run_id: 'run-1', standing: 'dead' as const },
    { run_id: 'run-2', standing: 'ended' as const },
    { run_id: 'run-3', standing: 'open' as const },
  ];
  const held = (run_id: string | null, rest: Fields = {}) =>
    rows({ runs: RUNS, issues: [issue('in_progress', run_id)], ...rest });

  test.each(['run-1', 'run-2'])('row 4 recovers a task claimed only in the tracker: %s', (run_id) => {
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

  test('row 4 treats an empty task folder as no state', () => {
    expect(only(held('run-1', { tasks: [task(null)] }))).toMatchObject({ action: 'recover', identity: IDENTITY });
  });

  test('row 4 finds nothing for an open run, a run of another tree, or an unclaimed issue', () => {
    expect(held('run-3')).toEqual([]);
    expect(held('run-9')).toEqual([]);
    expect(held(null)).toEqual([]);
  });

  test.each(['done', 'cancelled'] as const)('row 4 finds nothing when the issue is %s', (state) => {
    expect(rows({ runs: RUNS, issues: [issue(state, 'run-1')] })).toEqual([]);
  });

  test('row 4 recovers an unclaimed task, as a recovery without the tracker leaves it', () => {
    expect(only(held('run-1', { tasks: [task('unclaimed')] }))).toMatchObject({
      action: 'recover',
      reason: 'issue I-1 is claimed by run run-1, which is gone, and the task is unclaimed here',
      identity: IDENTITY,
    });
    expect(held('run-1', { tasks: [task('unclaimed', { lease: seenLease('stale') })] })).toEqual([]);
  });

  test('row 4 finds nothing for a task with a state, an unreadable record, or a lease', () => {
    for (const state of TASK_STATES.filter((each) => each !== 'unclaimed' && each !== 'shipped')) {
      expect(acts(held('run-1', { tasks: [task(state)] }))).not.toContain('4 recover');
    }
    expect(acts(held('run-1', { tasks: [task(null, { problem: 'not JSON' })] }))).toEqual(['2 report_orphan']);
    expect(held('run-1', { tasks: [task(null, { lease: seenLease('grace') })] })).toEqual([]);
    expect(acts(held('run-1', { tasks: [task(null, { lease: seenLease('stale') })] }))).toEqual(['4 recover']);
  });

  test('row 4 only reports a task that is not in the plan', () => {
    const reason =
      'issue I-1 is claimed by run run-1, which is gone, and nothing has happened to the task here; it is not in the plan';
    expect(only(held('run-1', { plan: [] }))).toEqual(
      report(4, 'tracker_claimed_no_local', reason, { issue_id: 'I-1', run_id: 'run-1' }, { identity: null }),
    );
    expect(acts(held('run-1', { plan: null }))).toEqual(['4 recover']);
  });

  test('row 4 finds nothing while the tracker is down', () => {
    expect(rows({ runs: RUNS, tracker: { kind: 'down', why: 'no route' } })).toEqual([]);
  });
});

describe('row 5', () => {
  const PAST = isoTime(T0);
  const asked = (more: Partial<GcAttempt> = {}) => ({
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

  test('row 5 resumes a task whose question is answered', () => {
    const reason = 'its question is answered with keep by ada, and the task still waits';
    for (const until of [LATER, EARLIER]) {
      const seen = parked(until, asked({ answers: [answer()] }), 'drop');
      expect(only(of(seen))).toEqual(item('resume_answered', reason, { option_id: 'keep' }));
    }
  });

  test('row 5 resumes a task whose question has expired', () => {
    const seen = parked(LATER, asked({ answers: [answer('q1', null)] }));
    const reason = 'its question has expired, and the task still waits';
    expect(only(of(seen))).toEqual(item('resume_answered', reason, { option_id: null }));
  });

  test('row 5 uses the answer with the first path', () => {
    const answers = [{ ...answer(), path: 'z.json', option_id: 'drop' }, answer()];
    for (const list of [answers, answers.toReversed()]) {
      expect(of(parked(LATER, asked({ answers: list })))[0]?.payload).toMatchObject({ option_id: 'keep' });
    }
  });

  test('row 5 applies the default past the deadline', () => {
    const reason = `no answer until ${PAST}; the default is drop`;
    expect(only(of(parked(PAST, {}, 'drop')))).toEqual(item('apply_default_answer', reason, { option_id: 'drop' }));
  });

  test('row 5 expires a question without a default past its deadline', () => {
    const reason = `no answer until ${PAST}, and there is no default`;
    expect(only(of(parked(PAST)))).toEqual(item('expire_question', reason));
  });

  test('row 5 finds nothing before the deadline, or with an invalid one', () => {
    for (const until of [isoTime(T0 + 1), 'never', '']) {
      expect(of(parked(until))).toEqual([]);
      expect(of(parked(until, {}, 'drop'))).toEqual([]);
    }
  });

  test('row 5 ignores answers to another question or in another attempt', () => {
    const other = [question('q2', 'answered')];
    const seen = parked(LATER, asked({ questions: [question(), ...other], answers: [answer('q2')] }));
    expect(of(seen)).toEqual([]);
    const elsewhere = attempt('a2', {
      questions: [question('q1', 'answered', 'a2')],
      answers: [answer('q1', 'keep', 'a2')],
    });
    expect(of(parked(LATER, { attempts: [...asked().attempts, elsewhere] }))).toEqual([]);
  });

  test('row 5 reports an unreadable answer and settles nothing, not even past the deadline', () => {
    const seen = (questions = [question()]) => parked(EARLIER, asked({ questions, answers: [brokenAnswer()] }), 'drop');
    const told = [unreadable(12, 'the answer to question q1 cannot be read', { path: 'attempts/a1/answers/q1.json' })];
    expect(of(seen())).toEqual(told);
    // The record knows of the question, so the answer is not one without.
    expect(of(seen([]))).toEqual(told);
  });

  test.each(TASK_STATES.filter((state) => state !== 'blocked_on_question' && !isTerminal(state)))(
    'row 5 finds nothing when %s',
    (state) => {
      const { waits_for } = parked(EARLIER);
      expect(of(task(state, { waits_for }))).toEqual([]);
    },
  );

  test('row 5 finds nothing when the record names no question, or the task has a lease', () => {
    expect(of(parked(EARLIER, { waits_for: null }))).toEqual([]);
    expect(of(parked(EARLIER, { lease: seenLease('grace') }))).toEqual([]);
    expect(acts(of(parked(EARLIER, { lease: seenLease('stale') })))).toEqual(['5 expire_question']);
  });
});

describe('row 6', () => {
  test('row 6 ships a task with a proof of merge', () => {
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

  test('row 6 only reports a task without a proof of merge', () => {
    const reason = 'issue I-1 is done, the task is ready_for_review, and nothing proves that its work was merged';
    expect(of(task('ready_for_review'), [issue('done')])).toEqual([
      report(6, 'tracker_done_unproven', reason, { issue_id: 'I-1' }),
    ]);
  });

  test.each(['open', 'in_progress', 'in_review', 'cancelled'] as const)(
    'row 6 finds nothing when the issue is %s',
    (state) => {
      expect(of(task('ready_for_review', { merged_sha: 'c0ffee' }), [issue(state)])).toEqual([]);
    },
  );

  test.each(['reviewed', 'merge_pending', 'unclaimed'] as const)('row 6 finds nothing when %s', (state) => {
    expect(of(task(state, { merged_sha: 'c0ffee' }), [issue('done')])).toEqual([]);
  });

  test('row 6 finds nothing with a live lease, or while the tracker is down', () => {
    const seen = (standing: 'live' | 'stale') =>
      task('ready_for_review', { merged_sha: 'c0ffee', lease: seenLease(standing) });
    expect(of(seen('live'), [issue('done')])).toEqual([]);
    expect(acts(of(seen('stale'), [issue('done')]))).toEqual(['6 mark_terminal']);
    expect(rows({ tasks: [seen('stale')], tracker: { kind: 'down', why: 'no route' } })).toEqual([]);
  });
});

describe('row 7', () => {
  test.each(['open', 'in_progress', 'in_review'] as const)('row 7 closes an issue that is %s', (state) => {
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

  test('row 7 only reports a cancelled issue', () => {
    expect(of(task('shipped'), [issue('cancelled')])).toEqual([
      report(7, 'shipped_not_closed', 'it is shipped, and issue I-1 was cancelled', { issue_id: 'I-1' }),
    ]);
  });

  test('row 7 finds nothing when the issue is done, or there is no issue or tracker', () => {
    expect(of(task('shipped'), [issue('done')])).toEqual([]);
    expect(of(task('shipped'), [])).toEqual([]);
    expect(rows({ tasks: [task('shipped')], tracker: { kind: 'down', why: 'no route' } })).toEqual([]);
  });

  test.each(TASK_STATES.filter((state) => state !== 'shipped' && state !== 'claimed'))(
    'row 7 finds nothing when %s',
    (state) => {
      expect(of(task(state), [issue('in_review')])).toEqual([]);
    },
  );
});

describe('reports', () => {
  test('an unreadable record is reported once, and nothing else is planned for its task', () => {
    const seen = stale('running', {
      problem: 'state.json: not JSON',
      lease_files: [leaseFile(), leaseFile('lease 2.json')],
      attempts: [attempt('a1', { answers: [answer()] })],
    });
    const why = 'state.json: not JSON';
    expect(of(seen, [issue('cancelled')])).toEqual([unreadable(2, `its record cannot be read: ${why}`, { why })]);
  });

  test('a task that is not in the plan is reported, and its other rows apply', () => {
    const reason = 'build is not in the plan; it is kept and cannot be claimed';
    const told = report(4, 'unplanned_task', reason, {}, { severity: 'info' });
    expect(of(task('abandoned'), undefined, { plan: [] })).toEqual([told]);
    expect(acts(of(stale('running'), undefined, { plan: [] }))).toEqual(['2 mark_abandoned', '4 report_orphan']);
    expect(of(task('abandoned'), undefined, { plan: null })).toEqual([]);
    expect(of(task(null), undefined, { plan: [] })).toEqual([]);
  });

  test('reports are distinguished from planned changes', () => {
    const plan = planGc(snapshot({ plan: [], tasks: [stale('running')] }));
    expect(acts(plannedRows(plan))).toEqual(['2 mark_abandoned']);
    expect(acts(reportedRows(plan))).toEqual(['4 report_orphan']);
  });

  test('long names are cut in reasons, and control characters removed', () => {
    const found = rows({ worktrees: [worktree(`\u001b[31m${'x'.repeat(900)}`)] });
    expect(only(found).reason).toMatch(/^\/trees\/x+… is the worktree of no task$/);
  });
});

describe('effects of earlier rows', () => {
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
      'row 5 settles what has lost its question: then the answer is not needed',
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

  test.each(cases)('effects of earlier rows: %s', (_, fields, expected) => {
    const before = snapshot(fields);
    const plan = planGc(frozen(before));
    expect(acts(plan.rows)).toEqual(expected);
    const next = applyModel(before, plan, { reclaimed: true, verification: 'twin' });
    expect(acts(planGc(next).rows)).toEqual([]);
  });

  test('a claim that the tracker refuses leaves its verdict to row 8', () => {
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
  test('gc items are ordered by row, task and path, by code points', () => {
    const lease_files = [
      leaseFile(),
      leaseFile('lease.\u{1f600}.json'),
      leaseFile('lease.\uffee.json'),
      leaseFile('lease.\u{1f601}.json'),
    ];
    const tasks = ['b', 'a', 'B', 'a.b', 'a-b'].map((task_id) => stale('running', { task_id, lease_files }));
    const found = rows({ plan: null, tasks }).map(({ row, task_id, payload }) =>
      [row, task_id, 'path' in payload ? payload.path : ''].join(' '),
    );
    const ids = ['B', 'a', 'a-b', 'a.b', 'b'];
    expect(found).toEqual([
      ...ids.map((id) => `2 ${id} `),
      ...ids.flatMap((id) => ['\uffee', '\u{1f600}', '\u{1f601}'].map((name) => `13 ${id} lease.${name}.json`)),
    ]);
  });
});

describe('cheap rows', () => {
  test('cheap rows need neither git nor a tracker', () => {
    expect(CHEAP_ROW_IDS).toEqual([2, 5, 8, 11, 12, 13, 14]);
  });

  test('cheap rows are those among all rows, with their reports', () => {
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

test('an unknown gc action is a bug that names it', () => {
  expect(() => assertNeverGcRow({ row: 99, action: 'dance' } as never)).toThrow('no such gc action: {"row":99');
});
