/** A step, killed in place of each of its system calls on the tree; its effect is never made again once it is recorded. */

import fs from 'node:fs';
import { describe, expect, test } from 'vitest';
import { steps } from '../../src/commands/steps.ts';
import { answerIn, ask, callOn, commandLine, PROJECT } from '../support/faults/forge.ts';
import { LONG, pooled, sampled } from '../support/faults/knobs.ts';
import { copyProject } from '../support/faults/project.ts';
import { project, TASK, worked } from '../support/faults/scenarios.ts';
import { aroundCommits, cleanRun, faultyRun, isSteady, noStrace } from '../support/faults/strace.ts';

const missing = noStrace();
const title = missing === null ? 'a step' : `a step (skipped: ${missing})`;
const SAMPLE = 6;

async function prepared() {
  const dir = project();
  const attempt = await worked(dir, { beats: 0 });
  // Its effect is a line in the project that is worked on.
  const effect = ['sh', '-c', `echo made >> ${PROJECT}/ledger; echo told`];
  return {
    dir,
    args: ['step', 'one', '--task', TASK, '--attempt', attempt, '--retry', '{max_attempts: 1}', '--', ...effect],
  };
}

const effects = (dir: string) =>
  fs.existsSync(`${dir}/ledger`) ? fs.readFileSync(`${dir}/ledger`, 'utf8').trimEnd().split('\n').length : 0;

/** Whether the journal has it; then its effect has been made. */
async function isRecorded(dir: string): Promise<boolean> {
  const { steps: found } = await steps.run(callOn(dir), { task: TASK });
  return found.some(({ status }) => status === 'completed');
}

/** What a fault has left is gone on with: the effect is made again only where it was not recorded. */
async function expectGoesOn(dir: string, args: readonly string[], where: string): Promise<void> {
  const [recorded, before] = [await isRecorded(dir), effects(dir)];
  if (recorded) expect(before, where).toBeGreaterThan(0);
  const { answer } = await ask(dir, ...args);
  // The attempt may have passed it already, as far as it knows.
  if (!answer.ok) expect(answer.error.code, where).toBe('STEP_REPEATED');
  else expect(answer.data, where).toMatchObject({ status: 'completed', stdout: 'told\n', recorded });
  expect(effects(dir), where).toBe(before + (recorded ? 0 : 1));
  expect(await isRecorded(dir), where).toBe(true);
}

describe.skipIf(missing !== null)(title, () => {
  test('killed in place of any system call is gone on with', { timeout: LONG ? 1_200_000 : 120_000 }, async () => {
    const { dir, args } = await prepared();
    const clean = copyProject(dir);
    const { ran, calls } = await cleanRun(commandLine(clean, args), clean);
    expect(answerIn(ran.stdout)).toMatchObject({ ok: true, data: { status: 'completed' } });
    const steady = calls.filter(isSteady);
    const points = sampled(steady, SAMPLE, aroundCommits(steady));
    const made = await pooled(points, async (point) => {
      const killed = await faultyRun(
        () => copyProject(dir),
        (copy) => commandLine(copy, args),
        point,
        'kill',
      );
      const recorded = await isRecorded(killed.dir);
      await expectGoesOn(killed.dir, args, `SIGKILL at ${point.name} ${point.count} (${point.shape})`);
      return recorded;
    });
    expect(new Set(made)).toEqual(new Set([true, false]));
  });
});
