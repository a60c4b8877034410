/** What gc does to files that are no records: stray leases, questions and answers, and the layout of the first version. */

import fs from 'node:fs';
import type { GcLeaseFile } from '../../domain/gc/gc-plan.ts';
import type { TreeIdentity } from '../../domain/gc/saved-plan.ts';
import type { Lease } from '../../domain/task/records.ts';
import { crc32 } from '../../lib/checksum.ts';
import { ForgeError } from '../../lib/errors.ts';
import { entriesIn, makeFolder, refuseSymlink, syncDir } from '../../lib/fs/folders.ts';
import { asIoError, errorCode } from '../../lib/fs/io-errors.ts';
import { takingTurns } from '../../lib/fs/locks.ts';
import { requireUuid } from '../../lib/ids.ts';
import type { GcStore, LegacyMove } from '../port.ts';
import { LEASE_FILE, leaseFilesOf, readLease, textOf } from './gc-artifacts.ts';
import type { Layout } from './layout.ts';

const LEGACY_FOLDERS = ['questions', 'answers'] as const;

export class GcFileStore implements GcStore {
  readonly #layout: Layout;

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  async leaseFiles(taskId: string): Promise<GcLeaseFile[]> {
    return leaseFilesOf(
      this.#layout,
      taskId,
      entriesIn(this.#layout.task(taskId)).map(({ name }) => name),
    );
  }

  async readLease(taskId: string, name: string): Promise<Lease | null> {
    const file = this.#leasePath(taskId, name);
    const lease = readLease(file);
    if (typeof lease === 'string') throw asIoError(new Error(lease), `reading ${file}`);
    return lease;
  }

  #leasePath(taskId: string, name: string): string {
    if (LEASE_FILE.test(name)) return `${this.#layout.task(taskId)}/${name}`;
    throw new ForgeError('INVALID_ARGS', `${name} is no name of a lease file`);
  }

  /**
   * The file is taken aside first, so that what is checked is what is removed. Its name aside is a lease file's too: after a
   * kill the next gc finds it.
   */
  async removeLease(taskId: string, name: string, op: string, holds: (lease: Lease) => boolean): Promise<boolean> {
    const file = this.#leasePath(taskId, name);
    const aside = `${this.#layout.task(taskId)}/lease.json.${requireUuid(op, 'commit')}`;
    try {
      fs.renameSync(file, aside);
      const lease = readLease(aside);
      if (typeof lease === 'object' && lease !== null && holds(lease)) {
        fs.unlinkSync(aside);
        return true;
      }
      // A link does not overwrite what was put there meanwhile.
      fs.linkSync(aside, file);
      fs.unlinkSync(aside);
      return false;
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return false;
      throw asIoError(error, `removing ${file}`);
    }
  }

  async archive(
    taskId: string,
    kind: 'questions' | 'answers',
    { attempt_id, question_id, digest }: { attempt_id: string; question_id: string; digest: string },
  ): Promise<boolean> {
    const attempt = this.#layout.attempt(taskId, attempt_id);
    const name = `${requireUuid(question_id, 'question')}.json`;
    const from = `${attempt}/${kind}/${name}`;
    const folder = `${attempt}/archived/${kind}`;
    try {
      refuseSymlink(`${attempt}/${kind}`);
      const text = textOf(from);
      if (typeof text !== 'string' || crc32(text) !== digest) return false;
      makeFolder(`${attempt}/archived`);
      makeFolder(folder);
      linkUnlessThere(from, `${folder}/${name}`, text);
      syncDir(folder);
      fs.unlinkSync(from);
      return true;
    } catch (error) {
      // Another gc was faster.
      if (errorCode(error) === 'ENOENT') return false;
      throw asIoError(error, `archiving ${from}`);
    }
  }

  async legacyMoves(stamp: string): Promise<LegacyMove[]> {
    return LEGACY_FOLDERS.flatMap((folder) =>
      entriesIn(`${this.#layout.forge}/${folder}`)
        .filter((entry) => entry.isFile() && entry.name.endsWith('.json') && !entry.name.startsWith('.'))
        .map(({ name }) => name)
        .sort()
        .map((name) => ({
          from: `.forge/${folder}/${name}`,
          to: `.forge/orchestrator/legacy/${stamp}/${folder}/${name}`,
        })),
    );
  }

  /** Each is renamed, so that it has one name at every moment, and one of several processes moves it. */
  async moveLegacy(moves: readonly LegacyMove[]): Promise<LegacyMove[]> {
    const { project } = this.#layout;
    return moves.filter(({ from, to }) => {
      const [source, target] = [`${project}/${from}`, `${project}/${to}`];
      const folder = folderOf(target);
      try {
        for (const dir of [folderOf(folderOf(folder)), folderOf(folder), folder]) makeFolder(dir);
        // Nothing is overwritten; another time has another folder.
        if (fs.lstatSync(target, { throwIfNoEntry: false }) !== undefined) return false;
        fs.renameSync(source, target);
        for (const dir of [folder, folderOf(source)]) syncDir(dir);
        return true;
      } catch (error) {
        if (errorCode(error) === 'ENOENT') return false;
        throw asIoError(error, `moving ${from}`);
      }
    });
  }

  async identity(): Promise<TreeIdentity | null> {
    const { orchestrator } = this.#layout;
    const stat = fs.lstatSync(orchestrator, { throwIfNoEntry: false });
    return stat?.isDirectory() === true ? { path: fs.realpathSync(orchestrator), inode: stat.ino } : null;
  }

  takeTurn<T>(me: string, onBusy: (holder: string) => void, work: () => Promise<T>): Promise<T> {
    return takingTurns(`${this.#layout.orchestrator}/.gc.lock`, me, onBusy, work);
  }
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}

/** A process that was killed between the two names has left both; another file of that name is kept, and gets company. */
function linkUnlessThere(from: string, to: string, text: string): void {
  try {
    fs.linkSync(from, to);
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
    if (textOf(to) === text) return;
    const next = (_: string, n: string | undefined) => `.${Number(n?.slice(1) ?? 0) + 1}.json`;
    linkUnlessThere(from, to.replace(/(\.\d+)?\.json$/, next), text);
  }
}
