/** The gc table: rows 8 to 14, about branches, worktrees, and the files beside a record. */

import { describe, expect, test } from 'vitest';
import type { GcAttempt, GcTask } from '../../../src/domain/gc/gc-plan.ts';
import { type GcOptions, type GcPlanRow, planGc, plannedRows } from '../../../src/domain/gc/plan-gc.ts';
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

describe('row 8: handed in, and not verified', () => {
  const handedIn = (fields: Partial<GcAttempt> = {}) => ({
    attempts: [attempt('a1', { verdict: 'ready_for_review', ...fields })],
  });
  const OPEN = FREE.filter((state) => !isTerminal(state));

  test.each(OPEN)('%s', (state) => {
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

  test.each([null, ...TASK_STATES])('a verdict that cannot be read is told when %s', (state) => {
    const seen = task(state, { current_attempt_id: 'a9', ...handedIn({ verdict: 'unreadable' }) });
    expect(of(seen)).toEqual([
      unreadable(8, 'the verdict of attempt a1 cannot be read', { path: 'attempts/a1/verdict.json' }),
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
  const with_ = (seen: GcTask | null, fields = {}) =>
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

  test('not while nobody can tell: the record cannot be read, or there is only a lease', () => {
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
    // Not even when an attempt is named: without a state it is nobody's.
    expect(acts(of(task(null, { current_attempt_id: 'a1', attempts: asked() })))).toEqual(['11 archive_question']);
  });

  test('not in the current attempt, and not in the one that is waited for', () => {
    expect(of(task('running', { attempts: asked() }))).toEqual([]);
    expect(of(task('awaiting_respawn', { attempts: asked() }))).toEqual([]);
    expect(of(parked(LATER, { current_attempt_id: 'a2' }))).toEqual([]);
  });

  test.each(['answered', 'expired', 'budget_exhausted', 'sideways'])('not when it is %s', (status) => {
    expect(of(task('shipped', { attempts: asked(status) }))).toEqual([]);
  });

  test.each([null, ...TASK_STATES])('one that cannot be read is told when %s', (state) => {
    expect(of(task(state, { current_attempt_id: 'a1', attempts: asked(null) }))).toEqual([
      unreadable(11, 'question q1 cannot be read: not JSON', {
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

  test('also when it cannot be read', () => {
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
  const files = (adopted: boolean, ...lease_files: GcTask['lease_files']) =>
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
      expect(files(adopted, leaseFile('lease.json'))).toEqual([]);
      expect(files(adopted)).toEqual([]);
    }
    expect(files(false, leaseFile('lease 2.json'))).toEqual([]);
  });

  test('one beside a committed record, as a kill may leave it, counts for nothing', () => {
    expect(released(files(true, leaseFile('lease 2.json')))).toEqual(['13 release_lease_admin lease 2.json']);
  });

  test('one that cannot be read is told, and is neither kept for it nor released', () => {
    const told = unreadable(13, 'lease.json cannot be read: not JSON', { path: 'lease.json', why: 'not JSON' });
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
