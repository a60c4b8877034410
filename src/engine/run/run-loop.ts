/**
 * `run`: works through a plan. It claims ready tasks, keeps up to `maxParallel` workers going, and ends when nothing is left
 * that can start without a person. It decides only by what the store holds, which other runs, agents and people change too.
 */

import { redefinedText } from '../../domain/plan/definition.ts';
import type { Plan, PlanTask } from '../../domain/plan/plan.ts';
import { commandFor, shellOf } from '../../domain/plan/task-command.ts';
import type { RunEvent, RunFinished } from '../../domain/run/events.ts';
import type { Standing } from '../../domain/run/live-model.ts';
import * as readiness from '../../domain/schedule/readiness.ts';
import { anotherWasFirst, inOrder, WorkQueue } from '../../domain/schedule/run-order.ts';
import { mayStillRun } from '../../domain/schedule/run-selection.ts';
import { startsBy } from '../../domain/schedule/starts.ts';
import { readable, type TaskRecord } from '../../domain/task/records.ts';
import type { IntegrationPhase } from '../../domain/task/states.ts';
import type { VerifyCommand } from '../../domain/verify/commands.ts';
import { pendingVerification } from '../../domain/verify/verification.ts';
import { type ErrorKind, errorMessage, ForgeError, isOfOneTask, kindOf } from '../../lib/errors.ts';
import { once } from '../../lib/once.ts';
import { type Interrupts, RaisedInterrupts } from '../../process/interrupts.ts';
import type { FinishedAttempt, RunningAttempt } from '../attempt/running-attempt.ts';
import { type SetupCheck, setupBaseline } from '../attempt/setup-baseline.ts';
import { Slots } from '../attempt/slots.ts';
import { startAttempt, takeOverVerification } from '../attempt/start.ts';
import { CanNotStart, missingAgent } from '../attempt/workspace.ts';
import { type Env, schedulingContextOf, withRecord } from '../env.ts';
import { AfterFailure } from './after-failure.ts';
import { attemptEvent, gaveUpEvent, leftovers, runFinished } from './event-mapping.ts';
import { keepHeld } from './hold.ts';
import { Integrations } from './integrations.ts';
import { lossCounter } from './losses.ts';
import { inTheWay, overlapWatch } from './overlap-watch.ts';
import type { PlanSource } from './plan-source.ts';
import { Progress } from './progress.ts';
import { type QuestionWatch, questionWatch } from './question-watch.ts';
import { RecordCache, stateGone } from './record-cache.ts';
import { RunBudget } from './run-budget.ts';
import type { RunOptions } from './run-options.ts';
import { waitingForRun } from './surrounding.ts';

/** The longest pause between two looks at the store, milliseconds; and how many times as long as the last look took, where that is more. */
const POLL_MS = 500;
const POLL_PART = 10;

/** Kinds of errors after which the run goes on elsewhere: another process was first, or the task has moved on. */
const NOT_OURS: readonly ErrorKind[] = ['contention', 'lost', 'deferred', 'interrupted'];

export class RunLoop {
  readonly #env: Env;
  readonly #options: RunOptions;
  readonly #plans: PlanSource;
  /** Raised by a signal, and where the run can't go on. */
  readonly #interrupts: RaisedInterrupts;
  readonly #emit: (event: RunEvent) => void;
  readonly #seen: RecordCache;
  /** Of tasks that are worked on, reviewed or merged. */
  readonly #slots: Slots;
  /** Tasks that are worked on; null while the claim is being made. */
  readonly #active = new Map<string, RunningAttempt | null>();
  /** Tasks that this run cannot start, such as one with an unreadable record, and why. Each is reported once. */
  readonly #refused = new Map<string, string>();
  readonly #questions: QuestionWatch;
  /** Reviews and merges. */
  readonly #integrations: Integrations;
  readonly #tellOverlaps = overlapWatch((event) => this.#emit(event));
  readonly #checkSetup: SetupCheck;
  readonly #progress: Progress;
  readonly #budget: RunBudget;
  readonly #countLoss = lossCounter();
  /** Tasks whose workers wait for this run, or may do so. */
  readonly #surrounding = new Set<string>();
  /** Ids of the tasks to work on; made anew when the plan changes. */
  #selected: ReadonlySet<string>;
  readonly #failure: AfterFailure;
  #broken: unknown = null;
  /** That state was removed, which is why other things fail as well. */
  #removed: ForgeError | null = null;
  #wake: () => void = () => {};
  #lastLook = 0;
  #pollMs = POLL_MS;
  /** Tasks that had something left to do at the last look. */
  #queue = new WorkQueue([]);

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
    this.#interrupts = new RaisedInterrupts(interrupts);
    this.#emit = emit;
    this.#questions = questionWatch(env, options.runId, emit);
    this.#integrations = new Integrations(env, options, this.#interrupts, emit, (spent) => this.#budget.count(spent));
    this.#seen = new RecordCache(env.store, (taskId) => this.#gone(taskId));
    this.#slots = new Slots(env, options.maxParallel);
    this.#checkSetup = setupBaseline(env, () => this.#seen.all(this.#plan().tasks));
    this.#budget = new RunBudget(env, this.#active, emit);
    const scheduling = () => ({ ...this.#scheduling(), selected: this.#selected });
    this.#failure = new AfterFailure(options, scheduling, this.#active);
    this.#progress = new Progress(env, options.output, emit);
    this.#selected = options.select(plans.current.plan);
    env.store.upcoming.next = () => this.#queue.upcoming(this.#scheduling(), this.#selected);
  }

  /** Runs to the end. Throws IO_ERROR when the tree can't be written any more; workers are stopped before. */
  async run(): Promise<RunFinished> {
    const { runId: run_id, maxParallel: max_parallel, rerun } = this.#options;
    this.#emit({ type: 'run_started', run_id, tasks: this.#selected.size, max_parallel, rerun });
    const stopListening = this.#interrupts.listen(() => this.#interrupted());
    try {
      await this.#look();
      const changed = redefinedText(this.#plan(), (id) => this.#seen.reads.get(id)?.record, this.#env.settings);
      if (changed !== null) this.#emit({ type: 'warning', message: changed });
      while (await this.#step()) await this.#pause();
    } finally {
      stopListening();
      this.#interrupts.stop();
    }
    if (this.#broken !== null) throw this.#removed ?? this.#broken;
    await this.#look();
    return this.#finish();
  }

  /** The current state, for the live view; null before the first look. */
  standing(): Standing | null {
    if (this.#lastLook === 0) return null;
    const own = new Map(this.#integrations.own());
    for (const [id, attempt] of this.#active) if (attempt !== null) own.set(id, attempt.standing);
    return { scheduling: this.#scheduling(), selected: this.#selected, own, setups: this.#progress.setups };
  }

  /** One round: start what can be started. False when nothing is left to wait for. */
  async #step(): Promise<boolean> {
    if (await this.#plans.refresh(this.#seen.parents.values())) {
      this.#selected = this.#options.select(this.#plan());
      this.#queue = new WorkQueue(inOrder(this.#scheduling()));
      this.#refused.clear();
      this.#integrations.forget();
    }
    if (this.#env.ctx.monotonicMs() - this.#lastLook >= this.#pollMs)
      await this.#look().catch((error: unknown) => this.#break(error));
    this.#budget.look(() => this.#scheduling());
    const open = this.#interrupts.level === 0 && this.#broken === null;
    if (open) this.#startReady();
    this.#progress.look(this.#active, this.#integrations.running(), () => this.#scheduling());
    if (this.#active.size + this.#integrations.size > 0) return true;
    if (!open || this.#broken !== null) return false;
    const over = { ...this.#options, surrounding: this.#surrounding };
    const hopeful = mayStillRun(this.#scheduling(), this.#hopefuls(), over);
    if (hopeful.length > 0) this.#progress.waiting(hopeful, this.#scheduling());
    return hopeful.length > 0 || this.#plans.lacks(this.#seen.parents.values());
  }

  #plan(): Plan {
    return this.#plans.current.plan;
  }

  /** Selected tasks that this run may still start: a refused task never ends, nor does what depends on it. */
  #hopefuls(): Set<string> {
    const refused = this.#refusals();
    return new Set([...this.#selected].filter((id) => !refused.has(id) && !this.#failure.isStopped(id)));
  }

  /** Why this run does not continue with some tasks, by task id. */
  #refusals(): Map<string, string> {
    const unstarted = this.#budget.unstarted(() => this.#scheduling());
    return new Map([...unstarted, ...this.#refused, ...this.#integrations.refusals(this.#seen.reads)]);
  }

  #scheduling() {
    return { ...schedulingContextOf(this.#env, this.#plan(), this.#seen.reads), stopping: this.#failure.stopping };
  }

  #startReady(): void {
    // Where leases cannot be renewed, no more are taken.
    if ([...this.#active.values()].some((attempt) => attempt?.leaseFails === true)) return;
    if (!this.#slots.anyFree) return;
    const scheduling = this.#scheduling();
    const { survey, waitsOf } = startsBy(scheduling, () => this.#active.keys(), this.#surrounding);
    const refused = once(() => this.#refusals());
    for (const { task, phase } of readiness.dueTasks(this.#queue.order, scheduling, survey)) {
      if (!this.#slots.anyFree) return;
      if (!this.#selected.has(task.id) || this.#active.has(task.id) || refused().has(task.id)) continue;
      if (!this.#failure.isStopped(task.id) && this.#integrations.mayBegin(task.id, phase))
        void this.#integrateOne(task, phase);
    }
    for (const task of this.#queue.candidates(scheduling, this.#seen.takeRead())) {
      if (!this.#slots.anyFree) return;
      if (!this.#selected.has(task.id) || this.#active.has(task.id) || this.#refused.has(task.id)) continue;
      if (this.#failure.isStopped(task.id) || !readiness.hasWork(task, scheduling)) continue;
      if (waitsOf(task).length > 0 || this.#budget.keeps(task.id, scheduling) !== null) continue;
      this.#active.set(task.id, null);
      void this.#work(task);
    }
  }

  /** A review or a merge, from its claim to its end. Never rejects. */
  async #integrateOne(task: PlanTask, phase: IntegrationPhase): Promise<void> {
    const freeSlot = this.#slots.take(task.id);
    try {
      const end = await this.#integrations.finish(task, phase, (record) => this.#refuseUnlessDue(task, phase, record));
      if (end === 'failed') this.#failure.failed(task);
    } catch (error) {
      await this.#fault(task.id, error);
    } finally {
      await this.#lookAt(task.id).catch((error: unknown) => this.#fault(task.id, error));
      freeSlot();
      this.#wake();
    }
  }

  #refuseUnlessDue(task: PlanTask, phase: IntegrationPhase, record: TaskRecord): void {
    const due = readiness.dueNow(task, withRecord(this.#scheduling(), task.id, record));
    if (due !== phase || this.#interrupts.level > 0) throw new ForgeError('NOT_READY', 'it has moved on');
  }

  /** One task, from its claim to the end of the attempt. Never rejects. */
  async #work(task: PlanTask): Promise<void> {
    const freeSlot = this.#slots.take(task.id);
    try {
      const attempt = await this.#start(task);
      if (attempt === null) await this.#gaveUp(task.id);
      else await this.#attend(task, attempt);
    } catch (error) {
      // Without the newer records the same claim would be tried again at once.
      for (const id of inTheWay(error)) await this.#lookAt(id).catch(() => {});
      await this.#fault(task.id, error);
    } finally {
      await this.#lookAt(task.id).catch((error: unknown) => this.#fault(task.id, error));
      this.#active.delete(task.id);
      this.#progress.settled(task.id);
      freeSlot();
      this.#wake();
    }
  }

  /** A task that cannot start, or has damaged files, is refused and the run continues; a tree that cannot be written ends the run. */
  async #fault(taskId: string, error: unknown): Promise<void> {
    if (error instanceof CanNotStart) {
      this.#refuseTask(taskId, error.message, error.hint);
      await keepHeld(this.#env, taskId, error);
    } else if (isOfOneTask(error)) this.#refuseTask(taskId, errorMessage(error));
    else if (!NOT_OURS.includes(kindOf(error))) this.#break(error);
    else if (anotherWasFirst(error)) this.#queue = this.#queue.ahead(this.#scheduling(), this.#env.ctx.random);
  }

  #refuseTask(taskId: string, why: string, hint: string | null = null): void {
    this.#refused.set(taskId, why);
    this.#emit({ type: 'warning', message: hint === null ? why : `${why}. ${hint}` });
  }

  /** Ends the run with `error` once the workers are stopped. */
  #break(error: unknown): void {
    this.#broken ??= error;
    this.#interrupts.raise(1);
  }

  /** Starts the task's command, or verifies the result that its last attempt has left unverified. */
  async #start(task: PlanTask): Promise<RunningAttempt | null> {
    const { runId, owner, spawn } = this.#options;
    const request = {
      task,
      plan: this.#plan(),
      runId,
      owner,
      refuse: (record: TaskRecord) => this.#refuse(task, record),
      onCheck: ({ name, command }: VerifyCommand) =>
        this.#emit({ type: 'task_verifying', task_id: task.id, name, command }),
    };
    const record = readable(this.#scheduling().recordOf(task.id));
    const unverified = record !== null && pendingVerification(record) !== null;
    const own = commandFor(task, this.#env.settings.agents);
    if (unverified || own === null) return takeOverVerification(this.#env, request);
    const missing = missingAgent(this.#env, task.id, own.from);
    if (missing !== null) throw missing;
    return startAttempt(this.#env, {
      ...request,
      command: (session) => {
        const { command, shell } = commandFor(task, this.#env.settings.agents, session) ?? own;
        return { shell: command, by: shellOf({ command, shell }) };
      },
      output: 'logs',
      spawn,
      interrupts: this.#interrupts,
      onSetup: (command) => this.#progress.setUp(task.id, command),
      onGitSetup: (setup, prepared) => this.#checkSetup(task.id, setup, prepared?.trusted),
    });
  }

  #refuse(task: PlanTask, record: TaskRecord): void {
    const scheduling = withRecord(this.#scheduling(), task.id, record);
    // Whom resources are kept for was decided when the task was chosen.
    const [reason] = readiness.reasonsToWait(task, scheduling, { ...readiness.surveyOf(scheduling), before: () => [] });
    if (reason !== undefined) throw new ForgeError('NOT_READY', reason.message);
    if (this.#interrupts.level > 0 || this.#failure.isStopped(task.id))
      throw new ForgeError('NOT_READY', 'the run is being stopped');
  }

  async #attend(task: PlanTask, attempt: RunningAttempt): Promise<void> {
    this.#active.set(task.id, attempt);
    this.#progress.settled(task.id);
    const { attemptId: attempt_id, number: attempt_number, pid } = attempt;
    if (attempt.hasWorker)
      this.#emit({ type: 'task_started', task_id: task.id, title: task.title, attempt_id, attempt_number, pid });
    this.#tellOverlaps(task, this.#active.keys(), this.#scheduling());
    // The interruption may have come while the claim was being made.
    if (this.#interrupts.level > 0) this.#interrupted();
    this.#failure.stop(task.id);
    this.#report(task, attempt, await attempt.finished);
  }

  #report(task: PlanTask, attempt: RunningAttempt, finished: FinishedAttempt): void {
    this.#progress.ended(task.id, attempt);
    this.#budget.count(finished.spent);
    if (finished.record.state.state === 'failed') this.#failure.failed(task);
    if (finished.end.kind === 'lost' && finished.end.gone === true) this.#break(this.#gone(task.id));
    const why = this.#countLoss(task.id, finished.end.kind === 'lost');
    if (why !== null) this.#refuseTask(task.id, why);
    const base = { task_id: task.id, attempt_id: attempt.attemptId, duration_ms: finished.durationMs };
    const stopped = this.#failure.isStopped(task.id) ? 'another task has failed' : null;
    this.#emit(attemptEvent(base, finished, this.#env.now(), this.#budget.over ?? stopped));
  }

  #gone(taskId: string): ForgeError {
    this.#removed ??= stateGone(taskId, [...this.#active.keys()]);
    return this.#removed;
  }

  /** The claim has failed the task: its workers were lost too many times in a row. */
  async #gaveUp(taskId: string): Promise<void> {
    await this.#lookAt(taskId);
    this.#failure.failed(this.#plan().byId.get(taskId));
    this.#emit(gaveUpEvent(taskId, this.#seen.reads.get(taskId)?.record ?? null));
  }

  #interrupted(): void {
    const how = this.#interrupts.level > 1 ? 'kill' : 'interrupt';
    for (const attempt of this.#active.values()) attempt?.[how]();
    this.#wake();
  }

  /** Reads every task that may have changed since the last look. */
  async #look(): Promise<void> {
    const startedMs = this.#env.ctx.monotonicMs();
    const changed = await this.#seen.refresh(this.#plan().tasks);
    await this.#refuseSurrounding();
    for (const id of new Set([...changed, ...this.#seen.asking])) await this.#lookAt(id, true);
    if (changed.length > 0 || this.#lastLook === 0) this.#queue = new WorkQueue(inOrder(this.#scheduling()));
    this.#lastLook = this.#env.ctx.monotonicMs();
    this.#pollMs = Math.max(POLL_MS, POLL_PART * (this.#lastLook - startedMs));
  }

  async #refuseSurrounding(): Promise<void> {
    for (const [id, why] of await waitingForRun(this.#env, this.#options.runId, this.#seen.reads.values())) {
      if (this.#refused.has(id)) continue;
      this.#surrounding.add(id);
      this.#refuseTask(id, why);
    }
  }

  async #lookAt(taskId: string, isRead = false): Promise<void> {
    if (!isRead) await this.#seen.read(taskId);
    const read = this.#seen.reads.get(taskId);
    if (read === undefined) return;
    if (this.#selected.has(taskId)) await this.#questions.tell(read);
    if (await this.#questions.resumed(read)) await this.#lookAt(taskId);
  }

  /** Sleeps until an attempt ends, an interruption comes, a backoff is over, or it is time to look again. */
  #pause(): Promise<void> {
    const ms = Math.min(this.#pollMs, this.#integrations.pauseMs(), this.#seen.pauseMs(this.#env.now()));
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #finish(): RunFinished {
    const left = leftovers(this.#scheduling(), this.#selected, this.#refusals());
    for (const event of left.blocked) this.#emit(event);
    const finished = runFinished(left, {
      run_id: this.#options.runId,
      duration_ms: this.#budget.tookMs,
      spent: this.#budget.spent,
      interrupted: this.#interrupts.level > 0,
    });
    this.#emit(finished);
    return finished;
  }
}
