/**
 * `.forge/logs/orchestrate.jsonl`: what was asked, what moved, what failed. It is for people who look back; nothing is
 * decided by it, so a log that can't be written never stops a command.
 */

import fs from 'node:fs';
import path from 'node:path';
import type { ProjectPaths } from '../domain/project-paths.ts';
import { makePath } from '../lib/fs/folders.ts';
import { appendLines } from '../lib/fs/json-lines.ts';
import { advised } from '../lib/fs/locks.ts';
import { isoTime } from '../lib/time.ts';
import type { TaskEvent } from './events.ts';

/** The line of an event; null for one that has none. */
function lineOf(event: TaskEvent): object | null {
  if (event.type === 'transition' || event.type === 'warning' || event.type === 'pruned') return event;
  if (event.type !== 'gc') return null;
  const { released: _, ...line } = event;
  return line;
}

/** Rotated logs that are kept beside the current one. */
const KEPT = 5;

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

  /** A subscriber of events. Never rejects. */
  readonly write = async (events: readonly TaskEvent[]): Promise<void> => {
    const lines = events.map(lineOf).filter((line) => line !== null);
    if (lines.length === 0) return;
    try {
      const dir = path.dirname(this.#file);
      const there = fs.lstatSync(dir, { throwIfNoEntry: false });
      if (there?.isSymbolicLink() === true) return;
      // Before the first change of a project there is no `.forge`, and a refused command must not create one.
      if (there === undefined && !fs.existsSync(path.dirname(dir))) return;
      if (there === undefined) makePath(dir);
      // Another may rotate at the same moment; what goes wrong then must not cost a line.
      await this.#rotateIfFull().catch(() => {});
      appendLines(
        this.#file,
        lines.map((line) => ({ ts: isoTime(this.#now()), ...line })),
      );
    } catch {
      // See the top of this file.
    }
  };

  async #rotateIfFull(): Promise<void> {
    const size = () => fs.lstatSync(this.#file, { throwIfNoEntry: false })?.size ?? 0;
    if (size() <= this.#maxBytes) return;
    await advised(this.#file, () => {
      if (size() <= this.#maxBytes) return;
      // The name is unique: renaming over another rotated log would lose it.
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
