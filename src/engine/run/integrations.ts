/** The part of `run` that takes verified tasks further: reviews and merges, each tried again when it could not be done. */

import type { PlanTask } from '../../domain/plan/plan.ts';
import { type FailedAttempt, nextRetryState, type RetryDecision } from '../../domain/retry/next-try.ts';
import { coercePolicy, resolveRetry } from '../../domain/retry/retry.ts';
import { SETUP_FAILED, STEP_RETRY_DEFAULT } from '../../domain/retry/schema.ts';
import type { RunEvent } from '../../domain/run/events.ts';
import type { OwnAttempt } from '../../domain/run/live-model.ts';
import type { OwnerIdentity } from '../../domain/task/identity.ts';
import type { TaskRecord } from '../../domain/task/records.ts';
import type { Spent } from '../../domain/task/spending.ts';
import { type IntegrationPhase, phaseDue } from '../../domain/task/states.ts';
import type { ForgeError } from '../../lib/errors.ts';
import { fromIso } from '../../lib/time.ts';
import type { Interrupts } from '../../process/interrupts.ts';
import type { TaskSummaryRead } from '../../store/port.ts';
import { agentPolicies } from '../attempt/completion.ts';
import { setupTail } from '../attempt/output.ts';
import type { Env } from '../env.ts';
import { CanNotIntegrate } from '../integration/can-not-integrate.ts';
import type { IntegrationEnd, IntegrationRequest } from '../integration/integration.ts';
import { movedEvent } from './event-mapping.ts';
import { keepHeld } from './hold.ts';

interface Running {
  phase: IntegrationPhase;
  /** Null while it is only being taken up. */
  attemptId: string | null;
  sinceMs: number;
  /** The attempt whose work it is about; null until its record is read. */
  work: string | null;
}

/** What its failures have used of the budgets so far. */
type Used = Pick<FailedAttempt, 'failureCount' | 'retryCounts' | 'waited'>;

const NOTHING_USED: Used = { failureCount: 0, retryCounts: undefined };

/** What could not be done: a review or a merge of the work of one attempt. Work that is done anew has its own budget. */
interface DeferredIntegration {
  phase: IntegrationPhase;
  /** The attempt whose work it is; null in a tree that does not say. */
  work: string | null;
  used: Used;
  /** When it may be tried again: milliseconds of the monotonic clock. */
  untilMs: number;
  /** Why this run does not try it again; null while it does. */
  givenUp: string | null;
}

/** `failed`: the task has failed for good. */
export type IntegrationOutcome = 'moved' | 'failed';

export class Integrations {
  readonly #env: Env;
  readonly #run: { runId: string; owner: OwnerIdentity };
  readonly #interrupts: Interrupts;
  readonly #emit: (event: RunEvent) => void;
  readonly #onSpent: (spent: Spent) => void;
  readonly #running = new Map<string, Running>();
  readonly #deferred = new Map<string, DeferredIntegration>();

  constructor(
    env: Env,
    run: { runId: string; owner: OwnerIdentity },
    interrupts: Interrupts,
    emit: (event: RunEvent) => void,
    onSpent: (spent: Spent) => void,
  ) {
    this.#env = env;
    this.#run = run;
    this.#interrupts = interrupts;
    this.#emit = emit;
    this.#onSpent = onSpent;
  }

  /** How many reviews and merges are under way. */
  get size(): number {
    return this.#running.size;
  }

  /** What is under way, and for how long, milliseconds. */
  running(): { task_id: string; phase: IntegrationPhase; duration_ms: number }[] {
    const now = this.#env.ctx.monotonicMs();
    return [...this.#running].map(([task_id, { phase, sinceMs }]) => ({ task_id, phase, duration_ms: now - sinceMs }));
  }

  /** The same, for the live view. They are not numbered: a task has one at a time. */
  own(): [taskId: string, OwnAttempt][] {
    const now = this.#env.ctx.monotonicMs();
    return [...this.#running].flatMap(([id, { attemptId, sinceMs }]) =>
      attemptId === null ? [] : [[id, { attempt_id: attemptId, attempt_number: 1, age_ms: now - sinceMs }]],
    );
  }

  /** One merge at a time: each is made on the base that the one before has left. */
  mayBegin(taskId: string, phase: IntegrationPhase): boolean {
    if (this.#running.has(taskId)) return false;
    if (phase === 'ship' && [...this.#running.values()].some((other) => other.phase === 'ship')) return false;
    return (this.#deferred.get(taskId)?.untilMs ?? 0) <= this.#env.ctx.monotonicMs();
  }

  /** Milliseconds until something that was held may be tried again. */
  pauseMs(): number {
    const now = this.#env.ctx.monotonicMs();
    const waits = [...this.#deferred.values()].map(({ untilMs }) => untilMs - now).filter((wait) => wait > 0);
    return Math.min(Number.POSITIVE_INFINITY, ...waits.map((wait) => wait + 1));
  }

  /** Forgets what could not be done: a person has changed the plan. */
  forget(): void {
    this.#deferred.clear();
  }

  /** Why this run does not continue with some tasks. Without those that another process has moved on. */
  refusals(reads: ReadonlyMap<string, TaskSummaryRead>): [taskId: string, why: string][] {
    return [...this.#deferred].flatMap(([id, { phase, work, givenUp }]): [string, string][] => {
      const state = reads.get(id)?.record?.state;
      if (givenUp === null || state === undefined || state.current_attempt_id !== work) return [];
      return phaseDue(state.state) === phase ? [[id, givenUp]] : [];
    });
  }

  /** Reviews or merges one task. Throws what refuses to begin, and IO_ERROR when the tree can't be written. */
  async finish(
    task: PlanTask,
    phase: IntegrationPhase,
    refuse: (record: TaskRecord) => void,
  ): Promise<IntegrationOutcome> {
    const interrupts = this.#interrupts;
    const sinceMs = this.#env.ctx.monotonicMs();
    const running: Running = { phase, attemptId: null, sinceMs, work: null };
    this.#running.set(task.id, running);
    const request = {
      ...this.#run,
      taskId: task.id,
      task,
      refuse: (record: TaskRecord) => {
        running.work = record.state.current_attempt_id;
        refuse(record);
      },
      interrupts,
      onSpent: this.#onSpent,
      onSetup: (command: string) => this.#emit({ type: 'task_setup', task_id: task.id, command }),
      onBegin: ({ attemptId }: { attemptId: string }) => {
        running.attemptId = attemptId;
        this.#emit({ type: 'task_finishing', task_id: task.id, phase, attempt_id: attemptId });
      },
    };
    try {
      return await this.#report(task, running, await this.#finish(phase, request));
    } catch (error) {
      // The base is gone, say. That is no reason to stop what others work on.
      if (error instanceof CanNotIntegrate) return await this.#defer(task, running, error);
      throw error;
    } finally {
      this.#running.delete(task.id);
    }
  }

  async #finish(phase: IntegrationPhase, request: IntegrationRequest): Promise<IntegrationEnd> {
    // Most runs review and merge nothing.
    if (phase === 'ship') return (await import('../integration/ship.ts')).shipOne(this.#env, request);
    return (await import('../integration/review.ts')).reviewTask(this.#env, { ...request, handedIn: null });
  }

  async #report(task: PlanTask, running: Running, end: IntegrationEnd): Promise<IntegrationOutcome> {
    const base = { task_id: task.id, attempt_id: end.attemptId, duration_ms: end.durationMs };
    if (end.kind === 'deferred') return this.#defer(task, running, end.error);
    this.#deferred.delete(task.id);
    if (end.kind === 'released' || end.kind === 'lost') {
      const why = end.kind === 'lost' ? end.why : 'the run was stopped';
      this.#emit({ type: 'task_interrupted', ...base, state: end.state, why });
      return end.state === 'failed' ? 'failed' : 'moved';
    }
    const error = end.kind === 'sent_back' ? end.error : null;
    const isSetup = error?.class === SETUP_FAILED;
    const attempt = { taskId: task.id, attemptId: end.attemptId };
    const tail = isSetup ? setupTail(this.#env, attempt) : { stdout: '', stderr: '' };
    this.#emit(movedEvent(base, { ...end.result, error, tail }, this.#env.now()));
    return end.result.state === 'failed' ? 'failed' : 'moved';
  }

  /** By the policy for steps: what keeps it from being done may pass. */
  async #defer(task: PlanTask, { phase, work }: Running, error: ForgeError): Promise<IntegrationOutcome> {
    const { retry: settings, review } = this.#env.settings;
    const declared = task.retry ?? settings ?? undefined;
    const isAgents = phase === 'review' && review.worker !== null && declared === undefined;
    const policy = isAgents
      ? coercePolicy([...agentPolicies((attempts) => attempts), {}], STEP_RETRY_DEFAULT)
      : resolveRetry({ task: declared, default: STEP_RETRY_DEFAULT });
    const before = this.#deferred.get(task.id);
    const used = before?.work === work && before.phase === phase ? before.used : NOTHING_USED;
    const nowMs = this.#env.now();
    const until = untilOf(error);
    // The end of an account's limit is waited for whatever the policy says.
    const next =
      until === null
        ? nextRetryState({
            policy,
            error: { class: classOf(error), message: '' },
            ...used,
            nowMs,
            random: this.#env.ctx.random,
          })
        : null;
    const again = next?.outcome === 'failed' ? null : (next?.delay_ms ?? Math.max(0, (until ?? nowMs) - nowMs));
    const limit = next?.outcome === 'failed' ? next.limit : undefined;
    const { code, hint } = error;
    const message = limit === undefined ? error.message : `${error.message}; ${limit}`;
    this.#emit({ type: 'task_held', task_id: task.id, phase, error: { code, message, hint }, delay_ms: again });
    this.#deferred.set(task.id, {
      phase,
      work,
      used: next === null ? used : usedBy(next),
      untilMs: this.#env.ctx.monotonicMs() + (again ?? 0),
      givenUp: again === null ? message : null,
    });
    if (again === null) await keepHeld(this.#env, task.id, { message, hint });
    return 'moved';
  }
}

function usedBy(decision: RetryDecision): Used {
  const { failure_count: failureCount, retry_counts: retryCounts } = decision;
  return { failureCount, retryCounts, waited: decision.outcome === 'retry' ? decision.waited : undefined };
}

/** When a limit of the reviewer's account ends, which is waited for as long as it takes: milliseconds since the epoch; null for anything else. */
function untilOf({ details }: ForgeError): number | null {
  const { until } = (details ?? {}) as { until?: unknown };
  return typeof until === 'string' ? fromIso(until) : null;
}

/** What a policy sees of it: how a reviewer failed, else the code in small letters. */
function classOf({ code, details }: ForgeError): string {
  const named = (details as { class?: unknown } | undefined)?.class;
  return typeof named === 'string' ? named : code.toLowerCase();
}
