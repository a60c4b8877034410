/** Steps of a program: the same records as those of `forge orchestrate step`, written by the process itself. */

import type { PlanTask } from '../../domain/plan/plan.ts';
import type { ClassifiedError } from '../../domain/retry/classify.ts';
import type { RetryDeclaration } from '../../domain/retry/retry.ts';
import type { Settings } from '../../domain/settings/settings.ts';
import { requireContext } from '../../domain/steps/context.ts';
import { budgetOf, type Entry, type JournalView, stepKey, stepRepeated } from '../../domain/steps/journal.ts';
import { requireName } from '../../domain/steps/names.ts';
import { afterTry, stepPolicy, stepTimeout } from '../../domain/steps/tries.ts';
import { errorMessage, ForgeError, kindOf } from '../../lib/errors.ts';
import { isoTime, TIMER_MAX_MS } from '../../lib/time.ts';
import type { ReadJournal } from './task-journal.ts';

/** Largest result of a step, bytes of JSON. */
const RESULT_MAX_BYTES = 1024 * 1024;

/** Where a worker's journal is kept. */
export interface WorkerJournal {
  attemptId: string;
  task: Pick<PlanTask, 'retry'> | null;
  settings: Pick<Settings, 'retry'>;
  now(): number;
  random(): number;
  /** As this process knows it. */
  read(): Promise<ReadJournal>;
  /** As it is kept, with what other processes of the attempt have added. */
  readAgain(): Promise<ReadJournal>;
  write(entriesFor: (read: ReadJournal, generation: number) => readonly Entry[]): Promise<JournalView>;
  /** Does `work` while the attempt holds its task; `lost` is aborted when it does not any more. */
  holding<T>(work: (lost: AbortSignal) => Promise<T>): Promise<T>;
}

export interface StepOptions {
  /** As `retry:` in a plan, or a policy. Default: the task's, else the settings', else three tries. */
  retry?: RetryDeclaration;
  /** Of one try: milliseconds, or text such as `30s`. Default: no limit. */
  timeout?: number | string;
}

/** What a step's function is given. */
export interface StepScope {
  /** Aborted when the attempt has lost its task, and when the time of this try is over. */
  signal: AbortSignal;
  /** The same for every try of the step, in every attempt. */
  key: string;
  /** From 1. */
  try: number;
  /** Keeps a value of the context, in the commit that completes the step: both are there, or neither. */
  set(key: string, value: unknown): void;
}

export class StepWorker {
  readonly #open: () => Promise<WorkerJournal>;
  readonly #running = new Set<string>();
  /** Done, or found done, in this pass of the program; in that order. */
  readonly #passed = new Set<string>();
  #journal: Promise<WorkerJournal> | undefined;

  constructor(open: () => Promise<WorkerJournal>) {
    this.#open = open;
  }

  #opened(): Promise<WorkerJournal> {
    this.#journal ??= this.#open();
    return this.#journal;
  }

  /**
   * What `fn` returned, as JSON: now, or when the step was first done. Steps may run side by side. Throws what `fn` threw last when the policy
   * gives up; INVALID_ID, STEP_REPEATED, INVALID_ARGS for a result that is no JSON or too large; LEASE_STOLEN, STALE_ATTEMPT, IO_ERROR.
   */
  async step<T>(name: string, fn: (scope: StepScope) => T | Promise<T>, options: StepOptions = {}): Promise<T> {
    requireName(name);
    if (this.#running.has(name) || this.#passed.has(name)) throw stepRepeated(name);
    this.#running.add(name);
    try {
      const value = await this.#done<T>(name, fn, options);
      this.#passed.add(name);
      return value;
    } finally {
      this.#running.delete(name);
    }
  }

  async #done<T>(name: string, fn: (scope: StepScope) => T | Promise<T>, options: StepOptions): Promise<T> {
    const timeoutMs = stepTimeout(options.timeout, 'timeout');
    const journal = await this.#opened();
    let read = await journal.read();
    // A child of this process may have done it meanwhile.
    if (read.steps.get(name)?.status !== 'completed') read = await journal.readAgain();
    const before = read.steps.get(name);
    if (before?.status === 'completed') return structuredClone(before.result) as T;
    const { attemptId } = journal;
    const policy = stepPolicy(options.retry, journal.task, journal.settings);
    return journal.holding(async (lost) => {
      for (let step = before; ; ) {
        const budget = budgetOf(step, read.journal);
        const startedAt = budget.tries > 0 && step !== undefined ? step.started_at : isoTime(journal.now());
        const values: Record<string, unknown> = {};
        const passed = this.#passed.size;
        const scope = { key: stepKey(read.journal, read, name), try: budget.tries + 1, set: setterOf(values) };
        const made = await tryOnce(fn, scope, { lost, timeoutMs, name });
        lost.throwIfAborted();
        const end = 'value' in made ? made : { ...made, told: toldOf(made.error), final: isMistake(made.error) };
        let delayMs: number | null = null;
        const view = await journal.write((now, generation) => {
          const at = { nowMs: journal.now(), random: journal.random };
          const after = afterTry(now, { name, attemptId, generation, startedAt, policy, end, ...at });
          if ('value' in made) requireContext(now.context, values);
          delayMs = after.delayMs;
          const isKept = 'value' in made && Object.keys(values).length > 0;
          return [{ step: after.step, ...(isKept ? { context: { ...values } } : {}) }];
        });
        if ('value' in made) return structuredClone(made.value) as T;
        if (delayMs === null) throw made.error;
        step = view.steps.get(name);
        // Its next try comes to the steps within it again.
        for (const within of [...this.#passed].slice(passed)) this.#passed.delete(within);
        await pause(delayMs, lost);
      }
    });
  }

  /** Values that later attempts have as well. */
  readonly context = {
    get: async (key: string): Promise<unknown> => (await this.#values())[key],
    list: async (): Promise<Readonly<Record<string, unknown>>> => ({ ...(await this.#values()) }),
    set: (key: string, value: unknown): Promise<void> => this.#keep({ [key]: value }),
    /** Keeps `value` unless there is one; returns the one that counts. */
    setOnce: async (key: string, value: unknown): Promise<unknown> => {
      await this.#keep({ [key]: value }, (before) => !(key in before));
      return (await this.#values())[key];
    },
    merge: (values: Readonly<Record<string, unknown>>): Promise<void> => this.#keep(values),
  };

  /** A copy, which the program may change. */
  async #values(): Promise<Readonly<Record<string, unknown>>> {
    const { context } = await (await this.#opened()).readAgain();
    return Object.assign(Object.create(null), structuredClone({ ...context }));
  }

  async #keep(
    values: Readonly<Record<string, unknown>>,
    wanted: (before: object) => boolean = () => true,
  ): Promise<void> {
    const kept = Object.fromEntries(Object.entries(values).map(([key, value]) => [key, asJson(value)]));
    await (await this.#opened()).write(({ context }) => {
      requireContext(context, kept);
      return wanted(context) ? [{ context: kept }] : [];
    });
  }
}

/** What is wrong in the program itself, which trying again does not mend. */
function isMistake(error: unknown): boolean {
  return error instanceof ForgeError && kindOf(error) === 'usage';
}

/** A function may set values for as long as its step is not done. */
function setterOf(values: Record<string, unknown>): StepScope['set'] {
  return (key, value) => {
    requireName(key, 'a value of the context');
    values[key] = asJson(value);
  };
}

async function tryOnce(
  fn: (scope: StepScope) => unknown,
  scope: Omit<StepScope, 'signal'>,
  { lost, timeoutMs, name }: { lost: AbortSignal; timeoutMs: number | null; name: string },
): Promise<{ value: unknown } | { error: unknown }> {
  const limit = new AbortController();
  const timer = timeoutMs === null ? undefined : setTimeout(() => limit.abort(), Math.min(timeoutMs, TIMER_MAX_MS));
  const signal = AbortSignal.any([lost, limit.signal]);
  const over = new Promise<never>((_, reject) => {
    const tooLong = () =>
      Object.assign(new Error(`step ${name} took longer than ${timeoutMs} ms`), { class: 'timeout' });
    signal.addEventListener('abort', () => reject(lost.aborted ? lost.reason : tooLong()), { once: true });
  });
  over.catch(() => {});
  try {
    const value = asJson(await Promise.race([Promise.resolve().then(() => fn({ ...scope, signal })), over]));
    const bytes = Buffer.byteLength(JSON.stringify(value));
    if (bytes <= RESULT_MAX_BYTES) return { value };
    throw new ForgeError(
      'INVALID_ARGS',
      `the result of step ${name} has ${bytes} bytes; at most ${RESULT_MAX_BYTES} are kept`,
      {
        hint: 'Keep it in a file of your own, and return its path.',
      },
    );
  } catch (error) {
    return { error };
  } finally {
    clearTimeout(timer);
  }
}

/** The value as it is read again: `undefined` is null. Throws INVALID_ARGS for what JSON has no form for. */
function asJson(value: unknown): unknown {
  try {
    const text = JSON.stringify(value);
    return text === undefined ? null : JSON.parse(text);
  } catch (cause) {
    throw new ForgeError('INVALID_ARGS', `a step can keep JSON alone: ${errorMessage(cause)}`, { cause });
  }
}

/** Anything may be thrown. */
function toldOf(error: unknown): ClassifiedError {
  const name = (error as { class?: unknown } | null | undefined)?.class;
  return { class: typeof name === 'string' ? name : 'error', message: errorMessage(error) };
}

function pause(ms: number, lost: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const give = () => {
      clearTimeout(timer);
      reject(lost.reason);
    };
    const timer = setTimeout(
      () => {
        lost.removeEventListener('abort', give);
        resolve();
      },
      Math.min(ms, TIMER_MAX_MS),
    );
    lost.addEventListener('abort', give);
  });
}
