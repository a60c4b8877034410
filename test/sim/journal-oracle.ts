/** Watches the journal of the simulated task: each version's is that of the version before it and what its commit adds, and nothing else. */

import { type Chunk, type Entry, type JournalView, journalOf, viewOf } from '../../src/domain/steps/journal.ts';
import type { TaskRecord } from '../../src/domain/task/records.ts';
import { type Disk, type File, Folder } from './disk.ts';
import { type Trying, Violation } from './oracle.ts';
import { keyOf } from './steps.ts';
import { CHUNKS } from './world.ts';

/** What a journal says: a text for each step, value and signal. */
type Lines = ReadonlyMap<string, string>;

interface Known {
  record: TaskRecord;
  lines: Lines;
}

const NOTHING: Lines = new Map();

export class JournalOracle {
  readonly #disk: Disk;
  /** By the commit that made it. */
  readonly #known = new Map<string, Known>();

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  /** A version has appeared. Returns what its task's journal says. */
  landed({ op, base, held, record, request, nowMs }: Trying): void {
    const before = base === null ? undefined : this.#known.get(base);
    const view = viewOf(this.#entries(record, true));
    const lines = linesOf(record, view);
    this.#known.set(op, { record, lines });
    const changes = changesOf(before?.lines ?? NOTHING, lines);
    const attempt = held?.attempt_id ?? null;
    const { asks, claimId } = request;
    if (asks !== null && asks.kind !== 'signal' && asks.kind !== 'reset' && attempt !== claimId)
      throw new Violation('stale generation', `${op} writes for ${claimId}, and ${attempt} has the task`);
    for (const name of changes.keys()) {
      const step = name.startsWith('step ') ? view.steps.get(name.slice('step '.length)) : undefined;
      if (step !== undefined && (step.generation !== held?.generation || step.attempt_id !== attempt))
        throw new Violation('stale generation', `${op} leaves ${name} of generation ${step.generation}`);
    }
    const wrong = wrongIn(changes, asks, before?.lines ?? NOTHING);
    if (wrong !== null) throw new Violation('journal lost', `${op} (${asks?.kind ?? request.kind}): ${wrong}`);
    checkParked(record, view, nowMs);
    if (before !== undefined) checkContinuation(before.record, record, request.kind, nowMs);
  }

  /** What a reader was told that the journal of commit `op` says. */
  told(op: string, record: TaskRecord, view: JournalView): void {
    const known = this.#known.get(op);
    const changes = changesOf(known?.lines ?? NOTHING, linesOf(record, view));
    if (changes.size > 0)
      throw new Violation('journal lost', `a reader sees ${[...changes.keys()].join(', ')} otherwise`);
  }

  /** Names of signals that can be waited for and are there. */
  left(record: TaskRecord | null): string[] {
    if (record === null) return [];
    const { signals, steps } = viewOf(this.#entries(record, false));
    const names = signals.flatMap(({ name, taken }) => (taken === true ? [] : [name]));
    return [...new Set(names)].filter((name) => steps.get(name)?.status !== 'completed');
  }

  /** `record` is what counts after a power cut, or while a file is removed: all of its journal is there. */
  checkWhole(record: TaskRecord | null): void {
    if (record !== null) this.#entries(record, false);
  }

  /** The entries of a record's journal, from the disk. `durable`: they have to survive a power cut. */
  #entries(record: TaskRecord, durable: boolean): Entry[] {
    const journal = journalOf(record);
    if (journal === null) return [];
    const chunks = journal.chunks.flatMap(({ chunk_id }) => {
      const name = `${chunk_id}.json`;
      const file = this.#disk.file(`${CHUNKS}/${name}`);
      if (file === null) throw new Violation('journal lost', `its part ${chunk_id} is not there`);
      const folder = this.#disk.root.settled.get('q');
      const isDurable = folder instanceof Folder && folder.settled.get(name) === file && file.synced === file.text;
      if (durable && !isDurable) throw new Violation('journal lost', `a power cut may undo its part ${chunk_id}`);
      return entriesIn(file);
    });
    return [...chunks, ...journal.tail];
  }
}

function entriesIn({ text }: File): readonly Entry[] {
  try {
    return (JSON.parse(text) as Chunk).entries;
  } catch {
    throw new Violation('journal lost', 'a part of it is not whole');
  }
}

function linesOf(record: TaskRecord, { steps, context, signals, resets }: JournalView): Lines {
  const lines = new Map<string, string>();
  const journal = journalOf(record);
  if (journal !== null) lines.set('key', `${journal.key} ${journal.epoch}`);
  for (const [name, step] of steps) lines.set(`step ${name}`, JSON.stringify([step.status, step.result, step.wake]));
  for (const [name, value] of Object.entries(context)) lines.set(`context ${name}`, JSON.stringify(value));
  for (const { name, id, data, taken } of signals)
    lines.set(`signal ${name} ${id}`, taken === true ? 'taken' : JSON.stringify(data));
  for (const [name, times] of resets) lines.set(`reset ${name}`, String(times));
  return lines;
}

interface LineChange {
  from: string | undefined;
  to: string | undefined;
}

function changesOf(before: Lines, now: Lines): Map<string, LineChange> {
  const changes = new Map<string, LineChange>();
  for (const [name, to] of now) if (before.get(name) !== to) changes.set(name, { from: before.get(name), to });
  for (const [name, from] of before) if (!now.has(name)) changes.set(name, { from, to: undefined });
  return changes;
}

/** What a commit has changed that it was not to, or has not that it was to; null where all is right. */
function wrongIn(
  changes: ReadonlyMap<string, LineChange>,
  asks: Trying['request']['asks'],
  before: Lines,
): string | null {
  const left = new Map(changes);
  const take = (name: string) => {
    const change = left.get(name);
    left.delete(name);
    return change;
  };
  // Whichever commit is the first one begins the journal.
  if (asks !== null && changes.get('key')?.from === undefined) left.delete('key');
  const wrong = asks === null ? null : notMade(asks, take, before);
  if (wrong !== null) return wrong;
  return left.size === 0
    ? null
    : `it changes ${[...left].map(([name, { from, to }]) => `${name} from ${from} to ${to}`)}`;
}

function notMade(
  { kind, name, id, value }: NonNullable<Trying['request']['asks']>,
  take: (name: string) => LineChange | undefined,
  before: Lines,
): string | null {
  if (kind === 'open' || kind === 'park') return null;
  if (kind === 'signal') {
    const sent = take(`signal ${name} ${id}`);
    return sent?.from === undefined && sent?.to === JSON.stringify(value) ? null : 'the signal is not kept once';
  }
  const step = take(`step ${name}`) ?? { from: before.get(`step ${name}`), to: before.get(`step ${name}`) };
  if (kind === 'reset') {
    const times = take(`reset ${name}`);
    return step?.to === undefined && times !== undefined ? null : `step ${name} is not reset`;
  }
  const [status, result] = JSON.parse(step?.to ?? '[]') as [string?, unknown?];
  if (step?.from?.startsWith('["completed"')) return `step ${name} was completed before`;
  if (kind === 'step') {
    // After a reset the same value may be there already.
    const kept = take(`context ${keyOf(name)}`)?.to ?? before.get(`context ${keyOf(name)}`);
    return status === 'completed' && result === value && kept === JSON.stringify(value)
      ? null
      : `step ${name} is ${status}, and the context has ${kept}`;
  }
  if (kind === 'wait') return status === 'completed' || status === 'running' ? null : `wait ${name} is ${status}`;
  const pending = [...before].find(([line, data]) => line.startsWith(`signal ${name} `) && data !== 'taken');
  if (pending === undefined) return status === 'running' || result === 'timeout' ? null : `${name} came from nowhere`;
  const taken = take(pending[0]);
  return status === 'completed' && taken?.to === 'taken' && JSON.stringify(result) === pending[1]
    ? null
    : `${pending[0]} is not taken once`;
}

/** A parked task has no owner, and something always leads on from it. */
function checkParked({ state, lease }: TaskRecord, view: JournalView, nowMs: number): void {
  if (state.state !== 'waiting') return;
  if (lease !== null) throw new Violation('two owners', 'a parked task has a lease');
  const waits = state.waits_for?.filter(({ kind }) => kind === 'wait-for').map(({ name }) => name) ?? [];
  const wake = state.wake_at ?? null;
  if (wake === null && waits.length === 0) throw new Violation('blocked', 'a parked task waits for nothing');
  const there = view.signals.find(({ name, taken }) => taken !== true && waits.includes(name));
  if (there !== undefined && (wake === null || Date.parse(wake) > nowMs))
    throw new Violation('blocked', `a parked task waits for signal ${there.name}, which is there`);
}

/** A parked task goes on when it is due, after the attempt that parked it has let go of it. */
function checkContinuation(before: TaskRecord, { state }: TaskRecord, kind: string, nowMs: number): void {
  if (before.state.state !== 'waiting' || state.state === 'waiting') return;
  const wake = before.state.wake_at ?? null;
  if (before.lease !== null) throw new Violation('two owners', 'it goes on while the attempt that waits has the task');
  if (kind !== 'claim' || wake === null || Date.parse(wake) > nowMs)
    throw new Violation('goes on too early', `${kind} at ${nowMs}, and it waits until ${wake}`);
}
