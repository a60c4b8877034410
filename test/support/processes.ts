/** Waiting for other processes, and helpers started as processes. */

import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { groupMembers } from '../../src/process/processes.ts';

/** Polls `look` until it returns something other than false, null or undefined, and returns that. Fails after `deadlineMs`. */
export async function until<T>(
  what: string,
  look: () => T,
  deadlineMs = 60_000,
): Promise<NonNullable<Exclude<T, false>>> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const seen = look();
    if (seen !== false && seen !== null && seen !== undefined) return seen as NonNullable<Exclude<T, false>>;
    if (performance.now() > end) throw new Error(`waited ${deadlineMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Kills what a test has left in the process group `pgid`; never the group of the tests themselves. */
export function killGroup(pgid: number): void {
  const members = groupMembers(pgid);
  if (members.length > 0 && !members.some((member) => member.pid === process.pid)) process.kill(-pgid, 'SIGKILL');
}

export interface Helper {
  pid: number;
  /** The next line that the helper prints, parsed as JSON. Fails when it has ended. */
  next(): Promise<unknown>;
  send(line: string): void;
  kill(signal: NodeJS.Signals): void;
  ended: Promise<{ code: number | null; signal: string | null }>;
}

/** Starts a bundled .mjs with `input` as JSON in its first argument. Its stderr is shown. */
export function startHelper(file: string, input: unknown, options: { detached?: boolean } = {}): Helper {
  const child: ChildProcess = spawn(process.execPath, [file, JSON.stringify(input)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: options.detached ?? false,
    env: withoutForge(process.env),
  });
  if (child.stdout === null || child.stdin === null || child.pid === undefined)
    throw new Error(`${file} did not start`);
  const { stdin, pid } = child;
  stdin.on('error', () => {});
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    pid,
    async next() {
      const line = await lines.next();
      if (line.done) throw new Error(`${file} has ended without another line`);
      return JSON.parse(line.value);
    },
    send: (line) => stdin.write(`${line}\n`),
    kill: (signal) => child.kill(signal),
    ended: new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal }))),
  };
}

/** An environment without the variables of a surrounding forge. */
export function withoutForge(env: NodeJS.ProcessEnv): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('FORGE_')));
}
