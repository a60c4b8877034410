/**
 * One long-lived bash that starts shell workers, one after the other. It forks them, so this process need not wait until a program is
 * loaded. All else is as `gated-worker.ts` has it: the gate, a group of their own, their environment, how they end.
 *
 * The lane reads jobs from a socket, and waits for the end of each before it reads on. A worker reads the word for its gate from the same
 * socket. When this process dies, a worker behind its gate reads the end of the socket and exits; one that runs goes on, and the lane ends
 * after it. When the lane dies, its worker goes on too, and is watched until it is gone.
 *
 * A worker leads its group, and not a session: unlike one that is spawned, it is stopped by SIGTSTP too, and gets SIGHUP from the
 * kernel when the lane is killed while it is stopped.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import type { Duplex } from 'node:stream';
import {
  argvOf,
  endOf,
  type GatedWorker,
  OWN_PID,
  UNRUN_EXIT_CODE,
  type WorkerExit,
  type WorkerOptions,
} from './gated-worker.ts';
import { type ProcessEntry, parseStat, processStart } from './processes.ts';

/** What a lane can start: its output goes to files that are open for appending. */
export type LaneJob = WorkerOptions & { stdio: { stdin: 'empty'; stdout: number; stderr: number } };

/** A variable that gets through to a worker. */
const NAME = /^(?!_$)[A-Za-z_]\w*$/;

/** Variables that bash has a use of its own for, and would change or obey. Source: bash(1), Shell Variables. */
const OF_BASH =
  /^(?:BASH.*|COMP_.*|EPOCH.*|POSIX.*|DIRSTACK|E?UID|FUNCNAME|GROUPS|HISTCMD|IFS|LINENO|PIPESTATUS|PPID|S?RANDOM|SECONDS|SHELLOPTS|TMOUT)$/;

/** Variables that bash or `cd` has changed in the lane. */
const CHANGED = ['OLDPWD', 'SHLVL'];

/** The longest command and environment, bytes; what may be longer on this system is not for a lane. Source: execve(2), "Limits". */
const MAX_BYTES = 128 * 1024;

/** How often a worker that has lost its lane is looked at, milliseconds. */
const LOOK_MS = 50;

/** How often a lane with a worker is continued, milliseconds: one that its worker has stopped says nothing of that worker's end. */
const CONTINUE_MS = 1000;

/*
 * After `wait` it is not known whether 143 was an exit code or SIGTERM, so the trap lists the job before. Job control is for the fork, which
 * then makes the group; during `wait` a stopped worker would pass for an ended one. A line that is no job was for a gate that is gone.
 */
const LOOP = `exec <&3 >&3 3>&-
trap jobs CHLD
while IFS= read -r _forge_gate; do
  case $_forge_gate in job*) ;; *) continue ;; esac
  IFS= read -r -N "\${_forge_gate#job}" _forge_gate || exit
  set -m
  ( eval "$_forge_gate" ) &
  set +m
  wait $!
  echo "=$?"
done`;

export class Lane {
  readonly #process: ChildProcess;
  readonly #socket: Duplex | null;
  readonly #env: WorkerOptions['env'];
  /** The length of that. */
  readonly #bytes: number;
  #isGone = false;
  #rest = '';
  /** Called with each line, and with null when the lane has ended. */
  #hear: (line: string | null) => void = () => {};

  /** `env`: what most workers have in theirs. */
  constructor(env: WorkerOptions['env']) {
    const kept = Object.entries(env).filter(([name]) => NAME.test(name) && !OF_BASH.test(name));
    this.#env = Object.fromEntries(kept);
    this.#bytes = Buffer.byteLength(kept.flat().join(' '));
    const child = spawn('/bin/bash', ['--norc', '--noprofile', '-c', LOOP], {
      cwd: '/',
      env: this.#env,
      detached: true,
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    });
    this.#process = child;
    const over = () => {
      this.#isGone = true;
      this.#hear(null);
    };
    child.once('exit', over);
    child.once('error', over);
    this.#socket = (child.stdio?.[3] ?? null) as Duplex | null;
    // A lane that is gone reports its end, not the broken pipe.
    this.#socket?.on('error', () => {});
    this.#socket?.on('data', (bytes: Buffer) => {
      const lines = (this.#rest + bytes.toString('latin1')).split('\n');
      this.#rest = lines.pop() ?? '';
      for (const line of lines) this.#hear(line);
    });
  }

  /** Whether it has ended, and starts nothing more. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /**
   * Starts a worker that waits behind its gate, once the one before has exited. Null where none reached its gate: nothing has run then, and
   * nothing will.
   */
  start(job: LaneJob): Promise<GatedWorker | null> {
    const text = textOf(job, this.#env, this.#bytes);
    if (this.#isGone || text === null) return Promise.resolve(null);
    this.#socket?.write(`job${text.length}\n${text}`);
    return new Promise((resolve) => {
      let worker: ProcessEntry | null = null;
      let words = '';
      let over = (_: WorkerExit) => {};
      const exited = new Promise<WorkerExit>((settle) => {
        over = settle;
      });
      const awake = setInterval(() => this.#process.kill('SIGCONT'), CONTINUE_MS);
      this.#hear = (line) => {
        if (line === null) {
          clearInterval(awake);
          // What has not reached its gate reads the end of the socket there.
          if (worker === null) this.#socket?.destroy();
          void goneOf(worker).then(() => over({ code: null, signal: null, spawnError: null }));
          resolve(null);
        } else if (line.startsWith('=')) {
          this.#hear = () => {};
          clearInterval(awake);
          const status = Number(line.slice(1));
          // An exit code is listed as a number, in any language. What was gone before `wait` is not always listed, and then a signal has ended it.
          over({ ...endOf(status, !words.includes(` ${status} `)), spawnError: null });
          resolve(null);
        } else if (line.startsWith('[')) words = line;
        else {
          worker = parseStat(line);
          if (worker === null) this.#socket?.write('no\n');
          else resolve(this.#gated(worker, exited));
        }
      };
    });
  }

  /** Ends the lane when its worker has ended; one behind its gate does not run. */
  end(): void {
    this.#socket?.end();
  }

  #gated({ pid, pgid, startedAt: started_at }: ProcessEntry, exited: Promise<WorkerExit>): GatedWorker {
    let isTold = false;
    const tell = (word: string) => {
      if (!isTold) this.#socket?.write(`${word}\n`);
      isTold = true;
    };
    return {
      identity: { pid, pgid, started_at },
      output: { stdout: null, stderr: null },
      open: () => tell('go'),
      abandon: () => tell('no'),
      gone: exited.then(() => {}),
      exited,
    };
  }
}

/**
 * What the fork does, as one command of bash; null where bash would do something else. `own`: the environment of the lane, with its length. Nothing
 * has to be undone: the fork becomes the command, or exits.
 */
function textOf(job: LaneJob, own: WorkerOptions['env'], ownBytes: number): string | null {
  const { cwd, env, stdio } = job;
  const isChanged = (name: string) => (env[name] !== own[name] || CHANGED.includes(name)) && name !== 'PWD';
  const changed = Object.entries(env).filter(
    ([name, value]) => value !== undefined && isChanged(name) && NAME.test(name),
  );
  const missing = [...CHANGED, ...Object.keys(own)].filter((name) => name !== 'PWD' && env[name] === undefined);
  const pwd = env['PWD'] ?? '';
  const file = (fd: number) => `/proc/${process.pid}/fd/${fd}`;
  const text = [
    `{ cd -P -- ${quoted(cwd)} || exit`,
    // As any shell takes it over: where it names the same folder.
    pwd.startsWith('/') ? `[ ${quoted(pwd)} -ef . ] && PWD=${quoted(pwd)}` : ':',
    `unset ${missing.join(' ')}`,
    `export PWD ${OWN_PID}=$BASHPID ${changed.map(([name, value]) => `${name}=${quoted(value)}`).join(' ')}`,
    `exec 4<&0 5>&1 </dev/null >>${file(stdio.stdout)} 2>>${file(stdio.stderr)} || exit`,
    'IFS= read -r _forge_gate </proc/self/stat && echo "$_forge_gate" >&5 || exit',
    `IFS= read -r _forge_gate <&4 && [ "$_forge_gate" = go ] || exit ${UNRUN_EXIT_CODE}`,
    'unset _forge_gate',
    `exec ${argvOf(job).map(quoted).join(' ')} 4<&- 5>&-; }`,
  ].join('; ');
  const all = [cwd, ...argvOf(job), ...changed.flat()].join(' ');
  const isLong = ownBytes + Buffer.byteLength(all) > MAX_BYTES;
  const isOdd = isLong || all.includes('\0') || changed.some(([name]) => OF_BASH.test(name));
  return isOdd ? null : text;
}

/** A text as one word of bash, in ASCII: what `read` counts is then the same in every locale. */
function quoted(text = ''): string {
  if (/^[\t\n -~]*$/.test(text)) return `'${text.replaceAll("'", "'\\''")}'`;
  return `$'${[...Buffer.from(text)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}'`;
}

/** Resolves when a worker has ended that is not a child of this process. */
async function goneOf(worker: ProcessEntry | null): Promise<void> {
  while (worker !== null && processStart(worker.pid) === worker.startedAt)
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
}
