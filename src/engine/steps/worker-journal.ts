/** The journal that a worker writes: that of its task's attempt; `memory-journal.ts` has one for a program's own tests. */

import { setMaxListeners } from 'node:events';
import type { Child } from '../../domain/fan-out/fan-outs.ts';
import type { JoinedChild, JoinResult, SeenChild } from '../../domain/fan-out/join.ts';
import type { PlanTask } from '../../domain/plan/plan.ts';
import type { RetryDeclaration } from '../../domain/retry/retry.ts';
import type { Settings } from '../../domain/settings/settings.ts';
import type { Entry, JournalView, ReadJournal, Step, StepKind } from '../../domain/steps/journal.ts';
import { alsoAsleep, type Park, Parked, parkFor, type Sleeper, workedOn } from '../../domain/steps/parking.ts';
import { type StepPolicy, stepPolicy } from '../../domain/steps/tries.ts';
import type { Instant } from '../../domain/task/deadlines.ts';
import type { TaskRecord } from '../../domain/task/records.ts';
import { phaseDue } from '../../domain/task/states.ts';
import { ForgeError } from '../../lib/errors.ts';
import { once } from '../../lib/once.ts';
import { fromIso } from '../../lib/time.ts';
import type { Interrupts } from '../../process/interrupts.ts';
import type { AttemptRef, TaskRead } from '../../store/port.ts';
import { keepLease, type LeaseKeeper } from '../attempt/lease-keeper.ts';
import { type Env, instantOf } from '../env.ts';
import { type Calls, callsOf } from './calls.ts';
import { noteMistake } from './mistakes.ts';
import { addToJournal, openJournal, parkAttempt, readJournal } from './task-journal.ts';

/** What Node exits with when a program lets an error pass. */
const UNCAUGHT_EXIT = 1;

/** Where a worker's journal is kept. */
export interface WorkerJournal {
  attemptId: string;
  /** When an attempt before it failed last, charged or not, milliseconds since the epoch; null: none has. */
  failedAtMs: number | null;
  settings: Pick<Settings, 'steps'>;
  /** By which a step is tried again: `own`, else the task's, else that of the settings, else that of steps. */
  policyOf(own: RetryDeclaration | undefined): Promise<StepPolicy>;
  instant(): Instant;
  random(): number;
  /** As this process knows it. */
  read(): Promise<ReadJournal>;
  /** As it is kept, with what others have added. */
  readAgain(): Promise<ReadJournal>;
  /** Makes what it said when it was opened durable, for who is given some of that. */
  settled(): Promise<void>;
  write(entriesFor: (read: ReadJournal, generation: number) => readonly Entry[]): Promise<JournalView>;
  /** Seals a fan-out of the task, whose id `childrenFor` gets. */
  fanOut(name: string, childrenFor: (taskId: string) => readonly Child[]): Promise<Step>;
  /** The children of fan-outs; null while one is not over. Throws UNKNOWN_FANOUT. */
  seenChildren(names: readonly string[]): Promise<readonly SeenChild[] | null>;
  /** What a join that is done gives of them. */
  joinedChildren(names: readonly string[], result: JoinResult): Promise<JoinedChild[]>;
  /** Says that all of this process waits, until `goOn`. Whether the attempt has nothing else at work. `quietMs`: for how long nothing has ended in it meanwhile. */
  isAlone(quietMs: number): Promise<boolean>;
  goOn(): Promise<void>;
  /** Gives the task back until what these wait for is there. Returns what for; null: it is there, so it does not. */
  park(sleepers: readonly Sleeper[]): Promise<Park | null>;
  /** Says what the worker does now, for people; '' for nothing. */
  tell(text: string): void;
  /** Notes a mistake of the worker: an attempt that fails over it is not followed by another. */
  refused(error: ForgeError): Promise<void>;
  /**
   * Says that a program begins a step or a wait, until what this returns is called; a call of a script says that itself. Throws STEP_REPEATED where
   * another program, thread or call of the attempt is at it.
   */
  starts(name: string, kind: StepKind): Promise<() => Promise<unknown>>;
  /** Does `work` while the attempt holds its task; `lost` is aborted when it does not any more, and by an interruption. */
  holding<T>(work: (lost: AbortSignal) => Promise<T>): Promise<T>;
}

/**
 * The journal of an attempt, which has to be at work. `planned`: the task as it is planned, asked at most once, when that matters; null: it is not. `interrupts`: what ends its waits
 * besides. `calls`: of the process. Throws STALE_ATTEMPT, LEASE_STOLEN,
 * SCHEMA_INVALID, IO_ERROR.
 */
export async function attemptJournal(
  env: Env,
  attempt: AttemptRef,
  planned: () => Promise<PlanTask | null>,
  { interrupts, calls = callsOf(env, attempt) }: { interrupts?: Interrupts; calls?: Calls } = {},
): Promise<WorkerJournal & { record: TaskRecord }> {
  const { taskId, attemptId } = attempt;
  const inherited = once(async () => stepPolicy(undefined, await planned(), env.settings));
  /** The task as it was read last, unless it was written since. */
  let seen: TaskRead | undefined;
  const lost = new AbortController();
  // Each step at work listens; Node takes more than ten for a leak, and warns.
  setMaxListeners(0, lost.signal);
  /** Another call may have parked the task. */
  const whyLost = async () => {
    try {
      const { record: now } = await env.store.read(taskId);
      if (now !== null) workedOn(now, attemptId);
    } catch (error) {
      if (error instanceof Parked) return error;
    }
    const details = { task_id: taskId, attempt_id: attemptId };
    return new ForgeError('LEASE_STOLEN', `attempt ${attemptId} does not hold task ${taskId} any more`, { details });
  };
  const { read: first, record } = await openJournal(env, attempt);
  let read = first;
  let last: Promise<unknown> = Promise.resolve();
  /** Makes a change once those before it are made: of many side by side each would conflict with all others. */
  const inTurn = <T>(change: () => Promise<T>): Promise<T> => {
    const made = last.then(change, change);
    last = made;
    return made;
  };
  const readAgain = async () => {
    seen = await env.store.read(taskId);
    const { record } = seen;
    if (record === null) return read;
    workedOn(record, attemptId);
    read = (await readJournal(env, record)) ?? read;
    return read;
  };
  let holders = 0;
  let keeper: LeaseKeeper | null = null;
  return {
    record,
    attemptId,
    failedAtMs: record.state.last_failed_at ? fromIso(record.state.last_failed_at) : null,
    // A review can't be given back half done: what it waits for it waits for in its place.
    settings:
      phaseDue(record.state.state) === null ? env.settings : { steps: { park_after_ms: Number.POSITIVE_INFINITY } },
    policyOf: async (own) => (own === undefined ? inherited() : stepPolicy(own, null, env.settings)),
    instant: () => instantOf(env),
    random: () => env.ctx.random(),
    read: async () => read,
    readAgain,
    settled: once(() => env.store.settle(taskId, env.newOp())),
    write: (entriesFor) =>
      inTurn(async () => {
        read = await addToJournal(env, attempt, entriesFor, { seen });
        seen = undefined;
        return read;
      }),
    async fanOut(name, childrenFor) {
      const { sealFanOut } = await import('./fan-out.ts');
      const step = await inTurn(() => sealFanOut(env, attempt, name, () => childrenFor(taskId)));
      read = { ...read, steps: new Map(read.steps).set(name, step) };
      return step;
    },
    // Few workers have any.
    seenChildren: async (names) => (await import('./children.ts')).seenChildren(env.store, taskId, names),
    joinedChildren: async (names, result) =>
      (await import('./children.ts')).joinedChildren(env.store, taskId, names, result),
    isAlone: calls.isAlone,
    goOn: calls.goOn,
    async park(own) {
      const instant = instantOf(env);
      const all = (now: ReadJournal) => [...own, ...alsoAsleep(own, now, { attemptId, instant })];
      return inTurn(() => parkAttempt(env, attempt, (now) => parkFor(all(now), now, instant)));
    },
    tell: (text) => env.artifacts.tellDoing(attempt, text),
    refused: (error) => noteMistake(env, attempt, error, UNCAUGHT_EXIT),
    starts: calls.beginOne,
    async holding(work) {
      lost.signal.throwIfAborted();
      const renewed = record.lease?.owner ? null : record.lease;
      holders += 1;
      keeper ??= keepLease(env, { ...attempt, claimId: undefined }, renewed, async () => {
        lost.abort(await whyLost());
      });
      // A program whose step nothing can end any more ends, as it would by itself.
      if (interrupts === undefined) keeper.unref();
      const deaf = interrupts?.listen(() => lost.abort(new ForgeError('INTERRUPTED', 'the step was interrupted')));
      try {
        if (await calls.afterHandingIn(lost.signal)) await readAgain();
        return await work(lost.signal);
      } finally {
        holders -= 1;
        if (holders === 0) {
          keeper.stop();
          keeper = null;
        }
        deaf?.();
      }
    },
  };
}

/** Before a step is taken for done that this attempt has done: the process that recorded it may have been killed before that was durable. */
export function confirmed(step: Step, journal: WorkerJournal): Promise<void> | null {
  return step.attempt_id === journal.attemptId ? journal.settled() : null;
}

/** What takes longer is told while it goes on, milliseconds. */
const TOLD_AFTER_MS = 300;

/** Waits for `work`, and says meanwhile what it is. */
export async function told<T>(journal: WorkerJournal, text: string, work: Promise<T>): Promise<T> {
  let isTold = false;
  const timer = setTimeout(() => {
    isTold = true;
    journal.tell(text);
  }, TOLD_AFTER_MS);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
    if (isTold) journal.tell('');
  }
}
