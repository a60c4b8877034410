/** A worker at work: keeps its lease alive, watches for the loss of it, and sees the attempt to its end. */

import type { Adapter } from '../../domain/agents/events.ts';
import { adapterOf } from '../../domain/agents/output.ts';
import type { Plan, PlanTask } from '../../domain/plan/plan.ts';
import type { ClassifiedError } from '../../domain/retry/classify.ts';
import type { Reuse } from '../../domain/reuse/reuse.ts';
import type { OutputTail } from '../../domain/run/events.ts';
import type { OwnAttempt } from '../../domain/run/live-model.ts';
import { workerLimits } from '../../domain/settings/worker-limits.ts';
import { type CompleteResult, type Outcome, resultOf } from '../../domain/task/complete-attempt.ts';
import type { OwnerIdentity, WorkerIdentity } from '../../domain/task/identity.ts';
import { type Holding, holdingOf } from '../../domain/task/lease-loss.ts';
import { releaseTask } from '../../domain/task/operations.ts';
import { errorInfo, type TaskRecord, type TaskState } from '../../domain/task/records.ts';
import { NOTHING_SPENT, type Spent } from '../../domain/task/spending.ts';
import type { VerifyCommand } from '../../domain/verify/commands.ts';
import { evidenceOf, NO_WORKTREE } from '../../domain/verify/evidence.ts';
import { stopLooks } from '../../git/git.ts';
import { errorMessage, kindOf } from '../../lib/errors.ts';
import type { GatedWorker, WorkerExit } from '../../process/gated-worker.ts';
import type { StopOptions } from '../../process/groups.ts';
import { RaisedInterrupts } from '../../process/interrupts.ts';
import { changeTask } from '../../store/change.ts';
import { maskedArtifacts } from '../../store/masked-artifacts.ts';
import type { AttemptArtifacts, AttemptRef } from '../../store/port.ts';
import { type Env, secretsOf } from '../env.ts';
import { retryIo } from '../retry-io.ts';
import { addsBegun, stepsLeft } from '../steps/call-log.ts';
import { timerOf } from '../timer.ts';
import { type AttemptSpending, attemptSpending } from './attempt-spending.ts';
import { checkoutWatch } from './checkout-watch.ts';
import { endAttempt } from './complete-attempt.ts';
import type { Completion } from './completion.ts';
import { keepLease, type LeaseKeeper } from './lease-keeper.ts';
import { checkTail, keepLogs, setupTail, tailOf, WORKER_LOGS } from './output.ts';
import { afterWork, keepOutputs, madeNow } from './reuse.ts';
import { watchForStall } from './stall-watch.ts';
import { stopOrphan } from './takeover.ts';
import { CLEAN_EXIT } from './verdicts.ts';
import { commitIn, type EndedWorker, outcomeOf } from './worker-outcome.ts';
import { notVerified, setupFaultOf } from './workspace.ts';

/** What is wanted of a task, whatever is left to be done about it. */
export interface TaskRequest {
  task: PlanTask;
  /** The plan of the task, for the worker's prompt and the overlap check. */
  plan: Plan;
  runId: string;
  owner: OwnerIdentity;
  /** Throws NOT_READY (or why else it can't be had) unless the task may be given out as this record says. */
  refuse(record: TaskRecord): void;
  /** Whether the worker's end was an interruption, which is not charged. Default: none is. */
  isInterrupt?: (exit: WorkerExit) => boolean;
  /** Called when a command that verifies the result begins. */
  onCheck?: (command: VerifyCommand) => void;
}

export type AttemptEnd =
  /** The attempt is complete: forward, back for another try, or out. */
  | { kind: 'completed'; result: CompleteResult; error: ClassifiedError | null }
  /** The worker asked a question, or waits: the task is parked, or has failed because it asked too often. */
  | { kind: 'parked'; state: TaskState; error: ClassifiedError | null }
  /** Given back uncharged after an interrupt. */
  | { kind: 'released'; state: TaskState }
  /** The task was cancelled or taken over. `gone`: its record is not there any more. */
  | { kind: 'lost'; why: string; gone?: boolean };

export interface FinishedAttempt {
  end: AttemptEnd;
  exit: WorkerExit;
  record: TaskRecord;
  durationMs: number;
  spent: Spent;
  tail: OutputTail;
}

type StopReason = 'interrupt' | 'timeout' | 'stall' | 'lost' | 'budget';

interface Started extends Pick<Completion, 'begin'> {
  /** When a setup that has failed began, on the monotonic clock. */
  setupMs?: number;
  claimId: string;
  attemptId: string;
  number: number;
  /** Null for an attempt whose owner is gone and whose verdict is only to be verified. */
  worker: GatedWorker | null;
  identity: WorkerIdentity | null;
  record: TaskRecord;
  /** The coding agent whose structured output the worker writes. Default: none, its output is text. */
  agent?: string | null;
  /** Where its worker is at work. Default: it has none. */
  cwd?: string;
  /** It writes to logs, and no person talks to it. Default: false. */
  alone?: boolean;
  /** What it is known by, where its outputs are kept. Default: they are not. */
  reuse?: Reuse;
  /** What kept its worker from starting. Default: nothing. */
  fault?: ClassifiedError;
}

/** `tail` where another output than the worker's says what went wrong. */
interface Ended {
  end: AttemptEnd;
  record: TaskRecord;
  tail?: OutputTail;
}

const NOTHING_RAN: WorkerExit = { code: 0, signal: null, spawnError: null };
const COULD_NOT_RUN: WorkerExit = { ...NOTHING_RAN, code: null };

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
  readonly #holder: AttemptRef & { claimId: string };
  readonly #agent: Adapter | null;
  /** Null where it has no worker. */
  readonly #spending: AttemptSpending | null;
  #overBudget = '';
  readonly #kill = new AbortController();
  /** What stops the attempt stops its verification. */
  readonly #interrupts = new RaisedInterrupts();
  readonly #lease: LeaseKeeper;
  #stopReason: StopReason | null = null;
  #stopping: Promise<boolean> | null = null;
  #lostWhy = '';
  #overstays: NodeJS.Timeout | undefined;
  /** What was seen as its worker ended. */
  #left: Pick<EndedWorker, 'elsewhere' | 'unended'> = { elsewhere: [], unended: [] };

  constructor(env: Env, request: TaskRequest, started: Started) {
    this.#env = env;
    this.#request = request;
    this.#started = started;
    this.#agent = adapterOf(started.agent);
    this.#startedMs = started.setupMs ?? env.ctx.monotonicMs();
    this.attemptId = started.attemptId;
    this.number = started.number;
    this.pid = started.identity?.pid ?? null;
    const { claimId, attemptId, agent = null, cwd = '', record } = started;
    this.#holder = { taskId: request.task.id, claimId, attemptId };
    const at = { task: request.task, record, agent, cwd };
    this.#spending = started.worker && attemptSpending(env, this.#holder, at);
    // One that is not open yet can't be renewed, and ends long before its lease.
    const lease = started.begin ? null : record.lease;
    this.#lease = keepLease(env, this.#holder, lease, this.#unheld.bind(this));
    this.finished = this.#live();
  }

  /** False where it only verifies the verdict of an owner that is gone, and where its setup has failed. */
  get hasWorker(): boolean {
    return this.#started.worker !== null;
  }

  /** Milliseconds since the worker was started. */
  get ageMs(): number {
    return this.#env.ctx.monotonicMs() - this.#startedMs;
  }

  /** What it has used so far. */
  get spent(): Spent {
    return this.#spending?.spent() ?? NOTHING_SPENT;
  }

  get standing(): OwnAttempt {
    return { attempt_id: this.attemptId, attempt_number: this.number, age_ms: this.ageMs };
  }

  /** What `make` makes to read its worker's logs: without secrets of the task too, which stand in the files while the worker runs. */
  reading<T>(make: (artifacts: AttemptArtifacts, attempt: AttemptRef, agent: Adapter | null) => T): T {
    const secrets = secretsOf(this.#env, this.#request.task);
    return make(maskedArtifacts(this.#env.artifacts, secrets), this.#holder, this.#agent);
  }

  /** The last renewal of the lease failed; claiming more on such a disk makes no sense. */
  get leaseFails(): boolean {
    return this.#lease.failing;
  }

  /** Stops the worker and gives the task back uncharged: SIGTERM, the grace, SIGKILL. */
  interrupt(): void {
    this.#stop('interrupt');
  }

  /** Ends the grace of an interruption at once. */
  kill(): void {
    this.#kill.abort();
    this.#stop('interrupt');
    stopLooks();
  }

  async #live(): Promise<FinishedAttempt> {
    const stopWatching = this.#watch();
    const endLogs = keepLogs(this.#env, this.#holder, this.#request.task, WORKER_LOGS, this.#spending?.follower);
    try {
      const { worker, fault } = this.#started;
      const exit = await (worker?.exited ?? (fault === undefined ? NOTHING_RAN : COULD_NOT_RUN));
      stopWatching();
      this.#spending?.end();
      if (this.#request.isInterrupt?.(exit) === true) this.#stopReason ??= 'interrupt';
      const unended = worker !== null && exit.code === 0 ? await stepsLeft(this.#env, this.#holder) : null;
      const workerGone = await this.#clearGroup(unended && addsBegun(this.#env, this.#holder, unended));
      this.#left = { elsewhere: await this.#changedElsewhere(), unended: unended ?? [] };
      await endLogs();
      const tail = tailOf(this.#env.artifacts, this.#holder, this.#agent);
      const ended = await this.#end(exit, tail, workerGone);
      const record = (await this.#spending?.counted(ended.record)) ?? ended.record;
      if (workerGone) await this.#tidy(ended.end);
      const isParked = record.state.state === 'waiting' && ended.end.kind === 'parked';
      const spent = isParked ? { ...this.spent, attempts: 0 } : this.spent;
      return { exit, tail, ...ended, record, spent, durationMs: this.ageMs };
    } finally {
      stopWatching();
      this.#lease.stop();
      clearTimeout(this.#overstays);
    }
  }

  /** Most commands write nothing to a stream, and are not asked what they were told once they have done it. */
  #tidy(end: AttemptEnd): Promise<void> {
    const isDone = end.kind === 'completed' && end.error === null;
    return this.#env.artifacts.tidy(this.#holder, { told: isDone && this.#request.task.run !== null });
  }

  /** Stops a worker that takes too long, does nothing any more or has used too much; returns what ends that. */
  #watch(): () => void {
    const { identity, alone = false } = this.#started;
    const kind = { agent: this.#agent !== null, alone };
    const { timeoutMs, stallMs } = workerLimits(this.#request.task, this.#env.settings.agents, kind);
    const timeout = timerOf(timeoutMs, () => this.#stop('timeout'));
    const stalled = () => this.#stop('stall');
    const worktree = () => evidenceOf(this.#started.record, this.attemptId)?.worktree_path ?? null;
    const silent =
      identity === null || stallMs === null
        ? null
        : watchForStall(this.#env, this.#holder, identity, { stallMs, worktree: worktree(), stalled });
    const spending = this.#spending?.watch((what) => {
      this.#overBudget = what;
      this.#stop('budget');
    });
    return () => {
      clearTimeout(timeout);
      silent?.();
      spending?.();
    };
  }

  /** A look at the main checkout starts its filters, so there is none where the worker may have made one. */
  async #changedElsewhere(): Promise<readonly string[]> {
    const watch = checkoutWatch(this.#env);
    if (watch === null) return [];
    const begun = evidenceOf(this.#started.record, this.attemptId) ?? NO_WORKTREE;
    const isOther = await setupFaultOf(this.#env, begun).then(
      (fault) => fault !== null,
      () => true,
    );
    return watch.end(this.#request.task.id, { look: !isOther });
  }

  #stop(reason: StopReason): void {
    this.#stopReason ??= reason;
    this.#stopping ??= this.#clearGroup();
    this.#interrupts.raise(this.#kill.signal.aborted ? 2 : 1);
  }

  /** Stops what is left of the worker; children that outlive it too. False when some of it may still be there. */
  async #clearGroup(onFound?: StopOptions['onFound']): Promise<boolean> {
    const { identity } = this.#started;
    if (this.#stopping !== null) return this.#stopping;
    if (identity === null) return true;
    const options = { graceMs: this.#env.settings.agents.kill_grace_ms, signal: this.#kill.signal, onFound };
    return stopOrphan(this.#env, this.#request.task.id, identity, options).catch((error: unknown) => {
      this.#env.warn(errorMessage(error));
      return false;
    });
  }

  /** A worker whose task is parked is about to end; the slot that it has is not kept for long. */
  #unheld(holding: Holding): void {
    if (holding.kind === 'parked')
      this.#overstays ??= setTimeout(() => this.#stop('lost'), this.#env.settings.agents.kill_grace_ms);
    if (holding.kind !== 'lost') return;
    if (this.#stopReason === null) this.#lostWhy = holding.why;
    this.#stop('lost');
  }

  /** Null unless the attempt was interrupted. */
  async #cutShort(workerGone: boolean): Promise<Ended | null> {
    if (this.#stopReason === 'interrupt') return this.#release(workerGone);
    return this.#stopReason === 'lost' ? this.#lostEnd(this.#lostWhy) : null;
  }

  async #end(exit: WorkerExit, tail: OutputTail, workerGone: boolean): Promise<Ended> {
    const cut = await this.#cutShort(workerGone);
    if (cut !== null) return cut;
    const { fault } = this.#started;
    const isOver = !this.hasWorker && fault === undefined;
    const outcome: Outcome =
      fault !== undefined ? { kind: 'failed', error: fault } : isOver ? CLEAN_EXIT : await this.#outcome(exit, tail);
    const { task, onCheck } = this.#request;
    const work = this.#agent && evidenceOf(this.#started.record, this.attemptId);
    const commit = work?.worktree_path ? await commitIn(this.#env, work.worktree_path) : undefined;
    const reuse = outcome.kind === 'verdict' ? await afterWork(this.#env, task, this.#started.reuse) : null;
    try {
      const changed = await retryIo(this.#env, () =>
        endAttempt(this.#env, {
          ...this.#holder,
          // Only the claim speaks for an attempt that it took over.
          claimId: isOver ? this.#holder.claimId : undefined,
          task,
          outcome,
          commit,
          session: this.#spending?.session() ?? null,
          reuse,
          made: () => madeNow(this.#env, task),
          begin: this.#started.begin,
          workerGone,
          yields: true,
          leaseKept: true,
          ...(onCheck === undefined ? {} : { onCheck }),
          interrupts: () => this.#interrupts,
        }),
      );
      if (changed === null) return (await this.#cutShort(workerGone)) ?? this.#lostEnd('its verification was stopped');
      if (this.#started.reuse !== undefined) await keepOutputs(this.#env, task, changed.record);
      const end = completed(changed.result, changed.record);
      if (fault !== undefined) return { end, record: changed.record, tail: setupTail(this.#env, this.#holder) };
      const other = end.error?.class.startsWith('verify.') ? { tail: await checkTail(this.#env, this.#holder) } : {};
      return { end, record: changed.record, ...other };
    } catch (error) {
      if (kindOf(error) === 'lost') return this.#lostEnd(errorMessage(error));
      const fault = notVerified(task.id, error);
      // It keeps its verdict, which the next claim verifies.
      if (fault !== error) await this.#release(workerGone);
      throw fault;
    }
  }

  #outcome(exit: WorkerExit, tail: OutputTail): Promise<Outcome> {
    const { task } = this.#request;
    const [attempt, agent, record, reason] = [this.#holder, this.#agent, this.#started.record, this.#stopReason];
    const overTime = reason === 'timeout' || reason === 'stall' ? reason : null;
    const stopped = reason === 'budget' ? { overBudget: this.#overBudget } : overTime;
    return outcomeOf(this.#env, { task, attempt, record, exit, tail, agent, stopped, ...this.#left });
  }

  async #release(workerGone: boolean): Promise<Ended> {
    const { claimId } = this.#started;
    try {
      const { result, record } = await retryIo(this.#env, () =>
        changeTask(this.#env, this.#request.task.id, (current) =>
          releaseTask(current, { claimId, reason: 'interrupted', workerGone, nowMs: this.#env.now() }),
        ),
      );
      return { end: { kind: 'released', state: result.state }, record };
    } catch (error) {
      if (kindOf(error) !== 'lost') throw error;
      return this.#lostEnd(errorMessage(error));
    }
  }

  /** The record has changed without this process; the attempt's own worker may have completed it. */
  async #lostEnd(why: string): Promise<Ended> {
    const { record } = await this.#env.store.read(this.#request.task.id);
    if (record === null) {
      const { record: last } = this.#started;
      const end = { kind: 'lost', why: 'its record is gone', gone: true } as const;
      return { end, record: { ...last, state: { ...last.state, state: 'unclaimed' } } };
    }
    const { kind } = holdingOf(record, this.#holder);
    if (kind === 'parked') {
      const { state, last_error } = record.state;
      const error = state === 'failed' ? errorInfo(last_error) : null;
      return { end: { kind: 'parked', state, error }, record };
    }
    const done = record.memo.completion;
    if (kind !== 'completed' || !done) return { end: { kind: 'lost', why }, record };
    return { end: completed(resultOf(this.#request.task.id, done), record), record };
  }
}

function completed(result: CompleteResult, record: TaskRecord): AttemptEnd & { kind: 'completed' } {
  const failed = result.state === 'failed' || result.state === 'awaiting_respawn';
  return { kind: 'completed', result, error: failed ? errorInfo(record.state.last_error) : null };
}
