/** Which processes are at work in a folder. Linux only: elsewhere nobody can tell. Nothing here changes anything. */

import { readdirSync, readFileSync, readlinkSync, type Stats, statSync } from 'node:fs';

/** Whether a process may hold a lock file. `unknown`: that can't be seen from here. */
export type Holding = 'held' | 'free' | 'unknown';

/**
 * Whether a process may hold the lock file `lock`, which whoever works in one of `folders` makes: it runs in one of them, or
 * has a file open there. Whoever made the lock was there before it, and is there for as long as it is his, so one look at
 * all processes is enough; and he is the user who owns it. This very process does not count.
 */
export function holdingOf(lock: string, folders: readonly string[]): Holding {
  if (process.platform !== 'linux') return 'unknown';
  try {
    const owner = statSync(lock).uid;
    // The processes of others may be hidden altogether.
    if (owner !== process.geteuid?.() && process.geteuid?.() !== 0) return 'unknown';
    const places = { folders, ids: [lock, ...folders].map((place) => idOf(statSync(place))) };
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && name !== String(process.pid));
    const seen = new Set(pids.map((pid) => holdingBy(pid, owner, places)));
    return seen.has('held') ? 'held' : seen.has('unknown') ? 'unknown' : 'free';
  } catch {
    return 'unknown';
  }
}

interface Places {
  folders: readonly string[];
  /** Of the folders and the lock: a process that sees other mounts knows them by other paths. */
  ids: readonly string[];
}

function holdingBy(pid: string, owner: number, places: Places): Holding {
  try {
    // The name of a thread that makes files, and the user that they are given to: anybody may read that.
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    if (/^Uid:(?:\s+\d+){3}\s+(\d+)/m.exec(status)?.[1] !== String(owner)) return 'free';
    return isIn(pid, places, /^Name:\s+git/.test(status));
  } catch {
    // It has ended.
    return 'free';
  }
}

function isIn(pid: string, places: Places, isGit: boolean): Holding {
  try {
    const links = ['cwd', ...readdirSync(`/proc/${pid}/fd`).map((fd) => `fd/${fd}`)];
    return links.some((link) => leadsInto(`/proc/${pid}/${link}`, places)) ? 'held' : 'free';
  } catch (error) {
    // Agents that keep secrets can't be looked into. Every git is called so, and nothing else makes these locks.
    const { code } = error as NodeJS.ErrnoException;
    return isGit && (code === 'EACCES' || code === 'EPERM') ? 'unknown' : 'free';
  }
}

function leadsInto(link: string, { folders, ids }: Places): boolean {
  try {
    const path = readlinkSync(link);
    if (folders.some((folder) => path === folder || path.startsWith(`${folder}/`))) return true;
    return path.startsWith('/') && ids.includes(idOf(statSync(link)));
  } catch (error) {
    // Closed just now, or a folder that is gone.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

function idOf({ dev, ino }: Stats): string {
  return `${dev} ${ino}`;
}
