/** The journal of a task, as an attempt at work reads and writes it. */

import { newId } from '../../domain/context.ts';
import {
  type ChunkName,
  type Entry,
  entriesOf,
  type Journal,
  type JournalView,
  journalOf,
  type Signal,
  type Tick,
  viewOf,
  type Written,
  withEntries,
  writeJournal,
} from '../../domain/steps/journal.ts';
import { type Park, parkTask, refuseSignal, wakeFor } from '../../domain/steps/parking.ts';
import { signalEntries } from '../../domain/steps/waits.ts';
import type { Lease, TaskRecord, TaskState } from '../../domain/task/records.ts';
import { andThen, repeated, workedBy } from '../../domain/task/transition.ts';
import { ForgeError } from '../../lib/errors.ts';
import { firstOf } from '../../lib/text.ts';
import { changeTask } from '../../store/change.ts';
import type { AttemptRef, NewDocument } from '../../store/port.ts';
import type { Env } from '../env.ts';

/** The journal and what it says. */
export interface ReadJournal extends JournalView {
  journal: Journal;
}

/** The ticks of its repeats, oldest first; steps and context are read without them. Throws SCHEMA_INVALID, IO_ERROR. */
export async function readTicks(env: Env, record: TaskRecord): Promise<readonly Tick[]> {
  const list = journalOf(record)?.ticks;
  if (list === undefined) return [];
  const entries = await Promise.all(list.chunks.map((chunk) => chunkEntries(env, record.state.task_id, chunk)));
  return viewOf([...entries.flat(), ...list.tail]).ticks;
}

/** Null where the task has none. Throws SCHEMA_INVALID, IO_ERROR. */
export async function readJournal(env: Pick<Env, 'store'>, record: TaskRecord): Promise<ReadJournal | null> {
  const journal = journalOf(record);
  if (journal === null) return null;
  const entries = await Promise.all(journal.chunks.map((chunk) => chunkEntries(env, record.state.task_id, chunk)));
  return { journal, ...viewOf([...entries.flat(), ...journal.tail]) };
}

/**
 * Opens the journal for an attempt, and begins it where there is none. Throws STALE_ATTEMPT or LEASE_STOLEN when the attempt does not hold the
 * task, SCHEMA_INVALID, IO_ERROR.
 */
export async function openJournal(
  env: Env,
  { taskId, attemptId }: AttemptRef,
): Promise<{ read: ReadJournal; record: TaskRecord }> {
  const { record } = await changeTask(env, taskId, (current) => {
    const by = workedBy(current, attemptId);
    if (journalOf(current) !== null) return repeated(null);
    const journal: Journal = { key: newId(env.ctx), epoch: 0, chunks: [], tail: [] };
    return writeJournal(current, { attemptId, by, written: { journal, chunks: [] }, nowMs: env.now() });
  });
  return { read: await requireJournal(env, record), record };
}

/**
 * Adds to the journal what `entriesFor` makes of it as it stands at the commit; returns what it says then. `also`: what is committed with that,
 * unless it makes nothing. Throws what they throw, STALE_ATTEMPT, LEASE_STOLEN, SCHEMA_INVALID, IO_ERROR.
 */
export function addToJournal(
  env: Env,
  { taskId, attemptId }: AttemptRef,
  entriesFor: (read: ReadJournal, generation: number) => readonly Entry[],
  also: (record: TaskRecord) => Also = () => ({}),
): Promise<JournalView> {
  return write(env, taskId, (record) => {
    const by = workedBy(record, attemptId);
    return { by, attemptId, entriesFor: (read) => entriesFor(read, by.generation), ...also(record) };
  });
}

/**
 * Parks the task of an attempt as `parkFor` says of the journal as it stands at the commit; null: it does not. Whether it is parked. Throws
 * STALE_ATTEMPT, LEASE_STOLEN, ILLEGAL_TRANSITION where the task is under review, SCHEMA_INVALID, IO_ERROR.
 */
export async function parkAttempt(
  env: Env,
  { taskId, attemptId }: AttemptRef,
  parkFor: (read: ReadJournal) => Park | null,
): Promise<boolean> {
  const { result } = await changeTask<boolean>(env, taskId, async (record) => {
    const lease = workedBy(record, attemptId);
    const park = parkFor(await requireJournal(env, record));
    if (park === null) return repeated(false);
    return { ...parkTask(record, park, { lease, nowMs: env.now() }), result: true };
  });
  return result;
}

/**
 * Keeps a signal for a task, and wakes the task where it waits for it. `isNew` false: it has come before. Throws INVALID_ARGS for what is too
 * large, ILLEGAL_TRANSITION for a task that is over, SCHEMA_INVALID, IO_ERROR.
 */
export async function sendSignal(
  env: Env,
  taskId: string,
  signal: Signal,
): Promise<{ isNew: boolean; state: TaskState }> {
  const { result, record } = await changeTask<boolean>(env, taskId, async (record) => {
    refuseSignal(record);
    const read = await requireJournal(env, record);
    const entries = signalEntries(read, signal);
    if (entries.length === 0) return repeated(false);
    const attemptId = record.state.current_attempt_id ?? newId(env.ctx);
    const written = await entered(env, record, attemptId, read, entries);
    const decision = writeJournal(record, { attemptId, by: null, written, nowMs: env.now() });
    return { ...andThen(record, decision, (next) => wakeFor(next, signal.name, env.now())), result: true };
  });
  return { isNew: result, state: record.state.state };
}

/** Makes a step run again, whoever is at the task. Throws INVALID_ARGS for a step that there is not. */
export function resetStep(env: Env, taskId: string, name: string): Promise<JournalView> {
  return write(env, taskId, (record) => ({
    by: null,
    attemptId: record.state.current_attempt_id ?? newId(env.ctx),
    entriesFor: ({ steps, resets }) => {
      if (steps.has(name)) return [{ reset: [name] }];
      // It runs again already.
      if (resets.has(name)) return [];
      const known = [...steps.keys()];
      throw new ForgeError('INVALID_ARGS', `task ${taskId} has no step ${name}`, {
        hint: known.length === 0 ? 'It has none.' : `It has ${firstOf(known)}.`,
      });
    },
  }));
}

/** What a commit has beside entries of the journal. */
interface Also {
  memo?: Partial<TaskRecord['memo']>;
  documents?: readonly NewDocument[];
}

interface Writer extends Also {
  by: Lease | null;
  attemptId: string;
  entriesFor(read: ReadJournal): readonly Entry[];
}

async function write(env: Env, taskId: string, writerOf: (record: TaskRecord) => Writer): Promise<JournalView> {
  const { result } = await changeTask<JournalView>(env, taskId, async (record) => {
    const { by, attemptId, entriesFor, memo, documents = [] } = writerOf(record);
    const read = await requireJournal(env, record);
    const entries = entriesFor(read);
    if (entries.length === 0) return repeated(read);
    const written = await entered(env, record, attemptId, read, entries);
    const decision = writeJournal(record, { attemptId, by, written, memo, nowMs: env.now() });
    return {
      ...decision,
      documents: [...(decision.documents ?? []), ...documents],
      result: viewOf([...entriesOf(read), ...entries]),
    };
  });
  return result;
}

function entered(
  env: Env,
  { state: { task_id } }: TaskRecord,
  attemptId: string,
  { journal }: ReadJournal,
  entries: readonly Entry[],
): Promise<Written> {
  const read = (chunk: ChunkName) => chunkEntries(env, task_id, chunk);
  return withEntries(journal, entries, { attemptId, newId: () => newId(env.ctx), read });
}

async function requireJournal(env: Env, record: TaskRecord): Promise<ReadJournal> {
  const read = await readJournal(env, record);
  // A signal may come before the first attempt.
  return read ?? { journal: { key: newId(env.ctx), epoch: 0, chunks: [], tail: [] }, ...viewOf([]) };
}

/** Parts never change: a process that writes many steps reads each once. */
const KNOWN = new WeakMap<object, Map<string, readonly Entry[]>>();

async function chunkEntries(
  { store }: Pick<Env, 'store'>,
  taskId: string,
  { attempt_id, chunk_id }: ChunkName,
): Promise<readonly Entry[]> {
  const known = KNOWN.get(store) ?? new Map<string, readonly Entry[]>();
  KNOWN.set(store, known);
  const entries = known.get(chunk_id) ?? (await store.readDocument('steps', taskId, attempt_id, chunk_id))?.entries;
  if (entries !== undefined) {
    known.set(chunk_id, entries);
    return entries;
  }
  const file = `attempts/${attempt_id}/steps/${chunk_id}.json`;
  throw new ForgeError('SCHEMA_INVALID', `task ${taskId}: a part of its journal is gone: ${file}`, {
    hint: 'Put the file back, or give the task another id in the plan: its steps would run again.',
  });
}
