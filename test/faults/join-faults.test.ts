/** A join, killed in place of each of its system calls on the tree: it tells the same, or the task is parked and ready when it should be. */

import { expect, test } from 'vitest';
import { cancel } from '../../src/commands/cancel.ts';
import { claim } from '../../src/commands/claim.ts';
import { why } from '../../src/commands/why.ts';
import { answerIn, ask, callOn } from '../support/faults/forge.ts';
import { LONG, pooled, sampled } from '../support/faults/knobs.ts';
import { makeProject } from '../support/faults/project.ts';
import { project, TASK, worked } from '../support/faults/scenarios.ts';
import { aroundCommits, callText, cleanForge, faultyForge, isSteady, noStrace } from '../support/faults/strace.ts';
import { describeUnless } from '../support/possible.ts';

const SAMPLE = 6;

/** A task at work that has made two children, of which `over` are cancelled, and the command that joins them. */
async function prepared(over: readonly string[]) {
  const dir = project();
  const attempt = await worked(dir, { beats: 0 });
  const line = (name: string) => `{"name":"${name}","run":"true"}`;
  const from = `${makeProject({ 'children.jsonl': `${line('x')}\n${line('y')}\n` })}/children.jsonl`;
  const own = ['--task', TASK, '--attempt', attempt];
  expect((await ask(dir, 'fan-out', 'files', ...own, '--from', from)).answer.ok).toBe(true);
  for (const name of over) await cancel.run(callOn(dir), { task: `${TASK}/files/${name}` });
  return { dir, args: ['join', 'files', '--allow-failed', ...own] };
}

async function killed(dir: string, args: readonly string[], look: (dir: string, where: string) => Promise<void>) {
  const { ran, calls } = await cleanForge(dir, args);
  const steady = calls.filter(isSteady);
  await pooled(sampled(steady, SAMPLE, aroundCommits(steady)), async (point) => {
    const { dir: copy } = await faultyForge(dir, args, point, 'kill');
    await look(copy, `SIGKILL at ${callText(point)}`);
  });
  return answerIn(ran.stdout);
}

describeUnless(noStrace(), 'a join', () => {
  const options = { timeout: LONG ? 1_200_000 : 120_000 };

  test('of children that are over tells the same when it was killed at any system call', options, async () => {
    const { dir, args } = await prepared(['x', 'y']);
    const told = { status: 'completed', children: [{ state: 'cancelled' }, { state: 'cancelled' }] };
    const undisturbed = await killed(dir, args, async (copy, where) => {
      const { answer } = await ask(copy, ...args);
      // The attempt may have passed it already, as far as it knows.
      if (!answer.ok) expect(answer.error.code, where).toBe('STEP_REPEATED');
      else expect(answer.data, where).toMatchObject(told);
    });
    expect(undisturbed).toMatchObject({ ok: true, data: told });
  });

  test('that is killed at any system call while it parks goes on when the last child is over', options, async () => {
    const { dir, args } = await prepared(['x']);
    const undisturbed = await killed(dir, args, async (copy, where) => {
      const { answer } = await ask(copy, ...args);
      // It was parked before, or is now.
      if (answer.ok) throw new Error(`${where}: nothing is left to wait for`);
      expect(['PARKED', 'LEASE_STOLEN'], where).toContain(answer.error.code);
      const call = callOn(copy);
      expect((await why.run(call, { task: TASK })).ready, where).toBe(false);
      await cancel.run(call, { task: `${TASK}/files/y` });
      expect((await why.run(call, { task: TASK })).ready, where).toBe(true);
      expect((await claim.run(call, { task: TASK })).task_id, where).toBe(TASK);
    });
    expect(undisturbed).toMatchObject({ ok: false, error: { code: 'PARKED' } });
  });
});
