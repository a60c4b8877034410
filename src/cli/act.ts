/** `forge __acp [--model M] [--resume SESSION] -- COMMAND ARGS...`: the worker of `worker: acp`. Its prompt comes on stdin. */

import { doTask } from '../acp/client.ts';
import type { Variables } from '../lib/variables.ts';
import { readStdin } from './input.ts';
import type { Output } from './output.ts';

/** Returns the exit code. Throws INVALID_ARGS without stdin. */
export async function actOn(
  args: readonly string[],
  { env, cwd, output }: { env: Variables; cwd: string; output: Output },
): Promise<number> {
  const at = args.indexOf('--');
  const flag = (name: string) => {
    const place = args.slice(0, at).indexOf(name);
    return place < 0 ? null : (args[place + 1] ?? null);
  };
  const [command = '', ...more] = args.slice(at + 1);
  const { FORGE_DIR: project } = env;
  output.patient = true;
  const task = {
    command,
    args: more,
    prompt: readStdin('__acp'),
    cwd,
    writable: project === undefined ? [] : [`${project}/.forge`],
    model: flag('--model'),
    session: flag('--resume'),
  };
  return doTask(task, (line) => output.line('stdout', JSON.stringify(line)));
}
