/** `run` and `exec`, with each of their system calls on the tree failing once. What they could not do, the next run does. */

import { expect, test } from 'vitest';
import { LONG, pooled, sampled, varied } from '../support/faults/knobs.ts';
import { dropProject } from '../support/faults/project.ts';
import { expectFinished, preparedRun, RUN_SCENARIOS } from '../support/faults/run-scenarios.ts';
import { aroundCommits, callText, failures, faultyRun, noStrace } from '../support/faults/strace.ts';
import { describeUnless } from '../support/possible.ts';

/** Calls that fail in the sample. */
const SAMPLE = 6;

/** The last line that a command printed: its answer, or how a run has ended. */
function lastOf(stdout: string): Record<string, unknown> {
  return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '');
}

describeUnless(noStrace(), 'a system call that fails', () => {
  test.each(varied(RUN_SCENARIOS.toReversed(), 2))(
    '$name leaves no process and no half of a task when a system call fails',
    { timeout: LONG ? 1_200_000 : 120_000 },
    async (scenario) => {
      const { steady, fresh, play, command } = await preparedRun(scenario);
      const points = failures(steady, sampled(steady, SAMPLE, aroundCommits(steady).slice(-2)));
      const ends = await pooled(points, async ({ call, fault }) => {
        const { ran, dir } = await faultyRun(fresh, command, call, fault);
        const where = `after ${fault} from ${callText(call)}\n${ran.stdout}\n${ran.stderr}`;
        expect(play(dir).leftovers() ?? [], where).toEqual([]);
        const last = lastOf(ran.stdout);
        if (ran.code === 0) expect(() => play(dir).expectAllDone(), where).not.toThrow();
        else {
          expect({ code: ran.code, last }, where).toMatchObject({ code: 1, last: { error: { code: 'IO_ERROR' } } });
        }
        await expectFinished(play(dir), where);
        dropProject(dir);
        return ran.code;
      });
      expect(new Set(ends)).toEqual(new Set([0, 1]));
    },
  );
});
