/** Calls of steps, as one of them that waits sees the others. */

import { expect, it } from 'vitest';
import { openSession } from '../../src/commands/shared/session.ts';
import { stepsAtWork } from '../../src/engine/steps/call-log.ts';
import { callsOf } from '../../src/engine/steps/calls.ts';
import { systemContext } from '../../src/process/system-context.ts';
import { answerOf, project } from '../support/cli.ts';

/** An attempt that has begun. `monotonicMs`: its clock. */
async function begun(monotonicMs: () => number) {
  const cwd = project(['id: a, title: A']);
  const { claim_id, run_id } = await answerOf(cwd, 'claim', 'a');
  const { attempt_id } = await answerOf(cwd, 'dispatch', 'a', '--claim', claim_id, '--run', run_id);
  const ctx = { ...systemContext(), cwd, env: {}, monotonicMs };
  const session = await openSession({ ctx, dir: cwd, warn: () => {} });
  return { session, attempt: { taskId: 'a', attemptId: attempt_id } };
}

it('a call that waits is alone once no call beside it has begun or ended for a second', async () => {
  let clock = 0;
  const { session, attempt } = await begun(() => clock);
  const wait = callsOf(session, attempt);
  await wait.begin('soak', 'wait');
  const isAlone = async (ms: number) => {
    clock += ms;
    return wait.isAlone(Number.POSITIVE_INFINITY);
  };
  for (const name of ['one', 'two']) {
    const step = callsOf(session, attempt);
    await step.begin(name, 'step');
    expect(await isAlone(0)).toBe(false);
    expect(await isAlone(60_000)).toBe(false);
    await step.end(name, true);
    expect(await isAlone(500)).toBe(false);
    expect(await isAlone(999)).toBe(false);
  }
  expect(await isAlone(1)).toBe(true);
});

it('a call that waits is not alone beside a step that a program begins while its own waits rest', async () => {
  let clock = 0;
  const { session, attempt } = await begun(() => clock);
  const [wait, program] = [callsOf(session, attempt), callsOf(session, attempt)];
  await wait.begin('soak', 'wait');
  const isAlone = async (calls: typeof wait) => {
    await calls.isAlone(Number.POSITIVE_INFINITY);
    clock += 60_000;
    return calls.isAlone(Number.POSITIVE_INFINITY);
  };
  await program.beginOne('go', 'wait-for');
  expect(await isAlone(wait)).toBe(false);
  await isAlone(program);
  expect(await isAlone(wait)).toBe(true);
  const end = await program.beginOne('x', 'step');
  expect(await isAlone(wait)).toBe(false);
  await end();
  await isAlone(program);
  expect(await isAlone(wait)).toBe(true);
});

it('a step of a program is known to be at work however long the log of its attempt is', async () => {
  const { session, attempt } = await begun(() => 0);
  const program = callsOf(session, attempt);
  await (await program.beginOne('first', 'step'))();
  const filler = { type: 'note', data: 'x'.repeat(16 * 1024 * 1024) };
  await session.eventLog.append({ log: 'events', ...attempt }, filler);
  for (let n = 0; n < 1000; n++) await (await program.beginOne(`step.${n}`, 'step'))();
  await program.beginOne('last', 'step');
  expect(await stepsAtWork(session, attempt)).toEqual(['last']);
});
