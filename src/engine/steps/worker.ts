/** Steps of a program: the same records as those of `forge orchestrate step`, written by the process itself. */

import { type JoinedChild, type JoinResult, joinName } from '../../domain/fan-out/join.ts';
import type { RetryDeclaration } from '../../domain/retry/retry.ts';
import { requireContext } from '../../domain/steps/context.ts';
import { requireKind, type StepKind, stepRepeated } from '../../domain/steps/journal.ts';
import { requireName } from '../../domain/steps/names.ts';
import type { RepeatWritten } from '../../domain/steps/repeats.ts';
import { waitPolicy } from '../../domain/steps/tries.ts';
import {
  afterLook,
  afterWait,
  durationOf,
  EVERY_DEFAULT,
  limitOf,
  lookLimit,
  TIMEOUT_DEFAULT,
  timeOf,
  timeText,
} from '../../domain/steps/waits.ts';
import { type FanOutChild, madeBy, throughJoin } from './joining.ts';
import { isMistake } from './mistakes.ts';
import { asJson, copyOf, failureEnd, requireFunction, TimeUp, tryOnce } from './one-try.ts';
import { type AtWork, madeAround, Pass } from './pass.ts';
import { asThrown, type Place, throughLooks, throughSignal, throughTries } from './through.ts';
import { confirmed, type WorkerJournal } from './worker-journal.ts';

export interface StepOptions {
  /** As `retry:` in a plan, or a policy. Default: the task's, else the settings', else three tries. */
  retry?: RetryDeclaration;
  /** Of one try: milliseconds, or text such as `30s`. Default: no limit. */
  timeout?: number | string;
}

/** What a step's function is given. */
export interface StepScope {
  /** Aborted when the attempt has lost its task, when the time of this try is over, and when it has failed. */
  signal: AbortSignal;
  /** The same for every try of the step, in every attempt. */
  key: string;
  /** From 1. */
  try: number;
  /** Keeps a value of the context, in the commit that completes the step: both are there, or neither. */
  set(key: string, value: unknown): void;
}

/** How long a wait is: milliseconds, text such as `30s`, or until a time. */
export type WaitLength = number | string | { until: Date | string };

export interface WaitUntilOptions {
  /** Between two looks: milliseconds, or text such as `30s`. Default: 30 s. */
  every?: number | string;
  /** How long it waits in all; `none`: without end. Default: 1 h. */
  timeout?: number | string;
  /** As `retry:` in a plan, or a policy, for looks that fail. Default: none is made again. */
  retry?: RetryDeclaration;
}

export interface WaitForOptions {
  /** How long it waits: milliseconds, or text such as `2h`. Default: without end. */
  timeout?: number | string;
  /** What counts when its time is up. Default: nothing, it fails then. */
  default?: unknown;
}

export interface RepeatOptions extends Omit<RepeatWritten, 'start'> {
  /** When the first tick is due. Default: at once, or as `cron` says. */
  start?: Date | string;
  /** Asked when an attempt reaches the repeat, and after each tick: it is over when this returns what is true. */
  till?: () => unknown;
  /** As of a step, for each tick. */
  retry?: RetryDeclaration;
}

/** What the function of a repeat is given. */
export interface TickScope {
  /** When the tick was due. */
  at: Date;
  /** Aborted when the attempt has lost its task, and when the time of the tick is over. */
  signal: AbortSignal;
  /** The same for every try of the tick. */
  key: string;
  /** From 1. */
  try: number;
}

export class StepWorker {
  readonly #open: () => Promise<WorkerJournal>;
  readonly #pass = new Pass();
  readonly #running = new Map<string, StepKind>();
  /** Done, or found done, in this pass of the program; in that order. */
  readonly #passed = new Set<string>();
  #journal: Promise<WorkerJournal> | undefined;

  constructor(open: () => Promise<WorkerJournal>) {
    this.#open = open;
  }

  /** Names of steps that have begun, and are not over. */
  get stepsAtWork(): string[] {
    return [...this.#running].flatMap(([name, kind]) => (kind === 'step' ? [name] : []));
  }

  #opened(): Promise<WorkerJournal> {
    this.#journal ??= this.#open().catch((error) => {
      // What the system refuses now it may give later.
      this.#journal = undefined;
      throw error;
    });
    return this.#journal;
  }

  /**
   * What `fn` returned, as JSON: now, or when the step was first done. Steps may run side by side. Throws what `fn` threw last when the policy
   * gives up; INVALID_ID, STEP_REPEATED, INVALID_ARGS for a result that is not JSON or too large; `Parked` where its next try is far off;
   * LEASE_STOLEN, STALE_ATTEMPT, IO_ERROR.
   */
  step<T>(name: string, fn: (scope: StepScope) => T | Promise<T>, options: StepOptions = {}): Promise<T> {
    return this.#once<T>(name, 'step', async (place) => {
      requireFunction(fn, name);
      const timeoutMs = options.timeout === undefined ? null : durationOf(options.timeout, 'timeout');
      const { journal, own } = place;
      const policy = await journal.policyOf(options.retry);
      let thrown: { error: unknown } | undefined;
      const { made } = await throughTries(place, { name, policy }, async (scope) => {
        this.#reaches(own);
        const values: Record<string, unknown> = {};
        const set = setterOf(values);
        const call = (signalOf: SignalOf) => fn(withSignal({ ...scope, set }, signalOf));
        const made = await tryOnce(call, place, { name, timeoutMs });
        if ('value' in made) return { ...made, values };
        thrown = made;
        return failureEnd(made.error, journal);
      });
      if ('error' in made) throw (thrown ?? made).error;
      return copyOf(made.value) as T;
    });
  }

  /**
   * Waits for a time, which is fixed when the wait is first reached. Throws `Parked` where that is far off; INVALID_ID, STEP_REPEATED,
   * INVALID_ARGS, LEASE_STOLEN, STALE_ATTEMPT, IO_ERROR.
   */
  wait(name: string, length: WaitLength): Promise<void> {
    return this.#once(name, 'wait', async (place) => {
      const until =
        typeof length === 'object'
          ? timeOf(timeText(length.until), 'until')
          : durationOf(length, 'the length of a wait');
      await throughLooks(place, {
        name,
        kind: 'wait',
        look: async () => (now, looker) => afterWait(now, looker, until),
      });
    });
  }

  /**
   * Waits until `fn` returns what is true, and looks at once first. Throws what `fn` threw last when no policy looks again, an error of class
   * `wait.timeout` when its time is up, and what `wait` throws.
   */
  waitUntil(
    name: string,
    fn: (scope: { signal: AbortSignal }) => unknown,
    options: WaitUntilOptions = {},
  ): Promise<void> {
    return this.#once(name, 'wait-until', async (place) => {
      requireFunction(fn, name);
      const { every = EVERY_DEFAULT, timeout = TIMEOUT_DEFAULT } = options;
      const everyMs = durationOf(every, 'every');
      const timeoutMs = limitOf(timeout, 'timeout');
      const { journal, own } = place;
      const condition = { everyMs, timeoutMs, policy: waitPolicy(options.retry), random: journal.random };
      let thrown: { error: unknown } | undefined;
      const step = await throughLooks(place, {
        name,
        kind: 'wait-until',
        costly: true,
        look: async (before) => {
          this.#reaches(own);
          const began = journal.instant();
          const limits = { name, timeoutMs: lookLimit(before, condition, began) };
          const isTrue = async (signalOf: SignalOf) => Boolean(await fn(withSignal({}, signalOf)));
          const made = await tryOnce(isTrue, place, limits);
          const isLate = 'error' in made && made.error instanceof TimeUp;
          thrown = 'error' in made && !isLate ? made : undefined;
          const found =
            'error' in made && !isLate
              ? failureEnd(made.error, journal)
              : { value: 'value' in made && made.value === true };
          return (now, looker) => afterLook(now, { ...looker, began }, condition, found);
        },
      });
      if (step.status === 'failed' && thrown !== undefined) throw thrown.error;
      if (step.status !== 'completed') throw asThrown(step.last_error);
    });
  }

  /** What was sent with the signal, which may have come before. Throws an error of class `wait.timeout`, and what `wait` throws. */
  waitFor<T = unknown>(signal: string, options: WaitForOptions = {}): Promise<T> {
    return this.#once<T>(signal, 'wait-for', async (place) => {
      const { timeout = 'none' } = options;
      const timeoutMs = limitOf(timeout, 'timeout');
      const fallback = options.default === undefined ? null : { value: asJson(options.default) };
      const step = await throughSignal(place, signal, { timeoutMs, fallback });
      if (step.status !== 'completed') throw asThrown(step.last_error);
      return copyOf(step.result) as T;
    });
  }

  /**
   * Calls `fn` at every tick, until the repeat is over; a failure is tried again by the policy. Returns how many ticks succeeded, failed and
   * were missed. Throws what a tick threw last with `onError: 'fail'`, and what `wait` throws.
   */
  repeat(
    name: string,
    fn: (scope: TickScope) => unknown,
    { retry, till, start, ...written }: RepeatOptions,
  ): Promise<{ ran: number; failed: number; skipped: number }> {
    return this.#once(name, 'repeat', async (place) => {
      const { readRepeat } = await import('../../domain/steps/repeats.ts');
      const { throughTicks } = await import('./through-ticks.ts');
      requireFunction(fn, name);
      const asked = readRepeat({ ...written, start: start === undefined ? undefined : timeText(start) });
      const { journal, own } = place;
      const limits = { name, timeoutMs: asked.timeoutMs };
      const inTill = new Set<string>();
      let thrown: { error: unknown } | undefined;
      const step = await throughTicks(place, {
        name,
        repeat: { ...asked, policy: await journal.policyOf(retry), random: journal.random },
        tick: async (scope) => {
          // Each tick has steps of its own.
          if (scope.try > 1) this.#reaches(own);
          else own.within = new Set();
          const made = await tryOnce((signalOf) => fn(withSignal({ ...scope }, signalOf)), place, limits);
          thrown = 'error' in made ? made : undefined;
          return 'error' in made ? failureEnd(made.error, journal) : { done: true };
        },
        till:
          till === undefined
            ? null
            : async () => {
                own.within = inTill;
                this.#reaches(own);
                const made = await tryOnce(async () => Boolean(await till()), place, limits);
                thrown = 'error' in made ? made : undefined;
                return 'error' in made ? failureEnd(made.error, journal) : made.value === true;
              },
      });
      if (step.status === 'failed') throw thrown === undefined ? asThrown(step.last_error) : thrown.error;
      return step.result as { ran: number; failed: number; skipped: number };
    });
  }

  /**
   * Makes children of the task, once: a later attempt gets the set that is there. Returns how many there are. Throws INVALID_ARGS or INVALID_ID
   * with everything that is wrong, STEP_REPEATED, LEASE_STOLEN, STALE_ATTEMPT, IO_ERROR.
   */
  fanOut(name: string, children: readonly FanOutChild[]): Promise<{ children: number }> {
    return this.#once(name, 'fan-out', ({ journal }) => madeBy(journal, name, children));
  }

  /**
   * Waits until all children of these fan-outs are over, and gives what is known of each, in the order of the sets. Throws an error of class `join.failed` when
   * one has not shipped, unless `allowFailed`; UNKNOWN_FANOUT, and what `wait` throws.
   */
  async join(
    names: string | readonly string[],
    { allowFailed = false }: { allowFailed?: boolean } = {},
  ): Promise<JoinedChild[]> {
    const fanOuts = typeof names === 'string' ? [names] : names;
    const name = await this.#noting(async () => joinName(fanOuts));
    const result = await this.#once<JoinResult>(name, 'join', async (place) => {
      const step = await throughJoin(place, fanOuts, allowFailed);
      if (step.status !== 'completed') throw asThrown(step.last_error);
      return step.result as JoinResult;
    });
    return (await this.#opened()).joinedChildren(fanOuts, result);
  }

  /** Does what has this name, unless it was done before: then it returns the result of that. */
  #once<T>(name: string, kind: StepKind, work: (place: Place) => Promise<T>): Promise<T> {
    const once = async () => {
      // That of a join is made of its fan-outs' names.
      if (kind !== 'join') requireName(name);
      if (this.#running.has(name) || this.#passed.has(name)) throw stepRepeated(name);
      this.#running.set(name, kind);
      return this.#done(name, kind, work).finally(() => this.#running.delete(name));
    };
    return madeAround(() => this.#noting(once));
  }

  /** A mistake of the program is noted: no attempt follows one that ends by it. */
  async #noting<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (isMistake(error))
        await this.#opened()
          .then((journal) => journal.refused(error))
          .catch(() => {});
      throw error;
    }
  }

  async #done<T>(name: string, kind: StepKind, work: (place: Place) => Promise<T>): Promise<T> {
    // At work from here on, so that no wait beside it parks the task.
    return this.#pass.during(async (own) => {
      const journal = await this.#opened();
      let before = (await journal.read()).steps.get(name);
      const end = before?.status === 'completed' ? null : await journal.starts(name, kind);
      try {
        // Another process of the attempt may have done it meanwhile.
        if (end !== null) before = (await journal.readAgain()).steps.get(name);
        requireKind(before, kind);
        const done = before?.status === 'completed' ? before : null;
        if (done !== null) await confirmed(done, journal);
        const value =
          done === null
            ? await journal.holding((lost) => work({ journal, own, lost: own.orStopped(lost) }))
            : (copyOf(done.result) as T);
        this.#passed.add(name);
        return value;
      } finally {
        await end?.();
        own.reached(name);
      }
    });
  }

  /** Before what may be called again: the steps that it has reached it reaches again. */
  #reaches(own: AtWork): void {
    for (const name of own.within) this.#passed.delete(name);
    own.within.clear();
  }

  /** Values that later attempts have as well. */
  readonly context = {
    /** Undefined: there is none. `T` is not checked, as of all that is read back. */
    get: async <T = unknown>(key: string): Promise<T | undefined> => (await this.#values())[key] as T | undefined,
    list: async (): Promise<Readonly<Record<string, unknown>>> => ({ ...(await this.#values()) }),
    set: (key: string, value: unknown): Promise<void> => this.#keep({ [key]: value }),
    /** Keeps `value` unless there is one; returns the one that counts. */
    setOnce: async <T = unknown>(key: string, value: T): Promise<T> => {
      await this.#keep({ [key]: value }, (before) => !(key in before));
      return (await this.#values())[key] as T;
    },
    merge: (values: Readonly<Record<string, unknown>>): Promise<void> => this.#keep(values),
  };

  /** A copy, which the program may change. */
  async #values(): Promise<Readonly<Record<string, unknown>>> {
    const journal = await this.#opened();
    await journal.settled();
    const { context } = await journal.readAgain();
    return Object.assign(Object.create(null), structuredClone({ ...context }));
  }

  async #keep(
    values: Readonly<Record<string, unknown>>,
    wanted: (before: object) => boolean = () => true,
  ): Promise<void> {
    await this.#noting(async () => {
      const kept = Object.fromEntries(Object.entries(values).map(([key, value]) => [key, asJson(value)]));
      await (await this.#opened()).write(({ context }) => {
        requireContext(context, kept);
        return wanted(context) ? [{ context: kept }] : [];
      });
    });
  }
}

type SignalOf = () => AbortSignal;

/** Made when it is asked for. */
function withSignal<T extends object>(scope: T, signalOf: SignalOf): T & { signal: AbortSignal } {
  return Object.defineProperty(scope, 'signal', { get: signalOf, enumerable: true }) as T & { signal: AbortSignal };
}

/** A function may set values for as long as its step is not done. */
function setterOf(values: Record<string, unknown>): StepScope['set'] {
  return (key, value) => {
    requireName(key, 'a value of the context');
    values[key] = asJson(value);
  };
}
