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
import type { Cache } from '../../lib/fs/cache.ts';
import type { GcArtifacts, TaskSummaryRead } from '../port.ts';
import { artifactsOf, LEASE_FILE } from './gc-artifacts.ts';
import type { Layout } from './layout.ts';
import { type PackedSummary, packSummary, unpackSummary } from './packed-summary.ts';
import { type FolderRead, HISTORY } from './task-files.ts';

/** More than any file system's granularity of times, milliseconds. */
export const TICK_MS = 2000;

/** How many tasks have to be worth it before what was seen is written down: for fewer, looking again costs less than that. */
const WORTH_KEEPING = 256;

/** And they are at least this part of the tree. */
const PART = 1 / 16;

/** A path below some folder, and what a look at it gave: its inode, and the time of its last change of any kind, whole ms. */
type Stamp = [path: string, inode: number, changedMs: number];

/** Null where there is nothing to be seen. */
function stampOf(folder: string, path: string): Stamp | null {
  try {
    // Most of what is not there was never there, and an exception costs more than the question.
    const stat = fs.lstatSync(folder + path, { throwIfNoEntry: false });
    return stat === undefined ? null : [path, stat.ino, Math.trunc(stat.ctimeMs)];
  } catch {
    return null;
  }
}

/** What is kept: a line of JSON with the head, and then one for each of its `ids`, in that order. */
interface Head {
  /** Tells which tasks there are; null: nothing does. */
  tasks: Stamp | null;
  /** Tasks without a line. */
  others: string[];
  /** Those that have one, in order. */
  ids: string[];
  /** What runs there are, by the stamps of their folder and of each manifest; null: that has to be looked up. */
  runs: { stamps: Stamp[]; manifests: RunManifest[] } | null;
}

/** `artifacts` is left out where nothing is. */
type Line = [
  taskId: string,
  stamps: Stamp[],
  version: number,
  origin: TaskSummaryRead['origin'],
  record: PackedSummary,
  artifacts?: GcArtifacts,
];

const NOTHING: GcArtifacts = { lease_files: [], attempts: [] };

/** A task that was read anew; `artifacts` once somebody has asked for it. */
interface Anew {
  read: FolderRead;
  artifacts?: ReturnType<typeof artifactsOf>;
}

export class SnapshotCache {
  readonly #layout: Layout;
  readonly #cache: Cache;
  readonly #startedMs: number;
  readonly #worthKeeping: number;
  readonly #head: Head;
  /** The line of each task, as text. */
  readonly #lines: ReadonlyMap<string, string>;
  /** The tasks that are as they were, with their lines, and what lies beside the records of those that have anything there. */
  readonly #asBefore = new Map<string, string>();
  readonly #artifacts = new Map<string, GcArtifacts>();
  readonly #anew = new Map<string, Anew>();
  #runs: RunManifest[] | null = null;

  /** `nowMs`: the wall clock, before anything is looked at. */
  constructor(layout: Layout, cache: Cache, nowMs: number, worthKeeping = WORTH_KEEPING) {
    this.#layout = layout;
    this.#cache = cache;
    this.#startedMs = nowMs;
    this.#worthKeeping = worthKeeping;
    const [head = '', ...lines] = cache.read('tree')?.split('\n') ?? [];
    this.#head = (jsonIn(head) as Head | null) ?? { tasks: null, others: [], ids: [], runs: null };
    this.#lines = new Map(this.#head.ids.map((id, at) => [id, lines[at] ?? '']));
  }

  /** Which tasks there are, in order; null: somebody has to look. */
  taskIds(): string[] | null {
    const { tasks, others, ids } = this.#head;
    if (tasks === null || !this.#isAsItWas(this.#layout.tasks, tasks)) return null;
    return others.length === 0 ? ids : [...ids, ...others].sort();
  }

  /** The runs as they were seen, while all of them are still so, else as `listAnew` returns them. */
  async runs(listAnew: () => Promise<RunManifest[]>): Promise<RunManifest[]> {
    const { runs } = this.#head;
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
    return taskIds.map((taskId) => {
      const text = this.#lines.get(taskId) ?? '';
      const line = jsonIn(text) as Line | null;
      // A file that has not come to the disk whole may have lost a line break, and then its lines are those of other tasks.
      if (line?.[0] === taskId && line[1].every((stamp) => this.#isAsItWas(`${this.#layout.tasks}/${taskId}`, stamp))) {
        const [, , version, origin, packed, artifacts] = line;
        this.#asBefore.set(taskId, text);
        if (artifacts !== undefined) this.#artifacts.set(taskId, artifacts);
        return { task_id: taskId, version, origin, record: unpackSummary(packed), problem: null, warnings: [] };
      }
      const read = readAnew(taskId);
      this.#anew.set(taskId, { read });
      return read;
    });
  }

  /** What lies beside the record of a task that was read. Throws IO_ERROR. */
  artifacts(taskId: string): GcArtifacts {
    const anew = this.#anew.get(taskId);
    if (anew === undefined) return this.#artifacts.get(taskId) ?? NOTHING;
    anew.artifacts ??= artifactsOf(this.#layout, anew.read);
    return anew.artifacts.artifacts;
  }

  /** Keeps what was seen of those tasks that were looked at whole, where that is worth it. Never throws. */
  keep(): void {
    const enough = Math.max(this.#worthKeeping, (this.#asBefore.size + this.#anew.size) * PART);
    if (this.#anew.size < enough) return;
    const lines = new Map(this.#asBefore);
    const others: string[] = [];
    for (const [taskId, each] of this.#anew) {
      const line = this.#lineOf(each);
      if (line === null) others.push(taskId);
      else lines.set(taskId, JSON.stringify(line));
    }
    if (this.#anew.size - others.length < enough) return;
    const ids = [...lines.keys()].sort();
    const stamp = stampOf(this.#layout.tasks, '');
    const head: Head = {
      tasks: stamp !== null && this.#isSettled(stamp) ? stamp : null,
      others,
      ids,
      runs: this.#runs === null ? this.#head.runs : this.#runsToKeep(this.#runs),
    };
    this.#cache.write('tree', [`${JSON.stringify(head)}\n`, ...ids.map((id) => `${lines.get(id)}\n`)]);
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
  #lineOf({ read, artifacts: looked }: Anew): Line | null {
    const { task_id, version, origin, record, problem, warnings } = read;
    if (looked === undefined || record === null || problem !== null || warnings.length > 0) return null;
    const dir = this.#layout.task(task_id);
    const stamps: Stamp[] = [];
    for (const path of placesOf(read, looked)) {
      const stamp = stampOf(dir, path);
      if (stamp === null || !this.#isSettled(stamp)) return null;
      stamps.push(stamp);
    }
    const { artifacts } = looked;
    const line: Line = [task_id, stamps, version, origin, packSummary(record)];
    if (artifacts.lease_files.length > 0 || artifacts.attempts.length > 0) line[5] = artifacts;
    return line;
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
function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** All that a look at a task depends on: its folder, and paths below it. */
function placesOf({ origin, names }: FolderRead, { places }: ReturnType<typeof artifactsOf>): string[] {
  const edited = (name: string) =>
    name === 'state.json' || LEASE_FILE.test(name) || (name === HISTORY && origin === 'files');
  return ['', ...names.filter(edited).map((name) => `/${name}`), ...places];
}
