/** A worker at work: keeps its lease alive, watches for the loss of it, and sees the attempt to its end. */

import type { Plan, PlanTask } from '../../domain/plan/plan.ts';
import { hasAsked } from '../../domain/question/questions.ts';
import { type ClassifiedError, classifyError } from '../../domain/retry/classify.ts';
import type { OutputTail } from '../../domain/run/events.ts';
import type { OwnAttempt } from '../../domain/run/live-model.ts';
import type { OwnerIdentity, WorkerIdentity } from '../../domain/task/identity.ts';
import { type CompleteResult, heartbeatTask, type Outcome, releaseTask } from '../../domain/task/operations.ts';
import { RECORD_MAX_BYTES, type TaskRecord, type TaskState } from '../../domain/task/records.ts';
import type { VerifyCommand } from '../../domain/verify/commands.ts';
import { firstFailed } from '../../domain/verify/verification.ts';
import { errorMessage, kindOf, unlessInvalid } from '../../lib/errors.ts';
import { errorCode } from '../../lib/fs/io-errors.ts';
import { plainText } from '../../lib/text.ts';
import { TIMER_MAX_MS } from '../../lib/time.ts';
import type { GatedWorker, WorkerExit } from '../../process/gated-worker.ts';
import type { Interrupts } from '../../process/interrupts.ts';
import { changeTask } from '../../store/change.ts';
import { type AttemptRef, checkLog } from '../../store/port.ts';
import { type Env, instantOf } from '../env.ts';
import { insist } from '../retry-io.ts';
import { endAttempt } from './complete-attempt.ts';
import { tailOf } from './output.ts';
import { stopLeftGroup } from './takeover.ts';
import { CLEAN_EXIT, parseVerdict } from './verdicts.ts';

/** How often the record is looked at for a cancel or a theft, milliseconds. */
const WATCH_MS = 500;

/** What is wanted of a task, whatever is left to be done about it. */
export interface TaskRequest {
  task: PlanTask;
  /** Where the task belongs: what its worker is told of it, and the tasks that it overlaps with. */
  plan: Plan;
  runId: string;
  owner: OwnerIdentity;
  /** Throws NOT_READY (or why else it can't be had) unless the task may be given out as this record says. */
  refuse(record: TaskRecord): void;
  /** Told when a command that verifies the result begins. */
  onCheck?: (command: VerifyCommand) => void;
}

export type AttemptEnd =
  /** The attempt is complete: forward, back for another try, or out. */
  | { kind: 'completed'; result: CompleteResult; error: ClassifiedError | null }
  /** The worker asked a question: the task is parked, or has failed because it asked too often. */
  | { kind: 'asked'; state: TaskState; error: ClassifiedError | null }
  /** Given back uncharged because we were told to stop. */
  | { kind: 'released'; state: TaskState }
  /** Somebody else decided: it was cancelled, or taken over. */
  | { kind: 'lost'; why: string };

export interface FinishedAttempt {
  end: AttemptEnd;
  exit: WorkerExit;
  record: TaskRecord;
  durationMs: number;
  tail: OutputTail;
}

type StopReason = 'interrupt' | 'timeout' | 'lost';

interface Started {
  claimId: string;
  attemptId: string;
  number: number;
  /** Null for an attempt of somebody who is gone: it has handed in its verdict, and all that is left is to verify it. */
  worker: GatedWorker | null;
  identity: WorkerIdentity | null;
  record: TaskRecord;
}

/** `tail` where another output than the worker's says what went wrong. */
interface Ended {
  end: AttemptEnd;
  record: TaskRecord;
  tail?: OutputTail;
}

const NOTHING_RAN: WorkerExit = { code: 0, signal: null, spawnError: null };

export class RunningAttempt {
  readonly attemptId: string;
  readonly number: number;
  readonly pid: number | null;
  /** Settles when the attempt is over and its end is committed. Rejects with IO_ERROR when that can't be written. */
  readonly finished: Promise<FinishedAttempt>;
  readonly #env: Env;
  readonly #request: TaskRequest;
  readonly #started: Started;
  readonly #startedMs: number;
  readonly #kill = new AbortController();
  #stopReason: StopReason | null = null;
  #stopping: Promise<void> | null = null;
  #renewedMs: number;
  #lostWhy = '';
  #beatsFail = false;

  constructor(env: Env, request: TaskRequest, started: Started) {
    this.#env = env;
    this.#request = request;
    this.#started = started;
    this.#startedMs = env.ctx.monotonicMs();
    this.#renewedMs = this.#startedMs;
    this.attemptId = started.attemptId;
    this.number = started.number;
    this.pid = started.identity?.pid ?? null;
    this.finished = this.#live();
  }

  /** It goes on with what somebody who is gone handed in; nothing is started but what verifies it. */
  get resumed(): boolean {
    return this.#started.worker === null;
  }

  get #ref(): AttemptRef {
    return { taskId: this.#request.task.id, attemptId: this.attemptId };
  }

  /** Milliseconds since the worker was started. */
  get ageMs(): number {
    return this.#env.ctx.monotonicMs() - this.#startedMs;
  }

  get standing(): OwnAttempt {
    return { attempt_id: this.attemptId, attempt_number: this.number, age_ms: this.ageMs };
  }

  /** The lease could not be renewed lately; nobody should claim more work on such a disk. */
  get beatsFail(): boolean {
    return this.#beatsFail;
  }

  /** Stops the worker and gives the task back uncharged: SIGTERM, the grace, SIGKILL. */
  interrupt(): void {
    this.#stop('interrupt');
  }

  /** Ends the grace of an interruption at once. */
  kill(): void {
    this.#kill.abort();
    this.#stop('interrupt');
  }

  async #live(): Promise<FinishedAttempt> {
    const { agents } = this.#env.settings;
    const beat = setInterval(() => void this.#beat(), agents.self_heartbeat_ms);
    const watch = setInterval(() => void this.#watch(), WATCH_MS);
    const { timeout_ms } = this.#request.task;
    const timeout =
      timeout_ms === null ? undefined : setTimeout(() => this.#stop('timeout'), Math.min(timeout_ms, TIMER_MAX_MS));
    try {
      const exit = await (this.#started.worker?.exited ?? NOTHING_RAN);
      clearTimeout(timeout);
      await this.#clearGroup();
      const tail = tailOf(this.#env.artifacts, this.#ref);
      return { exit, tail, ...(await this.#end(exit, tail)), durationMs: this.ageMs };
    } finally {
      clearTimeout(timeout);
      clearInterval(beat);
      clearInterval(watch);
      clearTimeout(this.#overstays);
    }
  }

  #stop(reason: StopReason): void {
    this.#stopReason ??= reason;
    this.#stopping ??= this.#clearGroup();
    this.#verifying();
  }

  /** What stops the verification of this attempt: whatever stops the attempt. */
  #verifying: () => void = () => {};

  #interrupts(): Interrupts & { stop(): void } {
    const level = () => (this.#kill.signal.aborted ? 2 : this.#stopReason === null ? 0 : 1);
    return {
      get level() {
        return level();
      },
      listen: (callback) => {
        this.#verifying = callback;
        return () => {
          this.#verifying = () => {};
        };
      },
      stop: () => {},
    };
  }

  /** Who speaks for the attempt: the attempt itself, or the claim that took over what it left. */
  get #holder(): { attemptId: string; claimId: string | undefined } {
    const { attemptId, claimId, worker } = this.#started;
    return { attemptId, claimId: worker === null ? claimId : undefined };
  }

  /** Stops whatever is left of the group; children that outlive their leader too. */
  async #clearGroup(): Promise<void> {
    const { identity } = this.#started;
    if (this.#stopping !== null) return this.#stopping;
    if (identity === null) return;
    const options = { graceMs: this.#env.settings.agents.kill_grace_ms, signal: this.#kill.signal };
    await stopLeftGroup(this.#env, this.#request.task.id, identity, options).catch((error: unknown) => {
      this.#env.warn(errorMessage(error));
    });
  }

  async #beat(): Promise<void> {
    const ttlMs = this.#env.settings.agents.self_lease_ttl_ms;
    const at = this.#env.ctx.monotonicMs();
    try {
      await changeTask(this.#env, this.#request.task.id, (record) =>
        heartbeatTask(record, { ...this.#holder, ttlMs, instant: instantOf(this.#env) }),
      );
      this.#renewedMs = at;
      this.#beatsFail = false;
    } catch (error) {
      if (kindOf(error) === 'lost') {
        await this.#watch();
        return;
      }
      this.#beatsFail = true;
      this.#env.warn(`heartbeat of task ${this.#request.task.id} failed: ${errorMessage(error)}`);
      if (this.#env.ctx.monotonicMs() - this.#renewedMs < ttlMs) return;
      // The lease has run out and can't be renewed: stop while nobody may have taken it yet.
      this.#lose('its lease ran out and could not be renewed');
    }
  }

  #lose(why: string): void {
    if (this.#stopReason === null) this.#lostWhy = why;
    this.#stop('lost');
  }

  #stamp = '';
  #overstays: NodeJS.Timeout | undefined;

  #asked(record: TaskRecord): boolean {
    const { ended_claim: ended } = record.memo;
    if (ended?.claim_id === this.#started.claimId) return ended.how === 'asked';
    return hasAsked(record, this.attemptId);
  }

  async #watch(): Promise<void> {
    const { store } = this.#env;
    try {
      const stamp = await store.stamp(this.#request.task.id);
      if (stamp === this.#stamp) return;
      const { record, problem } = await store.read(this.#request.task.id);
      this.#stamp = stamp;
      if (record === null) {
        // Whoever comes by now finds a task that nobody works on.
        if (problem === null) this.#lose('its record is gone');
        return;
      }
      if (record.lease?.claim_id === this.#started.claimId) return;
      // The worker handed in its result by itself; it may still be cleaning up.
      if (record.memo.completion?.attempt_id === this.#started.attemptId) return;
      // It asked, and is about to end; the slot that it has is not to be kept for long.
      if (this.#asked(record)) {
        this.#overstays ??= setTimeout(() => this.#stop('lost'), this.#env.settings.agents.kill_grace_ms);
        return;
      }
      this.#lose(
        record.state.state === 'cancelled' ? 'it was cancelled' : `its lease was lost; it is ${record.state.state}`,
      );
    } catch {
      // The next look, or the heartbeat, tells.
    }
  }

  /** Null as long as nobody has asked for an end before the end. */
  async #cutShort(): Promise<Ended | null> {
    if (this.#stopReason === 'interrupt') return this.#release();
    return this.#stopReason === 'lost' ? this.#lostEnd(this.#lostWhy) : null;
  }

  async #end(exit: WorkerExit, tail: OutputTail): Promise<Ended> {
    const cut = await this.#cutShort();
    if (cut !== null) return cut;
    const outcome = this.#started.worker === null ? CLEAN_EXIT : this.#outcome(exit, tail);
    const { task, onCheck } = this.#request;
    try {
      const changed = await insist(this.#env, () =>
        endAttempt(this.#env, {
          ...this.#holder,
          taskId: task.id,
          task,
          outcome,
          workerGone: true,
          yields: true,
          beats: true,
          ...(onCheck === undefined ? {} : { onCheck }),
          interrupts: () => this.#interrupts(),
        }),
      );
      if (changed === null) return (await this.#cutShort()) ?? this.#lostEnd('its verification was stopped');
      const end = completed(changed.result, changed.record);
      const tail = end.error?.class.startsWith('verify.') ? { tail: await this.#checkTail() } : {};
      return { end, record: changed.record, ...tail };
    } catch (error) {
      if (kindOf(error) !== 'lost') throw error;
      return this.#lostEnd(errorMessage(error));
    }
  }

  /** What the first check that failed has written. */
  async #checkTail(): Promise<OutputTail> {
    const twin = await unlessInvalid(() => this.#env.store.readVerified(this.#request.task.id, this.attemptId));
    const failed = firstFailed(twin?.commands ?? []);
    if (twin === null || failed === undefined) return { stdout: '', stderr: '' };
    const log = checkLog(twin.commands.indexOf(failed) + 1, failed.name);
    return { stdout: plainText(failed.output_tail), stderr: '', log };
  }

  /** The worker's own word, if it left one, else what its exit means. */
  #outcome(exit: WorkerExit, tail: OutputTail): Outcome {
    const timedOut = this.#stopReason === 'timeout';
    if (exit.code !== 0 || timedOut) {
      const outputTail = `${tail.stdout}\n${tail.stderr}`;
      const { errors: rules } = this.#env.settings;
      const end = {
        exitCode: exit.code,
        signal: exit.signal,
        spawnError: exit.spawnError,
        timedOut,
        outputTail,
        rules,
      };
      return { kind: 'failed', error: classifyError(end) };
    }
    const { artifacts } = this.#env;
    try {
      const text = artifacts.readDraft(this.#ref, 'verdict', RECORD_MAX_BYTES);
      return { kind: 'verdict', verdict: parseVerdict(text, artifacts.draftPath(this.#ref, 'verdict')), written: true };
    } catch (error) {
      if (errorCode(error) === 'ENOENT') {
        return CLEAN_EXIT;
      }
      return { kind: 'failed', error: { class: 'verdict.invalid', message: errorMessage(error) } };
    }
  }

  async #release(): Promise<Ended> {
    const { claimId } = this.#started;
    try {
      const { result, record } = await insist(this.#env, () =>
        changeTask(this.#env, this.#request.task.id, (current) =>
          releaseTask(current, { claimId, reason: 'interrupted', workerGone: true, nowMs: this.#env.now() }),
        ),
      );
      return { end: { kind: 'released', state: result.state }, record };
    } catch (error) {
      if (kindOf(error) !== 'lost') throw error;
      return this.#lostEnd(errorMessage(error));
    }
  }

  /** Somebody else has the last word: it may be our own worker, which completed the attempt by itself. */
  async #lostEnd(why: string): Promise<Ended> {
    const { record } = await this.#env.store.read(this.#request.task.id);
    if (record === null) return { end: { kind: 'lost', why }, record: this.#started.record };
    const done = record.memo.completion;
    if (done?.attempt_id !== this.attemptId && this.#asked(record)) {
      const { state, last_error } = record.state;
      const error = state === 'failed' && last_error ? { class: last_error.class, message: last_error.message } : null;
      return { end: { kind: 'asked', state, error }, record };
    }
    if (done?.attempt_id !== this.attemptId) return { end: { kind: 'lost', why }, record };
    const { attempt_id, state, next_eligible_at, failure_reason } = done;
    const result = { task_id: this.#request.task.id, attempt_id, state, next_eligible_at, failure_reason };
    return { end: completed(result, record), record };
  }
}

function completed(result: CompleteResult, record: TaskRecord): AttemptEnd & { kind: 'completed' } {
  const failed = result.state === 'failed' || result.state === 'awaiting_respawn';
  const last = failed ? (record.state.last_error ?? null) : null;
  return { kind: 'completed', result, error: last && { class: last.class, message: last.message } };
}
