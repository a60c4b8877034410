/** The decisions of verification, without processes. */

import { describe, expect, test } from 'vitest';
import { ERROR_CLASS_PATTERN } from '../../../src/domain/retry/classify.ts';
import { DEFAULT_SETTINGS } from '../../../src/domain/settings/settings.ts';
import { outcomeKey } from '../../../src/domain/task/complete-attempt.ts';
import { cancelTask } from '../../../src/domain/task/operations.ts';
import type { TaskRecord, Verdict } from '../../../src/domain/task/records.ts';
import { verifyCommands } from '../../../src/domain/verify/commands.ts';
import { NOTHING_NOTED } from '../../../src/domain/verify/guardrails.ts';
import {
  beginCheck,
  type CheckResult,
  changesWanted,
  checkFailure,
  heldFor,
  NO_WORK_FOUND,
  pendingVerification,
  type Verified,
  verifiedOf,
  workFault,
} from '../../../src/domain/verify/verification.ts';
import { onePhase } from '../../support/domain/plans.ts';
import {
  ATTEMPT,
  CLAIM,
  chain,
  claim,
  complete,
  dispatch,
  failure,
  GOOD,
  next,
  OTHER_ATTEMPT,
  OTHER_CLAIM,
  OTHER_RUN,
  READY,
  release,
  STALE_MS,
  WORKER,
} from '../../support/domain/requests.ts';
import { instant, OWNER, record, refusal, T0, TTL_MS } from '../../support/domain/tasks.ts';
import fc from '../../support/properties.ts';

const HEAD = '0123456789abcdef0123456789abcdef01234567';

const check = (fields: Partial<CheckResult> = {}): CheckResult => ({
  name: 'npm-test',
  command: 'npm test',
  exit_code: 0,
  signal: null,
  timed_out: false,
  duration_ms: 5,
  output_tail: '',
  ...fields,
});

const twin = (fields: Partial<Parameters<typeof verifiedOf>[0]> = {}, max = 64 * 1024): Verified =>
  verifiedOf(
    {
      attemptId: ATTEMPT,
      verdict: READY,
      found: NO_WORK_FOUND,
      notes: NOTHING_NOTED,
      worktreePath: null,
      checks: [],
      failure: null,
      verifiedAt: '2030-01-01T00:00:00.000Z',
      durationMs: 5,
      ...fields,
    },
    max,
  );

const FAILED = twin({
  checks: [check({ exit_code: 1 })],
  failure: { class: 'verify.npm-test', message: 'no', exit_code: 1 },
});

describe('verify commands', () => {
  test.each([
    ['npm test', 'npm-test'],
    ['npm run lint -- --fix', 'npm-run-lint-fix'],
    ['./scripts/Check.sh', 'scripts-check-sh'],
    ['make -j2 && make test', 'make-j2-make-test'],
    [`make ${'x'.repeat(80)}`, `make-${'x'.repeat(35)}`],
    ['öä', 'command-1'],
  ])('the verify command %s is called %s', (command, name) => {
    expect(verifyCommands([command], null)).toEqual([{ name, command, shell: null, cwd: null }]);
  });

  test("commands of the settings run before the task's own, and none runs twice", () => {
    const commands = verifyCommands(['a', 'b'], { verify: ['c', 'a'], shell: ['bash'], cwd: 'api' });
    expect(commands.map(({ command }) => command)).toEqual(['a', 'b', 'c']);
    expect(commands.map(({ cwd }) => cwd)).toEqual([null, null, 'api']);
    expect(commands.map(({ shell }) => shell)).toEqual([null, null, ['bash']]);
  });

  test('every verify command has an error class that policies can name', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ minLength: 1 }), { maxLength: 4 }), (commands) => {
        for (const { name } of verifyCommands(commands, null)) {
          expect(`verify.${name}`).toMatch(ERROR_CLASS_PATTERN);
          expect(name).not.toContain('.');
        }
      }),
    );
  });
});

describe('verification failures', () => {
  test.each<[string, Partial<CheckResult>, object]>([
    [
      'an exit code',
      { exit_code: 2, output_tail: 'a\nb\n' },
      { message: 'npm test exited with code 2: b', exit_code: 2 },
    ],
    [
      'a signal',
      { exit_code: null, signal: 'SIGKILL' },
      { message: 'npm test was ended by SIGKILL', signal: 'SIGKILL' },
    ],
    [
      'its time limit',
      { exit_code: null, signal: 'SIGTERM', timed_out: true },
      { message: 'npm test ran out of time and was stopped' },
    ],
    [
      'its time limit, whatever its exit code',
      { exit_code: 0, timed_out: true },
      { message: 'npm test ran out of time and was stopped' },
    ],
    [
      'not starting',
      { exit_code: null, output_tail: 'no shell' },
      { message: 'npm test could not be started: no shell' },
    ],
  ])('a command fails verification by %s', (_what, fields, expected) => {
    expect(checkFailure([check(), check(fields), check({ name: 'later', exit_code: 9 })])).toEqual({
      class: 'verify.npm-test',
      ...expected,
    });
  });

  test('verification succeeds when every command does', () => {
    expect(checkFailure([])).toBeNull();
    expect(checkFailure([check(), check()])).toBeNull();
  });

  test('uncommitted files fail verification, and the first few are named', () => {
    const own_branch = { name: 'forge/build', sha: HEAD };
    const found = { ...NO_WORK_FOUND, head: HEAD, branch: 'other', own_branch, uncommitted: ['a', 'b', 'c', 'd', 'e'] };
    expect(workFault(found, READY, 'none')).toEqual({
      class: 'verify.uncommitted',
      message:
        'not committed: a, b, c and 2 more; only what is committed to forge/build counts, so commit it, or let git ignore it',
    });
  });

  test.each([
    [undefined, null],
    [null, null],
    [HEAD, null],
    [HEAD.slice(0, 7).toUpperCase(), null],
    [HEAD.slice(0, 6), 'verify.commit'],
    ['f'.repeat(40), 'verify.commit'],
  ])('a verdict about commit %s is compared with the workspace', (target_sha, expected) => {
    const verdict: Verdict = { ...READY, target_sha };
    expect(workFault({ ...NO_WORK_FOUND, head: HEAD, files_changed: [] }, verdict, 'none')?.class ?? null).toBe(
      expected,
    );
    // Where others commit as well, the head says nothing about this work.
    expect(workFault({ ...NO_WORK_FOUND, head: HEAD }, verdict, 'none')).toBeNull();
  });

  test.each([
    ['at its own branch', 'forge/build', HEAD, null],
    ['at the same commit, on no branch', null, HEAD, null],
    [
      'on another branch',
      'other',
      'f'.repeat(40),
      /on branch other, and forge\/build at f+; only .* to forge\/build counts/,
    ],
    ['ahead, on no branch', null, 'f'.repeat(40), /on no branch/],
    ['on another branch, with its own deleted', 'other', null, /forge\/build at none/],
  ])("work that is %s is compared with the task's branch", (_where, branch, sha, expected) => {
    const fault = workFault(
      { ...NO_WORK_FOUND, head: HEAD, branch, own_branch: { name: 'forge/build', sha } },
      READY,
      'none',
    );
    if (expected === null) expect(fault).toBeNull();
    else expect(fault).toEqual({ class: 'verify.branch', message: expect.stringMatching(expected) });
  });
});

describe('verification twin', () => {
  test('the twin keeps the verdict, or changes it to changes_needed', () => {
    expect(twin()).toMatchObject({ verdict: 'ready_for_review', failure: null, attempt_id: ATTEMPT, target_sha: null });
    expect(FAILED).toMatchObject({ verdict: 'changes_needed', failure: { class: 'verify.npm-test' } });
  });

  test('the twin fits into a record file, whatever the output and the changes', () => {
    const text = fc.string({ unit: 'binary', maxLength: 4000 });
    const names = fc.array(fc.string({ maxLength: 200 }), { maxLength: 400 });
    fc.assert(
      fc.property(fc.array(fc.tuple(text, text), { maxLength: 12 }), names, names, (commands, changed, conflicts) => {
        const checks = commands.map(([command, output_tail]) => check({ command, output_tail }));
        const made = twin({ checks, found: { ...NO_WORK_FOUND, files_changed: changed, conflicts } }, 32 * 1024);
        expect(Buffer.byteLength(JSON.stringify(made, null, 2))).toBeLessThanOrEqual(32 * 1024);
        expect(made.commands).toHaveLength(checks.length);
        expect(made.files_changed_count).toBe(changed.length);
      }),
      { numRuns: 50 },
    );
  });

  test('a twin that fits is kept whole, and the end of an output is kept longest', () => {
    const checks = [check({ output_tail: `${'x'.repeat(3000)}END` })];
    expect(twin({ checks }).commands).toEqual(checks);
    expect(twin({ checks }, 2000).commands[0]?.output_tail).toMatch(/^x+END$/);
  });
});

const PENDING = {
  attempt_id: ATTEMPT,
  outcome: outcomeKey(GOOD),
  written: true,
  since: '2030-01-01T00:00:00.000Z',
  verifier: OWNER,
  command: 'npm-test',
  worker: WORKER,
};

function verifying(before: TaskRecord = record('running')): TaskRecord {
  const decision = beginCheck(before, {
    holder: { attemptId: ATTEMPT },
    pending: PENDING,
    ttlMs: TTL_MS,
    instant: instant(5),
  });
  return next(decision);
}

/** Whose owner was gone, and which claim 2 has taken since. */
function takenOver(): TaskRecord {
  return next(claim(verifying(), STALE_MS + 10));
}

describe('running verification', () => {
  test('a verification is in the record and renews the lease, without a move of its own', () => {
    const before = record('running');
    const after = verifying(before);
    expect(pendingVerification(after)).toEqual(PENDING);
    expect(after.state.state).toBe('running');
    expect(Date.parse(after.lease?.expires_at ?? '')).toBe(T0 + 5 + TTL_MS);
    expect(verifying(record('dispatched')).state.state).toBe('running');
  });

  test('only the owner of the task can begin a verification', () => {
    const begin = (before: TaskRecord, attemptId: string) => () =>
      beginCheck(before, { holder: { attemptId }, pending: PENDING, ttlMs: TTL_MS, instant: instant(5) });
    expect(refusal(begin(record('running'), OTHER_ATTEMPT))).toBe('STALE_ATTEMPT');
    expect(refusal(begin(record('shipped'), ATTEMPT))).not.toBe('done');
    expect(refusal(begin(takenOver(), ATTEMPT))).toBe('LEASE_STOLEN');
  });

  test('a verification survives a change of owner, and no other move', () => {
    expect(pendingVerification(takenOver())).toEqual(PENDING);
    expect(pendingVerification(next(release(verifying())))).toEqual(PENDING);
    expect(pendingVerification(next(release(takenOver(), OTHER_CLAIM)))).toEqual(PENDING);
    expect(pendingVerification(next(complete(verifying(), GOOD)))).toBeNull();
    expect(pendingVerification(next(cancelTask(verifying(), { reason: null, nowMs: T0 })))).toBeNull();
    const reopened = dispatch(takenOver(), { claimId: OTHER_CLAIM, runId: OTHER_RUN });
    expect(pendingVerification(next(reopened))).toBeNull();
  });

  test('an unreadable verification in the record counts as none', () => {
    const memo = { ...record('running').memo, verification: { attempt_id: 7 } };
    expect(pendingVerification({ ...record('running'), memo })).toBeNull();
  });

  test('an attempt that handed in a verdict cannot change its outcome', () => {
    expect(refusal(() => complete(verifying(), failure('exit.1')))).toBe('STALE_ATTEMPT');
    expect(chain(complete(verifying(), failure('verdict.invalid'), { unreadable: true }))).toEqual(['retry_later']);
  });
});

describe('end of a verification', () => {
  test('a failed verification is a failure of its class, handled by the policy', () => {
    const decision = complete(verifying(), GOOD, { verified: FAILED });
    expect(chain(decision)).toEqual(['retry_later']);
    expect(next(decision).state).toMatchObject({
      state: 'awaiting_respawn',
      failure_count: 1,
      last_error: { class: 'verify.npm-test', message: 'no', exit_code: 1 },
    });
  });

  test('a successful verification moves the task on', () => {
    expect(chain(complete(verifying(), GOOD, { verified: twin() }))).toEqual(['verify', 'pass_review', 'ship']);
  });

  test('a verdict that is not ready_for_review is not verified', () => {
    const blocked = { ...GOOD, verdict: { ...READY, verdict: 'blocked' as const } };
    expect(next(complete(record('running'), blocked, { verified: null })).state.last_error?.class).toBe(
      'verdict.blocked',
    );
  });

  test.each([
    ['well', twin(), ['verify', 'pass_review', 'ship'], 'shipped'],
    ['badly', FAILED, ['retry_later'], 'awaiting_respawn'],
  ] as const)('the next claim completes a verification that went %s', (_how, verified, moves, state) => {
    const decision = complete(takenOver(), GOOD, { claimId: OTHER_CLAIM, verified });
    expect(chain(decision)).toEqual(moves);
    expect(next(decision)).toMatchObject({ state: { state, attempt_count: 1 }, lease: null });
    // The attempt that handed it in hears the same, whenever it asks.
    const repeat = complete(next(decision), GOOD);
    expect(repeat.record).toBeNull();
    expect(repeat.result).toEqual(decision.result);
  });

  test('a claim can complete only its own attempt, and only after a verdict was handed in', () => {
    expect(refusal(() => heldFor(takenOver(), { attemptId: OTHER_ATTEMPT, claimId: OTHER_CLAIM }))).toBe(
      'STALE_ATTEMPT',
    );
    expect(refusal(() => heldFor(takenOver(), { attemptId: ATTEMPT, claimId: CLAIM }))).toBe('LEASE_STOLEN');
    const claimed = next(claim(record('running'), STALE_MS + 10));
    expect(refusal(() => heldFor(claimed, { attemptId: ATTEMPT, claimId: OTHER_CLAIM }))).toBe('STALE_ATTEMPT');
  });

  test.each<[string, 'required' | 'none', string[] | null, string | undefined, string | null]>([
    ['that changed nothing, where changes are required', 'required', [], undefined, 'verify.unchanged'],
    ['that changed nothing, where they are not', 'none', [], undefined, null],
    ['that changed a file', 'required', ['a'], undefined, null],
    ['whose verdict says that nothing had to change', 'required', [], 'none', null],
    ['in a workspace of all', 'required', null, undefined, null],
  ])('work %s', (_what, changes, files_changed, said, expected) => {
    const own_branch = { name: 'forge/build', sha: HEAD };
    const verdict: Verdict = { ...READY, ...(said === undefined ? {} : { changes: said }) };
    const fault = workFault(
      { ...NO_WORK_FOUND, head: HEAD, base: 'main', own_branch, files_changed },
      verdict,
      changes,
    );
    expect(fault?.class ?? null).toBe(expected);
    if (fault !== null) expect(fault.message).toContain('forge/build has no change of its own to main');
  });

  test.each<['required' | 'none' | null, 'required' | 'none' | null, string | null, 'required' | 'none']>([
    [null, null, null, 'required'],
    [null, null, 'make', 'none'],
    [null, 'required', 'make', 'required'],
    [null, 'none', null, 'none'],
    ['none', 'required', null, 'none'],
    ['required', 'none', 'make', 'required'],
  ])('with changes: %s of the task and %s of the settings, and run: %s, changes are %s', (own, all, run, expected) => {
    const planned = onePhase({ id: 'a', ...(own === null ? {} : { changes: own }), ...(run === null ? {} : { run }) });
    const task = planned.tasks[0] ?? null;
    expect(changesWanted(task, { ...DEFAULT_SETTINGS, changes: all })).toBe(expected);
  });
});
