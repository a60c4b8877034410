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

import { LEASE_FILE } from '../core/gc-plan.ts';
import type { Cache } from './cache.ts';
import { type Beside, besideOf } from './gc-files.ts';
import type { Layout } from './layout.ts';
import { type Stamp, StampCheck, stampOf } from './stamps.ts';
import { type FolderRead, HISTORY, type TaskRead } from './task-files.ts';

/** More than any file system's granularity of times, milliseconds. */
export const TICK_MS = 2000;

/** How many tasks have to be worth it before what was seen is written down: for fewer, looking again costs less than that. */
const WORTH_KEEPING = 256;

/** And they are at least this part of the tree. */
const PART = 1 / 16;

/** What is kept of a task is a line: its id, its stamps one after another, and this, the latter two as JSON, with tabs between. */
type Seen = Pick<TaskRead, 'version' | 'origin' | 'record'> & {
  /** Left out where nothing is. */
  beside?: Beside;
};

const TAB = 9;
const NEWLINE = 10;

const NOTHING: Beside = { lease_files: [], attempts: [] };

/** A task that was read anew; `beside` once somebody has asked for it. */
interface Anew {
  read: FolderRead;
  beside?: ReturnType<typeof besideOf>;
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
  readonly #besides = new Map<string, Beside>();
  readonly #anew = new Map<string, Anew>();

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
    const { tasks, others } = this.#kept;
    const now = stampOf(this.#layout.tasks, '');
    if (tasks === null || now?.[1] !== tasks[1] || now[2] !== tasks[2]) return null;
    const ids = [...this.#kept.taskIds()];
    return others.length === 0 ? ids : [...ids, ...others].sort();
  }

  /** The tasks as they were seen, where they are still so, else as `readAnew` returns them. To be called once. */
  read(taskIds: readonly string[], readAnew: (taskId: string) => FolderRead): TaskRead[] {
    // Parsed before it is known whether it holds, which others are finding out meanwhile.
    const kept = taskIds.map((taskId) => this.#kept.seen(taskId));
    const holds = this.#check.result();
    return taskIds.map((taskId, at) => {
      const seen = kept[at];
      if (seen && holds(this.#kept.indexOf(taskId))) {
        const { version, origin, record, beside } = seen;
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
  beside(taskId: string): Beside {
    const anew = this.#anew.get(taskId);
    if (anew === undefined) return this.#besides.get(taskId) ?? NOTHING;
    anew.beside ??= besideOf(this.#layout, anew.read);
    return anew.beside.beside;
  }

  /** Keeps what was seen of those tasks that were looked at whole, where that is worth it. Never throws. */
  keep(): void {
    const enough = Math.max(this.#worthKeeping, (this.#asBefore.length + this.#anew.size) * PART);
    if (this.#anew.size < enough) return;
    const others: string[] = [];
    const lines = this.#asBefore.map((taskId) => this.#kept.line(taskId));
    for (const [taskId, each] of this.#anew) {
      const line = this.#lineOf(each);
      if (line === null) others.push(taskId);
      else lines.push(line);
    }
    if (this.#anew.size - others.length < enough) return;
    const tasks = stampOf(this.#layout.tasks, '');
    const head: Head = [tasks !== null && this.#isSettled(tasks) ? tasks : null, others];
    this.#cache.write('tree', [`${JSON.stringify(head)}\n`, ...lines.sort()]);
  }

  /** Null where it was not looked at whole, or may be otherwise by now. */
  #lineOf({ read, beside: looked }: Anew): string | null {
    const { task_id, version, origin, record, problem, warnings } = read;
    if (looked === undefined || record === null || problem !== null || warnings.length > 0) return null;
    const dir = this.#layout.task(task_id);
    const stamps: Stamp[] = [];
    for (const { path, needed } of placesOf(read, looked)) {
      const stamp = stampOf(dir, path);
      if (stamp === null ? needed : !this.#isSettled(stamp)) return null;
      if (stamp !== null) stamps.push(stamp);
    }
    const { beside } = looked;
    const isBare = beside.lease_files.length === 0 && beside.attempts.length === 0;
    const seen: Seen = { version, origin, record, ...(isBare ? {} : { beside }) };
    return `${task_id}\t${asciiJson(stamps.flat())}\t${asciiJson(seen)}\n`;
  }

  /** Whether the next change will have another time. */
  #isSettled([, , changedMs]: Stamp): boolean {
    return changedMs <= this.#startedMs - TICK_MS;
  }
}

/** In ASCII, which is decoded most quickly. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[^\0-\x7f]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** The first line, as JSON: what tells which tasks there are (null: nothing does), and those of them that have no line. */
type Head = [tasks: Stamp | null, others: string[]];

/** What was kept: the head, and a line a task. */
class Kept {
  readonly bytes: Buffer;
  readonly tasks: Stamp | null;
  readonly others: readonly string[];
  /** Four numbers a line: where the id begins and ends, and where the stamps do. What comes after them ends with the line. */
  readonly places: Uint32Array;
  /** Which line it is, by task. */
  readonly #lines = new Map<string, number>();
  /** Where each line ends. */
  readonly #ends: number[] = [];

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    const headEnd = bytes.indexOf(NEWLINE);
    [this.tasks, this.others] = headEnd === -1 ? [null, []] : (JSON.parse(bytes.toString('utf8', 0, headEnd)) as Head);
    const places: number[] = [];
    for (let begin = headEnd + 1; begin < bytes.length; ) {
      const idEnd = bytes.indexOf(TAB, begin);
      const stampsEnd = bytes.indexOf(TAB, idEnd + 1);
      const end = bytes.indexOf(NEWLINE, stampsEnd);
      places.push(begin, idEnd, idEnd + 1, stampsEnd);
      this.#lines.set(bytes.toString('latin1', begin, idEnd), this.#ends.length);
      this.#ends.push(end);
      begin = end + 1;
    }
    this.places = Uint32Array.from(places);
  }

  /** In order: no letter of an id comes before the tab, so the lines are sorted as the ids are. */
  taskIds(): Iterable<string> {
    return this.#lines.keys();
  }

  /** Which line is the task's; -1 when none is. */
  indexOf(taskId: string): number {
    return this.#lines.get(taskId) ?? -1;
  }

  seen(taskId: string): Seen | null {
    const line = this.indexOf(taskId);
    if (line === -1) return null;
    const begin = (this.places[4 * line + 3] ?? 0) + 1;
    return JSON.parse(this.bytes.toString('latin1', begin, this.#ends[line])) as Seen;
  }

  /** With its newline. */
  line(taskId: string): string {
    const line = this.indexOf(taskId);
    return this.bytes.toString('latin1', this.places[4 * line], (this.#ends[line] ?? 0) + 1);
  }
}

/**
 * All that a look at a task depends on, below its folder. Where a folder of questions or answers is not there, that of its
 * attempt tells when it comes.
 */
function placesOf(
  { origin, names }: FolderRead,
  { beside, attemptIds }: ReturnType<typeof besideOf>,
): { path: string; needed: boolean }[] {
  const needed = (path: string) => ({ path, needed: true });
  const edited = (name: string) =>
    name === 'state.json' || LEASE_FILE.test(name) || (name === HISTORY && origin === 'files');
  return [
    needed(''),
    ...names.filter(edited).map((name) => needed(`/${name}`)),
    ...(names.includes('attempts') ? [needed('/attempts')] : []),
    ...attemptIds.flatMap((attemptId) => {
      const dir = `/attempts/${attemptId}`;
      return [needed(dir), ...['questions', 'answers'].map((name) => ({ path: `${dir}/${name}`, needed: false }))];
    }),
    ...beside.attempts.flatMap(({ attempt_id, verdict, questions, answers }) => [
      ...(verdict === null ? [] : [needed(`/attempts/${attempt_id}/verdict.json`)]),
      ...[...questions, ...answers].map(({ path }) => needed(`/${path}`)),
    ]),
  ];
}
