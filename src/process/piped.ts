/** A program that is talked to over its stdin and stdout. It stays in the process group of this process, and ends with it. */

import { spawn } from 'node:child_process';
import { Readable, Writable } from 'node:stream';

export interface PipedProgram {
  stdin: WritableStream<Uint8Array>;
  stdout: ReadableStream<Uint8Array>;
  /** Resolves with its exit code, with `SIGKILL` and the like, or with why it could not be started; never rejects. */
  ended: Promise<number | string>;
  /** Whether it has ended, waited for no longer than `ms`. */
  endsWithin(ms: number): Promise<boolean>;
  /** Ends its stdin, and the program where that does not; resolves when it is gone. */
  end(): Promise<void>;
}

/** How long a program may take to end by itself, and after SIGTERM, milliseconds. */
const GRACE_MS = 3000;

/** Starts a command line for /bin/sh, in which `"$@"` stands for `args`. Its stderr is that of this process. */
export function startPiped(command: string, args: readonly string[], cwd: string): PipedProgram {
  const child = spawn('/bin/sh', ['-c', command, 'sh', ...args], { cwd, stdio: ['pipe', 'pipe', 'inherit'] });
  // Its end says why.
  child.stdin.on('error', () => {});
  const ended = new Promise<number | string>((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('exit', (code, signal) => resolve(code ?? signal ?? 'it ended in a way that is not known'));
  });
  const endsWithin = (ms: number) =>
    new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), ms);
      void ended.then(() => {
        clearTimeout(timer);
        resolve(true);
      });
    });
  return {
    stdin: Writable.toWeb(child.stdin),
    stdout: Readable.toWeb(child.stdout) as ReadableStream<Uint8Array>,
    ended,
    endsWithin,
    async end() {
      child.stdin.end();
      for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
        if (await endsWithin(GRACE_MS)) return;
        child.kill(signal);
      }
      await ended;
    },
  };
}
