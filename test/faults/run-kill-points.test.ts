/** `run` and `exec`, killed in place of each system call that their first thread makes on the tree. The next run continues. */

import { test } from 'vitest';
import { LONG, pooled, sampled } from '../support/faults/knobs.ts';
import { dropProject } from '../support/faults/project.ts';
import { expectFinished, preparedRun, RUN_SCENARIOS } from '../support/faults/run-scenarios.ts';
import { aroundCommits, callText, faultyRun, noStrace } from '../support/faults/strace.ts';
import { describeUnless } from '../support/possible.ts';

/** Points of one command in the sample. */
const SAMPLE = 6;

describeUnless(noStrace(), 'SIGKILL in the place of a system call', () => {
  test.each(RUN_SCENARIOS)(
    '$name survives SIGKILL in place of any system call',
    { timeout: LONG ? 1_200_000 : 120_000 },
    async (scenario) => {
      const { steady, fresh, play, command } = await preparedRun(scenario);
      await pooled(sampled(steady, SAMPLE, aroundCommits(steady).slice(-2)), async (point) => {
        const { dir } = await faultyRun(fresh, command, point, 'kill');
        await expectFinished(play(dir), `after SIGKILL at ${callText(point)}`);
        dropProject(dir);
      });
    },
  );
});
