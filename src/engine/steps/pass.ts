/** One pass of a worker over its steps: what is at work in it, what sleeps, and when its task is parked. */

import { AsyncLocalStorage } from 'node:async_hooks';
import type { JournalView } from '../../domain/steps/journal.ts';
import { Parked, parkedText, type Sleeper } from '../../domain/steps/parking.ts';
import { type Deadline, msLeft } from '../../domain/task/deadlines.ts';
import type { WaitsFor } from '../../domain/task/records.ts';
import { once } from '../../lib/once.ts';
import { pause, turn } from '../timer.ts';
import { told, type WorkerJournal } from './worker-journal.ts';

/** How often a wait in place looks whether what it waits for is there, and what time it is, milliseconds. */
const LOOK_MS = 500;

interface PassSleeper extends Sleeper {
  parked: Parked | null;
}

export interface Sleep {
  waitsFor: WaitsFor;
  /** Null: until what it waits for is there. */
  wake: Deadline | null;
  /** Whether what it waits for is there before. Default: it is not. */
  isThere?(read: JournalView): boolean;
  /** The same for what stands in no journal. Default: it is not. */
  arrives?(): Promise<boolean>;
  lost: AbortSignal;
}

export class Pass {
  readonly #sleepers = new Set<PassSleeper>();
  readonly #atWork = new Set<AtWork>();
  #parking: Promise<void> | null = null;

  /** Does a step, or a wait with its looks. While one is at work, none that sleeps parks the task. */
  async during<T>(work: (at: AtWork) => Promise<T>): Promise<T> {
    const at = new AtWork(this);
    this.#atWork.add(at);
    try {
      return await work(at);
    } finally {
      this.#atWork.delete(at);
      for (const other of this.#atWork) if (!at.isWithin(other)) other.endedMs = performance.now();
    }
  }

  get #isAsleep(): boolean {
    return [...this.#atWork].every(({ isAsleep }) => isAsleep);
  }

  /** Whether all that is left waits. What has ended just now is followed by other steps, once the program has been told. */
  async #isAlone(journal: WorkerJournal, at: AtWork): Promise<boolean> {
    if (!this.#isAsleep) return false;
    await turn();
    // Steps may begin and end while this waits, here and below.
    const { endedMs } = at;
    const quietMs = endedMs === null ? Number.POSITIVE_INFINITY : performance.now() - endedMs;
    return (await journal.isAlone(quietMs)) && this.#isAsleep && at.endedMs === endedMs;
  }

  /** As `AtWork.sleep` says. */
  async sleep(at: AtWork, journal: WorkerJournal, sleep: Sleep): Promise<void> {
    const { wake, waitsFor, lost, isThere, arrives } = sleep;
    const left = () => msLeft(wake, journal.instant());
    const isOver = async () => isThere?.(await journal.readAgain()) === true || (await arrives?.()) === true;
    const isShort = () => left() <= journal.settings.steps.park_after_ms;
    if (isShort()) {
      const text = parkedText({ waits_for: [waitsFor], wake_at: wake?.at ?? null });
      return told(journal, text, rest(left, isOver, lost));
    }
    const sleeper: PassSleeper = { waitsFor, wake, isThere: isThere ?? (() => false), parked: null };
    this.#sleepers.add(sleeper);
    at.sleeps(1);
    try {
      while (!isShort()) {
        if (await this.#isAlone(journal, at)) {
          this.#parking ??= this.#park(journal).finally(() => {
            this.#parking = null;
          });
          await this.#parking;
        }
        if (sleeper.parked === null && (await isOver())) break;
        if (sleeper.parked === null) await pause(LOOK_MS, lost);
        if (sleeper.parked !== null) throw sleeper.parked;
      }
      await journal.goOn();
    } catch (error) {
      // Another one may have parked the task meanwhile.
      await this.#parking?.catch(() => {});
      throw sleeper.parked ?? error;
    } finally {
      at.sleeps(-1);
      this.#sleepers.delete(sleeper);
    }
  }

  async #park(journal: WorkerJournal): Promise<void> {
    const sleepers = [...this.#sleepers];
    const park = await journal.park(sleepers);
    if (park === null) return;
    for (const sleeper of sleepers) sleeper.parked = new Parked(park);
  }
}

/** A call of a function of a step or a wait, in which the program may make others. */
export interface Inner {
  /** Aborted when it is over but for what has succeeded. */
  stopped: () => AbortSignal;
  /** Those that were made in it. */
  made: Set<Promise<unknown>>;
}

/** In which step or wait a call of the program is made. */
const around = once(() => new AsyncLocalStorage<Inner & { at: AtWork }>());

/** Makes a step or a wait, as a part of the call in which that is. One that is over makes none: `work` is not called. */
export function madeAround<T>(work: () => Promise<T>): Promise<T> {
  const outer = around().getStore();
  const why = outer?.stopped();
  const made = why?.aborted ? Promise.reject(why.reason) : work();
  outer?.made.add(made);
  return made;
}

/** A step or a wait that is at work. */
export class AtWork {
  /** Names that its function has reached: called again, it may reach them again. */
  within = new Set<string>();
  /** When one beside it ended last, by `performance.now()`; null: none has since it began. */
  endedMs: number | null = null;
  readonly #pass: Pass;
  /** That in whose function it was called: while it sleeps, that does nothing else that counts. */
  readonly #outer: AtWork | undefined;
  readonly #stopped: Inner['stopped'] | undefined;
  #sleeping = 0;

  constructor(pass: Pass) {
    this.#pass = pass;
    const outer = around().getStore();
    this.#outer = outer?.at;
    this.#stopped = outer?.stopped;
  }

  /** Whether it was called in the function of `other`, which goes on behind it by itself. */
  isWithin(other: AtWork): boolean {
    return this.#outer !== undefined && (this.#outer === other || this.#outer.isWithin(other));
  }

  get isAsleep(): boolean {
    return this.#sleeping > 0;
  }

  /** Once it is over. What is called again may be what is around it. */
  reached(name: string): void {
    if (this.#outer === undefined) return;
    for (const each of [name, ...this.within]) this.#outer.within.add(each);
  }

  sleeps(more: 1 | -1): void {
    this.#sleeping += more;
    this.#outer?.sleeps(more);
  }

  /** Calls a function of the program, which may make steps and waits itself. */
  call<T>(fn: () => T, inner: Inner): T {
    return around().run({ ...inner, at: this }, fn);
  }

  /** `lost`, or that the call is stopped in which it was made. */
  orStopped(lost: AbortSignal): AbortSignal {
    return this.#stopped === undefined ? lost : AbortSignal.any([lost, this.#stopped()]);
  }

  /**
   * Sleeps: here for as long as `steps.park_after`, or while other steps are at work; otherwise the task is parked. Throws `Parked`, and why the
   * task was lost.
   */
  sleep(journal: WorkerJournal, sleep: Sleep): Promise<void> {
    return this.#pass.sleep(this, journal, sleep);
  }
}

async function rest(left: () => number, isOver: () => Promise<boolean>, lost: AbortSignal) {
  for (let ms = left(); ms > 0; ms = left()) {
    await pause(Math.min(ms, LOOK_MS), lost);
    if (await isOver()) return;
  }
}
