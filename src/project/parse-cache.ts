/** Parses a file that a person wrote, and caches the result with that exact text: any other text is parsed again. */

import { type ErrorCode, ForgeError, type Problem } from '../lib/errors.ts';
import type { Cache, CacheName } from '../lib/fs/cache.ts';
import { firstOf } from '../lib/text.ts';

export interface SourceText {
  /** As a person writes it. */
  file: string;
  text: string;
}

/**
 * `parse` gives a value that JSON can hold, unless `isJson` denies that; `isCurrent`: whether what else it was made of is the same still. Throws
 * `code` with all problems.
 */
export async function parsedText<T extends object>(
  { file, text }: SourceText,
  cache: Cache,
  [name, code]: readonly [CacheName, ErrorCode],
  parse: () => Promise<({ ok: true } & T) | { ok: false; problems: readonly Problem[]; hint?: string }>,
  { isJson = () => true, isCurrent = () => true }: { isJson?(value: T): boolean; isCurrent?(value: T): boolean } = {},
): Promise<T> {
  const cached = cachedFor<T>(cache.read(name), text);
  if (cached !== null && isCurrent(cached)) return cached;
  const parsed = await parse();
  if (!parsed.ok) {
    const { problems, hint } = parsed;
    throw new ForgeError(code, problemsText(problems, file), { problems, ...(hint !== undefined && { hint }) });
  }
  if (isJson(parsed)) cacheParsed(cache, name, parsed, text);
  return parsed;
}

/** Keeps what `parsedText` would parse `text` to. */
export function cacheParsed(cache: Cache, name: CacheName, parsed: { ok: true }, text: string): void {
  cache.write(name, [JSON.stringify(parsed), '\n', text]);
}

/** `2 problems in plans/phases.yaml`; a plan may have them in files that it includes. */
export function problemsText(problems: readonly Problem[], file: string): string {
  const count = problems.length === 1 ? 'one problem' : `${problems.length} problems`;
  const files = [...new Set(problems.map(({ place }) => place.file))];
  return `${count} in ${files.length === 0 ? file : firstOf(files, 3)}`;
}

/** The value cached for `text`; null when there is none, or the file is incomplete. */
function cachedFor<T>(cached: string | null, text: string): T | null {
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
