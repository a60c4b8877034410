/** The real command in processes of its own, and the same verbs within the test's process for what comes after a fault. */

import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { CommandContext } from '../../../src/commands/shared/session.ts';
import { ForgeError } from '../../../src/lib/errors.ts';
import { systemContext } from '../../../src/process/system-context.ts';
import { FORGE } from '../cli.ts';
import { withoutForge } from '../processes.ts';

/** Stands in an argument for the folder of the project, which copies of it have elsewhere. */
export const PROJECT = '<project>';

/** The command line of a verb for the project in `dir`, answered in JSON. */
export function commandLine(dir: string, args: readonly string[]): string[] {
  return [
    process.execPath,
    FORGE,
    'orchestrate',
    '--dir',
    dir,
    '--json',
    ...args.map((arg) => arg.replace(PROJECT, dir)),
  ];
}

export type Answer =
  | { ok: true; data: Record<string, unknown> }
  | {
      ok: false;
      error: { code: string; message: string; hint: string; details: Record<string, unknown> };
      data: Record<string, unknown> | null;
    };

/** What a command says that it has done; null when it was refused. A result that did not pass is told as an error. */
export function doneBy(answer: Answer | null): Record<string, unknown> | null {
  const done = answer?.ok === true || answer?.error.code === 'VERIFICATION_FAILED';
  return done ? answer.data : null;
}

/** The answer in what a command printed; null when it was ended before it could give one. */
export function answerIn(stdout: string): Answer | null {
  const line = stdout.trim();
  return line === '' ? null : (JSON.parse(line) as Answer);
}

/** Runs a command to its end. Fails when it has not answered. */
export async function ask(
  dir: string,
  ...args: string[]
): Promise<{ code: number | null; answer: Answer; stderr: string }> {
  const live = new LiveForge(dir, args);
  const { code } = await live.ended;
  const [answer, ...more] = live.events as unknown as Answer[];
  if (answer === undefined || more.length > 0)
    throw new Error(`${args.join(' ')} has not given one answer: ${live.stderr}`);
  return { code, answer, stderr: live.stderr };
}

/** A verb called in this process. */
export function callOn(dir: string): CommandContext {
  return { ctx: { ...systemContext(), env: {} }, dir, warn: () => {} };
}

/** What a verb answered, refusals as their code. Anything else that is thrown is a bug and fails the test. */
export async function asked<T>(verb: Promise<T>): Promise<{ ok: true; data: T } | { ok: false; code: string }> {
  try {
    return { ok: true, data: await verb };
  } catch (error) {
    if (error instanceof ForgeError) return { ok: false, code: error.code };
    throw error;
  }
}

export type RunEvent = Record<string, unknown> & { type: string };

/** A command that prints a line an event, while it runs. */
export class LiveForge {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly events: RunEvent[] = [];
  stderr = '';
  readonly ended: Promise<{ code: number | null; signal: string | null }>;
  #over = false;
  readonly #waiting = new Set<() => void>();

  constructor(dir: string, args: readonly string[], env: Record<string, string> = {}) {
    const [program = '', ...rest] = commandLine(dir, args);
    this.child = spawn(program, rest, {
      cwd: '/',
      env: { ...withoutForge(process.env), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const { stdout, stderr, pid } = this.child;
    if (stdout === null || stderr === null || pid === undefined) throw new Error('forge did not start');
    this.pid = pid;
    stderr.on('data', (data) => {
      this.stderr += data;
    });
    createInterface({ input: stdout }).on('line', (line) => {
      // A killed process may leave half a line.
      const event = parsed(line);
      if (event !== null) this.events.push(event);
      this.#tell();
    });
    this.ended = new Promise((resolve) =>
      this.child.once('close', (code, signal) => {
        this.#over = true;
        this.#tell();
        resolve({ code, signal });
      }),
    );
  }

  #tell(): void {
    for (const look of [...this.#waiting]) look();
  }

  /** The first event that `wanted` accepts, waited for. Fails when the command ends without it, or after `deadlineMs`. */
  event(what: string, wanted: (event: RunEvent) => boolean, deadlineMs = 60_000): Promise<RunEvent> {
    return new Promise((resolve, reject) => {
      const done = (finish: () => void): void => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        finish();
      };
      const look = (): void => {
        const found = this.events.find(wanted);
        if (found !== undefined) done(() => resolve(found));
        else if (this.#over) done(() => reject(new Error(`forge ended without ${what}\n${this.#account()}`)));
      };
      const timer = setTimeout(
        () => done(() => reject(new Error(`waited ${deadlineMs} ms for ${what}\n${this.#account()}`))),
        deadlineMs,
      );
      this.#waiting.add(look);
      look();
    });
  }

  #account(): string {
    return `${this.events.map((event) => JSON.stringify(event)).join('\n')}\n${this.stderr}`;
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }
}

function parsed(line: string): RunEvent | null {
  try {
    return JSON.parse(line) as RunEvent;
  } catch {
    return null;
  }
}
