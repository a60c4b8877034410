/** The user's cache folder: what lies there counts only where no other user can have put it. */

import {
  lstatSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  writeFileSync,
} from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import type { Variables } from '../variables.ts';

/** The folder of forge in the user's caches, `$XDG_CACHE_HOME/forge` or `~/.cache/forge`; null where the user has none. Source: XDG Base Directory Specification, 0.8. */
export function userFolder({ XDG_CACHE_HOME: given = '', HOME: home = '' }: Variables): string | null {
  const base = isAbsolute(given) ? given : isAbsolute(home) ? join(home, '.cache') : null;
  return base && join(base, 'forge');
}

/** A folder of the user's cache for files of its own, made if need be; null where there is none that only the user can change. Never throws. */
export function cacheFolder(env: Variables, name: string): string | null {
  try {
    const above = userFolder(env);
    if (above === null) return null;
    const folder = join(above, name);
    makeBelow(above, folder);
    return isSafeFolder(folder) ? folder : null;
  } catch {
    return null;
  }
}

/** Whether `folder` was made. */
export function makeBelow(above: string, folder: string): boolean {
  for (const dir of [dirname(above), above]) makeDir(dir);
  return makeDir(folder);
}

/** False when it exists. Its parent must exist: a missing home is not created. */
function makeDir(dir: string): boolean {
  try {
    mkdirSync(dir, { mode: 0o700 });
    return true;
  } catch {
    return false;
  }
}

/** What another user may have written, as in a shared base folder, is not trusted. */
export function isOwn({ uid, mode }: Stats): boolean {
  return uid === process.getuid?.() && (mode & 0o022) === 0;
}

/** Whether no other user can put another folder in this place: it is the user's own, and only the user and root write above it. Throws a system error. */
export function isSafeFolder(folder: string): boolean {
  const stat = lstatSync(folder);
  if (!stat.isDirectory() || !isOwn(stat)) return false;
  for (let at = dirname(realpathSync.native(folder)); ; at = dirname(at)) {
    const { uid, gid, mode } = lstatSync(at);
    const others = (mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && gid !== process.getgid?.() && gid !== 0);
    // In a sticky folder only the owner of an entry can move it.
    const isSticky = (mode & 0o1000) !== 0;
    if ((uid !== 0 && uid !== process.getuid?.()) || (others && !isSticky)) return false;
    if (at === dirname(at)) return true;
  }
}

/** Writes a file of a folder that `isSafeFolder`: it is there whole or not at all, and with `flush` also after a power cut. Throws a system error. */
export function replace(folder: string, name: string, content: string | Buffer, flush = false): void {
  const tmp = `${folder}/${name}.${process.pid}.tmp`;
  try {
    writeFileSync(tmp, content, { mode: 0o600, flush });
    renameSync(tmp, `${folder}/${name}`);
  } finally {
    // Those of killed processes too. If one is still being written, only its writer misses it and caches nothing.
    const left = readdirSync(folder).filter((other) => other.startsWith(`${name}.`));
    for (const other of left) rmSync(`${folder}/${other}`, { force: true });
  }
}
