/** gc rows 8 to 14: verdicts, branches, worktrees, and the files beside a record. */

import { describe, expect, test } from 'vitest';
import { type GcAttempt, type GcPlanRow, type GcTask, plannedRows } from '../../../src/domain/gc/gc-plan.ts';
import { planGc } from '../../../src/domain/gc/plan-gc.ts';
import type { GcOptions } from '../../../src/domain/gc/projection.ts';
import { TASK_STATES } from '../../../src/domain/task/records.ts';
import { IN_FLIGHT_STATES, isTerminal, TERMINAL_TASK_STATES } from '../../../src/domain/task/states.ts';
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
  attempt,
  branch,
  brokenAnswer,
  brokenLease,
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
import { TTL_MS } from '../../support/domain/tasks.ts';

describe('row 8', () => {
  const handedIn = (fields: Partial<GcAttempt> = {}) => ({
    attempts: [attempt('a1', { verdict: 'ready_for_review', ...fields })],
  });
  const OPEN = FREE.filter((state) => !isTerminal(state));

  test.each(OPEN)('row 8 verifies a verdict that was handed in: %s', (state) => {
    expect(only(of(task(state, { current_attempt_id: 'a1', ...handedIn() })))).toEqual({
      row: 8,
      task_id: 'build',
      action: 'reverify_verdict',
      severity: 'warning',
      reason: 'attempt a1 has handed in a verdict that is not verified',
      payload: { attempt_id: 'a1' },
      identity: IDENTITY,
    });
  });

  test.each(IN_FLIGHT_STATES)('row 8 verifies the verdict of a stale task after its abandonment: %s', (state) => {
    const seen = stale(state, { current_attempt_id: 'a1', ...handedIn() });
    expect(acts(of(seen))).toEqual(['2 mark_abandoned', '8 reverify_verdict']);
    expect(acts(of({ ...seen, abandons: LIMIT - 1 }))).toEqual(['2 mark_abandoned']);
  });

  test.each(['live', 'grace'] as const)(
    'row 8 finds nothing while the lease is %s, since its owner verifies',
    (standing) => {
      const held = { current_attempt_id: 'a1', lease: seenLease(standing), ...handedIn() };
      for (const state of ['claimed', 'running', 'ready_for_review'] as const)
        expect(of(task(state, held))).toEqual([]);
    },
  );

  test('row 8 finds nothing with a twin, another verdict or none', () => {
    expect(of(task('ready_for_review', handedIn({ verified: true })))).toEqual([]);
    for (const verdict of ['changes_needed', 'blocked', null] as const) {
      expect(of(task('ready_for_review', handedIn({ verdict })))).toEqual([]);
    }
  });

  test('row 8 finds nothing for an ended attempt, except of a task that waits for its review', () => {
    const ended = { completed_attempt_id: 'a1', ...handedIn() };
    expect(of(task('awaiting_respawn', ended))).toEqual([]);
    expect(of(task('reviewed', ended))).toEqual([]);
    expect(acts(of(task('ready_for_review', ended)))).toEqual(['8 reverify_verdict']);
  });

  test('row 8 finds nothing for an attempt that is not current', () => {
    expect(of(task('awaiting_respawn', { current_attempt_id: 'a2', ...handedIn() }))).toEqual([]);
    expect(of(task('awaiting_respawn', { current_attempt_id: null, ...handedIn() }))).toEqual([]);
  });

  test.each(TERMINAL_TASK_STATES)('row 8 finds nothing when %s', (state) => {
    expect(of(task(state, handedIn()))).toEqual([]);
  });

  test.each([null, ...TASK_STATES])('row 8 reports an unreadable verdict when %s', (state) => {
    const seen = task(state, { current_attempt_id: 'a9', ...handedIn({ verdict: 'unreadable' }) });
    expect(of(seen)).toEqual([
      unreadable(8, 'the verdict of attempt a1 cannot be read', { path: 'attempts/a1/verdict.json' }),
    ]);
  });
});

describe('row 9', () => {
  const item = (reason: string, merged: boolean, identity: object | null = IDENTITY) => ({
    row: 9,
    task_id: 'build',
    action: 'prune_branch',
    severity: 'info',
    reason,
    payload: { branch: 'forge/build', sha: 'c0ffee', merged },
    identity,
  });
  const with_ = (seen: GcTask | null, fields = {}) =>
    rows({ tasks: seen === null ? [] : [seen], branches: [branch(fields)] });

  test('row 9 prunes the branch of a shipped task', () => {
    const reason = 'forge/build has no worktree, and its task is shipped';
    expect(with_(task('shipped'))).toEqual([item(reason, false)]);
  });

  test.each(TERMINAL_TASK_STATES)('row 9 prunes a merged branch whose task is %s', (state) => {
    const reason = 'forge/build has no worktree, and all of it is merged';
    expect(with_(task(state), { merged: true })).toEqual([item(reason, true)]);
  });

  test('row 9 prunes a merged branch of a task without state', () => {
    const reason = 'forge/build has no worktree, and all of it is merged';
    expect(with_(null, { merged: true })).toEqual([item(reason, true, null)]);
    expect(with_(task(null), { merged: true })).toEqual([item(reason, true)]);
  });

  test('row 9 keeps a branch with a worktree', () => {
    expect(with_(task('shipped'), { has_worktree: true, merged: true })).toEqual([]);
  });

  test('row 9 keeps a branch that is neither merged nor shipped', () => {
    for (const seen of [null, task(null), task('failed'), task('cancelled')]) expect(with_(seen)).toEqual([]);
  });

  test.each(TASK_STATES.filter((state) => !isTerminal(state)))('row 9 keeps a branch while its task is %s', (state) => {
    expect(with_(task(state), { merged: true })).toEqual([]);
  });

  test('row 9 keeps a branch when the record is unreadable or there is only a lease', () => {
    expect(acts(with_(task(null, { problem: 'not JSON' }), { merged: true }))).toEqual(['2 report_orphan']);
    expect(with_(task(null, { lease: seenLease() }), { merged: true })).toEqual([]);
    expect(acts(with_(task(null, { lease: seenLease('stale') }), { merged: true }))).toEqual(['9 prune_branch']);
  });
});

describe('row 10', () => {
  const orphan = (fields = {}, rest: Fields = {}, options: GcOptions = {}) =>
    rows({ worktrees: [worktree('gone', fields)], ...rest }, options);
  const REMOVE = { removeOrphanWorktrees: true };
  const told = (reason: string) =>
    report(10, 'worktree', reason, { path: '/trees/gone' }, { task_id: 'gone', severity: 'info', identity: null });

  test('row 10 reports an orphan worktree', () => {
    expect(orphan()).toEqual([told('/trees/gone is the worktree of no task')]);
  });

  test('row 10 removes an orphan worktree on request', () => {
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

  test('row 10 only reports a folder that git does not know', () => {
    const expected = [told('/trees/gone is not a worktree that git knows')];
    expect(orphan({ registered: false })).toEqual(expected);
    expect(orphan({ registered: false }, {}, REMOVE)).toEqual(expected);
  });

  test.each([
    ['the plan has the task', { plan: [{ id: 'gone', tracker_issue_id: null }] }],
    ['there is no plan', { plan: null }],
    ['a lease of it counts', { tasks: [task(null, { task_id: 'gone', lease: seenLease() })] }],
  ] as [string, Fields][])('row 10 keeps a worktree when %s', (_, rest) => {
    const found = orphan({}, rest, REMOVE).filter(({ row }) => row === 10);
    expect(found).toEqual([]);
  });

  test('row 10 keeps the worktree of a dropped task with state', () => {
    const tasks = [task('cancelled', { task_id: 'gone' })];
    expect(acts(orphan({}, { tasks }, REMOVE))).toEqual(['4 report_orphan']);
    const broken = [task(null, { task_id: 'gone', problem: 'not JSON' })];
    expect(acts(orphan({}, { tasks: broken }, REMOVE))).toEqual(['2 report_orphan', '4 report_orphan']);
  });

  const shipped = (fields = {}, removeShippedAfterMs: number | null = 0) =>
    acts(orphan({}, { tasks: [task('shipped', { task_id: 'gone', ...fields })] }, { removeShippedAfterMs })).filter(
      (act) => act.startsWith('10'),
    );

  test('row 10 removes the worktree of a task that was shipped long enough ago, on request', () => {
    expect(shipped({}, null)).toEqual([]);
    expect(shipped({}, TTL_MS)).toEqual(['10 remove_worktree']);
    expect(shipped({}, TTL_MS + 1)).toEqual([]);
  });

  test.each([
    ['it is not shipped', { state: 'reviewed' }],
    ['it is not known when it was shipped', { updated_at: null }],
  ])('row 10 keeps the worktree of a task where %s', (_, fields) => {
    expect(shipped(fields)).toEqual([]);
  });

  test('row 10 treats an empty task folder as no state', () => {
    const tasks = [task(null, { task_id: 'gone' })];
    expect(only(orphan({}, { tasks }, REMOVE))).toMatchObject({ action: 'remove_worktree', identity: IDENTITY });
  });

  test('row 10 frees a merged branch for row 9, unless another worktree has it', () => {
    const branches = [branch({ name: 'forge/gone', task_id: 'gone', has_worktree: true, merged: true })];
    expect(orphan({}, { branches }, REMOVE)).toMatchObject([
      { action: 'prune_branch', reason: 'forge/gone loses its worktree, and all of it is merged' },
      { action: 'remove_worktree' },
    ]);
    expect(acts(orphan({}, { branches }))).toEqual(['10 report_orphan']);
    const both = [worktree('gone'), worktree('build', { branch: 'forge/gone' })];
    for (const worktrees of [both, both.toReversed()]) {
      expect(acts(rows({ branches, worktrees }, REMOVE))).toEqual(['10 remove_worktree']);
    }
  });
});

describe('row 11', () => {
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

  test.each(TERMINAL_TASK_STATES)('row 11 archives the question of a task that is %s', (state) => {
    const expected = [item(`question q1 is open, and the task is ${state}`)];
    expect(of(task(state, { attempts: asked() }))).toEqual(expected);
  });

  test.each(TASK_STATES.filter((state) => !isTerminal(state)))(
    'row 11 archives the question of an attempt that is not current: %s',
    (state) => {
      const expected = [item('question q1 is open, and its attempt is over')];
      expect(of(task(state, { current_attempt_id: 'a2', attempts: asked() }))).toEqual(expected);
      expect(of(task(state, { current_attempt_id: null, attempts: asked() }))).toEqual(expected);
    },
  );

  test('row 11 archives the question of a task without state', () => {
    expect(acts(of(task(null, { attempts: asked() })))).toEqual(['11 archive_question']);
    // A task without a state has no current attempt, whatever a lease names.
    expect(acts(of(task(null, { current_attempt_id: 'a1', attempts: asked() })))).toEqual(['11 archive_question']);
  });

  test('row 11 keeps questions of the current and of the waiting attempt', () => {
    expect(of(task('running', { attempts: asked() }))).toEqual([]);
    expect(of(task('awaiting_respawn', { attempts: asked() }))).toEqual([]);
    expect(of(parked(LATER, { current_attempt_id: 'a2' }))).toEqual([]);
  });

  test.each(['answered', 'expired', 'budget_exhausted', 'sideways'])('row 11 keeps a question that is %s', (status) => {
    expect(of(task('shipped', { attempts: asked(status) }))).toEqual([]);
  });

  test.each([null, ...TASK_STATES])('row 11 reports an unreadable question when %s', (state) => {
    expect(of(task(state, { current_attempt_id: 'a1', attempts: asked(null) }))).toEqual([
      unreadable(11, 'question q1 cannot be read: not JSON', {
        path: 'attempts/a1/questions/q1.json',
        why: 'not JSON',
      }),
    ]);
  });
});

describe('row 12', () => {
  const item = (attempt_id = 'a1') => ({
    row: 12,
    task_id: 'build',
    action: 'archive_answer',
    severity: 'info',
    reason: 'there is an answer to question q1, and no such question',
    payload: { question_id: 'q1', attempt_id, path: `attempts/${attempt_id}/answers/q1.json`, digest: 'd-q1' },
    identity: IDENTITY,
  });

  test.each([null, ...TASK_STATES])('row 12 archives an answer without its question: %s', (state) => {
    expect(of(task(state, { attempts: [attempt('a1', { answers: [answer()] })] }))).toEqual([item()]);
  });

  test('row 12 archives an unreadable answer without its question', () => {
    expect(of(task('running', { attempts: [attempt('a1', { answers: [brokenAnswer()] })] }))).toEqual([item()]);
  });

  test.each(['open', 'answered', 'expired', null])('row 12 keeps an answer whose question exists, %s', (status) => {
    const attempts = [attempt('a1', { questions: [question('q1', status)], answers: [answer()] })];
    expect(plannedRows(planGc(snapshot({ tasks: [task('running', { attempts })] })))).toEqual([]);
  });

  test('row 12 does not count a question with the same id in another attempt', () => {
    const attempts = [
      attempt('a0', { answers: [answer('q1', 'keep', 'a0')] }),
      attempt('a1', { questions: [question()], answers: [answer()] }),
    ];
    expect(of(task('running', { attempts }))).toEqual([item('a0')]);
  });

  test('row 12 keeps an answer while the task waits for its question', () => {
    const attempts = [attempt('a1', { answers: [brokenAnswer()] })];
    expect(acts(of(parked(LATER, { attempts })))).toEqual(['12 report_orphan']);
    const other = [attempt('a1', { answers: [answer('q2')] })];
    expect(acts(of(parked(LATER, { attempts: other })))).toEqual(['12 archive_answer']);
  });
});

describe('row 13', () => {
  const released = (list: readonly GcPlanRow[]) =>
    list.map(({ row, action, payload }) => `${row} ${action} ${'path' in payload ? payload.path : ''}`);
  const files = (adopted: boolean, ...lease_files: GcTask['lease_files']) =>
    of(task('running', { adopted, lease_files }));

  test('row 13 keeps the view of a committed record', () => {
    expect(only(files(true, leaseFile('lease 2.json', 9), leaseFile()))).toEqual({
      row: 13,
      task_id: 'build',
      action: 'release_lease_admin',
      severity: 'warning',
      reason: 'lease 2.json is an extra lease',
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

  test('row 13 releases all lease files when the view of a record is gone', () => {
    expect(released(files(true, leaseFile('lease.b.json'), leaseFile('lease.a.json')))).toEqual([
      '13 release_lease_admin lease.a.json',
      '13 release_lease_admin lease.b.json',
    ]);
  });

  test('row 13 keeps the highest generation in a tree written by hand', () => {
    const list = [leaseFile('lease.json', 1), leaseFile('lease.json.bak', 3), leaseFile('lease.a.json', 2)];
    const expected = ['13 release_lease_admin lease.a.json', '13 release_lease_admin lease.json'];
    expect(released(files(false, ...list))).toEqual(expected);
    expect(released(files(false, ...list.toReversed()))).toEqual(expected);
  });

  test('row 13 keeps lease.json of equal generations, then the first path', () => {
    const list = [leaseFile('lease.a.json'), leaseFile('lease.json'), leaseFile('lease.b.json')];
    const own = ['13 release_lease_admin lease.a.json', '13 release_lease_admin lease.b.json'];
    expect(released(files(false, ...list))).toEqual(own);
    const strays = [leaseFile('lease.b.json'), leaseFile('lease.a.json')];
    expect(released(files(false, ...strays))).toEqual(['13 release_lease_admin lease.b.json']);
  });

  test('row 13 finds nothing with one lease file or none', () => {
    for (const adopted of [true, false]) {
      expect(files(adopted, leaseFile('lease.json'))).toEqual([]);
      expect(files(adopted)).toEqual([]);
    }
    expect(files(false, leaseFile('lease 2.json'))).toEqual([]);
  });

  test('row 13 releases a lease file that a kill left beside a committed record', () => {
    expect(released(files(true, leaseFile('lease 2.json')))).toEqual(['13 release_lease_admin lease 2.json']);
  });

  test('row 13 reports an unreadable lease file and does not release it', () => {
    const told = unreadable(13, 'lease.json cannot be read: not JSON', { path: 'lease.json', why: 'not JSON' });
    expect(files(false, brokenLease(), leaseFile('lease.a.json'))).toEqual([told]);
    expect(files(true, brokenLease())).toEqual([told]);
    expect(released(files(true, brokenLease(), leaseFile('lease.a.json')))).toEqual([
      '13 release_lease_admin lease.a.json',
      '13 report_orphan lease.json',
    ]);
  });
});

describe('row 14', () => {
  test.each(TERMINAL_TASK_STATES)('row 14 releases the lease of a task that is %s, live or stale', (state) => {
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

  test('row 14 names the lease file that row 13 leaves', () => {
    const lease_files = [leaseFile(), leaseFile('lease.z.json', 2)];
    const found = of(task('shipped', { adopted: false, lease: seenLease('live', { generation: 2 }), lease_files }));
    expect(found).toMatchObject([
      { row: 13, payload: { path: 'lease.json' } },
      { row: 14, payload: { path: 'lease.json' } },
    ]);
  });

  test.each(TASK_STATES.filter((state) => !isTerminal(state)))('row 14 finds nothing when %s', (state) => {
    expect(of(task(state, { lease: seenLease() }))).toEqual([]);
  });

  test('row 14 finds nothing without a lease', () => {
    expect(of(task('shipped'))).toEqual([]);
  });
});
