/** Which processes work in a folder. Linux only; elsewhere the answer is unknown. Nothing here changes anything. */

import { readdirSync, readFileSync, readlinkSync, type Stats, statSync } from 'node:fs';
import { tableFault } from './processes.ts';

/** Whether a process may hold a lock file. `unknown`: it cannot be seen from here. */
export type Holding = 'held' | 'free' | 'unknown';

/**
 * Whether a process may hold the lock file `lock`, made by a process that works in one of `folders`: it runs in one of them, or
 * has a file open there. The maker of the lock started before it and lives as long as it holds it, so one look at all processes
 * is enough; and it belongs to the lock's owner. This process does not count.
 */
export function holdingOf(lock: string, folders: readonly string[]): Holding {
  if (process.platform !== 'linux' || tableFault() !== null) return 'unknown';
  try {
    const owner = statSync(lock).uid;
    // The processes of other users may be hidden altogether.
    if (owner !== process.geteuid?.() && process.geteuid?.() !== 0) return 'unknown';
    const ids = [lock, ...folders].map((place) => idOf(statSync(place)));
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && name !== String(process.pid));
    const seen = new Set(pids.map((pid) => holdingBy(pid, owner, folders, ids)));
    return seen.has('held') ? 'held' : seen.has('unknown') ? 'unknown' : 'free';
  } catch {
    return 'unknown';
  }
}

/** `ids`: of the folders and the lock, since a process with other mounts has other paths for them. */
function holdingBy(pid: string, owner: number, folders: readonly string[], ids: readonly string[]): Holding {
  let isGit = false;
  try {
    // The name of a thread that makes files, and its user: both are readable for every process.
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    if (/^Uid:(?:\s+\d+){3}\s+(\d+)/m.exec(status)?.[1] !== String(owner)) return 'free';
    isGit = /^Name:\s+git/.test(status);
    const links = ['cwd', ...readdirSync(`/proc/${pid}/fd`).map((fd) => `fd/${fd}`)];
    return links.some((link) => leadsInto(`/proc/${pid}/${link}`, folders, ids)) ? 'held' : 'free';
  } catch (error) {
    // Agents that protect their memory cannot be inspected. Only git makes these locks, and a git process has that name.
    const { code } = error as NodeJS.ErrnoException;
    return isGit && (code === 'EACCES' || code === 'EPERM') && runs(pid) ? 'unknown' : 'free';
  }
}

/** False from its end on, also until its parent has waited for it: it has no memory then, and its files are hidden from all but root. */
function runs(pid: string): boolean {
  try {
    return /^VmSize:/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
}

function leadsInto(link: string, folders: readonly string[], ids: readonly string[]): boolean {
  try {
    const path = readlinkSync(link);
    if (folders.some((folder) => path === folder || path.startsWith(`${folder}/`))) return true;
    return path.startsWith('/') && ids.includes(idOf(statSync(link)));
  } catch (error) {
    // Just closed, or a folder that is gone.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

function idOf({ dev, ino }: Stats): string {
  return `${dev} ${ino}`;
}
