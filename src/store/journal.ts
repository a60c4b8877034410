/**
 * `.forge/logs/orchestrate.jsonl`: what was asked, what moved, what failed. It is for people who look back; nothing is
 * decided by it, so a log that can't be written never stops a command.
 */

import fs from 'node:fs';
import path from 'node:path';
import type { ProjectPaths } from '../domain/project-paths.ts';
import type { TaskState } from '../domain/task/records.ts';
import type { ErrorCode } from '../lib/errors.ts';
import { appendLines } from '../lib/fs/json-lines.ts';
import { advised } from '../lib/fs/locks.ts';
import { isoTime } from '../lib/time.ts';

export type JournalEntry =
  | { type: 'verb'; verb: string; task_id: string | null }
  | {
      type: 'transition';
      task_id: string;
      move: string;
      from: TaskState;
      to: TaskState;
      run_id: string | null;
      claim_id: string | null;
      generation: number;
    }
  /** gc has applied a row of its table. */
  | { type: 'gc'; task_id: string; row: number; action: string; reason: string }
  | { type: 'warning'; task_id: string | null; message: string }
  | { type: 'error'; verb: string; code: ErrorCode | 'BUG'; message: string };

/** Rotated logs that are kept beside the current one. */
const KEPT = 5;

/** Rotations by this process. */
let rotations = 0;

export class Journal {
  readonly #file: string;
  readonly #now: () => number;
  readonly #maxBytes: number;

  constructor(paths: ProjectPaths, now: () => number, maxBytes: number) {
    this.#file = paths.log;
    this.#now = now;
    this.#maxBytes = maxBytes;
  }

  async write(entries: readonly JournalEntry[]): Promise<void> {
    if (entries.length === 0) return;
    try {
      const dir = path.dirname(this.#file);
      // Before the first change of a project there is no `.forge`, and a refused command must not create one.
      if (!fs.existsSync(path.dirname(dir))) return;
      fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
      if (fs.lstatSync(dir).isSymbolicLink()) return;
      // Another may rotate at the same moment; what goes wrong then must not cost a line.
      await this.#rotateIfFull().catch(() => {});
      appendLines(
        this.#file,
        entries.map((entry) => ({ ts: isoTime(this.#now()), ...entry })),
      );
    } catch {
      // See the top of this file.
    }
  }

  async #rotateIfFull(): Promise<void> {
    const size = () => fs.lstatSync(this.#file, { throwIfNoEntry: false })?.size ?? 0;
    if (size() <= this.#maxBytes) return;
    await advised(this.#file, () => {
      if (size() <= this.#maxBytes) return;
      // A name that nobody else gives: renaming over another rotated log would lose it.
      const name = `${isoTime(this.#now()).replaceAll(':', '')}.${process.pid}-${rotations++}`;
      fs.renameSync(this.#file, this.#file.replace(/\.jsonl$/, `.${name}.jsonl`));
      for (const old of this.#rotated().slice(0, -KEPT)) fs.rmSync(old, { force: true });
    });
  }

  #rotated(): string[] {
    const dir = path.dirname(this.#file);
    const names = fs.readdirSync(dir).filter((name) => /^orchestrate\..+\.jsonl$/.test(name));
    return names.sort().map((name) => path.join(dir, name));
  }
}
