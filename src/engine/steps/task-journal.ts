/** The journal of a task, as an attempt at work reads and writes it. */

import { newId } from '../../domain/context.ts';
import {
  addingEntries,
  attemptWriter,
  beginJournal,
  type JournalWriter,
  parking,
  personWriter,
  type Recalled,
  readingJournal,
  readingOrNew,
  type Sent,
  signalling,
  type Writing,
} from '../../domain/steps/changes.ts';
import {
  type Chunk,
  type ChunkName,
  type Entry,
  type JournalView,
  journalOf,
  type Reading,
  type ReadJournal,
  type Signal,
  type Tick,
  viewOf,
} from '../../domain/steps/journal.ts';
import { type Park, wakeFor } from '../../domain/steps/parking.ts';
import type { TaskRecord, TaskState } from '../../domain/task/records.ts';
import { andThen, type Decision } from '../../domain/task/transition.ts';
import { ForgeError, invalidArgs } from '../../lib/errors.ts';
import { madeIn } from '../../lib/once.ts';
import { firstOf } from '../../lib/text.ts';
import { type ChangeOptions, changeTask } from '../../store/change.ts';
import type { AttemptRef, TaskRead } from '../../store/port.ts';
import type { Env } from '../env.ts';

/** The ticks of its repeats, oldest first; steps and context are read without them. Throws SCHEMA_INVALID, IO_ERROR. */
export async function readTicks(env: Env, record: TaskRecord): Promise<readonly Tick[]> {
  const list = journalOf(record)?.ticks;
  if (list === undefined) return [];
  const entries = await Promise.all(list.chunks.map((chunk) => chunkEntries(env, record.state.task_id, chunk)));
  return viewOf([...entries.flat(), ...list.tail]).ticks;
}

/** Null where the task has none. Throws SCHEMA_INVALID, IO_ERROR. */
export function readJournal(env: Pick<Env, 'store'>, record: TaskRecord): Promise<ReadJournal | null> {
  return answered(env, record, readingJournal(record, known(env)));
}

/**
 * Opens the journal for an attempt, and begins it where there is none. Its key is durable then. What else it says need not be: a process of this
 * attempt may have been killed while it wrote. Throws STALE_ATTEMPT or LEASE_STOLEN when the attempt does not hold the task, SCHEMA_INVALID, IO_ERROR.
 */
export async function openJournal(
  env: Env,
  { taskId, attemptId }: AttemptRef,
): Promise<{ read: ReadJournal; record: TaskRecord }> {
  const seen = await env.store.read(taskId);
  // Who writes a step has opened the journal before.
  const hasSteps = seen.record !== null && ((await readJournal(env, seen.record))?.steps.size ?? 0) > 0;
  const begin = (current: TaskRecord) => beginJournal(current, attemptId, writing(env));
  const { record } = await changeTask(env, taskId, begin, { seen, settles: !hasSteps });
  return { read: await answered(env, record, readingOrNew(record, writing(env))), record };
}

/**
 * Adds to the journal what `entriesFor` makes of it as it stands at the commit; returns what it says then. `also`: what is committed with that,
 * unless it makes nothing. `seen`: the task as it was read before. Throws what they throw, STALE_ATTEMPT, LEASE_STOLEN, SCHEMA_INVALID, IO_ERROR.
 */
export function addToJournal(
  env: Env,
  { taskId, attemptId }: AttemptRef,
  entriesFor: (read: ReadJournal, generation: number) => readonly Entry[],
  {
    also = () => ({}),
    seen,
  }: { also?: (record: TaskRecord) => Pick<JournalWriter, 'memo' | 'documents'>; seen?: TaskRead | undefined } = {},
): Promise<ReadJournal> {
  const writerOf = (record: TaskRecord) => ({ ...attemptWriter(record, attemptId, entriesFor), ...also(record) });
  return write(env, taskId, writerOf, { seen });
}

/**
 * Parks the task of an attempt as `parkFor` says of the journal as it stands at the commit; null: it does not. Returns that. Throws STALE_ATTEMPT,
 * LEASE_STOLEN, ILLEGAL_TRANSITION where the task is under review, SCHEMA_INVALID, IO_ERROR.
 */
export async function parkAttempt(
  env: Env,
  { taskId, attemptId }: AttemptRef,
  parkFor: (read: ReadJournal) => Park | null,
): Promise<Park | null> {
  const { result } = await changeTask(env, taskId, (record) =>
    answered(env, record, parking(record, attemptId, parkFor, writing(env))),
  );
  return result;
}

/**
 * Keeps a signal for a task, and wakes the task where it waits for it. Throws INVALID_ARGS for what is too
 * large, ILLEGAL_TRANSITION for a task that is over, SCHEMA_INVALID, IO_ERROR.
 */
export async function sendSignal(
  env: Env,
  taskId: string,
  signal: Signal,
  known: Pick<ChangeOptions, 'unknown'> = {},
): Promise<Sent & { state: TaskState }> {
  const decide = (current: TaskRecord) => answered(env, current, signalling(current, signal, writing(env)));
  const { result, record } = await changeTask(env, taskId, decide, known);
  return { ...result, state: record.state.state };
}

/** Makes steps run again, with or without an owner of the task; one that is parked over them goes on. Throws INVALID_ARGS for a step that there is not. */
export function resetSteps(env: Env, taskId: string, names: readonly string[]): Promise<JournalView> {
  const writerOf = (record: TaskRecord): JournalWriter => ({
    ...personWriter(record, writing(env)),
    entriesFor: ({ steps, resets }) => {
      // Others run again already.
      const reset = [...new Set(names)].filter((name) => steps.has(name));
      const missing = names.find((name) => !steps.has(name) && !resets.has(name));
      if (missing === undefined) return reset.length === 0 ? [] : [{ reset }];
      const known = [...steps.keys()];
      throw invalidArgs(
        `task ${taskId} has no step ${missing}`,
        known.length === 0 ? 'It has none.' : `It has ${firstOf(known)}.`,
      );
    },
  });
  return write(env, taskId, writerOf, {
    wakes: (next) => wakeFor(next, ({ name }) => names.includes(name), env.now()),
  });
}

async function write(
  env: Env,
  taskId: string,
  writerOf: (record: TaskRecord) => JournalWriter,
  { seen, wakes }: { seen?: TaskRead | undefined; wakes?: (next: TaskRecord) => Decision<boolean> },
): Promise<ReadJournal> {
  const decide = async (current: TaskRecord) => {
    const decision = await answered(env, current, addingEntries(current, writerOf(current), writing(env)));
    for (const { kind, value } of decision.documents ?? []) {
      const chunk = value as Chunk;
      if (kind === 'steps') known(env).chunks.set(chunk.chunk_id, chunk.entries);
    }
    return wakes === undefined ? decision : andThen<unknown, unknown>(current, decision, wakes);
  };
  const { record } = await changeTask<unknown>(env, taskId, decide, { seen });
  return answered(env, record, readingOrNew(record, writing(env)));
}

function writing(env: Env): Writing {
  return { nowMs: env.now(), newId: () => newId(env.ctx), recalled: known(env).recalled };
}

/** The result of a reading of the task's journal. */
async function answered<T>(env: Pick<Env, 'store'>, { state }: TaskRecord, reading: Reading<T>): Promise<T> {
  let next = reading.next();
  while (next.done !== true) next = reading.next(await chunkEntries(env, state.task_id, next.value));
  return next.value;
}

/** What this process knows of journals, by the store. Parts never change: each is read once at most, and those that it has written not at all. */
const KNOWN = new WeakMap<object, { chunks: Map<string, readonly Entry[]>; recalled: Recalled }>();

function known({ store }: Pick<Env, 'store'>) {
  return madeIn(KNOWN, store, () => ({ chunks: new Map<string, readonly Entry[]>(), recalled: { last: null } }));
}

async function chunkEntries(
  env: Pick<Env, 'store'>,
  taskId: string,
  { attempt_id, chunk_id }: ChunkName,
): Promise<readonly Entry[]> {
  const { chunks } = known(env);
  const entries =
    chunks.get(chunk_id) ?? (await env.store.readDocument('steps', taskId, attempt_id, chunk_id))?.entries;
  if (entries !== undefined) {
    chunks.set(chunk_id, entries);
    return entries;
  }
  const file = `attempts/${attempt_id}/steps/${chunk_id}.json`;
  throw new ForgeError('SCHEMA_INVALID', `task ${taskId}: a part of its journal is gone: ${file}`, {
    hint: 'Put the file back, or give the task another id in the plan: its steps would run again.',
  });
}
