/** Runs the commands of steps and of waits. */

import { newId } from '../../domain/context.ts';
import { type ClassifiedError, classifyError } from '../../domain/retry/classify.ts';
import type { WorkerIdentity } from '../../domain/task/identity.ts';
import { commandsAround } from '../../domain/task/workspaces.ts';
import { errorMessage } from '../../lib/errors.ts';
import { spawnGated, type WorkerExit } from '../../process/gated-worker.ts';
import type { AttemptRef, LogName, OpenLog, RetryAfterDraft } from '../../store/port.ts';
import { toldRetryAfter } from '../attempt/retry-after.ts';
import { identityOf, stopOrphan } from '../attempt/takeover.ts';
import type { Env } from '../env.ts';
import { timerOf } from '../timer.ts';
import { unlessLost } from './through.ts';

/** Most of a step's stdout that is kept as its result, bytes. */
export const RESULT_MAX_BYTES = 64 * 1024;

/** The end of each stream that error rules match, bytes. */
const TAIL_BYTES = 16 * 1024;

/** What a command has failed with that wrote on when its reader had gone. */
const CUT_OFF: ClassifiedError = {
  class: 'signal.SIGPIPE',
  message: 'what read its output has gone',
  signal: 'SIGPIPE',
};

export interface CommandOfStep {
  attempt: AttemptRef & { claimId: string };
  argv: readonly string[];
  /** Of the step: FORGE_STEP and its like. */
  variables: Readonly<Record<string, string>>;
  /** Null: no limit. */
  timeoutMs: number | null;
  /** The limit, as the error names it; null where it is none of its own. */
  timeoutText: string | null;
  /** Keeps all of its stdout where that is more than `RESULT_MAX_BYTES`. Default: the beginning is enough. */
  log?: LogName;
  /** Called with its processes before they begin. */
  starts(command: WorkerIdentity): Promise<void>;
  /**
   * Takes what the command writes, as it comes. Until it resolves the command is not read further, so it waits as if it wrote there itself. Rejects
   * once its reader has gone.
   */
  emit(stream: 'stdout' | 'stderr', bytes: Uint8Array): Promise<void>;
}

/** What a step's command has written to stdout: the first `RESULT_MAX_BYTES` of `bytes`, in whole characters. */
export interface StepOutput {
  stdout: string;
  /** The same bytes, where they are no UTF-8. */
  base64?: string;
  bytes: number;
  /** The log that has all of it, where that is more. */
  log?: LogName;
}

export interface EndedCommand {
  exit: WorkerExit;
  /** Its limit has ended it. */
  timedOut: boolean;
  output: StepOutput;
  /** Null: it has exited with 0. */
  failed: { error: ClassifiedError; told: ClassifiedError; final: boolean; retryAfterMs: number | undefined } | null;
}

/** Runs a command to its end. Throws why `lost` was aborted; then the command is stopped. */
export async function runCommand(env: Env, request: CommandOfStep, lost: AbortSignal): Promise<EndedCommand> {
  const { attempt, argv, variables, timeoutMs, timeoutText, starts, emit } = request;
  const retryAfter: RetryAfterDraft = `retry-after-${newId(env.ctx)}`;
  const worker = spawnGated({
    argv,
    cwd: env.ctx.cwd,
    env: {
      ...env.ctx.env,
      // What it starts in sessions of its own is known as the worker's by that.
      FORGE_OUTER_CLAIMS: commandsAround(env.ctx.env).join(' '),
      FORGE_CLAIM_ID: attempt.claimId,
      ...variables,
      FORGE_RETRY_AFTER_FILE: env.artifacts.placeForDraft(attempt, retryAfter),
    },
    // What stops the worker's group stops the command too.
    inTerminal: true,
    stdio: { stdin: 'inherit', stdout: 'pipe', stderr: 'pipe' },
  });
  const identity = identityOf(env, worker, attempt);
  if (identity !== null) await starts(identity);
  const whole = request.log === undefined ? null : new Whole(env, attempt, request.log);
  const kept = { stdout: new Kept(RESULT_MAX_BYTES, whole), stderr: new Kept(0, null) };
  let [isOver, isCut] = [false, false];
  for (const stream of ['stdout', 'stderr'] as const) {
    const output = worker.output[stream];
    output?.on('data', (bytes: Uint8Array) => {
      kept[stream].add(bytes);
      if (!isOver) output.pause();
      const readOn = () => output.resume();
      // What is still kept is read to the end all the same: whether a step is done is not for a reader of its first line to say.
      const unread = () => {
        if (isOver || kept[stream].bytes <= RESULT_MAX_BYTES) return readOn();
        isCut = true;
        return output.destroy();
      };
      void emit(stream, bytes).then(readOn, unread);
    });
  }
  let timedOut = false;
  /** Also what it has left. */
  const stop = (graceMs: number) =>
    identity && stopOrphan(env, attempt.taskId, identity, { graceMs }).catch((error) => env.warn(errorMessage(error)));
  const grace = env.settings.agents.kill_grace_ms;
  const timer = timerOf(timeoutMs, () => {
    timedOut = true;
    void stop(grace);
  });
  worker.open();
  // What the command has left in the background ends with it. The end of its output is read then, whether that is taken or not.
  void worker.gone
    .then(() => stop(grace))
    .then(() => {
      isOver = true;
      worker.output.stdout?.resume();
      worker.output.stderr?.resume();
    });
  try {
    const exit = await unlessLost(worker.exited, lost);
    const tail = { stdout: kept.stdout.tail, stderr: kept.stderr.tail };
    const log = isCut ? null : (whole?.end() ?? null);
    const ended = { exit, timedOut, output: { ...kept.stdout.output, ...(log === null ? {} : { log }) } };
    if (exit.code === 0 && !timedOut) return { ...ended, failed: null };
    // Most do not fail.
    const { endOf } = await import('../attempt/output.ts');
    const end = endOf(env, exit, timedOut ? timeoutText : null, tail);
    // Its pipe is a socket: whether it gets SIGPIPE or an error of its write is a matter of chance.
    const error = isCut ? CUT_OFF : classifyError(end);
    return {
      ...ended,
      failed: {
        error,
        told: error,
        // Another try would have no reader either.
        final: isCut,
        retryAfterMs: toldRetryAfter(env, { attempt, task: null, draft: retryAfter }, end),
      },
    };
  } catch (error) {
    await stop(grace);
    throw error;
  } finally {
    whole?.end();
    clearTimeout(timer);
  }
}

/** A log that is made when something is written to it. */
class Whole {
  readonly #env: Env;
  readonly #attempt: AttemptRef;
  readonly #name: LogName;
  #log: OpenLog | null = null;
  #fails = false;

  constructor(env: Env, attempt: AttemptRef, name: LogName) {
    this.#env = env;
    this.#attempt = attempt;
    this.#name = name;
  }

  /** A disk without room for it keeps no step from being done. */
  add(bytes: Uint8Array): void {
    if (this.#fails) return;
    try {
      this.#log ??= this.#env.artifacts.openLog(this.#attempt, this.#name);
      this.#log.write(bytes);
    } catch (error) {
      this.#fails = true;
      this.#env.warn(errorMessage(error));
    }
  }

  /** Its name; null where it is not there, or lacks something. What is still written then is not for it. */
  end(): LogName | null {
    const isWhole = this.#log !== null && !this.#fails;
    this.#log?.close();
    this.#log = null;
    this.#fails = true;
    return isWhole ? this.#name : null;
  }
}

/** The beginning and the end of what is written. `whole`: gets all, once that is more than the beginning. */
class Kept {
  readonly #max: number;
  readonly #whole: Whole | null;
  #head: Buffer = Buffer.alloc(0);
  #tail: Buffer = Buffer.alloc(0);
  bytes = 0;

  constructor(max: number, whole: Whole | null) {
    this.#max = max;
    this.#whole = whole;
  }

  add(bytes: Uint8Array): void {
    if (this.bytes + bytes.length > this.#max) {
      if (this.bytes <= this.#max) this.#whole?.add(this.#head);
      this.#whole?.add(bytes);
    }
    const room = this.#max - this.#head.length;
    if (room > 0) this.#head = Buffer.concat([this.#head, bytes.subarray(0, room)]);
    this.#tail = Buffer.concat([this.#tail, bytes]).subarray(-TAIL_BYTES);
    this.bytes += bytes.length;
  }

  get output(): StepOutput {
    const [head, { bytes }] = [this.#head, this];
    // The limit may stand within a character of up to 4 bytes.
    const cuts = bytes > head.length ? [0, 1, 2, 3] : [0];
    const text = cuts
      .map((cut) => head.subarray(0, head.length - cut))
      .find((part) => Buffer.from(part.toString()).equals(part));
    if (text !== undefined) return { stdout: text.toString(), bytes };
    return { stdout: head.toString(), base64: head.toString('base64'), bytes };
  }

  get tail(): string {
    return this.#tail.toString();
  }
}
