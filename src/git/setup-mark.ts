/**
 * Remembers what a worktree was prepared by, in the worktree's own git folder: it goes with it. A worker can write there, and only keep
 * its own worktree from being prepared again.
 */

import { LOCK_FILES, setupMark } from '../domain/verify/worktree-setup.ts';
import { sha256 } from '../lib/digest.ts';
import { errorCode, ifThere, NO_PATH, whileDoing } from '../lib/fs/io-errors.ts';
import { createFile } from '../lib/fs/new-file.ts';
import { readBytes, readCapped } from '../lib/fs/read.ts';
import { CHECKOUT_TIMEOUT_MS, type GitEnv, gitIn, gitNames } from './git.ts';
import { repositoryOf } from './repository.ts';
import { gitDirAround, removeFolder, topOf } from './worktree-files.ts';

const MARK = 'forge-setup';

/** Most of a lock file and of a mark, bytes. */
const MAX_BYTES = { lock: 256 * 1024 * 1024, mark: 1024 };

/** Whether `agents.setup` has prepared the worktree whose project folder is `cwd`, as it is now. Throws IO_ERROR. */
export async function isSetUp(env: GitEnv, cwd: string): Promise<boolean> {
  const file = markOf(cwd);
  const mark = file === null ? null : ifThere(`reading ${file}`, () => readCapped(file, MAX_BYTES.mark), NO_MARK);
  return mark !== null && mark === (await markNow(env, cwd));
}

/** Notes that it is, or is not. Throws IO_ERROR. */
export async function noteSetUp(env: GitEnv, cwd: string, done: boolean): Promise<void> {
  const file = markOf(cwd);
  if (file === null) return;
  removeFolder(file);
  const mark = done ? await markNow(env, cwd) : null;
  // Never through a link that a worker has put there.
  if (mark !== null) whileDoing(`writing ${file}`, () => createFile(file, mark));
}

/** What a worker has put in its place is no mark. */
const NO_MARK = [...NO_PATH, 'ELOOP', 'EISDIR', 'EINVAL', 'EFBIG'];

/** Null in no linked worktree. */
function markOf(cwd: string): string | null {
  const gitDir = gitDirAround(cwd);
  return gitDir && `${gitDir}/${MARK}`;
}

/** Null where a lock file can't be read. */
async function markNow(env: GitEnv, cwd: string): Promise<string | null> {
  const top = topOf(cwd, (await repositoryOf(env)).prefix);
  const list = ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '--'];
  const patterns = LOCK_FILES.map((name) => `:(glob)**/${name}`);
  const names = await gitNames([...list, ...patterns], { ...gitIn(env, top), timeoutMs: CHECKOUT_TIMEOUT_MS });
  const locks = new Map<string, string>();
  for (const name of names) {
    try {
      locks.set(name, sha256(readBytes(`${top}/${name}`, MAX_BYTES.lock)));
    } catch (error) {
      if (!NO_PATH.includes(errorCode(error) ?? '')) return null;
    }
  }
  return setupMark(env.settings.agents.setup, locks);
}
