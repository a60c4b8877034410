/** Which names the calls of an attempt have come to: each of them is a process of its own. */

import { stepRepeated } from '../../domain/steps/journal.ts';
import { isoTime } from '../../lib/time.ts';
import type { AttemptRef } from '../../store/port.ts';
import type { Env } from '../env.ts';

/**
 * A name means one step: that an attempt comes to it again once it was done is a mistake of its script. One that was killed may repeat the
 * call, and so may each try of a step around it. `note`: to be called when it is done. Throws STEP_REPEATED.
 */
export async function passesOf(env: Env, { taskId, attemptId }: AttemptRef, name: string) {
  const log = { log: 'events' as const, taskId, attemptId };
  const type = 'forge.step';
  const { FORGE_STEP: outer, FORGE_STEP_TRY: number } = env.ctx.env;
  const data = { name, within: outer === undefined ? null : `${outer} ${number}` };
  const isPassed = (await env.eventLog.read(log)).some((event) => {
    const passed = event['data'] as Partial<typeof data> | null;
    return event['type'] === type && passed?.name === name && passed.within === data.within;
  });
  if (isPassed) throw stepRepeated(name);
  return { note: () => env.eventLog.append(log, { ts: isoTime(env.now()), type, data }) };
}
