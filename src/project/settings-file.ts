/** Reads the settings of a project. The parsed result is cached like the plan's, since every command needs it. */

import { isDeepStrictEqual } from 'node:util';
import type { ProjectPaths } from '../domain/project-paths.ts';
import { DEFAULT_SETTINGS, type Settings } from '../domain/settings/settings.ts';
import { ForgeError } from '../lib/errors.ts';
import { type Cache, NO_CACHE } from '../lib/fs/cache.ts';
import { countProblems, readOptional, shown } from './find-project.ts';
import { cachedFor, cacheParsed } from './parse-cache.ts';

/** The settings with every default filled in; the defaults when there is no file. Throws SETTINGS_INVALID with all problems. */
export async function loadSettings(paths: ProjectPaths, cache: Cache = NO_CACHE): Promise<Settings> {
  const text = readOptional(paths.settings);
  if (text === null) return DEFAULT_SETTINGS;
  const cached = cachedFor<Settings>(cache, 'settings', text);
  if (cached !== null) return cached;
  const file = shown(paths, paths.settings);
  // With the YAML parser it is loaded only for a text that is not cached.
  const { parseSettings } = await import('../domain/settings/parse.ts');
  const parsed = parseSettings(text, file);
  if (!parsed.ok) {
    throw new ForgeError('SETTINGS_INVALID', countProblems(parsed.problems.length, file), {
      problems: parsed.problems,
    });
  }
  const { settings } = parsed;
  // The options of a tracker may be any YAML value, and JSON has no infinity.
  if (isDeepStrictEqual(JSON.parse(JSON.stringify(settings)), settings)) cacheParsed(cache, 'settings', text, settings);
  return settings;
}
