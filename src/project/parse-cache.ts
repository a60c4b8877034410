/** Caches what was parsed from a text, with that exact text: any other text is parsed again. */

import type { Cache, CacheName } from '../lib/fs/cache.ts';

/** Caches `lines`, each of them JSON, as the result of parsing `text`. */
export function keepLines(cache: Cache, name: CacheName, text: string, lines: readonly string[]): void {
  cache.write(name, [...lines.map((line) => `${line}\n`), text]);
}

/** What `read` makes of the `count` lines cached for `text`; null when there are none, or the file is incomplete. */
export function keptLines<T>(
  cache: Cache,
  name: CacheName,
  text: string,
  count: number,
  read: (lines: readonly string[]) => T,
): T | null {
  const kept = cache.read(name);
  if (kept === null) return null;
  const lines: string[] = [];
  let start = 0;
  while (lines.length < count) {
    const end = kept.indexOf('\n', start);
    if (end === -1) return null;
    lines.push(kept.toString('utf8', start, end));
    start = end + 1;
  }
  if (!kept.subarray(start).equals(Buffer.from(text))) return null;
  try {
    return read(lines);
  } catch {
    return null;
  }
}
