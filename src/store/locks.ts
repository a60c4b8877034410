/** Locks between processes, for work that is not a commit: one that may be done without, and one that must be had. */

import fs from 'node:fs';
import path from 'node:path';
import { ForgeError } from '../core/errors.ts';
import { errorCode } from './calls.ts';
import { asIoError } from './io-errors.ts';

/**
 * Runs `work` under an advisory lock on `file`, so that two processes rarely do the same work. It promises nothing: when
 * the lock can't be had in time the work is done without it, and `work` must be harmless when it is done twice.
 */
export async function advised(file: string, work: () => unknown): Promise<void> {
  const { default: lockfile } = await import('proper-lockfile');
  const release = await lockfile
    .lock(file, { stale: 5000, retries: { retries: 3, minTimeout: 20, maxTimeout: 100 }, onCompromised: () => {} })
    .catch(() => null);
  try {
    await work();
  } finally {
    await release?.().catch(() => {});
  }
}

/** Milliseconds without a sign of life after which the holder of a lock counts as dead. It gives one twice in that time. */
const STALE_MS = 10_000;

/** Looks at a lock that somebody holds: a few quick ones, then five a second, for an hour. */
const WAIT = { retries: 18_000, factor: 2, minTimeout: 10, maxTimeout: 200 };

/** Between two looks of somebody who does not wait for long, milliseconds. */
const LOOK_MS = 25;

/**
 * Runs `work` while nobody else, in any process, runs work under the same `lock`, a path whose folder is made. Waits for
 * its turn; whoever was killed holds a lock for ten seconds more.
 * Throws what `work` throws; IO_ERROR when the lock can't be made, and after an hour in vain.
 */
export async function exclusively<T>(lock: string, work: () => Promise<T>): Promise<T> {
  try {
    fs.mkdirSync(path.dirname(lock), { recursive: true, mode: 0o700 });
  } catch (error) {
    throw asIoError(error, `locking ${lock}`);
  }
  return locked(lock, { stale: STALE_MS, retries: WAIT, waited: 'an hour' }, work);
}

/**
 * The same for short work that can be done another time: waits for `waitMs` at most, and the folder must be there.
 * Whoever was killed holds the lock for three seconds more. Throws what `work` throws, IO_ERROR.
 */
export async function exclusivelySoon<T>(lock: string, waitMs: number, work: () => Promise<T>): Promise<T> {
  const retries = { retries: Math.ceil(waitMs / LOOK_MS), factor: 1, minTimeout: LOOK_MS, maxTimeout: LOOK_MS };
  return locked(lock, { stale: SOON_STALE_MS, retries, waited: `${waitMs} ms` }, work);
}

const SOON_STALE_MS = 3000;

interface Terms {
  /** Milliseconds. */
  stale: number;
  retries: typeof WAIT;
  /** What the retries come to, in words. */
  waited: string;
}

async function locked<T>(lock: string, { stale, retries, waited }: Terms, work: () => Promise<T>): Promise<T> {
  const { default: lockfile } = await import('proper-lockfile');
  let release: () => Promise<void>;
  try {
    release = await lockfile.lock(lock, {
      lockfilePath: lock,
      realpath: false,
      stale,
      retries,
      // A holder that was paused for so long that others went on has nothing that it could still undo.
      onCompromised: () => {},
    });
  } catch (error) {
    if (errorCode(error) !== 'ELOCKED') throw asIoError(error, `locking ${lock}`);
    throw new ForgeError('IO_ERROR', `somebody has held ${lock} for ${waited}`, {
      hint: 'See which forge still runs. When none does, remove that folder.',
      cause: error,
    });
  }
  try {
    return await work();
  } finally {
    // A lock that can't be given back runs out.
    await release().catch(() => {});
  }
}
