/** The commands of an agent, and `answer`, with each of their system calls on the tree failing once. */

import { expect, test } from 'vitest';
import { expectUsable } from '../support/faults/aftermath.ts';
import { auditTask } from '../support/faults/audit.ts';
import { answerIn, commandLine, doneBy } from '../support/faults/forge.ts';
import { LONG, pooled, SHORT, sampled } from '../support/faults/knobs.ts';
import { dropProject, makeProject, planOf } from '../support/faults/project.ts';
import { ALL_SCENARIOS } from '../support/faults/question-scenarios.ts';
import { finish, SCENARIOS, TASK } from '../support/faults/scenarios.ts';
import {
  answered,
  aroundCommits,
  cleanForge,
  cleanRun,
  type DiskFault,
  failures,
  faultyForge,
  isSteady,
  noStrace,
  type TracedCall,
} from '../support/faults/strace.ts';
import { VERIFICATION_SCENARIOS } from '../support/faults/verification-scenarios.ts';
import { describeUnless } from '../support/possible.ts';

/** Failing calls of one command in the sample. */
const SAMPLE = 7;

/** Commits of these fail like those of the others. */
const ALIKE =
  /^(heartbeat|complete as a failure|release|cancel .*|retry .*|claim --next, past a deadline without one)$/;
const CASES = [...ALL_SCENARIOS, ...VERIFICATION_SCENARIOS].filter(({ name }) => !(SHORT && ALIKE.test(name)));

/** Closing what was only read does not fail on any disk, and Node takes it for a bug of its own. */
function mayFail(call: TracedCall): boolean {
  return call.name !== 'close' || /\.tmp-|\.jsonl/.test(call.shape);
}

/** What only reads fails for a broken disk or too many open files. */
function happens({ call, fault }: { call: TracedCall; fault: DiskFault }): boolean {
  return call.changes || fault === 'EIO' || fault === 'EMFILE';
}

/** Each call fails in every way; otherwise a few of those that change something, in one way each. */
function failing(calls: readonly TracedCall[]): { call: TracedCall; fault: DiskFault }[] {
  const changing = calls.filter((call) => call.changes);
  // A line that is added to a file is written and synced.
  expect(changing.length).toBeGreaterThan(1);
  const some = sampled(changing, SAMPLE, aroundCommits(changing).slice(-2));
  return failures(calls.filter(mayFail), some).filter(happens);
}

describeUnless(noStrace(), 'a system call that fails', () => {
  test.each(CASES)(
    '$name survives a failing system call',
    { timeout: LONG ? 1_200_000 : 120_000 },
    async (scenario) => {
      const { changes = 1 } = scenario;
      const { dir, args } = await scenario.prepare();
      const before = auditTask(dir, TASK);
      const { calls } = await cleanForge(dir, args);
      const points = failing(scenario.steady === true ? calls.filter(isSteady) : calls);
      const refused = await pooled(points, async ({ call, fault }) => {
        const { ran, dir: copy, where, answer } = await answered(dir, args, call, fault);
        const { newest, record } = auditTask(copy, TASK);
        const done = doneBy(answer);
        if (done !== null) {
          expect({ code: ran.code, done }, where).toMatchObject({ code: answer.ok ? 0 : 1, done: scenario.says });
          expect(newest, where).toBe(before.newest + changes);
        } else if (!answer.ok) {
          expect({ code: ran.code, error: answer.error }, where).toMatchObject({
            code: 1,
            error: { code: 'IO_ERROR' },
          });
          expect(answer.error.hint, where).not.toBe('');
          if (scenario.yields === true && newest === before.newest + changes) {
            expect(record?.lease, where).toBeNull();
            expect(await finish(copy, null), where).toBe('shipped');
            dropProject(copy);
            return true;
          }
          // Of two changes the first may have been made.
          expect(newest, where).toBeGreaterThanOrEqual(before.newest);
          expect(newest, where).toBeLessThan(before.newest + changes);
        }
        await expectUsable({ scenario, dir: copy, args, before, answer }).catch((error: unknown) => {
          throw new Error(where, { cause: error });
        });
        return done === null;
      });
      // Both ways out are on the way of every command: before its commit, and after it.
      expect(new Set(refused)).toEqual(new Set([true, false]));
    },
  );

  test('a project folder that cannot be read is IO_ERROR, not a wrong --dir', async () => {
    const dir = makeProject({ 'plans/phases.yaml': planOf([{ id: TASK }]) });
    const { calls } = await cleanRun(commandLine(dir, ['status']), dir);
    const look = calls.find(({ shape }) => /^(statx?|newfstatat) ROOT$/.test(shape));
    if (look === undefined) throw new Error('the project was not looked at');
    const { ran } = await faultyForge(dir, ['status'], look, 'EIO');
    expect(answerIn(ran.stdout)).toMatchObject({ ok: false, error: { code: 'IO_ERROR', details: { errno: 'EIO' } } });
  });

  test('a change whose folder cannot be synced succeeds with a warning about power cuts', async () => {
    const scenario = SCENARIOS.find(({ name }) => name === 'heartbeat');
    if (scenario === undefined) throw new Error('no heartbeat');
    const { dir, args } = await scenario.prepare();
    const before = auditTask(dir, TASK);
    const { calls } = await cleanForge(dir, args);
    const linked = calls.findIndex((call) => call.name.startsWith('link') && call.shape.includes('/v0'));
    const sync = calls.slice(linked).find((call) => call.name === 'fsync');
    if (linked < 0 || sync === undefined) throw new Error('a commit is a link and a sync of the folder');
    const { ran, dir: copy } = await faultyForge(dir, args, sync, 'EIO');
    expect(answerIn(ran.stdout)).toMatchObject({ ok: true });
    expect(ran.code).toBe(0);
    expect(ran.stderr).toContain('power cut');
    expect(auditTask(copy, TASK).newest).toBe(before.newest + 1);
  });
});
