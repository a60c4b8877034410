/** The commands of an agent, and `answer`, killed in place of each of their system calls on the tree. */

import { describe, expect, test } from 'vitest';
import { expectUsable } from '../support/faults/aftermath.ts';
import { auditTask } from '../support/faults/audit.ts';
import { answerIn, doneBy, LiveForge } from '../support/faults/forge.ts';
import { LONG, pooled, sampled } from '../support/faults/knobs.ts';
import { ALL_SCENARIOS } from '../support/faults/question-scenarios.ts';
import { TASK } from '../support/faults/scenarios.ts';
import { aroundCommits, callText, cleanForge, faultyForge, isSteady, noStrace } from '../support/faults/strace.ts';
import { killAt, MOMENTS, VERIFICATION_SCENARIOS } from '../support/faults/verification-scenarios.ts';
import { describeUnless } from '../support/possible.ts';

/** Points of one command in the sample. */
const SAMPLE = 9;

describeUnless(noStrace(), 'SIGKILL in the place of a system call', () => {
  test.each([...ALL_SCENARIOS, ...VERIFICATION_SCENARIOS])(
    '$name survives SIGKILL in place of any system call',
    { timeout: LONG ? 1_200_000 : 120_000 },
    async (scenario) => {
      const { changes = 1 } = scenario;
      const { dir, args } = await scenario.prepare();
      const before = auditTask(dir, TASK);
      const { ran, calls, dir: clean } = await cleanForge(dir, args);
      expect(doneBy(answerIn(ran.stdout))).toMatchObject(scenario.says);
      expect(auditTask(clean, TASK).newest).toBe(before.newest + changes);
      // Between two calls that change nothing on disk there is nothing to tell apart; the long run takes them all the same.
      const aimable = scenario.steady === true ? calls.filter(isSteady) : calls;
      const telling = LONG ? aimable : aimable.filter((call) => call.changes);
      expect(new Set(calls.map((call) => call.name))).toContain('fsync');
      // A line that is added to a file is written and synced.
      expect(telling.length).toBeGreaterThan(1);
      const points = sampled(telling, SAMPLE, aroundCommits(telling));
      const made = await pooled(points, async (point) => {
        const killed = await faultyForge(dir, args, point, 'kill');
        const cut = { scenario, dir: killed.dir, args, before, answer: answerIn(killed.ran.stdout) };
        return expectUsable(cut).catch((error: unknown) => {
          throw new Error(`after SIGKILL at ${callText(point)}`, { cause: error });
        });
      });
      // Some points are before the first change, some behind the last, and some between the two of those that make two.
      expect(new Set(made)).toEqual(new Set(Array.from({ length: changes + 1 }, (_, count) => count)));
    },
  );
});

// No system call on the tree is made while a check runs, so it is the check that kills.
describe.each(VERIFICATION_SCENARIOS)('SIGKILL by the check itself: $name', (scenario) => {
  test.each(MOMENTS)('a verification whose command kills forge %s is finished', async (moment) => {
    const { dir, args } = await scenario.prepare();
    const before = auditTask(dir, TASK);
    killAt(dir, moment);
    expect(await new LiveForge(dir, args).ended).toMatchObject({ signal: 'SIGKILL' });
    expect(await expectUsable({ scenario, dir, args, before, answer: null })).toBe(1);
  });
});
