/** The commands of an agent, killed in the place of each system call that they make on the tree. */

import { describe, expect, test } from 'vitest';
import { expectUsable } from './support/aftermath.ts';
import { auditTask } from './support/audit.ts';
import { answerIn, commandLine } from './support/forge.ts';
import { LONG, pooled, sampled } from './support/knobs.ts';
import { copyProject, inMemory } from './support/project.ts';
import { SCENARIOS, TASK } from './support/scenarios.ts';
import { cleanRun, faultyRun, noStrace } from './support/strace.ts';

inMemory();

/** Points of one command in the normal run. */
const SAMPLE = 20;

const missing = noStrace();
const title =
  missing === null ? 'SIGKILL in the place of a system call' : `SIGKILL at system calls (skipped: ${missing})`;

describe.skipIf(missing !== null)(title, () => {
  test.each(SCENARIOS)('$name', { timeout: LONG ? 1_200_000 : 120_000 }, async (scenario) => {
    const { dir, args } = await scenario.prepare();
    const before = auditTask(dir, TASK);
    const clean = copyProject(dir);
    const { ran, calls } = await cleanRun(commandLine(clean, args), clean);
    expect(answerIn(ran.stdout)).toMatchObject({ ok: true, data: scenario.says });
    expect(auditTask(clean, TASK).newest).toBe(before.newest + 1);
    // Between two calls that change nothing on disk there is nothing to tell apart; the long run takes them all the same.
    const points = LONG
      ? calls
      : sampled(
          calls.filter((call) => call.changes),
          SAMPLE,
        );
    expect(new Set(calls.map((call) => call.name))).toContain('fsync');
    expect(points.length).toBeGreaterThan(10);
    await pooled(points, async (point) => {
      const killed = await faultyRun(
        () => copyProject(dir),
        (copy) => commandLine(copy, args),
        point,
        'kill',
      );
      const cut = { scenario, dir: killed.dir, args, before, answer: answerIn(killed.ran.stdout) };
      await expectUsable(cut).catch((error: unknown) => {
        throw new Error(`after SIGKILL at ${point.name} ${point.count} (${point.shape})`, { cause: error });
      });
    });
  });
});
