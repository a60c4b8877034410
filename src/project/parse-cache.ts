/** Caches what was parsed from a text, with that exact text: any other text is parsed again. */

import type { Cache, CacheName } from '../lib/fs/cache.ts';

/** Caches `value`, which JSON can hold, as the result of parsing `text`. */
export function cacheParsed(cache: Cache, name: CacheName, text: string, value: unknown): void {
  cache.write(name, [JSON.stringify(value), '\n', text]);
}

/** The value cached for `text`; null when there is none, or the file is incomplete. */
export function cachedFor<T>(cache: Cache, name: CacheName, text: string): T | null {
  const cached = cache.read(name);
  if (!cached?.endsWith(text)) return null;
  const [json = '', ...more] = cached.slice(0, cached.length - text.length).split('\n');
  // With more lines it is the end of a longer text.
  if (more.length !== 1) return null;
  try {
    return JSON.parse(json) as T;
  } catch {
    return null;
  }
}
