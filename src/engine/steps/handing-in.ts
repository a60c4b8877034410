/** Work that a worker hands in: it does not count while steps of it are at work, and none begins meanwhile. */

import { EXIT, ForgeError } from '../../lib/errors.ts';
import { companyOf, startedWith } from '../../process/processes.ts';
import type { AttemptRef } from '../../store/port.ts';
import type { Env } from '../env.ts';
import { addsBegun, stepsAtWork, withinOf } from './call-log.ts';
import { callsOf } from './calls.ts';

/** Does `work`, which hands the work of the attempt in. Throws NOT_READY where a step of it is at work, other than those that it is called in, and what `work` throws. */
export async function handingIn<T>(env: Env, attempt: AttemptRef, work: () => Promise<T>): Promise<T> {
  const end = await callsOf(env, attempt).handIn();
  try {
    await refuseUnended(env, attempt);
    return await work();
  } finally {
    await end();
  }
}

/** A script that ends over the refusal fails as one that ends before its steps. */
async function refuseUnended(env: Env, attempt: AttemptRef): Promise<void> {
  const within = withinOf(env.ctx.env);
  const names = await stepsAtWork(env, attempt, within);
  const variables = { FORGE_ATTEMPT_ID: attempt.attemptId };
  const beside = companyOf(env.ctx.pid).filter(({ pid }) => startedWith(pid, variables));
  await addsBegun(env, attempt, names, within)(beside);
  // Few have any.
  if (names.length === 0) return;
  const [{ unendedStep }, { noteUnended }] = await Promise.all([
    import('../attempt/worker-outcome.ts'),
    import('./mistakes.ts'),
  ]);
  const fault = await unendedStep(env, attempt, names);
  if (fault === null) return;
  await noteUnended(env, attempt, fault, EXIT.nothingToDo);
  throw new ForgeError('NOT_READY', `attempt ${attempt.attemptId} can't complete: ${fault.message}`, {
    hint: 'Nothing was changed. Wait until the steps have ended, or stop them, and repeat the command; within a step of a program leave the verdict in FORGE_VERDICT_FILE.',
    details: { task_id: attempt.taskId, attempt_id: attempt.attemptId },
  });
}
