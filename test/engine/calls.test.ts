/** Calls of steps, as one of them that waits sees the others. */

import { expect, it } from 'vitest';
import { openSession } from '../../src/commands/shared/session.ts';
import { callsOf } from '../../src/engine/steps/calls.ts';
import { systemContext } from '../../src/process/system-context.ts';
import { answerOf, project } from '../support/cli.ts';

it('a call that waits is alone once no call beside it has begun or ended for a second', async () => {
  const cwd = project(['id: a, title: A']);
  const { claim_id, run_id } = await answerOf(cwd, 'claim', 'a');
  const { attempt_id } = await answerOf(cwd, 'dispatch', 'a', '--claim', claim_id, '--run', run_id);
  let clock = 0;
  const ctx = { ...systemContext(), cwd, env: {}, monotonicMs: () => clock };
  const session = await openSession({ ctx, dir: cwd, warn: () => {} });
  const attempt = { taskId: 'a', attemptId: attempt_id };
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
