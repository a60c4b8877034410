/** What verification decides, without running anything. */

import { describe, expect, test } from 'vitest';
import { ERROR_CLASS_PATTERN } from '../../../src/domain/retry/classify.ts';
import { cancelTask, outcomeKey } from '../../../src/domain/task/operations.ts';
import type { TaskRecord, Verdict } from '../../../src/domain/task/records.ts';
import { verifyCommands } from '../../../src/domain/verify/commands.ts';
import { NOTHING_NOTED } from '../../../src/domain/verify/guardrails.ts';
import {
  beginCheck,
  type CheckResult,
  checkFailure,
  heldFor,
  NO_WORK_FOUND,
  pendingVerification,
  type Verified,
  verifiedOf,
  workFault,
} from '../../../src/domain/verify/verification.ts';
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
  ])('%s is called %s', (command, name) => {
    expect(verifyCommands([command], [])).toEqual([{ name, command }]);
  });

  test("those of the settings run before the task's own, and none runs twice", () => {
    expect(verifyCommands(['a', 'b'], ['c', 'a']).map(({ command }) => command)).toEqual(['a', 'b', 'c']);
  });

  test('whatever they are, their failure has a class that policies can name', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ minLength: 1 }), { maxLength: 4 }), (commands) => {
        for (const { name } of verifyCommands(commands, [])) {
          expect(`verify.${name}`).toMatch(ERROR_CLASS_PATTERN);
          expect(name).not.toContain('.');
        }
      }),
    );
  });
});

describe('what is wrong', () => {
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
    ['its time', { exit_code: null, signal: 'SIGTERM', timed_out: true }, { message: 'npm test ran out of time' }],
    ['a code after its time', { exit_code: 0, timed_out: true }, { message: 'npm test ran out of time' }],
    ['no start', { exit_code: null, output_tail: 'no shell' }, { message: 'npm test could not be started: no shell' }],
  ])('%s', (_what, fields, expected) => {
    expect(checkFailure([check(), check(fields), check({ name: 'later', exit_code: 9 })])).toEqual({
      class: 'verify.npm-test',
      ...expected,
    });
  });

  test('nothing, when every command succeeded', () => {
    expect(checkFailure([])).toBeNull();
    expect(checkFailure([check(), check()])).toBeNull();
  });

  test('what is not committed is named, the first few', () => {
    const own_branch = { name: 'forge/build', sha: HEAD };
    const found = { ...NO_WORK_FOUND, head: HEAD, branch: 'other', own_branch, uncommitted: ['a', 'b', 'c', 'd', 'e'] };
    expect(workFault(found, READY)).toEqual({
      class: 'verify.uncommitted',
      message: 'not committed: a, b, c and 2 more; only what is committed to forge/build counts',
    });
  });

  test.each([
    [undefined, null],
    [null, null],
    [HEAD, null],
    [HEAD.slice(0, 7).toUpperCase(), null],
    [HEAD.slice(0, 6), 'verify.commit'],
    ['f'.repeat(40), 'verify.commit'],
  ])('a verdict about commit %s', (target_sha, expected) => {
    const verdict: Verdict = { ...READY, target_sha };
    expect(workFault({ ...NO_WORK_FOUND, head: HEAD, files_changed: [] }, verdict)?.class ?? null).toBe(expected);
    // Where others commit as well, the head says nothing about this work.
    expect(workFault({ ...NO_WORK_FOUND, head: HEAD }, verdict)).toBeNull();
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
    ['on no branch, ahead', null, 'f'.repeat(40), /on no branch/],
    ['on another, and its own was deleted', 'other', null, /forge\/build at none/],
  ])('work that stands %s', (_where, branch, sha, expected) => {
    const fault = workFault({ ...NO_WORK_FOUND, head: HEAD, branch, own_branch: { name: 'forge/build', sha } }, READY);
    if (expected === null) expect(fault).toBeNull();
    else expect(fault).toEqual({ class: 'verify.branch', message: expect.stringMatching(expected) });
  });
});

describe('the twin', () => {
  test('agrees with the verdict, or does not', () => {
    expect(twin()).toMatchObject({ verdict: 'ready_for_review', failure: null, attempt_id: ATTEMPT, target_sha: null });
    expect(FAILED).toMatchObject({ verdict: 'changes_needed', failure: { class: 'verify.npm-test' } });
  });

  test('has room in a record file, whatever was said and changed', () => {
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

  test('what has room is kept whole, and of an output the end is kept longest', () => {
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

describe('a verification that is under way', () => {
  test('stands in the record, renews the lease and is no move of its own', () => {
    const before = record('running');
    const after = verifying(before);
    expect(pendingVerification(after)).toEqual(PENDING);
    expect(after.state.state).toBe('running');
    expect(Date.parse(after.lease?.expires_at ?? '')).toBe(T0 + 5 + TTL_MS);
    expect(verifying(record('dispatched')).state.state).toBe('running');
  });

  test('is begun only by who holds the task', () => {
    const begin = (before: TaskRecord, attemptId: string) => () =>
      beginCheck(before, { holder: { attemptId }, pending: PENDING, ttlMs: TTL_MS, instant: instant(5) });
    expect(refusal(begin(record('running'), OTHER_ATTEMPT))).toBe('STALE_ATTEMPT');
    expect(refusal(begin(record('shipped'), ATTEMPT))).not.toBe('done');
    expect(refusal(begin(takenOver(), ATTEMPT))).toBe('LEASE_STOLEN');
  });

  test('outlives a change of hands, and nothing else', () => {
    expect(pendingVerification(takenOver())).toEqual(PENDING);
    expect(pendingVerification(next(release(verifying())))).toEqual(PENDING);
    expect(pendingVerification(next(release(takenOver(), OTHER_CLAIM)))).toEqual(PENDING);
    expect(pendingVerification(next(complete(verifying(), GOOD)))).toBeNull();
    expect(pendingVerification(next(cancelTask(verifying(), { reason: null, nowMs: T0 })))).toBeNull();
    const reopened = dispatch(takenOver(), { claimId: OTHER_CLAIM, runId: OTHER_RUN });
    expect(pendingVerification(next(reopened))).toBeNull();
  });

  test('what can not be read of it counts as none', () => {
    const memo = { ...record('running').memo, verification: { attempt_id: 7 } };
    expect(pendingVerification({ ...record('running'), memo })).toBeNull();
  });

  test('refuses another outcome from the attempt that handed one in', () => {
    expect(refusal(() => complete(verifying(), failure('exit.1')))).toBe('STALE_ATTEMPT');
    expect(chain(complete(verifying(), failure('verdict.invalid'), { unreadable: true }))).toEqual(['retry_later']);
  });
});

describe('the end of a verification', () => {
  test('is a failure of the class that was found, by the policy', () => {
    const decision = complete(verifying(), GOOD, { verified: FAILED });
    expect(chain(decision)).toEqual(['retry_later']);
    expect(next(decision).state).toMatchObject({
      state: 'awaiting_respawn',
      failure_count: 1,
      last_error: { class: 'verify.npm-test', message: 'no', exit_code: 1 },
    });
  });

  test('is the way on where nothing was found', () => {
    expect(chain(complete(verifying(), GOOD, { verified: twin() }))).toEqual(['verify', 'pass_review', 'ship']);
  });

  test('a verdict that says itself that it is not done is not asked about', () => {
    const blocked = { ...GOOD, verdict: { ...READY, verdict: 'blocked' as const } };
    expect(next(complete(record('running'), blocked, { verified: null })).state.last_error?.class).toBe(
      'verdict.blocked',
    );
  });

  test.each([
    ['well', twin(), ['verify', 'pass_review', 'ship'], 'shipped'],
    ['badly', FAILED, ['retry_later'], 'awaiting_respawn'],
  ] as const)('may be brought about by the next claim: %s', (_how, verified, moves, state) => {
    const decision = complete(takenOver(), GOOD, { claimId: OTHER_CLAIM, verified });
    expect(chain(decision)).toEqual(moves);
    expect(next(decision)).toMatchObject({ state: { state, attempt_count: 1 }, lease: null });
    // The attempt that handed it in hears the same, whenever it asks.
    const repeat = complete(next(decision), GOOD);
    expect(repeat.record).toBeNull();
    expect(repeat.result).toEqual(decision.result);
  });

  test('a claim speaks for no other attempt, and only for one that has handed something in', () => {
    expect(refusal(() => heldFor(takenOver(), { attemptId: OTHER_ATTEMPT, claimId: OTHER_CLAIM }))).toBe(
      'STALE_ATTEMPT',
    );
    expect(refusal(() => heldFor(takenOver(), { attemptId: ATTEMPT, claimId: CLAIM }))).toBe('LEASE_STOLEN');
    const claimed = next(claim(record('running'), STALE_MS + 10));
    expect(refusal(() => heldFor(claimed, { attemptId: ATTEMPT, claimId: OTHER_CLAIM }))).toBe('STALE_ATTEMPT');
  });
});
