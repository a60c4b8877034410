/** A command that gets a text on its stdin, and whose output is dropped. */

import { spawn } from 'node:child_process';

/**
 * Runs a command line for /bin/sh with `input` on its stdin, in a process group of its own. Resolves with null when it has ended with 0, else
 * with why that is not so; never rejects. `signal` ends it, with all that is left of its group.
 */
export function runWithInput(
  command: string,
  { cwd, env, input, signal }: { cwd: string; env: Record<string, string>; input: string; signal: AbortSignal },
): Promise<string | null> {
  return new Promise((resolve) => {
    const child = spawn('/bin/sh', ['-c', command], { cwd, env, stdio: ['pipe', 'ignore', 'ignore'], detached: true });
    const stop = () => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It has ended.
      }
    };
    const over = (why: string | null) => {
      signal.removeEventListener('abort', stop);
      resolve(signal.aborted ? 'it was stopped' : why);
    };
    // A command that does not read it has ended, or will.
    child.stdin.on('error', () => {});
    child.on('error', (error) => over(error.message));
    child.on('exit', (code, name) => over(code === 0 ? null : `it ended with ${code ?? name}`));
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop);
    child.stdin.end(input);
  });
}
