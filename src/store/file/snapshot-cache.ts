/**
 * Keeps the summaries of all tasks for the next snapshot of the tree. Changes do not use it: they read the whole record.
 *
 * A summary is valid while the inode and ctime of all that it was read from are the same: the task's folder, the files that
 * people edit, the attempt folders and their files. No program can set a ctime; git's index relies on it in the same way.
 * As there, what changed just before the snapshot is not kept, since a second change could have the same ctime.
 * A version file is checked where versions are added to it; others never change. The list of tasks is checked by the folder that holds theirs.
 * Source: stat(2), and "racy git" in git's technical documentation.
 */

import fs from 'node:fs';
import type { RunManifest, TaskSummary } from '../../domain/task/records.ts';
import type { Cache } from '../../lib/fs/cache.ts';
import { isSettled } from '../../lib/fs/file-times.ts';
import type { GcArtifacts, TaskSummaryRead } from '../port.ts';
import { summarized } from '../summary.ts';
import { artifactsOf, LEASE_FILE, type Stamp, stampOf } from './gc-files.ts';
import { versionName } from './record-file.ts';
import { type FolderRead, HISTORY } from './task-files.ts';
import type { Layout } from './tree.ts';

/** Tasks read anew from which on the cache is written; for fewer, reading them again costs less. */
const WORTH_KEEPING = 256;

/** They are also at least this part of the tree. */
const PART = 1 / 16;

/** Null where there is no such file. */
function stampAt(folder: string, path: string): Stamp | null {
  try {
    // A missing file is common, and an exception is slow.
    const stat = fs.lstatSync(folder + path, { throwIfNoEntry: false });
    return stat === undefined ? null : stampOf(path, stat);
  } catch {
    return null;
  }
}

/** The first line of the cache file, as JSON; then a line for each of `ids`, in that order. */
interface Head {
  /** The folder of the tasks; null: the list of tasks cannot be reused. */
  tasks: Stamp | null;
  others: string[];
  ids: string[];
  /** The runs, valid by the stamps of their folder and of each manifest; null: not known. */
  runs: { stamps: Stamp[]; manifests: RunManifest[] } | null;
}

/** `artifacts` is left out where there are none. */
type Line = [
  taskId: string,
  stamps: Stamp[],
  version: number,
  origin: TaskSummaryRead['origin'],
  record: TaskSummary,
  artifacts?: GcArtifacts,
];

const NOTHING: GcArtifacts = { lease_files: [], attempts: [], litter: [] };

/** A task that was read for this snapshot: of its record only the summary, or a large tree would be held whole. */
interface Anew {
  read: TaskSummaryRead;
  names: readonly string[];
  /** The file of its newest version, where others are added to that. */
  addedTo: string | null;
  /** Once they were asked for. */
  artifacts?: ReturnType<typeof artifactsOf>;
}

export class SnapshotCache {
  readonly #layout: Layout;
  readonly #cache: Cache;
  readonly #startedMs: number;
  readonly #worthKeeping: number;
  readonly #head: Head;
  /** Those of `#head.ids`; a partly written file may lack some. */
  readonly #lines: readonly string[];
  /** Indexes of the unchanged tasks there, and the artifacts of those that have any. */
  readonly #asBefore: number[] = [];
  readonly #artifacts = new Map<string, GcArtifacts>();
  readonly #anew = new Map<string, Anew>();
  #runs: RunManifest[] | null = null;

  /** `nowMs`: the wall clock, taken before anything is read. */
  constructor(layout: Layout, cache: Cache, nowMs: number, worthKeeping = WORTH_KEEPING) {
    this.#layout = layout;
    this.#cache = cache;
    this.#startedMs = nowMs;
    this.#worthKeeping = worthKeeping;
    const [head = '', ...lines] = cache.read('tree')?.split('\n') ?? [];
    this.#head = (jsonIn(head) as Head | null) ?? { tasks: null, others: [], ids: [], runs: null };
    this.#lines = lines;
  }

  /** Ids of all tasks, in order; null when the folder has changed. */
  taskIds(): string[] | null {
    const { tasks, others, ids } = this.#head;
    if (tasks === null || !this.#isAsItWas(this.#layout.tasks, tasks)) return null;
    return others.length === 0 ? ids : [...ids, ...others].sort();
  }

  /** The cached runs while all are unchanged, else those of `listAnew`. */
  async runs(listAnew: () => Promise<RunManifest[]>): Promise<RunManifest[]> {
    const { runs } = this.#head;
    if (runs?.stamps.every((stamp) => this.#isAsItWas(this.#layout.runs, stamp))) return runs.manifests;
    this.#runs = await listAnew();
    return this.#runs;
  }

  #isAsItWas(folder: string, [path, inode, changedMs]: Stamp): boolean {
    const now = stampAt(folder, path);
    return now?.[1] === inode && now[2] === changedMs;
  }

  /** The cached tasks where they are unchanged, else those of `readAnew`. `taskIds`: in order. To be called once. */
  read(taskIds: readonly string[], readAnew: (taskId: string) => FolderRead): TaskSummaryRead[] {
    const { ids } = this.#head;
    let at = 0;
    return taskIds.map((taskId) => {
      while (at < ids.length && (ids[at] as string) < taskId) at++;
      const line = ids[at] === taskId ? (jsonIn(this.#lines[at] ?? '') as Line | null) : null;
      const folder = this.#layout.task(taskId);
      // A partly written file may lack a line break, which shifts its lines.
      if (line?.[0] === taskId && line[1].every((stamp) => this.#isAsItWas(folder, stamp))) {
        const [, , version, origin, record, artifacts] = line;
        this.#asBefore.push(at);
        if (artifacts !== undefined) this.#artifacts.set(taskId, artifacts);
        return { task_id: taskId, version, origin, record, problem: null, warnings: [] };
      }
      const { names, whole, ...anew } = readAnew(taskId);
      const read = summarized(anew);
      this.#anew.set(taskId, { read, names, addedTo: whole?.open ? versionName(whole.open.first) : null });
      return read;
    });
  }

  /** The artifacts of a task that was read. Throws IO_ERROR. */
  artifacts(taskId: string): GcArtifacts {
    const anew = this.#anew.get(taskId);
    if (anew === undefined) return this.#artifacts.get(taskId) ?? NOTHING;
    anew.artifacts ??= artifactsOf(this.#layout, { task_id: taskId, record: anew.read.record, names: anew.names });
    return anew.artifacts.artifacts;
  }

  /** Writes the cache with the tasks whose artifacts were read too, where that pays. Never throws. */
  keep(): void {
    const enough = Math.max(this.#worthKeeping, (this.#asBefore.length + this.#anew.size) * PART);
    if (this.#anew.size < enough) return;
    const lines = new Map(this.#asBefore.map((at) => [this.#head.ids[at] as string, this.#lines[at] as string]));
    const others: string[] = [];
    for (const [taskId, each] of this.#anew) {
      const line = this.#lineOf(each);
      if (line === null) others.push(taskId);
      else lines.set(taskId, JSON.stringify(line));
    }
    if (this.#anew.size - others.length < enough) return;
    const ids = [...lines.keys()].sort();
    const stamp = stampAt(this.#layout.tasks, '');
    const head: Head = {
      tasks: stamp !== null && this.#isSettled(stamp) ? stamp : null,
      others,
      ids,
      runs: this.#runs === null ? this.#head.runs : this.#runsToKeep(this.#runs),
    };
    this.#cache.write('tree', [`${JSON.stringify(head)}\n`, ...ids.map((id) => `${lines.get(id)}\n`)]);
  }

  /** Null where one cannot be read, or may have changed since. */
  #runsToKeep(manifests: RunManifest[]): Head['runs'] {
    const stamps: Stamp[] = [];
    for (const path of ['', ...manifests.map(({ run_id }) => `/${run_id}/manifest.json`)]) {
      const stamp = stampAt(this.#layout.runs, path);
      if (stamp === null || !this.#isSettled(stamp)) return null;
      stamps.push(stamp);
    }
    return countIn(this.#layout.runs) === manifests.length ? { stamps, manifests } : null;
  }

  /** Null where its artifacts were not read, or it may have changed since. */
  #lineOf({ read, names, addedTo, artifacts: looked }: Anew): Line | null {
    const { task_id, version, origin, record, problem, warnings } = read;
    if (looked === undefined || record === null || problem !== null || warnings.length > 0) return null;
    const dir = this.#layout.task(task_id);
    const stamps: Stamp[] = [];
    for (const path of placesOf(origin, names, addedTo)) {
      const stamp = stampAt(dir, path);
      if (stamp === null) return null;
      stamps.push(stamp);
    }
    const { artifacts } = looked;
    stamps.push(...looked.stamps);
    if (!stamps.every((stamp) => this.#isSettled(stamp))) return null;
    const line: Line = [task_id, stamps, version, origin, record];
    if (artifacts.lease_files.length + artifacts.attempts.length + artifacts.litter.length > 0) line[5] = artifacts;
    return line;
  }

  /** Whether the next change gets another ctime. */
  #isSettled([, , changedMs]: Stamp): boolean {
    return isSettled(changedMs, this.#startedMs);
  }
}

function countIn(folder: string): number {
  try {
    return fs.readdirSync(folder).length;
  } catch {
    return -1;
  }
}

/** Null for text that is not JSON, as of a partly written file. */
function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The paths that the record of a task was read from: its folder, and paths below it. */
function placesOf(origin: TaskSummaryRead['origin'], names: readonly string[], addedTo: string | null): string[] {
  const changes = (name: string) =>
    name === 'state.json' || name === addedTo || LEASE_FILE.test(name) || (name === HISTORY && origin === 'files');
  return ['', ...names.filter(changes).map((name) => `/${name}`)];
}
