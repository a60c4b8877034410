/** Whether anything in a folder was written lately. */

import fs from 'node:fs';
import path from 'node:path';

/** Entries that are looked at. What is beyond them counts as unchanged. */
const MOST = 50_000;

/**
 * Whether something below `dir` was changed after `sinceMs`, milliseconds since the epoch. Entries named in `skipped` are left out, and so is
 * what can't be read or goes away meanwhile. A time after `nowMs` was set by a tool, and says nothing. Never throws.
 */
export function changedSince(
  dir: string,
  { sinceMs, nowMs }: { sinceMs: number; nowMs: number },
  skipped: readonly string[],
): boolean {
  const folders = [dir];
  let looked = 0;
  for (let folder = folders.pop(); folder !== undefined && looked < MOST; folder = folders.pop()) {
    for (const entry of entriesOf(folder)) {
      if (skipped.includes(entry.name)) continue;
      looked += 1;
      const place = path.join(folder, entry.name);
      const at = changedAt(place);
      if (at > sinceMs && at <= nowMs) return true;
      if (entry.isDirectory()) folders.push(place);
    }
  }
  return false;
}

function entriesOf(folder: string): fs.Dirent[] {
  try {
    return fs.readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}

function changedAt(place: string): number {
  try {
    return fs.lstatSync(place).mtimeMs;
  } catch {
    return 0;
  }
}
