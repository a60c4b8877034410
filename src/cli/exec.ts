/** `exec` on the command line: signals go to the command, and its exit code is ours. */

import { type ExecOptions, exec } from '../commands/exec.ts';
import { listenToSignals } from '../process/interrupts.ts';
import type { Answer, Desk } from './spec.ts';

export async function execTask({ call }: Desk, options: ExecOptions): Promise<Answer> {
  const interrupts = listenToSignals();
  try {
    const data = await exec(call, options, interrupts);
    return {
      data,
      human: async (look) => (await import('./render/work.ts')).renderExec(data, look),
      // Stdout belongs to the command.
      to: 'stderr',
      exitCode: data.exit_code,
    };
  } finally {
    interrupts.stop();
  }
}
