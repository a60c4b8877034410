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
import type { Subscriber, TaskEvent } from './events.ts';

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

/** Keeps the log in `file` below `maxBytes`. What it returns never rejects. */
export function journalIn({ log: file }: Pick<ProjectPaths, 'log'>, now: () => number, maxBytes: number): Subscriber {
  const dir = path.dirname(file);
  return async (events) => {
    const lines = events.map(lineOf).filter((line) => line !== null);
    if (lines.length === 0) return;
    try {
      const there = fs.lstatSync(dir, { throwIfNoEntry: false });
      if (there?.isSymbolicLink() === true) return;
      // Before the first change of a project there is no `.forge`, and a refused command must not create one.
      if (there === undefined && !fs.existsSync(path.dirname(dir))) return;
      if (there === undefined) makePath(dir);
      // Another may rotate at the same moment; what goes wrong then must not cost a line.
      await rotateIfFull().catch(() => {});
      appendLines(
        file,
        lines.map((line) => ({ ts: isoTime(now()), ...line })),
      );
    } catch {
      // See the top of this file.
    }
  };

  async function rotateIfFull(): Promise<void> {
    const size = () => fs.lstatSync(file, { throwIfNoEntry: false })?.size ?? 0;
    if (size() <= maxBytes) return;
    await advised(file, () => {
      if (size() <= maxBytes) return;
      // The name is unique: renaming over another rotated log would lose it.
      const name = `${isoTime(now()).replaceAll(':', '')}.${process.pid}-${rotations++}`;
      fs.renameSync(file, file.replace(/\.jsonl$/, `.${name}.jsonl`));
      const rotated = fs.readdirSync(dir).filter((other) => /^orchestrate\..+\.jsonl$/.test(other));
      for (const old of rotated.sort().slice(0, -KEPT)) fs.rmSync(path.join(dir, old), { force: true });
    });
  }
}
