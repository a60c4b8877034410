/**
 * What a commit makes of a task's journal, decided on the record and on the chunks that it names. Pure: a decision yields the chunks that it
 * needs, and is sent their entries.
 */

import type { Lease, NewDocument, TaskRecord, WaitsFor } from '../task/records.ts';
import { andThen, type Decision, repeated } from '../task/transition.ts';
import {
  type Entry,
  GrowingView,
  type Journal,
  journalOf,
  type Reading,
  type ReadJournal,
  type Signal,
  viewOf,
  withEntries,
  writeJournal,
} from './journal.ts';
import { type Park, parkTask, refuseSignal, wakeFor, workedOn } from './parking.ts';
import { signalEntries } from './waits.ts';

/** When a commit is made. `newId`: names what it creates. */
export interface Writing extends Recalling {
  nowMs: number;
  newId(): string;
}

/** What a process remembers of the journal that it read last. Absent: nothing. */
export interface Recalling {
  recalled?: Recalled;
}

/** One that writes many steps looks at what is new alone. */
export interface Recalled {
  last: { chunks: string; tail: readonly Entry[]; view: GrowingView } | null;
}

/** Null where the task has no journal. Throws SCHEMA_INVALID. */
export function* readingJournal(record: TaskRecord, { recalled }: Recalling = {}): Reading<ReadJournal | null> {
  const journal = journalOf(record);
  if (journal === null) return null;
  const chunks = [journal.key, ...journal.chunks.map(({ chunk_id }) => chunk_id)].join();
  const { tail } = journal;
  const last = recalled?.last;
  if (recalled && last?.chunks === chunks && last.tail.every((entry, at) => entry === tail[at])) {
    recalled.last = { ...last, tail };
    return { journal, ...last.view.add(tail.slice(last.tail.length)).view() };
  }
  const entries: Entry[] = [];
  for (const chunk of journal.chunks) entries.push(...(yield chunk));
  const view = new GrowingView().add([...entries, ...tail]);
  if (recalled) recalled.last = { chunks, tail, view };
  return { journal, ...view.view() };
}

/** The journal that a commit adds to: a signal may come before the first attempt. */
export function* readingOrNew(record: TaskRecord, writing: Omit<Writing, 'nowMs'>): Reading<ReadJournal> {
  return (yield* readingJournal(record, writing)) ?? { journal: newJournal(writing.newId), ...viewOf([]) };
}

const newJournal = (newId: () => string): Journal => ({ key: newId(), epoch: 0, chunks: [], tail: [] });

/** Begins the journal where there is none. Throws STALE_ATTEMPT, LEASE_STOLEN, SCHEMA_INVALID. */
export function beginJournal(record: TaskRecord, attemptId: string, { nowMs, newId }: Writing): Decision<null> {
  const by = workedOn(record, attemptId);
  if (journalOf(record) !== null) return repeated(null);
  return writeJournal(record, { attemptId, by, written: { journal: newJournal(newId), chunks: [] }, nowMs });
}

export interface JournalWriter {
  /** Its lease; null for a person, who needs none. */
  by: Lease | null;
  /** Whose folder has the chunk that it may make. */
  attemptId: string;
  /** What it adds to the journal as it stands; nothing: there is no commit. */
  entriesFor(read: ReadJournal): readonly Entry[];
  /** What the commit has beside them. Default: nothing. */
  memo?: Partial<TaskRecord['memo']>;
  documents?: readonly NewDocument[];
}

/** The writer that an attempt at work is. Throws STALE_ATTEMPT, LEASE_STOLEN. */
export function attemptWriter(
  record: TaskRecord,
  attemptId: string,
  entriesFor: (read: ReadJournal, generation: number) => readonly Entry[],
): JournalWriter {
  const by = workedOn(record, attemptId);
  return { by, attemptId, entriesFor: (read) => entriesFor(read, by.generation) };
}

/** Adds to the journal; the result is what it adds. Throws what `entriesFor` throws, SCHEMA_INVALID. */
export function* addingEntries(
  record: TaskRecord,
  { by, attemptId, entriesFor, memo, documents = [] }: JournalWriter,
  writing: Writing,
): Reading<Decision<readonly Entry[]>> {
  const { nowMs, newId } = writing;
  const read = yield* readingOrNew(record, writing);
  const entries = entriesFor(read);
  if (entries.length === 0) return repeated(entries);
  const written = yield* withEntries(read.journal, entries, { attemptId, newId });
  const decision = writeJournal(record, { attemptId, by, written, memo, nowMs });
  const all = [...(decision.documents ?? []), ...documents];
  const isAll = by !== null && memo === undefined && all.length === 0;
  return { ...decision, documents: all, ...(isAll && { added: entries }), result: entries };
}

/**
 * Parks the task of an attempt as `parkFor` says of the journal as it stands; null: it does not. The result is that. Throws STALE_ATTEMPT,
 * LEASE_STOLEN, ILLEGAL_TRANSITION where the task is under review, SCHEMA_INVALID.
 */
export function* parking(
  record: TaskRecord,
  attemptId: string,
  parkFor: (read: ReadJournal) => Park | null,
  writing: Writing,
): Reading<Decision<Park | null>> {
  const lease = workedOn(record, attemptId);
  const park = parkFor(yield* readingOrNew(record, writing));
  if (park === null) return repeated(null);
  return { ...parkTask(record, park, { lease, nowMs: writing.nowMs }), result: park };
}

export interface Sent {
  /** False: it had come before. */
  isNew: boolean;
  /** The task is parked on it, and goes on. */
  wakes: boolean;
}

/**
 * Keeps a signal, and wakes the task where it waits for it. Throws INVALID_ARGS for what is too large,
 * ILLEGAL_TRANSITION for a task that is over, SCHEMA_INVALID.
 */
export function* signalling(record: TaskRecord, signal: Signal, writing: Writing): Reading<Decision<Sent>> {
  refuseSignal(record);
  const kept = yield* addingEntries(
    record,
    { ...personWriter(record, writing), entriesFor: (read) => signalEntries(read, signal) },
    writing,
  );
  if (kept.record === null) return repeated({ isNew: false, wakes: false });
  const isMeant = ({ kind, name }: WaitsFor) => kind === 'wait-for' && name === signal.name;
  const woken = andThen(record, kept, (next) => wakeFor(next, isMeant, writing.nowMs));
  return { ...woken, result: { isNew: true, wakes: woken.result } };
}

/** The writer that stands for a person, who needs no lease for what it adds. */
export function personWriter(record: TaskRecord, { newId }: Writing): Omit<JournalWriter, 'entriesFor'> {
  return { by: null, attemptId: record.state.current_attempt_id ?? newId() };
}
