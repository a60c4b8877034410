/** What a task that ended long ago can do without, beyond its logs: in its record, and of the files that its record names. Pure. */

import { timeOfUuid } from '../../lib/ids.ts';
import { fromIso } from '../../lib/time.ts';
import { fanOutsOf, type RemovedChildren } from '../fan-out/fan-outs.ts';
import { journalOf } from '../steps/journal.ts';
import type { TaskRecord } from '../task/records.ts';

/** A set whose children go. */
export interface RemovedSet extends RemovedChildren {
  name: string;
}

/**
 * The record without the ticks of repeats, whose counts are in their steps, and with `sets` marked: their children are no tasks of the plan
 * any more. Who changed it last, and when, stays. Null: there is nothing to change. Throws SCHEMA_INVALID.
 */
export function trimmed(record: TaskRecord, sets: readonly RemovedSet[]): TaskRecord | null {
  const journal = journalOf(record);
  if (journal?.ticks === undefined && sets.length === 0) return null;
  const memo = { ...record.memo };
  if (journal?.ticks !== undefined) {
    const { ticks: _, ...rest } = journal;
    memo.journal = rest;
  }
  if (sets.length > 0) {
    const marks = new Map(sets.map(({ name, ...removed }) => [name, removed]));
    memo.fan_outs = fanOutsOf(record).map((set) =>
      marks.has(set.name) ? { ...set, removed: marks.get(set.name) } : set,
    );
  }
  return { ...record, memo };
}

/** A record of a task at work without ticks that are old, and the parts of its journal that it names no more. */
export interface WithoutTicks {
  record: TaskRecord;
  dropped: readonly string[];
}

/**
 * Of a repeat that goes on, ticks of before `beforeMs` go a part of the journal at a time: nothing in a part is younger than the part. Null:
 * there are none. Throws SCHEMA_INVALID.
 */
export function withoutOldTicks(record: TaskRecord, beforeMs: number): WithoutTicks | null {
  const journal = journalOf(record);
  if (journal?.ticks === undefined) return null;
  const { chunks, tail } = journal.ticks;
  const isOld = ({ chunk_id }: { chunk_id: string }) => timeOfUuid(chunk_id) < beforeMs;
  const dropped = chunks.filter(isOld).map(({ chunk_id }) => chunk_id);
  if (dropped.length === 0) return null;
  const ticks = { ...journal.ticks, chunks: chunks.filter((chunk) => !isOld(chunk)), tail };
  return { record: { ...record, memo: { ...record.memo, journal: { ...journal, ticks } } }, dropped };
}

/** Which of a task's files its record has a use for. */
export interface InUse {
  /** Of an attempt by its id: the last work and what came after it, and what the record names. */
  attempt(id: string): boolean;
  /** Of a part of its journal by its id. One that is younger than the record may be about to be named. */
  chunk(id: string): boolean;
  /** Which of its versions, where they are kept: those from this one on. It is committed, and no line of a file, which only those of an attempt at work are. */
  version: number;
  /** All lines of its history. */
  history: boolean;
}

/** All but these parts of a journal, which no version names any more. */
export function allBut(dropped: readonly string[]): InUse {
  return { attempt: () => true, chunk: (id) => !dropped.includes(id), version: 0, history: true };
}

/** Of a task that ended long ago, by its record and the version that this is. */
export function inUseBy(record: TaskRecord, version: number): InUse {
  // Wherever it is named: a way to name an attempt that comes later needs no change here.
  const named = new Set(JSON.stringify(record).match(UUIDS));
  const { evidence, completion } = record.memo as {
    evidence?: { attempt_id?: string };
    completion: TaskRecord['memo']['completion'];
  };
  const last = [evidence?.attempt_id, completion?.attempt_id, record.state.current_attempt_id].filter(
    (id) => typeof id === 'string',
  );
  const lastWork = last.sort()[0];
  const changedMs = fromIso(record.state.updated_at);
  return {
    attempt: (id) => named.has(id) || lastWork === undefined || id >= lastWork,
    chunk: (id) => named.has(id) || timeOfUuid(id) >= changedMs,
    version,
    history: false,
  };
}

const UUIDS = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;
