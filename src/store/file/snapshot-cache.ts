/**
 * What was seen of every task, kept for the next look at the whole tree.
 *
 * A task counts as seen while everything that was looked at is as it was: its folder, the files in it that people edit, the
 * folders of its attempts and what lies in those. Each is told by its inode and the time of its last change of any kind,
 * which nobody can set, much as git tells whether a file of its index has changed. As there, what changed only just before
 * the look is not kept: when it changes again the clock of the file system may not have moved on. Version files are never
 * written twice and not asked about. Which tasks there are is told in the same way, by the folder that theirs are in.
 * Source: stat(2), and "racy git" in git's technical documentation.
 *
 * This is for those who look. Whoever changes a task reads it whole, and commits on the version that he has read.
 */

import fs from 'node:fs';
import type { RunManifest } from '../../domain/task/records.ts';
import { type PackedExcerpt, packExcerpt, unpackExcerpt } from '../../domain/task/summary.ts';
import type { Cache } from '../../lib/fs/cache.ts';
import type { GcArtifacts, TaskSummaryRead } from '../port.ts';
import { artifactsOf, LEASE_FILE } from './gc-artifacts.ts';
import type { Layout } from './layout.ts';
import { type Stamp, StampCheck, stampOf } from './stat-fingerprints.ts';
import { type FolderRead, HISTORY } from './task-files.ts';

/** More than any file system's granularity of times, milliseconds. */
export const TICK_MS = 2000;

/** How many tasks have to be worth it before what was seen is written down: for fewer, looking again costs less than that. */
const WORTH_KEEPING = 256;

/** And they are at least this part of the tree. */
const PART = 1 / 16;

/**
 * What is kept is a line of JSON that tells what there is (`Head`), and then a line for each task: its id, its stamps one after
 * another, and what was seen of it (`Seen`), the latter two as JSON in ASCII, with tabs between.
 */
interface Head {
  /** Tells which tasks there are; null: nothing does. */
  tasks: Stamp | null;
  /** Tasks without a line. */
  others: string[];
  /** Those that have one, in order. */
  ids: string[];
  /** How long their stamps are, and what was seen of them, in turn. */
  lengths: number[];
  /** What runs there are, by the stamps of their folder and of each manifest; null: that has to be looked up. */
  runs: { stamps: Stamp[]; manifests: RunManifest[] } | null;
}

/** `beside` is left out where nothing is. */
type Seen = [version: number, origin: TaskSummaryRead['origin'], record: PackedExcerpt, beside?: GcArtifacts];

/** A line's parts. */
interface Line {
  taskId: string;
  stamps: string;
  seen: string;
}

const NEWLINE = 10;

const NOTHING: GcArtifacts = { lease_files: [], attempts: [] };

/** A task that was read anew; `beside` once somebody has asked for it. */
interface Anew {
  read: FolderRead;
  beside?: ReturnType<typeof artifactsOf>;
}

export class SeenTree {
  readonly #layout: Layout;
  readonly #cache: Cache;
  readonly #startedMs: number;
  readonly #worthKeeping: number;
  readonly #kept: Kept;
  readonly #check: StampCheck;
  /** The tasks that are as they were, and what lies beside the records of those of them that have anything there. */
  readonly #asBefore: string[] = [];
  readonly #besides = new Map<string, GcArtifacts>();
  readonly #anew = new Map<string, Anew>();
  #runs: RunManifest[] | null = null;

  /** `nowMs`: the wall clock, before anything is looked at. */
  constructor(layout: Layout, cache: Cache, nowMs: number, worthKeeping = WORTH_KEEPING) {
    this.#layout = layout;
    this.#cache = cache;
    this.#startedMs = nowMs;
    this.#worthKeeping = worthKeeping;
    this.#check = new StampCheck(cache.size('tree'));
    this.#kept = new Kept(cache.read('tree') ?? Buffer.from(''));
    this.#check.begin({ root: layout.tasks, bytes: this.#kept.bytes, places: this.#kept.places });
  }

  /** Which tasks there are, in order; null: somebody has to look. */
  taskIds(): string[] | null {
    const { tasks, others, ids } = this.#kept.head;
    if (tasks === null || !this.#isAsItWas(this.#layout.tasks, tasks)) return null;
    return others.length === 0 ? ids : [...ids, ...others].sort();
  }

  /** The runs as they were seen, while all of them are still so, else as `listAnew` returns them. */
  async runs(listAnew: () => Promise<RunManifest[]>): Promise<RunManifest[]> {
    const { runs } = this.#kept.head;
    if (runs?.stamps.every((stamp) => this.#isAsItWas(this.#layout.runs, stamp))) return runs.manifests;
    this.#runs = await listAnew();
    return this.#runs;
  }

  #isAsItWas(folder: string, [path, inode, changedMs]: Stamp): boolean {
    const now = stampOf(folder, path);
    return now?.[1] === inode && now[2] === changedMs;
  }

  /** The tasks as they were seen, where they are still so, else as `readAnew` returns them. To be called once. */
  read(taskIds: readonly string[], readAnew: (taskId: string) => FolderRead): TaskSummaryRead[] {
    const holds = this.#check.result();
    return taskIds.map((taskId, at) => {
      const line = this.#kept.indexOf(taskId, at);
      const seen = holds(line) ? this.#kept.seen(line) : null;
      if (seen !== null) {
        const [version, origin, packed, beside] = seen;
        const record = unpackExcerpt(packed);
        this.#asBefore.push(taskId);
        if (beside !== undefined) this.#besides.set(taskId, beside);
        return { task_id: taskId, version, origin, record, problem: null, warnings: [] };
      }
      const read = readAnew(taskId);
      this.#anew.set(taskId, { read });
      return read;
    });
  }

  /** What lies beside the record of a task that was read. Throws IO_ERROR. */
  artifacts(taskId: string): GcArtifacts {
    const anew = this.#anew.get(taskId);
    if (anew === undefined) return this.#besides.get(taskId) ?? NOTHING;
    anew.beside ??= artifactsOf(this.#layout, anew.read);
    return anew.beside.artifacts;
  }

  /** Keeps what was seen of those tasks that were looked at whole, where that is worth it. Never throws. */
  keep(): void {
    const enough = Math.max(this.#worthKeeping, (this.#asBefore.length + this.#anew.size) * PART);
    if (this.#anew.size < enough) return;
    const lines: Line[] = this.#asBefore.map((taskId) => this.#kept.line(taskId));
    const others: string[] = [];
    for (const [taskId, each] of this.#anew) {
      const line = this.#lineOf(each);
      if (line === null) others.push(taskId);
      else lines.push(line);
    }
    if (this.#anew.size - others.length < enough) return;
    lines.sort((a, b) => (a.taskId < b.taskId ? -1 : 1));
    const stamp = stampOf(this.#layout.tasks, '');
    const head: Head = {
      tasks: stamp !== null && this.#isSettled(stamp) ? stamp : null,
      others,
      ids: lines.map(({ taskId }) => taskId),
      lengths: lines.flatMap(({ stamps, seen }) => [stamps.length, seen.length]),
      runs: this.#runs === null ? this.#kept.head.runs : this.#runsToKeep(this.#runs),
    };
    const text = lines.map(({ taskId, stamps, seen }) => `${taskId}\t${stamps}\t${seen}\n`);
    this.#cache.write('tree', [`${JSON.stringify(head)}\n`, ...text]);
  }

  /** Null where one of them can't be read, or may be otherwise by now. */
  #runsToKeep(manifests: RunManifest[]): Head['runs'] {
    const stamps: Stamp[] = [];
    for (const path of ['', ...manifests.map(({ run_id }) => `/${run_id}/manifest.json`)]) {
      const stamp = stampOf(this.#layout.runs, path);
      if (stamp === null || !this.#isSettled(stamp)) return null;
      stamps.push(stamp);
    }
    return countIn(this.#layout.runs) === manifests.length ? { stamps, manifests } : null;
  }

  /** Null where it was not looked at whole, or may be otherwise by now. */
  #lineOf({ read, beside: looked }: Anew): Line | null {
    const { task_id, version, origin, record, problem, warnings } = read;
    if (looked === undefined || record === null || problem !== null || warnings.length > 0) return null;
    const dir = this.#layout.task(task_id);
    const stamps: Stamp[] = [];
    for (const path of placesOf(read, looked)) {
      const stamp = stampOf(dir, path);
      if (stamp === null || !this.#isSettled(stamp)) return null;
      stamps.push(stamp);
    }
    const { artifacts: beside } = looked;
    const isBare = beside.lease_files.length === 0 && beside.attempts.length === 0;
    const seen: Seen = [version, origin, packExcerpt(record)];
    if (!isBare) seen[3] = beside;
    return { taskId: task_id, stamps: asciiJson(stamps.flat()), seen: asciiJson(seen) };
  }

  /** Whether the next change will have another time. */
  #isSettled([, , changedMs]: Stamp): boolean {
    return changedMs <= this.#startedMs - TICK_MS;
  }
}

/** How much is in a folder; -1 when it can't be looked into. */
function countIn(folder: string): number {
  try {
    return fs.readdirSync(folder).length;
  } catch {
    return -1;
  }
}

/** Null: it is none, since not all of it has come to the disk. */
function jsonIn(bytes: Buffer, begin: number, end: number): unknown {
  try {
    return JSON.parse(bytes.toString('latin1', begin, end));
  } catch {
    return null;
  }
}

/** In ASCII, which is decoded most quickly. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[^\0-\x7f]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

class Kept {
  readonly head: Head = { tasks: null, others: [], ids: [], lengths: [], runs: null };
  readonly bytes: Buffer;
  /** Four numbers a line: where the id begins and ends, and where the stamps do. */
  readonly places: Uint32Array;
  /** Which line it is, by task; made when somebody has to search. */
  #lines: Map<string, number> | null = null;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    const headEnd = bytes.indexOf(NEWLINE);
    if (headEnd !== -1) this.head = (jsonIn(bytes, 0, headEnd) as Head | null) ?? this.head;
    const { ids, lengths } = this.head;
    this.places = new Uint32Array(4 * ids.length);
    let begin = headEnd + 1;
    for (const [at, { length }] of ids.entries()) {
      const stampsEnd = begin + length + 1 + (lengths[2 * at] ?? 0);
      this.places[4 * at] = begin;
      this.places[4 * at + 1] = begin + length;
      this.places[4 * at + 2] = begin + length + 1;
      this.places[4 * at + 3] = stampsEnd;
      begin = stampsEnd + 1 + (lengths[2 * at + 1] ?? 0) + 1;
    }
  }

  /** Which line is the task's, if not that of the number `guess`; -1 when none is. */
  indexOf(taskId: string, guess = -1): number {
    if (this.head.ids[guess] === taskId) return guess;
    this.#lines ??= new Map(this.head.ids.map((id, at) => [id, at]));
    return this.#lines.get(taskId) ?? -1;
  }

  seen(at: number): Seen | null {
    return jsonIn(this.bytes, ...this.#seenAt(at)) as Seen | null;
  }

  line(taskId: string): Line {
    const at = this.indexOf(taskId);
    const stamps = this.bytes.toString('latin1', this.places[4 * at + 2], this.places[4 * at + 3]);
    return { taskId, stamps, seen: this.bytes.toString('latin1', ...this.#seenAt(at)) };
  }

  #seenAt(at: number): [begin: number, end: number] {
    const begin = (this.places[4 * at + 3] ?? 0) + 1;
    return [begin, begin + (this.head.lengths[2 * at + 1] ?? 0)];
  }
}

/** All that a look at a task depends on: its folder, and paths below it. */
function placesOf({ origin, names }: FolderRead, { places }: ReturnType<typeof artifactsOf>): string[] {
  const edited = (name: string) =>
    name === 'state.json' || LEASE_FILE.test(name) || (name === HISTORY && origin === 'files');
  return ['', ...names.filter(edited).map((name) => `/${name}`), ...places];
}
