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

/** The first line of a file: the build that wrote it, and the project. */
const HEADER = /^\S+ (".*")\n/;

/**
 * The cache of `project`, in `$XDG_CACHE_HOME/forge` or `~/.cache/forge`. `build` identifies the build of forge, since another
 * one may use another format; null: nothing is cached. Source: XDG Base Directory Specification, 0.8.
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

type Variables = Readonly<Record<string, string | undefined>>;

/** The folder of forge in the user's caches; null where the user has none. */
function userFolder({ XDG_CACHE_HOME: given = '', HOME: home = '' }: Variables): string | null {
  const base = path.isAbsolute(given) ? given : path.isAbsolute(home) ? path.join(home, '.cache') : null;
  return base && path.join(base, 'forge');
}

/** A folder of the user's cache for files of its own, made if need be; null where there is none that only the user can change. Never throws. */
export function cacheFolder(env: Variables, name: string): string | null {
  try {
    const above = userFolder(env);
    if (above === null) return null;
    const folder = path.join(above, name);
    makeBelow(above, folder);
    return isSafeFolder(folder) ? folder : null;
  } catch {
    return null;
  }
}

/** Whether `folder` was made. */
function makeBelow(above: string, folder: string): boolean {
  for (const dir of [path.dirname(above), above]) makeDir(dir);
  return makeDir(folder);
}

/** False when it exists. Its parent must exist: a missing home is not created. */
function makeDir(dir: string): boolean {
  try {
    fs.mkdirSync(dir, { mode: 0o700 });
    return true;
  } catch {
    return false;
  }
}

/** What another user may have written, as in a shared base folder, is not trusted. */
function isOwn({ uid, mode }: fs.Stats): boolean {
  return uid === process.getuid?.() && (mode & 0o022) === 0;
}

/** Whether no other user can put another folder in this place: it is the user's own, and only the user and root write above it. */
function isSafeFolder(folder: string): boolean {
  const stat = fs.lstatSync(folder);
  if (!stat.isDirectory() || !isOwn(stat)) return false;
  for (let at = path.dirname(fs.realpathSync(folder)); ; at = path.dirname(at)) {
    const { uid, gid, mode } = fs.lstatSync(at);
    const others = (mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && gid !== process.getgid?.() && gid !== 0);
    // In a sticky folder only the owner of an entry can move it.
    const isSticky = (mode & 0o1000) !== 0;
    if ((uid !== 0 && uid !== process.getuid?.()) || (others && !isSticky)) return false;
    if (at === path.dirname(at)) return true;
  }
}

function replace(folder: string, name: string, text: string): void {
  const tmp = `${folder}/${name}.${process.pid}.tmp`;
  try {
    fs.writeFileSync(tmp, text, { mode: 0o600 });
    fs.renameSync(tmp, `${folder}/${name}`);
  } finally {
    // Those of killed processes too. If one is still being written, only its writer misses it and caches nothing.
    const left = fs.readdirSync(folder).filter((other) => other.startsWith(`${name}.`));
    for (const other of left) fs.rmSync(`${folder}/${other}`, { force: true });
  }
}

/** Removes the caches of projects that no longer exist. */
function forgetGone(above: string): void {
  for (const name of fs.readdirSync(above).slice(0, LOOKED_AT)) {
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

/** Null when it is no cache file. */
function projectOf(file: string): string | null {
  const named = parseJson(HEADER.exec(readFrom(file, 0).text)?.[1] ?? '');
  return typeof named === 'string' ? named : null;
}
