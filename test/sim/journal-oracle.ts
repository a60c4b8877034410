/** Watches the journal of the simulated task: each version's is that of the version before it and what its commit adds, and nothing else. */

import { fanOutsOf } from '../../src/domain/fan-out/fan-outs.ts';
import {
  type Chunk,
  type Entry,
  type Journal,
  type JournalView,
  journalOf,
  viewOf,
} from '../../src/domain/steps/journal.ts';
import type { TaskRecord } from '../../src/domain/task/records.ts';
import { areOver, childFile, SETS } from './children.ts';
import { type Disk, type File, Folder } from './disk.ts';
import { type Trying, Violation } from './oracle.ts';
import { keyOf, stepNameOf } from './steps.ts';
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
    const lines = new Map([...linesOf(record, view), ...this.#besides(record, true)]);
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
    checkJoin(asks, view, this.#over());
    checkTicks(view, lines);
    const wrong = wrongIn(changes, asks, before?.lines ?? NOTHING);
    if (wrong !== null) throw new Violation('journal lost', `${op} (${asks?.kind ?? request.kind}): ${wrong}`);
    checkParked(record, view, nowMs);
    if (before !== undefined) checkContinuation(before.record, record, request.kind, nowMs, this.#over());
  }

  /** What a reader was told that the journal of commit `op` says. */
  told(op: string, record: TaskRecord, view: JournalView): void {
    const known = this.#known.get(op);
    const steps = new Map([...(known?.lines ?? NOTHING)].filter(([name]) => !isBeside(name)));
    const changes = changesOf(steps, linesOf(record, view));
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
    if (record === null) return;
    this.#entries(record, false);
    this.#besides(record, false);
  }

  /** The entries of a record's journal, from the disk. `durable`: they have to survive a power cut. */
  #entries(record: TaskRecord, durable: boolean): Entry[] {
    return this.#entriesOf(journalOf(record), durable);
  }

  #entriesOf(list: Pick<Journal, 'chunks' | 'tail'> | null, durable: boolean): Entry[] {
    if (list === null) return [];
    const chunks = list.chunks.flatMap(({ chunk_id }) => entriesIn(this.#part(chunk_id, durable)));
    return [...chunks, ...list.tail];
  }

  /** What lies in a file of its own, whole. */
  #part(id: string, durable: boolean): File {
    const name = `${id}.json`;
    const file = this.#disk.file(`${CHUNKS}/${name}`);
    if (file === null) throw new Violation('journal lost', `its part ${id} is not there`);
    const folder = this.#disk.root.settled.get('q');
    const isDurable = folder instanceof Folder && folder.settled.get(name) === file && file.synced === file.text;
    if (durable && !isDurable) throw new Violation('journal lost', `a power cut may undo its part ${id}`);
    return file;
  }

  /** Ticks and sealed sets, which steps are read without. */
  #besides(record: TaskRecord, durable: boolean): Lines {
    const lines = new Map<string, string>();
    for (const { tick } of this.#entriesOf(journalOf(record)?.ticks ?? null, durable)) {
      if (tick === undefined) continue;
      const name = `tick ${tick.name} ${tick.at}`;
      if (lines.has(name)) throw new Violation('happened twice', `${name} is there twice`);
      lines.set(name, JSON.stringify([tick.status, tick.count, tick.ended_at, tick.attempt_id]));
    }
    for (const { name, fan_out_id } of fanOutsOf(record)) {
      if (lines.has(`set ${name}`)) throw new Violation('created twice', `set ${name} is there twice`);
      lines.set(`set ${name}`, this.#part(fan_out_id, durable).text);
    }
    return lines;
  }

  /** The files of the children that are over. */
  #over(): ReadonlySet<string> {
    const files = Object.entries(SETS).flatMap(([set, names]) => names.map((name) => childFile(set, name)));
    return new Set(files.filter((file) => this.#disk.file(file) !== null));
  }
}

const isBeside = (line: string) => line.startsWith('tick ') || line.startsWith('set ');

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
  const ticks = [...changes.keys()].filter((name) => name.startsWith(`tick ${asks?.name} `));
  const wrong = asks === null ? null : notMade(asks, take, before, ticks);
  if (wrong !== null) return wrong;
  return left.size === 0
    ? null
    : `it changes ${[...left].map(([name, { from, to }]) => `${name} from ${from} to ${to}`)}`;
}

function notMade(
  { kind, name, id, value }: NonNullable<Trying['request']['asks']>,
  take: (name: string) => LineChange | undefined,
  before: Lines,
  ticks: readonly string[],
): string | null {
  if (kind === 'open' || kind === 'park') return null;
  if (kind === 'signal') {
    const sent = take(`signal ${name} ${id}`);
    return sent?.from === undefined && sent?.to === JSON.stringify(value) ? null : 'the signal is not kept once';
  }
  const line = `step ${stepNameOf({ kind, name })}`;
  const step = take(line) ?? { from: before.get(line), to: before.get(line) };
  if (kind === 'reset') {
    const times = take(`reset ${name}`);
    return step?.to === undefined && times !== undefined ? null : `step ${name} is not reset`;
  }
  const [status, result] = JSON.parse(step?.to ?? '[]') as [string?, unknown?];
  if (step?.from?.startsWith('["completed"')) return `step ${name} was completed before`;
  if (kind === 'fan-out') {
    const sealed = take(`set ${name}`);
    if (sealed !== undefined && sealed.from !== undefined) return `set ${name} is another one now`;
    return status === 'completed' ? null : `fan-out ${name} is ${status}`;
  }
  if (kind === 'repeat') {
    for (const other of ticks) {
      const tick = take(other);
      if (tick?.from !== undefined) return `${other} is recorded again`;
    }
  }
  if (kind === 'step') {
    // After a reset the same value may be there already.
    const kept = take(`context ${keyOf(name)}`)?.to ?? before.get(`context ${keyOf(name)}`);
    return status === 'completed' && result === value && kept === JSON.stringify(value)
      ? null
      : `step ${name} is ${status}, and the context has ${kept}`;
  }
  if (kind === 'wait' || kind === 'repeat' || kind === 'join')
    return status === 'completed' || status === 'running' ? null : `${kind} ${name} is ${status}`;
  const pending = [...before].find(([line, data]) => line.startsWith(`signal ${name} `) && data !== 'taken');
  if (pending === undefined) return status === 'running' || result === 'timeout' ? null : `${name} came from nowhere`;
  const taken = take(pending[0]);
  return status === 'completed' && taken?.to === 'taken' && JSON.stringify(result) === pending[1]
    ? null
    : `${pending[0]} is not taken once`;
}

/** A join is over when all its children are, and not before. */
function checkJoin(asks: Trying['request']['asks'], { steps }: JournalView, over: ReadonlySet<string>): void {
  if (asks?.kind !== 'join') return;
  const { status } = steps.get(stepNameOf(asks)) ?? {};
  if (status === 'completed' && !areOver(asks.name, over))
    throw new Violation('goes on too early', `the join of ${asks.name} is over before its children are`);
}

/** A repeat counts the ticks that are recorded, since it was begun. */
function checkTicks({ steps }: JournalView, lines: Lines): void {
  for (const { name, ticks } of steps.values()) {
    if (ticks === undefined) continue;
    const own = [...lines].filter(
      ([line]) => line.startsWith(`tick ${name} `) && line >= `tick ${name} ${ticks.start}`,
    );
    const counted = own.map(([, tick]) => JSON.parse(tick) as [status: string, count: number]);
    const sum = (isSkipped: boolean) =>
      counted.reduce((all, [status, count]) => all + ((status === 'skipped') === isSkipped ? count : 0), 0);
    if (sum(false) !== ticks.ran + ticks.failed || sum(true) !== ticks.skipped)
      throw new Violation(
        'journal lost',
        `${name} counts ${JSON.stringify(ticks)} and records ${sum(false)}, ${sum(true)}`,
      );
  }
}

/** A parked task has no owner, and something always leads on from it. */
function checkParked({ state, lease }: TaskRecord, view: JournalView, nowMs: number): void {
  if (state.state !== 'waiting') return;
  if (lease !== null) throw new Violation('two owners', 'a parked task has a lease');
  const waits = state.waits_for?.filter(({ kind }) => kind === 'wait-for').map(({ name }) => name) ?? [];
  const wake = state.wake_at ?? null;
  const joins = state.waits_for?.filter(({ kind }) => kind === 'join') ?? [];
  if (wake === null && waits.length + joins.length === 0)
    throw new Violation('blocked', 'a parked task waits for nothing');
  const there = view.signals.find(({ name, taken }) => taken !== true && waits.includes(name));
  if (there !== undefined && (wake === null || Date.parse(wake) > nowMs))
    throw new Violation('blocked', `a parked task waits for signal ${there.name}, which is there`);
}

/** A parked task goes on when it is due, after the attempt that parked it has let go of it. */
function checkContinuation(
  before: TaskRecord,
  { state }: TaskRecord,
  kind: string,
  nowMs: number,
  over: ReadonlySet<string>,
): void {
  if (before.state.state !== 'waiting' || state.state === 'waiting') return;
  const wake = before.state.wake_at ?? null;
  if (before.lease !== null) throw new Violation('two owners', 'it goes on while the attempt that waits has the task');
  const joins = before.state.waits_for?.filter((wait) => wait.kind === 'join') ?? [];
  const isJoined = joins.some(({ name }) => areOver(name, over));
  if (kind !== 'claim' || (!isJoined && (wake === null || Date.parse(wake) > nowMs)))
    throw new Violation('goes on too early', `${kind} at ${nowMs}, and it waits until ${wake}`);
}
