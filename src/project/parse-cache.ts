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
  if (!kept?.endsWith(text)) return null;
  const lines = kept.slice(0, kept.length - text.length).split('\n');
  // More of them are the beginning of another text, which ends as this one does.
  if (lines.length !== count + 1) return null;
  try {
    return read(lines);
  } catch {
    return null;
  }
}
