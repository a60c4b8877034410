/**
 * `run`: works through a plan. It claims what is ready, keeps up to `maxParallel` workers going, and ends when nothing is
 * left that could come to be started without a person.
 *
 * The loop holds no truth of its own: what it decides with is read from the tree, so runs beside it, agents and people at
 * other terminals are all just changes that it notices.
 */

import { ForgeError } from '../core/errors.ts';
import type { OwnerIdentity } from '../core/identity.ts';
import type { Plan, PlanTask } from '../core/plan.ts';
import { openQuestion } from '../core/questions.ts';
import { hasWork, mayStillRun, outlook, reasonsToWait, type World, withDependencies } from '../core/readiness.ts';
import type { TaskRecord } from '../core/records.ts';
import type { RunEvent, RunFinished } from '../core/run-events.ts';
import { plainText } from '../core/text.ts';
import { fromIso } from '../core/time.ts';
import { pendingVerification, type VerifyCommand } from '../core/verification.ts';
import { LogReader } from '../store/attempt-files.ts';
import type { TaskRead } from '../store/store.ts';
import { startAttempt, takeOverVerification } from './attempt.ts';
import { type Env, worldOf } from './env.ts';
import type { Interrupts } from './interrupts.ts';
import { inTheWay, OverlapWatch } from './overlap-watch.ts';
import { NoPlace } from './place.ts';
import type { PlanSource } from './plan-source.ts';
import { QuestionWatch } from './question-watch.ts';
import type { FinishedAttempt, RunningAttempt } from './running-attempt.ts';

/** How long the loop sleeps at most before it looks at the tree again, milliseconds. */
const POLL_MS = 500;
/** How often it says what is still running, milliseconds. */
const STILL_RUNNING_MS = 30_000;

export interface RunOptions {
  runId: string;
  owner: OwnerIdentity;
  maxParallel: number;
  /** The tasks to work on, with everything they depend on; null for the whole plan. */
  tasks: readonly string[] | null;
  /** `stop`: nothing new is started once a task has failed for good. */
  onFailure: 'continue' | 'stop';
  /** Whether to emit `task_output` as workers write. */
  output: boolean;
}

/** Errors that mean that somebody else was quicker, or that the task has moved on: another look at the tree follows. */
const LEASES = ['LEASE_EXISTS', 'LEASE_NOT_EXPIRED', 'LEASE_STOLEN'];
const NOT_OURS = [...LEASES, 'NOT_READY', 'OVERLAP_CONFLICT', 'STATE_VERSION_CONFLICT'];

export class RunLoop {
  readonly #env: Env;
  readonly #options: RunOptions;
  readonly #plans: PlanSource;
  readonly #interrupts: Interrupts;
  readonly #emit: (event: RunEvent) => void;
  readonly #reads = new Map<string, TaskRead>();
  readonly #stamps = new Map<string, string>();
  /** Tasks with a slot; null while the claim is being made. */
  readonly #active = new Map<string, RunningAttempt | null>();
  readonly #readers = new Map<RunningAttempt, LogReader>();
  /** Tasks that can't be worked on for a reason of their own, such as a record that can't be read; each is told once. */
  readonly #refused = new Map<string, string>();
  readonly #questions: QuestionWatch;
  readonly #overlaps: OverlapWatch;
  /** Those that failed for good while this run was going. */
  #failed = false;
  #broken: unknown = null;
  #wake: () => void = () => {};
  #lastLook = 0;
  #lastSaid = 0;
  #said = '';

  constructor(
    env: Env,
    options: RunOptions,
    plans: PlanSource,
    interrupts: Interrupts,
    emit: (event: RunEvent) => void,
  ) {
    this.#env = env;
    this.#options = options;
    this.#plans = plans;
    this.#interrupts = interrupts;
    this.#emit = emit;
    this.#questions = new QuestionWatch(env, emit);
    this.#overlaps = new OverlapWatch(env, emit);
  }

  /** Runs to the end. Throws IO_ERROR when the tree can't be written any more; workers are stopped before. */
  async run(): Promise<RunFinished> {
    const startedMs = this.#env.ctx.monotonicMs();
    this.#lastSaid = startedMs;
    const { runId: run_id, maxParallel: max_parallel } = this.#options;
    this.#emit({ type: 'run_started', run_id, tasks: this.#selected().size, max_parallel });
    const stopListening = this.#interrupts.listen(() => this.#interrupted());
    try {
      await this.#look();
      while (await this.#step()) await this.#pause();
    } finally {
      stopListening();
    }
    if (this.#broken !== null) throw this.#broken;
    await this.#look();
    return this.#finish(startedMs);
  }

  /** One round: start what can be started. False when nothing is left to wait for. */
  async #step(): Promise<boolean> {
    if (this.#plans.refresh()) this.#refused.clear();
    if (this.#env.ctx.monotonicMs() - this.#lastLook >= POLL_MS) await this.#look();
    const open = this.#mayStart();
    if (open) this.#startReady();
    for (const [id, attempt] of this.#active) if (attempt !== null) this.#sayOutput(id, attempt);
    this.#sayStillRunning();
    if (this.#active.size > 0) return true;
    if (!open || this.#broken !== null) return false;
    const hopeful = mayStillRun(this.#world(), this.#selected()).filter((task) => !this.#refused.has(task.id));
    if (hopeful.length > 0) this.#sayWaiting(hopeful);
    return hopeful.length > 0;
  }

  #mayStart(): boolean {
    if (this.#interrupts.level > 0 || this.#broken !== null) return false;
    if (this.#options.onFailure === 'stop' && this.#failed) return false;
    return true;
  }

  #plan(): Plan {
    return this.#plans.current.plan;
  }

  #selected(): Set<string> {
    const plan = this.#plan();
    if (this.#options.tasks !== null) return withDependencies(this.#options.tasks, plan);
    return new Set(plan.tasks.map((task) => task.id));
  }

  #world(): World {
    return worldOf(this.#env, this.#plan(), this.#reads);
  }

  #startReady(): void {
    // A disk on which leases can't be renewed is no place to take more of them.
    if ([...this.#active.values()].some((attempt) => attempt?.beatsFail === true)) return;
    if (this.#active.size >= this.#options.maxParallel) return;
    const selected = this.#selected();
    for (const task of outlook(this.#world()).ready) {
      if (this.#active.size >= this.#options.maxParallel) return;
      if (!selected.has(task.id) || !hasWork(task, this.#world().recordOf(task.id))) continue;
      if (this.#active.has(task.id) || this.#refused.has(task.id)) continue;
      if (this.#overlaps.waits(task, this.#active.keys(), this.#plan())) continue;
      this.#active.set(task.id, null);
      void this.#work(task);
    }
  }

  /** One task, from its claim to the end of the attempt. Never rejects. */
  async #work(task: PlanTask): Promise<void> {
    try {
      const attempt = await this.#start(task);
      if (attempt === null) await this.#gaveUp(task.id);
      else await this.#attend(task, attempt);
    } catch (error) {
      // Unless it is seen who was first, the same would be tried again at once.
      for (const id of inTheWay(error)) await this.#lookAt(id).catch(() => {});
      if (!(error instanceof ForgeError)) this.#broken ??= error;
      else if (error.code === 'SCHEMA_INVALID' || error instanceof NoPlace) {
        this.#refused.set(task.id, error.message);
        this.#emit({ type: 'warning', message: error.message });
      } else if (!NOT_OURS.includes(error.code)) this.#broken ??= error;
      if (this.#broken !== null) for (const attempt of this.#active.values()) attempt?.interrupt();
    } finally {
      await this.#lookAt(task.id).catch((error: unknown) => {
        this.#broken ??= error;
      });
      this.#active.delete(task.id);
      this.#wake();
    }
  }

  /** Its command, unless its last attempt has handed in what is still to be verified. */
  async #start(task: PlanTask): Promise<RunningAttempt | null> {
    const { runId, owner } = this.#options;
    const request = {
      task,
      plan: this.#plan(),
      runId,
      owner,
      refuse: (record: TaskRecord) => this.#refuse(task, record),
      onCheck: ({ name, command }: VerifyCommand) =>
        this.#emit({ type: 'task_verifying', task_id: task.id, name, command }),
    };
    const record = this.#world().recordOf(task.id);
    const unverified = record !== null && record !== 'unreadable' && pendingVerification(record) !== null;
    if (unverified || task.run === null) return takeOverVerification(this.#env, request);
    return startAttempt(this.#env, { ...request, command: { shell: task.run }, output: 'logs' });
  }

  #refuse(task: PlanTask, record: TaskRecord): void {
    const world = this.#world();
    const recordOf = (id: string) => (id === task.id ? record : world.recordOf(id));
    const [reason] = reasonsToWait(task, { ...world, recordOf });
    if (reason !== undefined) throw new ForgeError('NOT_READY', reason.message);
    if (this.#interrupts.level > 0) throw new ForgeError('NOT_READY', 'the run is being stopped');
  }

  async #attend(task: PlanTask, attempt: RunningAttempt): Promise<void> {
    this.#active.set(task.id, attempt);
    const { attemptId: attempt_id, number: attempt_number, pid } = attempt;
    if (!attempt.resumed)
      this.#emit({ type: 'task_started', task_id: task.id, title: task.title, attempt_id, attempt_number, pid });
    this.#overlaps.tell(task, this.#active.keys(), this.#world());
    // The interruption may have come while the claim was being made.
    if (this.#interrupts.level > 0) this.#interrupted();
    this.#report(task, attempt, await attempt.finished);
  }

  #report(task: PlanTask, attempt: RunningAttempt, finished: FinishedAttempt): void {
    const { attemptId: attempt_id } = attempt;
    this.#sayOutput(task.id, attempt);
    this.#readers.delete(attempt);
    if (finished.record.state.state === 'failed') this.#failed = true;
    this.#emit(this.#ending({ task_id: task.id, attempt_id, duration_ms: finished.durationMs }, finished));
  }

  #ending(
    base: { task_id: string; attempt_id: string; duration_ms: number },
    { end, record, tail }: FinishedAttempt,
  ): RunEvent {
    if (end.kind === 'asked') {
      const { state, attempt_count: attempts, failure_reason = null } = record.state;
      if (end.state !== 'failed') return { type: 'task_parked', ...base, state };
      return { type: 'task_finished', ...base, state, attempts, error: end.error, failure_reason, tail };
    }
    if (end.kind === 'lost') return { type: 'task_interrupted', ...base, state: record.state.state, why: end.why };
    if (end.kind === 'released')
      return { type: 'task_interrupted', ...base, state: end.state, why: 'the run was stopped' };
    const { state, next_eligible_at, failure_reason } = end.result;
    const { error } = end;
    const attempts = record.state.attempt_count;
    if (state === 'awaiting_respawn' && error !== null) {
      const delay_ms = next_eligible_at === null ? 0 : Math.max(0, fromIso(next_eligible_at) - this.#env.now());
      return { type: 'task_retry', ...base, attempts, error, next_eligible_at, delay_ms, tail };
    }
    return { type: 'task_finished', ...base, state, attempts, error, failure_reason, tail };
  }

  /** The claim of a task that nobody survives has failed it instead. */
  async #gaveUp(taskId: string): Promise<void> {
    await this.#lookAt(taskId);
    const state = this.#reads.get(taskId)?.record?.state;
    const error = state?.last_error ?? null;
    this.#failed = true;
    this.#emit({
      type: 'task_finished',
      task_id: taskId,
      attempt_id: null,
      state: 'failed',
      attempts: state?.attempt_count ?? 0,
      duration_ms: 0,
      error: error && { class: error.class, message: error.message },
      failure_reason: state?.failure_reason ?? null,
      tail: { stdout: '', stderr: '' },
    });
  }

  #interrupted(): void {
    for (const attempt of this.#active.values()) {
      if (this.#interrupts.level > 1) attempt?.kill();
      else attempt?.interrupt();
    }
    this.#wake();
  }

  /** Reads every task that may have changed since the last look. */
  async #look(): Promise<void> {
    this.#lastLook = this.#env.ctx.monotonicMs();
    for (const task of this.#plan().tasks) await this.#lookAt(task.id);
  }

  async #lookAt(taskId: string): Promise<void> {
    await this.#readIfChanged(taskId);
    const read = this.#reads.get(taskId);
    if (read === undefined) return;
    if (await this.#questions.resumed(read)) await this.#readIfChanged(taskId);
    if (this.#selected().has(taskId)) await this.#questions.tell(this.#reads.get(taskId) ?? read);
  }

  async #readIfChanged(taskId: string): Promise<void> {
    const stamp = await this.#env.store.stamp(taskId);
    if (this.#stamps.get(taskId) === stamp) return;
    this.#reads.set(taskId, await this.#env.store.read(taskId));
    this.#stamps.set(taskId, stamp);
  }

  /** Sleeps until an attempt ends, an interruption comes, a backoff is over, or it is time to look again. */
  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#pauseMs());
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #pauseMs(): number {
    const now = this.#env.now();
    let wait = POLL_MS;
    for (const read of this.#reads.values()) {
      const until = read.record && (openQuestion(read.record)?.expires_at ?? read.record.state.next_eligible_at);
      const left = until ? fromIso(until) - now : 0;
      if (left > 0) wait = Math.min(wait, left + 1);
    }
    return wait;
  }

  /** What the worker wrote since the last look, for those who follow it. */
  #sayOutput(task_id: string, attempt: RunningAttempt): void {
    if (!this.#options.output) return;
    const reader = this.#readers.get(attempt) ?? new LogReader(attempt.dir);
    this.#readers.set(attempt, reader);
    const attempt_id = attempt.attemptId;
    reader.drain(({ stream, text }) =>
      this.#emit({ type: 'task_output', task_id, attempt_id, stream, text: plainText(text) }),
    );
  }

  #sayStillRunning(): void {
    const now = this.#env.ctx.monotonicMs();
    if (now - this.#lastSaid < STILL_RUNNING_MS || this.#active.size === 0) return;
    const tasks = [...this.#active].flatMap(([task_id, attempt]) =>
      attempt ? { task_id, duration_ms: attempt.ageMs } : [],
    );
    // What is being started has its own line in a moment.
    if (tasks.length === 0) return;
    this.#lastSaid = now;
    const waiting = outlook(this.#world()).waiting.filter(({ task }) => !this.#active.has(task.id)).length;
    this.#emit({ type: 'still_running', tasks, waiting });
  }

  /** Says what the run waits for when it has nothing to do itself; once, until that changes. */
  #sayWaiting(tasks: readonly PlanTask[]): void {
    const world = this.#world();
    const direct = tasks.flatMap((task) => {
      const [reason] = reasonsToWait(task, world);
      const isDirect = reason?.on === null || reason?.code === 'OVERLAP_CONFLICT';
      return reason !== undefined && isDirect ? { task_id: task.id, reason: reason.message } : [];
    });
    const said = JSON.stringify(direct.map((item) => item.task_id));
    if (said === this.#said || direct.length === 0) return;
    this.#said = said;
    this.#emit({ type: 'waiting', for: direct });
  }

  #finish(startedMs: number): RunFinished {
    const world = this.#world();
    const selected = this.#selected();
    const counts: Record<string, number> = {};
    let failed = false;
    let left = false;
    for (const task of this.#plan().tasks) {
      if (!selected.has(task.id)) continue;
      const record = world.recordOf(task.id);
      const planned = task.status === 'done' || task.status === 'dropped' ? task.status : null;
      const state = planned ?? (record === 'unreadable' ? 'unreadable' : (record?.state.state ?? 'unclaimed'));
      counts[state] = (counts[state] ?? 0) + 1;
      if (planned !== null || state === 'shipped' || state === 'cancelled') continue;
      if (state === 'failed') failed = true;
      else left = true;
      const reasons = reasonsToWait(task, world);
      const shown = reasons.length > 0 ? reasons : [this.#unstarted(task)];
      if (state !== 'failed') this.#emit({ type: 'task_blocked', task_id: task.id, title: task.title, reasons: shown });
    }
    const interrupted = this.#interrupts.level > 0;
    const exit_code = interrupted ? 130 : failed ? 1 : left ? 4 : 0;
    const finished: RunFinished = {
      type: 'run_finished',
      run_id: this.#options.runId,
      counts,
      exit_code,
      duration_ms: this.#env.ctx.monotonicMs() - startedMs,
      interrupted,
    };
    this.#emit(finished);
    return finished;
  }

  /** Why a task that is ready was not started. */
  #unstarted(task: PlanTask) {
    const why = task.run === null ? ('NO_COMMAND' as const) : ('NOT_STARTED' as const);
    const ready =
      task.run === null ? 'it is ready and has no `run:`; an agent may claim it' : 'it is ready and was not started';
    return { code: why, message: this.#refused.get(task.id) ?? ready, on: null };
  }
}
