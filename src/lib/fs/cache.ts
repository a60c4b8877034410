/**
 * A per-user cache of what forge can compute again at any time. It is in the user's cache folder, never in the project: reading
 * a project leaves it unchanged, a read-only project is read as fast, and a project from elsewhere brings no cache with it.
 *
 * A cached text says what it was made from, and its reader compares that before using it. Nothing waits for the disk, so a power
 * cut may leave a damaged file: readers must expect invalid JSON. All of it may be deleted at any time.
 */

import fs from 'node:fs';
import path from 'node:path';
import { crc32 } from '../checksum.ts';
import { parseJson } from '../json.ts';
import type { Variables } from '../variables.ts';
import { isOwn, isSafeFolder, makeBelow, replace, userFolder } from './cache-folder.ts';
import { readCapped, readFrom } from './read.ts';

export type CacheName = 'settings' | 'plan' | 'tree';

export interface Cache {
  /** The cached text; null when this build of forge has cached none for the project. */
  read(name: CacheName): string | null;
  /** Replaces the cached text by that of `parts`. Caches nothing when that fails; never throws. */
  write(name: CacheName, parts: Iterable<string>): void;
}

export const NO_CACHE: Cache = { read: () => null, write: () => {} };

/** Limit of a cached text, bytes: about a million tasks, and less than the longest string. */
const MAX_BYTES = 400 * 1024 * 1024;

/** How many projects are checked, at most, when the cache of a new one is made; caches of missing projects are removed. */
const LOOKED_AT = 200;

/** What the folder of a project is called. */
const PROJECT = /^[0-9a-f]{8}$/;

/** The first line of a file: the build that wrote it, and the project. */
const HEADER = /^\S+ (".*")\n/;

/**
 * The cache of `project`, in the user's cache folder. `build` identifies the build of forge, since another one may use another
 * format; null: nothing is cached.
 */
export function cacheOf(project: string, env: Variables, build: string | null): Cache {
  const above = userFolder(env);
  if (build === null || above === null) return NO_CACHE;
  const folder = path.join(above, crc32(project));
  let safe: boolean | undefined;
  const isSafe = () => {
    safe ??= isSafeFolder(folder);
    return safe;
  };
  const header = `${build} ${JSON.stringify(project)}\n`;
  return {
    read(name) {
      try {
        if (!isSafe()) return null;
        const text = readCapped(`${folder}/${name}`, MAX_BYTES, { accepts: isOwn });
        return text.startsWith(header) ? text.slice(header.length) : null;
      } catch {
        return null;
      }
    },
    write(name, parts) {
      try {
        if (makeBelow(above, folder)) forgetGone(above);
        if (isSafe()) replace(folder, name, [header, ...parts].join(''));
      } catch {
        // Then the next process computes it again.
      }
    },
  };
}

/** Removes the caches of projects that no longer exist. */
function forgetGone(above: string): void {
  const names = fs.readdirSync(above).filter((name) => PROJECT.test(name));
  for (const name of names.slice(0, LOOKED_AT)) {
    const folder = `${above}/${name}`;
    try {
      const projects = fs.readdirSync(folder).map((file) => projectOf(`${folder}/${file}`));
      const known = projects.filter((project) => project !== null);
      if (known.length > 0 && !known.some((project) => fs.existsSync(project))) fs.rmSync(folder, { recursive: true });
    } catch {
      // It is not a cache of forge, or another process removes it too.
    }
  }
}

/** Null when it is not a cache file. */
function projectOf(file: string): string | null {
  const named = parseJson(HEADER.exec(readFrom(file, 0).text)?.[1] ?? '');
  return typeof named === 'string' ? named : null;
}
