/**
 * What was seen of every task, kept for the next look at the whole tree.
 *
 * A task counts as seen while everything that was looked at is as it was: its folder, the files in it that people edit, the
 * folders of its attempts and what lies in those. Each is told by its inode and the time of its last change of any kind,
 * which nobody can set, much as git tells whether a file of its index has changed. As there, what changed only just before
 * the look is not kept: when it changes again the clock of the file system may not have moved on. Version files are never
 * written twice and not asked about. Source: stat(2), and "racy git" in git's technical documentation.
 *
 * This is for those who look. Whoever changes a task reads it whole, and commits on the version that he has read.
 */

import fs from 'node:fs';
import { LEASE_FILE } from '../core/gc-plan.ts';
import type { Cache } from './cache.ts';
import { type Beside, besideOf } from './gc-files.ts';
import type { Layout } from './layout.ts';
import { HISTORY, type TaskRead } from './task-files.ts';

/** More than any file system's granularity of times, milliseconds. */
export const TICK_MS = 2000;

/** How many tasks have to be worth it before what was seen is written down: for fewer, looking again costs less than that. */
const WORTH_KEEPING = 256;

/** And they are at least this part of the tree. */
const PART = 1 / 16;

/** A path below the task's folder, and what a look at it gave: its inode, and the time of its last change of any kind, ms. */
type Stamp = [path: string, inode: number, changedMs: number];

/** What is kept of a task: a line of JSON. */
type Line = [taskId: string, stamps: Stamp[], read: TaskRead, beside: Beside];

export class SeenTree {
  readonly #layout: Layout;
  readonly #cache: Cache;
  readonly #startedMs: number;
  readonly #worthKeeping: number;
  /** What was kept, by task. */
  readonly #lines: Map<string, string>;
  /** What lies beside the records of those tasks that are as they were. */
  readonly #asBefore = new Map<string, Beside>();
  /** The tasks that were read anew; `beside` once somebody has asked for it. */
  readonly #anew = new Map<string, { read: TaskRead; beside: Beside | null }>();

  /** `nowMs`: the wall clock, before anything is looked at. */
  constructor(layout: Layout, cache: Cache, nowMs: number, worthKeeping = WORTH_KEEPING) {
    this.#worthKeeping = worthKeeping;
    this.#layout = layout;
    this.#cache = cache;
    this.#startedMs = nowMs;
    this.#lines = linesOf(cache.read('tree') ?? '');
  }

  /** The task as it was seen, while it is still so; else what `readAnew` returns. */
  read(taskId: string, readAnew: () => TaskRead): TaskRead {
    const line = this.#lines.get(taskId);
    const kept = line === undefined ? null : this.#stillSo(line);
    if (kept !== null) return kept;
    const read = readAnew();
    this.#anew.set(taskId, { read, beside: null });
    return read;
  }

  #stillSo(line: string): TaskRead | null {
    const [taskId, stamps, read, beside] = JSON.parse(line) as Line;
    const dir = this.#layout.task(taskId);
    if (!stamps.every((stamp) => holds(dir, stamp))) return null;
    this.#asBefore.set(taskId, beside);
    return read;
  }

  /** What lies beside the record of a task that was read. Throws IO_ERROR. */
  beside(taskId: string): Beside {
    const before = this.#asBefore.get(taskId);
    if (before !== undefined) return before;
    const anew = this.#anew.get(taskId);
    if (anew === undefined) return { lease_files: [], attempts: [] };
    anew.beside ??= besideOf(this.#layout, anew.read);
    return anew.beside;
  }

  /** Keeps what was seen of those tasks that were looked at whole, where that is worth it. Never throws. */
  keep(): void {
    const enough = Math.max(this.#worthKeeping, (this.#asBefore.size + this.#anew.size) * PART);
    if (this.#anew.size < enough) return;
    const anew = [...this.#anew].flatMap(([taskId, { read, beside }]) => {
      const stamps = beside === null ? null : this.#stampsOf(read, beside);
      return beside === null || stamps === null ? [] : [JSON.stringify([taskId, stamps, read, beside] satisfies Line)];
    });
    if (anew.length < enough) return;
    const before = [...this.#asBefore.keys()].map((taskId) => this.#lines.get(taskId));
    this.#cache.write('tree', [...before, ...anew].join('\n'));
  }

  /** Null where anything is not to be relied on. */
  #stampsOf(read: TaskRead, beside: Beside): Stamp[] | null {
    if (read.record === null || read.problem !== null || read.warnings.length > 0) return null;
    const dir = this.#layout.task(read.task_id);
    const stamps: Stamp[] = [];
    for (const { path, needed } of looked(read, beside)) {
      const stat = fs.lstatSync(dir + path, { throwIfNoEntry: false });
      if (stat === undefined && !needed) continue;
      if (stat === undefined || stat.ctimeMs > this.#startedMs - TICK_MS) return null;
      stamps.push([path, stat.ino, stat.ctimeMs]);
    }
    return stamps;
  }
}

/** Every line begins with a list's bracket and the id, which has no letter that JSON would write in another way. */
function linesOf(text: string): Map<string, string> {
  const lines = new Map<string, string>();
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf('\n', at);
    const line = text.slice(at, end === -1 ? text.length : end);
    lines.set(line.slice(2, line.indexOf('"', 2)), line);
    at += line.length + 1;
  }
  return lines;
}

function holds(dir: string, [path, inode, changedMs]: Stamp): boolean {
  const stat = fs.lstatSync(dir + path, { throwIfNoEntry: false });
  return stat !== undefined && stat.ino === inode && stat.ctimeMs === changedMs;
}

/**
 * All that a look at a task depends on, below its folder. Where a folder of questions or answers is not there, that of its
 * attempt tells when it comes.
 */
function looked({ origin, names }: TaskRead, { attempts }: Beside): { path: string; needed: boolean }[] {
  const needed = (path: string) => ({ path, needed: true });
  const edited = (name: string) =>
    name === 'state.json' || LEASE_FILE.test(name) || (name === HISTORY && origin === 'files');
  return [
    needed(''),
    ...names.filter(edited).map((name) => needed(`/${name}`)),
    ...(names.includes('attempts') ? [needed('/attempts')] : []),
    ...attempts.flatMap(({ attempt_id, verdict, questions, answers }) => {
      const dir = `/attempts/${attempt_id}`;
      return [
        needed(dir),
        ...(verdict === null ? [] : [needed(`${dir}/verdict.json`)]),
        ...['questions', 'answers'].map((name) => ({ path: `${dir}/${name}`, needed: false })),
        ...[...questions, ...answers].map(({ path }) => needed(`/${path}`)),
      ];
    }),
  ];
}
