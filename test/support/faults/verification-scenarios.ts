/** Verification under faults, by a check that passes and by one that fails. */

import fs from 'node:fs';
import { expect } from 'vitest';
import { claim } from '../../../src/commands/claim.ts';
import type { CommandContext } from '../../../src/commands/shared/session.ts';
import type { TaskRecord } from '../../../src/domain/task/records.ts';
import { evidenceOf } from '../../../src/domain/verify/evidence.ts';
import { pendingVerification } from '../../../src/domain/verify/verification.ts';
import { groupMembers } from '../../../src/process/processes.ts';
import { auditTask, taskDir } from './audit.ts';
import { asked, callOn } from './forge.ts';
import { copyProject, dropProject, makeProject, planOf } from './project.ts';
import { OTHER, repeat, type Scenario, SETTINGS, TASK, VERDICT, worked } from './scenarios.ts';

/** Longer than the lease of a claim and its grace. */
const LATER_MS = 2 * 60 * 60 * 1000;

/**
 * Notes that it runs, leaves something in the background that must be stopped with it, and agrees once there is a file
 * `fixed`. Where there is a file `kill` it kills the forge that has started it: before its own end, or right at it.
 */
const CHECK = `
echo $FORGE_COMMAND_PID >> checks
sleep 1000 &
if test -e kill; then
  when=$(cat kill)
  rm kill
  kill -9 $(ps -o ppid= -p $PPID)
  test "$when" = 'at its end' || wait
fi
test -e fixed
`;

export const MOMENTS = ['before its end', 'at its end'] as const;

/** Has the next check kill its forge. */
export function killAt(dir: string, moment: (typeof MOMENTS)[number]): void {
  fs.writeFileSync(`${dir}/kill`, moment);
}

/** A command that hands in a result which is checked. */
function handingIn(name: string, agrees: boolean, says: Scenario['says']): Scenario {
  return {
    name,
    async prepare() {
      const dir = makeProject({
        'plans/phases.yaml': planOf([{ id: TASK, more: "verify: ['. ./check.sh']" }]),
        '.forge/settings.yaml': SETTINGS,
        'verdict.json': VERDICT,
        'check.sh': CHECK,
        ...(agrees ? { fixed: '' } : {}),
      });
      const attempt = await worked(dir, { beats: 1 });
      const file = `${makeProject({ 'verdict.json': VERDICT })}/verdict.json`;
      return { dir, args: ['complete', TASK, '--attempt', attempt, '--verdict-file', file] };
    },
    says,
    // A check that was cut short begins anew, which is a change too.
    repeatable: false,
    // That it is being checked, what that came to, and how the task goes on.
    changes: 3,
    steady: true,
    async also(dir, args) {
      for (const bringOn of [callerGoesOn, nextClaimerGoesOn]) {
        const copy = copyProject(dir);
        await bringOn(copy, args, agrees);
        dropProject(copy);
      }
    },
  };
}

export const VERIFICATION_SCENARIOS: readonly Scenario[] = [
  handingIn('complete with a verdict that a check agrees with', true, {
    task_id: TASK,
    state: 'shipped',
    failure_reason: null,
  }),
  handingIn('complete with a verdict that a check does not agree with', false, {
    task_id: TASK,
    state: 'awaiting_respawn',
    failure_reason: null,
  }),
];

/** How far it had come. */
type Stage = 'not handed in' | 'being checked' | 'over';

function stageOf(record: TaskRecord): Stage {
  if (record.memo.completion !== null) return 'over';
  return pendingVerification(record) === null ? 'not handed in' : 'being checked';
}

interface Standing {
  record: TaskRecord;
  stage: Stage;
  /** What the twins say, one each. */
  twins: string[];
  /** Process groups of the checks that were let run, in order. */
  checks: number[];
}

function look(dir: string): Standing {
  const { record } = auditTask(dir, TASK);
  if (record === null) throw new Error('the record is gone');
  const attempts = `${taskDir(dir, TASK)}/attempts`;
  const twins = fs
    .readdirSync(attempts)
    .map((attempt) => `${attempts}/${attempt}/verdict.verified.json`)
    .filter((file) => fs.existsSync(file))
    .map((file) => fs.readFileSync(file, 'utf8'));
  const lines = fs.existsSync(`${dir}/checks`) ? fs.readFileSync(`${dir}/checks`, 'utf8').trim().split('\n') : [];
  return { record, stage: stageOf(record), twins, checks: lines.map(Number) };
}

/** The attempt that handed it in asks again: its result is checked unless that is done, counts once, and nothing is left. */
async function callerGoesOn(dir: string, args: readonly string[], agrees: boolean): Promise<void> {
  const before = look(dir);
  const answer = await repeat(dir, args);
  const now = expectCounted(dir, before, agrees);
  expect(await repeat(dir, args), 'however often it is asked').toEqual(answer);
  expect(look(dir)).toEqual(now);
}

/**
 * The lease has expired, and another owner claims the task. A submitted result is verified first, without another attempt;
 * without one the new owner gets the task.
 */
async function nextClaimerGoesOn(dir: string, args: readonly string[], agrees: boolean): Promise<void> {
  const before = look(dir);
  const his = await asked(claim.run(later(dir), { task: TASK, claim_id: OTHER }));
  const free = before.stage === 'not handed in' || !agrees;
  expect(his).toMatchObject(free ? { ok: true } : { ok: false, code: 'NOT_READY' });
  if (before.stage === 'not handed in') {
    expect(await asked(repeat(dir, args))).toEqual({ ok: false, code: 'LEASE_STOLEN' });
    expect(look(dir)).toMatchObject({ twins: [], checks: [], record: { state: { failure_count: 0 } } });
    return;
  }
  const now = expectCounted(dir, before, agrees);
  const generations = (before.stage === 'being checked' ? 1 : 0) + (his.ok ? 1 : 0);
  expect(now.record.memo.generation).toBe(before.record.memo.generation + generations);
  expect(await repeat(dir, args), 'who handed it in hears of it').toMatchObject({
    state: agrees ? 'shipped' : 'awaiting_respawn',
  });
  expect(look(dir)).toEqual(now);
}

function later(dir: string): CommandContext {
  const call = callOn(dir);
  const { ctx } = call;
  const now = () => ctx.now() + LATER_MS;
  return { ...call, ctx: { ...ctx, now, monotonicMs: () => ctx.monotonicMs() + LATER_MS } };
}

/** The result of the one attempt was checked to one end, which was charged or credited once; no check is left. */
function expectCounted(dir: string, before: Standing, agrees: boolean): Standing {
  const now = look(dir);
  expect(now.stage).toBe('over');
  expect(now.record.state).toMatchObject({ attempt_count: 1, failure_count: agrees ? 0 : 1 });
  expect(now.record.memo.completion?.attempt_id).toBe(now.record.state.current_attempt_id);
  if (agrees) expect(now.record.state.state).toBe('shipped');
  else expect(now.record.state.last_error?.class).toBe('verify.check-sh');
  // One that could not be written is a warning: the record has what it says.
  expect(now.twins.length).toBeLessThanOrEqual(1);
  const { current_attempt_id: attempt } = before.record.state;
  const found = (evidenceOf(before.record, attempt)?.verified ?? null) !== null;
  if (found) expect(now.twins, 'a result that is recorded decides').toEqual(before.twins);
  expect(now.checks).toHaveLength(before.checks.length + (found ? 0 : 1));
  for (const group of now.checks) expect(groupMembers(group), `check ${group} is gone`).toEqual([]);
  return now;
}
