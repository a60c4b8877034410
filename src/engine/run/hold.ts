/** Keeps with a task why a run has given it up. */

import { holdTask } from '../../domain/task/held.ts';
import { type ForgeError, orNull } from '../../lib/errors.ts';
import { changeTask } from '../../store/change.ts';
import type { Env } from '../env.ts';

/** What can't be written is only not kept: the run has said it, too. */
export async function keepHeld(
  env: Env,
  taskId: string,
  { message, hint }: Pick<ForgeError, 'message' | 'hint'>,
): Promise<void> {
  await orNull(() => changeTask(env, taskId, (record) => holdTask(record, { message, hint }, env.now())));
}
