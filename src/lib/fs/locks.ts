/** Locks between processes, for work that is not a commit: advisory ones, and exclusive ones. */

import fs from 'node:fs';
import path from 'node:path';
import { ForgeError } from '../errors.ts';
import { formatDuration } from '../time.ts';
import { makePath } from './folders.ts';
import { asIoError, errorCode, whileDoing } from './io-errors.ts';
import { createFile } from './new-file.ts';
import { readCapped } from './read.ts';

/** How long a lock lasts after the last sign of its holder, which gives two in that time, and how long it is waited for. */
interface Terms {
  staleMs: number;
  waitMs: number;
}

const ADVISED: Terms = { staleMs: 5000, waitMs: 200 };
const TURN: Terms = { staleMs: 10_000, waitMs: 3000 };
const EXCLUSIVE: Terms = { staleMs: 10_000, waitMs: 3_600_000 };

/** Between two checks of a lock that is held: short at first, then five a second. Milliseconds. */
const LOOK_MS = { first: 10, most: 200 };

/**
 * Runs `work` under an advisory lock on `file`, so that two processes rarely do the same work. It guarantees nothing: when the
 * lock is not free in time, the work is done without it, so `work` must be harmless when done twice.
 */
export async function advised(file: string, work: () => unknown): Promise<void> {
  const release = await taken(`${file}.lock`, ADVISED).catch(() => null);
  try {
    await work();
  } finally {
    await release?.();
  }
}

/**
 * Runs `work` under an advisory lock, so that a second process does not repeat the first one's work. `me` describes the holder.
 * Waits a few seconds for the current holder, passes its description to `onBusy`, and then goes on without the lock: `work`
 * must be harmless when done twice. Throws what `work` throws, IO_ERROR.
 */
export async function takingTurns<T>(
  lock: string,
  me: string,
  onBusy: (holder: string) => void,
  work: () => Promise<T>,
): Promise<T> {
  const says = `${lock}.holder`;
  const release = await taken(lock, TURN);
  if (release === null) onBusy(holderIn(says));
  try {
    if (release !== null) {
      whileDoing(`locking ${lock}`, () => {
        // Never through a symlink or into a pipe that stands there.
        fs.rmSync(says, { force: true });
        createFile(says, me);
      });
    }
    return await work();
  } finally {
    if (release !== null) fs.rmSync(says, { force: true });
    await release?.();
  }
}

function holderIn(file: string): string {
  try {
    return readCapped(file, 1000).trim();
  } catch {
    return '';
  }
}

/** Whether the lock still belongs to this holder. A holder that was paused for long has lost it, and others may be at work. */
export type StillHeld = () => boolean;

/** Tells which process holds a lock, so that no process waits for one that is gone. */
export interface LockOwner {
  /** One line that names this process. */
  me: string;
  /** Whether the process that such a line names has certainly ended. */
  isGone(line: string): boolean;
}

export interface ExclusiveOptions {
  /** Default: ten seconds, and an hour of waiting. */
  terms?: Terms;
  /** Default: null, then a killed holder keeps the lock for `staleMs` more. */
  owner?: LockOwner | null;
}

/**
 * Runs `work` while no other process runs work under the same `lock`, a path whose folder is made. Waits for its turn.
 * Throws what `work` throws; IO_ERROR when the lock cannot be made, and when its turn does not come in time.
 */
export async function exclusively<T>(
  lock: string,
  work: (held: StillHeld) => Promise<T>,
  { terms = EXCLUSIVE, owner = null }: ExclusiveOptions = {},
): Promise<T> {
  whileDoing(`locking ${lock}`, () => makePath(path.dirname(lock)));
  const release = await taken(lock, terms, () => {
    if (owner !== null) clearLock(lock, owner);
  });
  if (release === null) {
    throw new ForgeError('IO_ERROR', `another process has held ${lock} for ${formatDuration(terms.waitMs)}`, {
      hint: 'See which forge still runs. When none does, remove that folder.',
    });
  }
  const mine = nameOf(lock);
  const named = `${mine}\n${owner?.me}`;
  if (owner !== null && mine !== null) nameOwner(lock, named);
  try {
    return await work(() => mine !== null && nameOf(lock) === mine);
  } finally {
    await release();
    // As long as there is a lock it has an owner: nothing waits for one that was killed just here.
    forgetOwner(lock, named);
  }
}

/** Says whose a lock is; beside it, since the lock is a folder that has to be empty to be removed. */
const ownerFile = (lock: string) => `${lock}.owner`;

function nameOwner(lock: string, text: string): void {
  whileDoing(`locking ${lock}`, () => {
    fs.rmSync(ownerFile(lock), { force: true });
    createFile(ownerFile(lock), text);
  });
}

/** Unless another process has named itself there meanwhile. */
function forgetOwner(lock: string, named: string): void {
  if (holderIn(ownerFile(lock)) === named) fs.rmSync(ownerFile(lock), { force: true });
}

/** Removes a lock whose holder is gone, and what says whose it is. */
export function clearLock(lock: string, owner: LockOwner): void {
  const named = holderIn(ownerFile(lock));
  const [held, line] = named.split('\n');
  if (line === undefined || !owner.isGone(line)) return;
  if (nameOf(lock) === null) forgetOwner(lock, named);
  if (held === nameOf(lock) && removed(lock, held)) forgetOwner(lock, named);
}

/** Removes the lock that has this name; false where another one stands there by now, which is left. */
function removed(lock: string, name: string | null): boolean {
  // Another process may have freed it meanwhile, and taken it: then it is moved back.
  const aside = `${lock}.gone`;
  try {
    fs.renameSync(lock, aside);
    if (nameOf(aside) === name) {
      fs.rmdirSync(aside);
      return true;
    }
    fs.renameSync(aside, lock);
  } catch {
    // Whatever is there now is looked at again.
  }
  return false;
}

/** What it returns is called at each look, and removes a lock with a time in the future that no holder renews: it would never be stale. */
function removeAhead(staleMs: number): (lock: string) => void {
  let seen = { name: '', mtimeMs: 0, sinceMs: 0 };
  return (lock) => {
    const { mtimeMs = 0 } = fs.lstatSync(lock, { throwIfNoEntry: false }) ?? {};
    const name = nameOf(lock) ?? '';
    if (mtimeMs <= Date.now() + staleMs) return;
    const nowMs = performance.now();
    if (name !== seen.name || mtimeMs !== seen.mtimeMs) seen = { name, mtimeMs, sinceMs: nowMs };
    else if (nowMs - seen.sinceMs > staleMs) removed(lock, name);
  };
}

/** Distinguishes a lock from one that was made again under its name; null when there is none. */
function nameOf(lock: string): string | null {
  const stat = fs.lstatSync(lock, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? null : `${stat.ino} ${stat.birthtimeNs}`;
}

/**
 * Takes a lock, and returns what releases it; null when another process holds it all that time. `onHeld` is called before each wait. Throws
 * IO_ERROR.
 */
async function taken(
  lock: string,
  { staleMs, waitMs }: Terms,
  onHeld = () => {},
): Promise<(() => Promise<void>) | null> {
  const { default: lockfile } = await import('proper-lockfile');
  const end = performance.now() + waitMs;
  const lookAhead = removeAhead(staleMs);
  for (let pauseMs = LOOK_MS.first; ; pauseMs = Math.min(pauseMs * 2, LOOK_MS.most)) {
    try {
      const release = await lockfile.lock(lock, {
        lockfilePath: lock,
        realpath: false,
        stale: staleMs,
        // The library's own retries would also wait for a folder that may not be written to.
        retries: 0,
        // A holder that was paused until others took the lock finds out when it asks.
        onCompromised: () => {},
      });
      // A lock that cannot be released expires.
      return () => release().catch(() => {});
    } catch (error) {
      if (errorCode(error) !== 'ELOCKED') throw asIoError(error, `locking ${lock}`);
      if (performance.now() >= end) return null;
      onHeld();
      lookAhead(lock);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}
