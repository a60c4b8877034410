/** Runs the command of a step, until it succeeds or its budget is used up. */

import type { PlanTask } from '../../domain/plan/plan.ts';
import type { ClassifiedError } from '../../domain/retry/classify.ts';
import { budgetOf, type Step } from '../../domain/steps/journal.ts';
import { afterTry, type StepPolicy } from '../../domain/steps/tries.ts';
import type { WorkerIdentity } from '../../domain/task/identity.ts';
import type { Lease } from '../../domain/task/records.ts';
import { commandsAround } from '../../domain/task/workspaces.ts';
import { errorMessage, ForgeError } from '../../lib/errors.ts';
import { isoTime, TIMER_MAX_MS } from '../../lib/time.ts';
import { spawnGated, type WorkerExit } from '../../process/gated-worker.ts';
import type { Interrupts } from '../../process/interrupts.ts';
import type { AttemptRef } from '../../store/port.ts';
import { identityOf } from '../attempt/environment.ts';
import { LeaseKeeper } from '../attempt/lease-keeper.ts';
import { failureOf } from '../attempt/output.ts';
import { stopOrphan } from '../attempt/takeover.ts';
import type { Env } from '../env.ts';
import { addToJournal, type ReadJournal } from './task-journal.ts';

/** Most of a step's stdout that is kept as its result, bytes. */
export const RESULT_MAX_BYTES = 64 * 1024;

/** The end of each stream that error rules match, bytes. */
const TAIL_BYTES = 16 * 1024;

export interface StepRequest {
  attempt: AttemptRef & { claimId: string };
  /** As planned; null for one that is not in the plan. */
  task: PlanTask | null;
  name: string;
  /** The same for every try of the step. */
  key: string;
  argv: readonly string[];
  policy: StepPolicy;
  /** Of one try; null: no limit. */
  timeoutMs: number | null;
  /** As `failureOf` has it. */
  timeoutText: string | null;
  /** Takes what the command writes, as it comes. */
  emit(stream: 'stdout' | 'stderr', bytes: Uint8Array): void;
}

/** What a step's command has written to stdout: the first `RESULT_MAX_BYTES` of `bytes`, in whole characters. */
export interface StepOutput {
  stdout: string;
  /** The same bytes, where they are no UTF-8. */
  base64?: string;
  bytes: number;
}

interface Try {
  exit: WorkerExit;
  timedOut: boolean;
  output: StepOutput;
  tail: { stdout: string; stderr: string };
}

/**
 * Tries the command until it exits with 0 or the policy gives up; each end is in the journal before the next try. Returns the step. Throws
 * LEASE_STOLEN or STALE_ATTEMPT when the attempt does not hold its task any more, and INTERRUPTED by a signal, both with the command stopped and
 * that try not recorded; IO_ERROR.
 */
export async function runStep(
  env: Env,
  request: StepRequest,
  read: ReadJournal,
  { lease, interrupts }: { lease: Lease | null; interrupts: Interrupts },
): Promise<Step> {
  const hold = new Hold(env, request.attempt, lease, interrupts);
  try {
    return await tried(env, request, read, hold);
  } finally {
    hold.stop();
  }
}

async function tried(env: Env, request: StepRequest, read: ReadJournal, hold: Hold): Promise<Step> {
  let { journal } = read;
  let step = read.steps.get(request.name);
  for (;;) {
    const budget = budgetOf(step, journal);
    const startedAt = budget.tries > 0 && step !== undefined ? step.started_at : isoTime(env.now());
    const made = await tryOnce(env, request, budget.tries + 1, hold);
    const error = errorOf(env, request, made);
    let delayMs: number | null = null;
    const { name, policy, attempt } = request;
    const end = error === null ? { value: made.output } : { error, told: error };
    const view = await addToJournal(env, attempt, (now, generation) => {
      const ended = { name, attemptId: attempt.attemptId, generation, startedAt, policy, end };
      const after = afterTry(now, { ...ended, nowMs: env.now(), random: env.ctx.random });
      journal = now.journal;
      delayMs = after.delayMs;
      return [{ step: after.step }];
    });
    step = view.steps.get(request.name) as Step;
    if (delayMs === null) return step;
    const ms: number = delayMs;
    await hold.during(new Promise((resolve) => setTimeout(resolve, Math.min(ms, TIMER_MAX_MS))));
  }
}

function errorOf(env: Env, { timeoutText }: StepRequest, { exit, timedOut, tail }: Try): ClassifiedError | null {
  if (exit.code === 0 && !timedOut) return null;
  return failureOf(env, exit, timedOut ? timeoutText : null, tail);
}

async function tryOnce(env: Env, request: StepRequest, number: number, hold: Hold): Promise<Try> {
  const { attempt, argv, name, key, timeoutMs, emit } = request;
  const worker = spawnGated({
    argv,
    cwd: env.ctx.cwd,
    env: {
      ...env.ctx.env,
      // What it starts in sessions of its own is known as the worker's by that.
      FORGE_OUTER_CLAIMS: commandsAround(env.ctx.env).join(' '),
      FORGE_CLAIM_ID: attempt.claimId,
      FORGE_STEP: name,
      FORGE_STEP_KEY: key,
      FORGE_STEP_TRY: String(number),
    },
    // What stops the worker's group stops the command too.
    inTerminal: true,
    stdio: { stdin: 'inherit', stdout: 'pipe', stderr: 'pipe' },
  });
  const identity = identityOf(env, worker, attempt);
  const kept = { stdout: new Kept(RESULT_MAX_BYTES), stderr: new Kept(0) };
  for (const stream of ['stdout', 'stderr'] as const) {
    worker.output[stream]?.on('data', (bytes: Uint8Array) => {
      kept[stream].add(bytes);
      emit(stream, bytes);
    });
  }
  let timedOut = false;
  const stop = (graceMs: number) => (identity === null ? null : stopTree(env, attempt.taskId, identity, graceMs));
  const grace = env.settings.agents.kill_grace_ms;
  const timer =
    timeoutMs === null
      ? undefined
      : setTimeout(
          () => {
            timedOut = true;
            void stop(grace);
          },
          Math.min(timeoutMs, TIMER_MAX_MS),
        );
  worker.open();
  // What the command has left in the background ends with it.
  void worker.gone.then(() => stop(grace));
  try {
    const exit = await hold.during(worker.exited);
    return {
      exit,
      timedOut,
      output: kept.stdout.output,
      tail: { stdout: kept.stdout.tail, stderr: kept.stderr.tail },
    };
  } catch (error) {
    await stop(grace);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Stops a command, and what it has left. */
async function stopTree(env: Env, taskId: string, identity: WorkerIdentity, graceMs: number): Promise<void> {
  await stopOrphan(env, taskId, identity, { graceMs }).catch((error: unknown) => env.warn(errorMessage(error)));
}

/** Notices that the attempt has lost its task, and signals; a lease that no process renews is renewed meanwhile. */
class Hold {
  readonly #lost: Promise<never>;
  readonly #keeper: LeaseKeeper;
  readonly #stopListening: () => void;

  constructor(env: Env, { taskId, attemptId }: AttemptRef, lease: Lease | null, interrupts: Interrupts) {
    let lose: (error: unknown) => void = () => {};
    this.#lost = new Promise((_, reject) => {
      lose = reject;
    });
    this.#lost.catch(() => {});
    const renewed = lease?.owner ? null : lease;
    this.#keeper = new LeaseKeeper(env, { taskId, attemptId, claimId: undefined }, renewed, () => {
      const message = `attempt ${attemptId} does not hold task ${taskId} any more: its step is stopped`;
      lose(new ForgeError('LEASE_STOLEN', message, { details: { task_id: taskId, attempt_id: attemptId } }));
    });
    this.#stopListening = interrupts.listen(() => lose(new ForgeError('INTERRUPTED', 'the step was interrupted')));
  }

  /** What `work` comes to, while the attempt holds its task. Throws LEASE_STOLEN as soon as it does not, and INTERRUPTED. */
  during<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#lost]);
  }

  stop(): void {
    this.#keeper.stop();
    this.#stopListening();
  }
}

/** The beginning and the end of what is written. */
class Kept {
  readonly #max: number;
  #head: Buffer = Buffer.alloc(0);
  #tail: Buffer = Buffer.alloc(0);
  bytes = 0;

  constructor(max: number) {
    this.#max = max;
  }

  add(bytes: Uint8Array): void {
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
