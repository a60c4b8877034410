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

/** Which of a task's files its record has a use for. */
export interface InUse {
  /** Of an attempt by its id: the last work and what came after it, and what the record names. */
  attempt(id: string): boolean;
  /** Of a part of its journal by its id. One that is younger than the record may be about to be named. */
  chunk(id: string): boolean;
}

export function inUseBy(record: TaskRecord): InUse {
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
  };
}

const UUIDS = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;
