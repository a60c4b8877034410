/** Reads the settings of a project. */

import { isDeepStrictEqual } from 'node:util';
import type { ProjectPaths } from '../domain/project-paths.ts';
import { DEFAULT_SETTINGS, type Settings } from '../domain/settings/settings.ts';
import { type Cache, NO_CACHE } from '../lib/fs/cache.ts';
import { readOptional, shown } from './find-project.ts';
import { parsedText } from './parse-cache.ts';

export interface LoadedSettings {
  settings: Settings;
  /** Of what is legal and probably not meant, or has no effect. */
  warnings: string[];
}

/** The settings with every default filled in; the defaults when there is no file. Throws SETTINGS_INVALID with all problems. */
export async function loadSettings(paths: ProjectPaths, cache: Cache = NO_CACHE): Promise<LoadedSettings> {
  const text = readOptional(paths.settings);
  if (text === null) return { settings: DEFAULT_SETTINGS, warnings: [] };
  const source = { file: shown(paths, paths.settings), text };
  // With the YAML parser it is loaded only for a text that is not cached.
  const parse = async () => (await import('../domain/settings/parse.ts')).parseSettings(text, source.file);
  // The options of a tracker may be any YAML value, and JSON has no infinity.
  const isJson = (parsed: unknown) => isDeepStrictEqual(JSON.parse(JSON.stringify(parsed)), parsed);
  const names = ['settings', 'SETTINGS_INVALID'] as const;
  const { settings, warnings } = await parsedText<LoadedSettings>(source, cache, names, parse, { isJson });
  return { settings, warnings };
}
