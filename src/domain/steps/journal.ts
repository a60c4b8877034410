/**
 * The journal of a task: its steps and its context. Every entry is committed with the task's record, under the claim of the attempt that
 * writes it. The newest entries stand in the record; older ones in chunks, documents that the record names. Pure.
 */

import * as z from 'zod/mini';
import { crc32 } from '../../lib/checksum.ts';
import { ForgeError } from '../../lib/errors.ts';
import { parseJson } from '../../lib/json.ts';
import { madeIn, once } from '../../lib/once.ts';
import { issueText, WITHOUT_WORDS } from '../../lib/schema-issues.ts';
import { isTime } from '../../lib/time.ts';
import { DeadlineSchema } from '../task/deadlines.ts';
import { LastErrorSchema, type Lease, type Memo, type TaskRecord, WaitedSchema } from '../task/records.ts';
import { changed, type Decision } from '../task/transition.ts';
import { jsonBytes } from './context.ts';

/** A step that runs a command or a function, a place at which the worker waits, or a set of children. */
const STEP_KINDS = ['step', 'wait', 'wait-until', 'wait-for', 'repeat', 'fan-out', 'join'] as const;
export type StepKind = (typeof STEP_KINDS)[number];

/** `running`: it waits. `failed`: its last try has failed; it is tried again. */
export const STEP_STATUSES = ['running', 'completed', 'failed', 'timed_out'] as const;

const text = z.string();
const count = z.int().check(z.gte(0));

export const StepSchema = once(() =>
  z.looseObject({
    name: text,
    kind: z.enum(STEP_KINDS),
    status: z.enum(STEP_STATUSES),
    /** Those that count: since its task was last charged with a failure or retried by a person. */
    tries: count,
    retry_counts: z.optional(z.record(text, count)),
    waited: WaitedSchema(),
    /** Tries since then that do not count. Absent: none. */
    uncharged: z.optional(count),
    /** Of the first of these tries. */
    started_at: text,
    /** Null while it waits. */
    ended_at: z.nullable(text),
    /** When a wait is over, or its time is up: fixed when it is first reached. Absent: never. */
    deadline: z.optional(DeadlineSchema()),
    /** When it is looked at or tried again. Absent: it is not, or as soon as what it waits for is there. */
    wake: z.optional(DeadlineSchema()),
    /** Of a repeat: its first tick, the next, and the counts of the others. */
    ticks: z.optional(
      z.looseObject({ start: text, next: z.nullable(text), ran: count, failed: count, skipped: count }),
    ),
    /** Its result; null while it has none. */
    result: z.unknown(),
    last_error: z.nullable(LastErrorSchema()),
    /** When its last failure said to try it again. */
    retry_after: z.optional(z.string().check(z.refine(isTime))),
    /** The attempt that wrote this, and its fencing generation. */
    attempt_id: text,
    generation: count,
    /** `epoch` of the journal when this was written. */
    epoch: count,
  }),
);
export type Step = z.infer<ReturnType<typeof StepSchema>>;
export type TicksOf = NonNullable<Step['ticks']>;

/** A tick of a repeat that is over, or those that were skipped together. */
export const TickSchema = once(() =>
  z.looseObject({
    /** Of the repeat. */
    name: text,
    /** When it was due; the first of those that were skipped. */
    at: text,
    status: z.enum(['completed', 'failed', 'timed_out', 'skipped']),
    /** How many ticks this is. */
    count,
    tries: count,
    ended_at: text,
    last_error: z.nullable(LastErrorSchema()),
    attempt_id: text,
    generation: count,
  }),
);
export type Tick = z.infer<ReturnType<typeof TickSchema>>;

/** What was sent to the task. */
const SignalSchema = once(() =>
  z.looseObject({
    name: text,
    /** Two with one name and one id are one. */
    id: text,
    data: z.unknown(),
    /** When it came. */
    at: text,
    /** A wait has got it. */
    taken: z.optional(z.boolean()),
  }),
);
export type Signal = z.infer<ReturnType<typeof SignalSchema>>;

/** What one commit adds: a step or a signal as it stands now, values of the context by key, or names of steps that are to run again. */
const EntrySchema = once(() =>
  z.looseObject({
    step: z.optional(StepSchema()),
    context: z.optional(z.record(text, z.unknown())),
    signal: z.optional(SignalSchema()),
    reset: z.optional(z.array(text)),
    tick: z.optional(TickSchema()),
  }),
);
export type Entry = z.infer<ReturnType<typeof EntrySchema>>;

/** `attempts/<attempt>/steps/<chunk>.json`. `sum`: CRC-32 of the entries as they are written. */
export const ChunkSchema = once(() =>
  z.looseObject({
    version: z.literal(1),
    chunk_id: text,
    sum: z.optional(text),
    entries: z.readonly(z.array(EntrySchema())),
  }),
);
export type Chunk = z.infer<ReturnType<typeof ChunkSchema>>;

const CHUNK_HEAD = /^\{"version":1,"chunk_id":"[^"\\]+","sum":"([0-9a-f]{8})","entries":/;

/**
 * The chunk in a file that is as forge wrote it, by its sum; null for any other text. Its entries are not checked one by one: that takes most of
 * the time in which an attempt passes a thousand steps.
 */
export function sealedChunk(text: string): Chunk | null {
  const head = CHUNK_HEAD.exec(text);
  if (head === null || crc32(text.slice(head[0].length, -'}\n'.length)) !== head[1]) return null;
  const chunk = parseJson(text, Number.POSITIVE_INFINITY) as Chunk | undefined;
  return Array.isArray(chunk?.entries) ? chunk : null;
}

const list = () => ({
  /** Oldest first. `bytes`: of its entries. */
  chunks: z.array(z.looseObject({ chunk_id: text, attempt_id: text, bytes: count })),
  /** Entries since the last chunk. */
  tail: z.readonly(z.array(EntrySchema())),
});

const JournalSchema = once(() =>
  z.looseObject({
    /** Made with the journal; the keys of its steps are made of it. */
    key: text,
    /** Grows when a failure is charged or a person retries the task: then budgets of steps begin anew. */
    epoch: count,
    ...list(),
    /** The ticks of its repeats, which steps are read without. */
    ticks: z.optional(z.looseObject(list())),
  }),
);
export type Journal = z.infer<ReturnType<typeof JournalSchema>>;
export type ChunkName = Pick<Journal['chunks'][number], 'chunk_id' | 'attempt_id'>;

/** For a name that an attempt reaches again: once its step was done, or as `how` says. */
export function stepRepeated(name: string, how = 'comes a second time in this attempt'): ForgeError {
  return new ForgeError('STEP_REPEATED', `step ${name} ${how}`, { details: { name } });
}

/** Throws INVALID_ID where the name means something of another kind in this task. */
export function requireKind(step: Step | undefined, kind: StepKind): void {
  if (step === undefined || step.kind === kind) return;
  const found = `${step.name} names a ${step.kind} of this task, and can't name a ${kind}`;
  throw new ForgeError('INVALID_ID', found, { hint: 'Choose another name.' });
}

/** What a step's try leaves. `values`: those of the context that it sets; both are kept, or neither. */
export function stepEntry(step: Step, values: Readonly<Record<string, unknown>>): Entry {
  return { step, ...(Object.keys(values).length === 0 ? {} : { context: values }) };
}

/** Journals by what a record says: each is checked once, and what this process has made not at all. */
const CHECKED = new WeakMap<object, Journal>();

/** The journal that a record names; null for none. Throws SCHEMA_INVALID. */
export function journalOf({ memo }: { memo: Pick<Memo, 'journal'> }): Journal | null {
  if (memo.journal === undefined) return null;
  const checked = checkedJournal(memo.journal);
  if (checked.success) return checked.data;
  throw new ForgeError('SCHEMA_INVALID', `its journal: ${issueText(checked.error.issues, memo.journal)}`);
}

function checkedJournal(value: unknown) {
  const known = CHECKED.get(value as object);
  if (known !== undefined) return { success: true, data: known } as const;
  const parsed = JournalSchema().safeParse(value, WITHOUT_WORDS);
  if (parsed.success) CHECKED.set(value as object, parsed.data);
  return parsed;
}

/** Steps and context as entries leave them. */
export interface JournalView {
  /** By name, in the order in which they were first tried. */
  steps: ReadonlyMap<string, Step>;
  context: Readonly<Record<string, unknown>>;
  /** How often each step was made to run again. */
  resets: ReadonlyMap<string, number>;
  /** Oldest first, those that a wait has got included. */
  signals: readonly Signal[];
  /** Oldest first. Only those of a list of ticks that was read. */
  ticks: readonly Tick[];
}

/** The journal and what it says. */
export interface ReadJournal extends JournalView {
  journal: Journal;
}

/** A view that grows: an entry more costs the same however many there are. */
export class GrowingView {
  readonly #steps = new Map<string, Step>();
  readonly #context: Record<string, unknown> = Object.create(null);
  readonly #resets = new Map<string, number>();
  readonly #signals = new Map<string, Signal>();
  readonly #ticks = new Map<string, Tick>();

  /** `entries`: oldest first. */
  add(entries: readonly Entry[]): this {
    for (const { step, context, signal, reset, tick } of entries) {
      for (const name of reset ?? []) {
        this.#steps.delete(name);
        this.#resets.set(name, (this.#resets.get(name) ?? 0) + 1);
      }
      if (step !== undefined) this.#steps.set(step.name, step);
      Object.assign(this.#context, context);
      if (signal !== undefined) this.#signals.set(JSON.stringify([signal.name, signal.id]), signal);
      if (tick !== undefined) this.#ticks.set(JSON.stringify([tick.name, tick.at]), tick);
    }
    return this;
  }

  /** As it is now. Its steps, context and resets show what is added later. */
  view(): JournalView {
    const [signals, ticks] = [[...this.#signals.values()], [...this.#ticks.values()]];
    return { steps: this.#steps, context: this.#context, resets: this.#resets, signals, ticks };
  }
}

/** `entries`: oldest first. */
export function viewOf(entries: readonly Entry[]): JournalView {
  return new GrowingView().add(entries).view();
}

/** A view in as few entries as it takes. */
export function entriesOf({ steps, context, resets, signals, ticks }: JournalView): Entry[] {
  const values = Object.keys(context).length === 0 ? [] : [{ context: { ...context } }];
  const again = [...resets].flatMap(([name, times]) => Array.from({ length: times }, () => ({ reset: [name] })));
  const sent = signals.map((signal) => ({ signal }));
  return [
    ...again,
    ...[...steps.values()].map((step) => ({ step })),
    ...values,
    ...sent,
    ...ticks.map((tick) => ({ tick })),
  ];
}

/** By which an API knows the tries of a step as one: the same for all of them, and another after a reset. */
export function stepKey({ key }: Pick<Journal, 'key'>, { resets }: Pick<JournalView, 'resets'>, name: string): string {
  const times = resets.get(name) ?? 0;
  return times === 0 ? `${key}:${name}` : `${key}:${name}:${times}`;
}

/** Most that a record keeps of its journal, bytes. */
export const TAIL_MAX_BYTES = 16 * 1024;

/** Most that is merged into one chunk, bytes: a file of many is slow to write and large to read. */
const MERGED_MAX_BYTES = 16 * 1024 * 1024;

/** What entries take as JSON, bytes. They never change, and the same ones are asked about at every commit. */
export function bytesOf(entries: readonly Entry[]): number {
  return entries.reduce((bytes, entry) => bytes + madeIn(BYTES, entry, () => jsonBytes(entry)) + 1, 1);
}

const BYTES = new WeakMap<Entry, number>();

/** The journal with more entries. `chunks`: new documents, made when the record has no room for them. */
export interface Written {
  journal: Journal;
  chunks: readonly Chunk[];
}

/** Work on a journal that needs some of its chunks: it yields the name of one, and is sent its entries. */
export type Reading<T> = Generator<ChunkName, T, readonly Entry[]>;

/** Ticks have a list of their own. */
function byList(entries: readonly Entry[]): { others: Entry[]; ticks: Entry[] } {
  return {
    others: entries.filter(({ tick }) => tick === undefined),
    ticks: entries.filter(({ tick }) => tick !== undefined),
  };
}

/** The record that `entries` were added to without another of its own, as read; null where it has no journal, or they are no entries. */
export function withAdded(record: TaskRecord, entries: readonly Entry[]): TaskRecord | null {
  const parsed = z.readonly(z.array(EntrySchema())).safeParse(entries, WITHOUT_WORDS);
  const journal = checkedJournal(record.memo.journal);
  if (!parsed.success || !journal.success) return null;
  const { others, ticks } = byList(parsed.data);
  const next: Journal = { ...journal.data, tail: [...journal.data.tail, ...others] };
  const list = next.ticks ?? NO_TICKS;
  if (ticks.length > 0) next.ticks = { ...list, tail: [...list.tail, ...ticks] };
  CHECKED.set(next, next);
  return { ...record, memo: { ...record.memo, journal: next } };
}

const NO_TICKS: List = { chunks: [], tail: [] };

/** Adds entries. `newId`: names a chunk, which is of attempt `attemptId`. */
export function* withEntries(journal: Journal, entries: readonly Entry[], make: NewChunks): Reading<Written> {
  const { others, ticks } = byList(entries);
  const steps = yield* grown(journal, others, make);
  const next = { ...journal, ...steps.list };
  if (ticks.length === 0) return { journal: next, chunks: steps.chunks };
  const more = yield* grown(journal.ticks ?? NO_TICKS, ticks, make);
  return { journal: { ...next, ticks: more.list }, chunks: [...steps.chunks, ...more.chunks] };
}

interface NewChunks {
  attemptId: string;
  newId(): string;
}

type List = Pick<Journal, 'chunks' | 'tail'>;

/**
 * What does not fit into the record goes into a new chunk, together with those before it that are not much larger: so there are few chunks,
 * and each entry is written a few times at most.
 */
function* grown(
  { chunks: before, tail: kept }: List,
  entries: readonly Entry[],
  { attemptId, newId }: NewChunks,
): Reading<{ list: List; chunks: Chunk[] }> {
  const tail = [...kept, ...entries];
  if (bytesOf(tail) <= TAIL_MAX_BYTES) return { list: { chunks: before, tail }, chunks: [] };
  const chunks = [...before];
  let merged: readonly Entry[] = tail;
  let bytes = bytesOf(merged);
  const joins = (last: { bytes: number }) => last.bytes <= 2 * bytes && last.bytes + bytes <= MERGED_MAX_BYTES;
  for (let last = chunks.at(-1); last !== undefined && joins(last); last = chunks.at(-1)) {
    merged = [...(yield last), ...merged];
    bytes += last.bytes;
    chunks.pop();
  }
  const chunk_id = newId();
  // What is gone has to stay gone over what older chunks say.
  const whole = chunks.length === 0 ? entriesOf(viewOf(merged)) : [...merged];
  const made: Chunk = { version: 1, chunk_id, sum: crc32(JSON.stringify(whole)), entries: whole };
  const name = { chunk_id, attempt_id: attemptId, bytes: bytesOf(whole) };
  return { list: { chunks: [...chunks, name], tail: [] }, chunks: [made] };
}

export interface JournalWrite {
  /** That writes it, and whose folder has the chunk. */
  attemptId: string;
  written: Written;
  /** Its lease; null for a person, who needs none. */
  by: Lease | null;
  /** What else of the record changes with it. Default: nothing. */
  memo?: Partial<TaskRecord['memo']> | undefined;
  nowMs: number;
}

/** The record with another journal. */
export function writeJournal(
  record: TaskRecord,
  { attemptId, written, by, memo, nowMs }: JournalWrite,
): Decision<null> {
  CHECKED.set(written.journal, written.journal);
  const kept = { ...memo, journal: written.journal };
  const documents = written.chunks.map((value) => ({ kind: 'steps' as const, attemptId, value }));
  // An attempt that goes on changes nothing of its state: a person who reads that sees the same.
  if (by !== null) {
    const next = { ...record, memo: { ...record.memo, ...kept } };
    return { record: next, moves: [], history: [], documents, result: null };
  }
  return { ...changed(record, null, { moves: [], lease: record.lease, memo: kept, by, nowMs }), documents };
}

/** The journal after a failure that was charged, or a person's retry: budgets of steps begin anew. */
export function journalAfterCharge({ memo }: Pick<TaskRecord, 'memo'>): Partial<TaskRecord['memo']> {
  const journal = memo.journal as { epoch?: unknown } | undefined;
  return typeof journal?.epoch === 'number' ? { journal: { ...journal, epoch: journal.epoch + 1 } } : {};
}
