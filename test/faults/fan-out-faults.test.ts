/** A fan-out, killed in place of each of its system calls on the tree: its set is whole or not there, and goes on without doubling a child. */

import { expect, test } from 'vitest';
import { steps } from '../../src/commands/steps.ts';
import { openStores } from '../../src/store/open.ts';
import { answerIn, ask, callOn } from '../support/faults/forge.ts';
import { LONG, pooled, sampled } from '../support/faults/knobs.ts';
import { makeProject } from '../support/faults/project.ts';
import { project, TASK, worked } from '../support/faults/scenarios.ts';
import {
  answered,
  aroundCommits,
  callText,
  cleanForge,
  failures,
  faultyForge,
  isSteady,
  noStrace,
} from '../support/faults/strace.ts';
import { describeUnless } from '../support/possible.ts';

const SAMPLE = 6;

async function prepared() {
  const dir = project();
  const attempt = await worked(dir, { beats: 0 });
  const line = (name: string) => `{"name":"${name}","run":"true"}`;
  // It is read from outside of the project, so that copies of that find it too.
  const from = `${makeProject({ 'children.jsonl': `${line('x')}\n${line('y')}\n` })}/children.jsonl`;
  return { dir, args: ['fan-out', 'files', '--task', TASK, '--attempt', attempt, '--from', from] };
}

/** Whether the record has the set; then it is whole, and its task is among the parents. */
async function isSealed(dir: string): Promise<boolean> {
  const { store } = openStores({ project: dir });
  const { record } = await store.read(TASK);
  const sets = (record?.memo.fan_outs ?? []) as { attempt_id: string; fan_out_id: string }[];
  for (const { attempt_id, fan_out_id } of sets) {
    const set = await store.readDocument('fan-out', TASK, attempt_id, fan_out_id);
    expect(set?.children.map(({ name }) => name)).toEqual(['x', 'y']);
    expect(await store.parents()).toEqual([TASK]);
  }
  const { steps: found } = await steps.run(callOn(dir), { task: TASK });
  expect(found.length).toBe(sets.length);
  expect(sets.length).toBeLessThan(2);
  return sets.length === 1;
}

async function expectGoesOn(dir: string, args: readonly string[], where: string): Promise<boolean> {
  const recorded = await isSealed(dir);
  const { answer } = await ask(dir, ...args);
  // The attempt may have passed it already, as far as it knows.
  if (!answer.ok) expect([answer.error.code, recorded], where).toEqual(['STEP_REPEATED', true]);
  else expect(answer.data, where).toMatchObject({ children: 2, recorded });
  expect(await isSealed(dir), where).toBe(true);
  return recorded;
}

describeUnless(noStrace(), 'a fan-out', () => {
  test('killed in place of any system call is gone on with', { timeout: LONG ? 1_200_000 : 120_000 }, async () => {
    const { dir, args } = await prepared();
    const { ran, calls } = await cleanForge(dir, args);
    expect(answerIn(ran.stdout)).toMatchObject({ ok: true, data: { children: 2, recorded: false } });
    const steady = calls.filter(isSteady);
    const made = await pooled(sampled(steady, SAMPLE, aroundCommits(steady)), async (point) => {
      const killed = await faultyForge(dir, args, point, 'kill');
      return expectGoesOn(killed.dir, args, `SIGKILL at ${callText(point)}`);
    });
    expect(new Set(made)).toEqual(new Set([true, false]));
  });

  test('with a system call that fails is an error of the disk, and goes on', {
    timeout: LONG ? 1_200_000 : 120_000,
  }, async () => {
    const { dir, args } = await prepared();
    const { calls } = await cleanForge(dir, args);
    const changing = calls.filter((call) => call.changes && call.name !== 'close');
    await pooled(failures(changing, sampled(changing, SAMPLE)), async ({ call, fault }) => {
      const { answer, dir: copy, where } = await answered(dir, args, call, fault);
      if (!answer.ok) expect(answer.error.code, where).toBe('IO_ERROR');
      await expectGoesOn(copy, args, where);
    });
  });
});
