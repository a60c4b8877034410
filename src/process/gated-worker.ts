/**
 * Starts workers, each in a process group of its own and behind a gate.
 *
 * The gate is a shell that waits for one word on file descriptor 3. The starter first records the worker's identity, then opens
 * the gate. If the starter dies in between, the kernel closes its end, the shell reads the end of the file and exits: a worker
 * that is not recorded never runs.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import type { Duplex, Readable } from 'node:stream';
import type { WorkerIdentity } from '../domain/task/identity.ts';
import { lookUp } from './processes.ts';

/** The exit code of a worker that was never let through its gate. A command may use the same code; the caller knows whether it opened. */
export const UNRUN_EXIT_CODE = 97;

/** `argv` runs as it is; `shell` is a script for `by`, a shell and its options. Default: `/bin/sh`. */
export type WorkerCommand = { argv: readonly string[] } | { shell: string; by?: readonly string[] };

export type WorkerOptions = WorkerCommand & {
  /** Absolute path. */
  cwd: string;
  /**
   * The whole environment of the worker. With `FORGE_CLAIM_ID` in it, `stopWorker` recognizes the group after its leader is gone.
   * Variables whose names are invalid in a shell do not get through, nor does `_`: a shell has set it for another command.
   */
  env: Record<string, string | undefined>;
  stdio: {
    /** `empty` reads the end of the file at once. */
    stdin: 'empty' | 'inherit';
    /** A number is a file descriptor of this process, which stays open here. `pipe`: `output` of the worker has it. */
    stdout: number | 'inherit' | 'pipe';
    stderr: number | 'inherit' | 'pipe';
  };
  /**
   * In the session and the group of this process, as a shell starts a command: it has the terminal, its size and its keys, and is stopped and
   * continued by the shell's job control. Its group is then not its own. Default: false.
   */
  inTerminal?: boolean;
};

/** The part of a worker's identity that comes from the kernel. */
export type WorkerProcess = Pick<WorkerIdentity, 'pid' | 'pgid' | 'started_at'>;

/**
 * How a worker ended: with an exit code, by a signal (`SIGKILL`, `SIG40`), or without a start. A command that cannot be found or
 * executed ends as in any shell, with code 127 or 126. Neither code nor signal: the end is unknown, which is not a success.
 */
export interface WorkerExit {
  code: number | null;
  signal: string | null;
  /** Why nothing was started; null when something was. */
  spawnError: string | null;
  /** Nothing was, because command and environment are longer than the system allows. Absent: no. */
  tooLong?: true;
}

export interface GatedWorker {
  /** Null when nothing was started; `exited` says why. */
  identity: WorkerProcess | null;
  /** What is piped; null for what is not. To be read to its end: only then has the worker exited. */
  output: { stdout: Readable | null; stderr: Readable | null };
  /** Lets the command run. No effect on a worker that was abandoned or has ended. */
  open(): void;
  /** Closes the gate for good: the worker exits without running. No effect once the gate is open. */
  abandon(): void;
  /** Resolves when the command has ended; what it has left behind may still hold its pipes. */
  gone: Promise<void>;
  /** Resolves once, when the command has ended; never rejects. What it has left behind may still live. */
  exited: Promise<WorkerExit>;
}

/** `spawnGated`, or what does the same. Never rejects. */
export type Spawn = (options: WorkerOptions) => GatedWorker | Promise<GatedWorker>;

/** A variable with the pid of the gate, by which everything that descends from a worker is known. */
export const OWN_PID = 'FORGE_COMMAND_PID';

/*
 * The gate stays as the command's parent and leader of the group, and says how the command ended: `$?`, after the shell's own words
 * when a signal ended it. Node cannot say that: a death by a signal that it has no name for (34 to 64) looks to it like success.
 * Signals to the group reach the command as well, so the gate waits for that. The command sees neither the gate's files nor its variable.
 */
const GATE = [
  `IFS= read -r _forge_gate <&3 && [ "$_forge_gate" = go ] || exit ${UNRUN_EXIT_CODE}`,
  'unset _forge_gate',
  `export ${OWN_PID}=$$`,
  'trap : HUP INT QUIT TERM USR1 USR2',
  'exec 4>&2 2>&3',
].join('; ');
const END = '2>&4 3>&- 4>&-); echo "$?" >&3';

/** Starts a worker that waits behind its gate. Never throws: `exited` reports what went wrong. */
export function spawnGated(options: WorkerOptions): GatedWorker {
  const { cwd, env, stdio, inTerminal = false } = options;
  const fault = commandFault(options);
  if (fault !== null) return notStarted({ spawnError: fault });
  let child: ChildProcess;
  try {
    child = spawn('/bin/sh', ['-c', `${GATE}; (exec "$@" ${END}`, 'sh', ...argvOf(options)], {
      cwd,
      env: { ...env, _: undefined },
      detached: !inTerminal,
      stdio: [stdio.stdin === 'empty' ? 'ignore' : 'inherit', stdio.stdout, stdio.stderr, 'pipe'],
    });
  } catch (error) {
    return notStarted(describe(error, cwd));
  }
  const { pid } = child;
  // A child that ends right now stays in the process table, as a zombie, until this function has returned.
  const found = lookUp(pid ?? 0);
  const identity = typeof found === 'string' ? null : { pid: found.pid, pgid: found.pgid, started_at: found.startedAt };
  // There is no stdio when this process had no file descriptor left for it.
  const gate = child.stdio?.[3] as Duplex | null | undefined;
  // The worker may be gone already; its exit reports that, not the broken pipe.
  gate?.on('error', () => {});
  let told = '';
  gate?.on('data', (bytes: Buffer) => {
    told += bytes.toString('latin1');
  });
  if (identity === null) gate?.destroy();
  const unknown = identity === null ? `the start time of process ${pid} cannot be read` : null;
  return {
    identity,
    output: { stdout: child.stdout ?? null, stderr: child.stderr ?? null },
    open: () => gate?.writable && gate.end('go\n'),
    abandon: () => gate?.writable && gate.destroy(),
    gone: new Promise((resolve) => {
      child.once('exit', () => resolve());
      child.once('error', () => resolve());
    }),
    exited: new Promise((resolve) => {
      const failed = (fault: Fault) => resolve({ code: null, signal: null, ...fault });
      // Then the gate has ended, and what it said is here.
      child.once('close', (code, signal) => {
        if (unknown === null) resolve({ ...endAsTold(told, code, signal), spawnError: null });
        else failed({ spawnError: unknown });
      });
      child.on('error', (error) => failed(describe(error, cwd)));
    }),
  };
}

/** Signals that end a command without a word of the shell. */
const SILENT = ['SIGINT', 'SIGPIPE'];

/** Most of a status that stands for an exit code; above it is 128 + the number of a signal. Source: POSIX, XCU 2.8.2. */
const MAX_CODE = 128;

/**
 * How the command ended. `told`: by its gate, as `GATE` has it. A gate that is gone before it could say so has ended by `signal`, or left by
 * `code` before it ran anything. No word of it is never success.
 */
function endAsTold(told: string, code: number | null, signal: string | null): Pick<WorkerExit, 'code' | 'signal'> {
  const status = /(?:^|\n)(\d+)\n$/.exec(told)?.[1];
  if (status === undefined) return code === UNRUN_EXIT_CODE ? { code, signal } : { code: null, signal };
  return endOf(Number(status), told.slice(0, -status.length - 1).trim() !== '');
}

/**
 * The end of a command whose shell has this `status`. `isKilled`: it may be a signal's. An exit code of 128 + n that is a silent signal's
 * counts as that.
 */
export function endOf(status: number, isKilled: boolean): Pick<WorkerExit, 'code' | 'signal'> {
  const name = signalName(status - MAX_CODE);
  const isSignal = name !== '' && (isKilled || SILENT.includes(name));
  return isSignal ? { code: null, signal: name } : { code: status, signal: null };
}

/** `SIGKILL` for 9, `SIG40` for one without a name, '' for none. */
function signalName(number: number): string {
  const { signals } = process.getBuiltinModule('node:os').constants;
  const known = Object.entries(signals).find(([, value]) => value === number)?.[0];
  return known ?? (number > 0 && number <= 64 ? `SIG${number}` : '');
}

/** Not every shell takes `--` before its script, so one that looks like an option is moved away from that. */
export function argvOf(command: WorkerCommand): readonly string[] {
  if (!('shell' in command)) return command.argv;
  const { shell, by = ['/bin/sh'] } = command;
  return [...by, '-c', shell.startsWith('-') ? ` ${shell}` : shell];
}

function commandFault(options: WorkerCommand): string | null {
  if ('shell' in options) return null;
  const program = options.argv[0] ?? '';
  if (program === '') return 'there is no command to run';
  // `exec` of some shells would take it for an option.
  return program.startsWith('-') ? `a command cannot start with a dash: ${program}` : null;
}

type Fault = Pick<WorkerExit, 'tooLong'> & { spawnError: string };

function notStarted(fault: Fault): GatedWorker {
  const nothing = () => {};
  const exited = Promise.resolve({ code: null, signal: null, ...fault });
  return {
    identity: null,
    output: { stdout: null, stderr: null },
    open: nothing,
    abandon: nothing,
    gone: Promise.resolve(),
    exited,
  };
}

const REASONS: Record<string, string> = {
  ENOENT: 'the folder does not exist',
  ENOTDIR: 'it is not a folder',
  EACCES: 'the folder may not be entered',
  EAGAIN: 'no more processes are allowed',
  ENOMEM: 'there is not enough memory',
  EMFILE: 'too many files are open',
  ENFILE: 'too many files are open on this system',
  E2BIG: 'the command and its environment are too long',
};

// The only program started here is /bin/sh, so a missing file is a missing working directory.
function describe(error: unknown, cwd: string): Fault {
  const { code, message } = error as NodeJS.ErrnoException;
  const why = `${REASONS[code ?? ''] ?? message}${code === undefined ? '' : ` (${code})`}`;
  return { spawnError: `cannot start a worker in ${cwd}: ${why}`, ...(code === 'E2BIG' ? { tooLong: true } : {}) };
}
