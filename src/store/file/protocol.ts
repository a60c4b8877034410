/**
 * The commit protocol: how a task's record moves from one version to the next, at whatever point a writer is killed or paused.
 *
 * A task's folder holds its versions as immutable files `v000000001.json`, `v000000002.json`, ... The newest one is the
 * record. Committing on version N means creating N+1 by `link`, which succeeds for exactly one writer:
 *
 *   1. reserve: create `.tmp-<op>`
 *   2. list the folder; unless N is the newest version, another writer was first
 *   3. write, fsync and close the reserved file
 *   4. link it to version N+1
 *   5. fsync the folder; the commit is durable and may be reported
 *
 * Old versions are removed later (`compact`). Without the reservation, a writer that paused after step 2 could create a
 * number again that was used and removed. A process that compacts has just committed a durable version H; then it (a) lists
 * the folder and removes every `.tmp-*` it sees, (b) marks the folder and removes versions well below H. A writer whose
 * reservation is older than (a) finds it gone, and its link fails. A writer whose reservation is younger looks at the newest
 * version when H exists, sees at least H, and gives up at step 2. If H is removed while it looks, a process that has
 * committed a newer version removes it, and has swept the reservation away before. Neither test needs a clock or a lock.
 *
 * A listing is no snapshot: it has every name that is there from its beginning to its end. One without any whole version
 * means that there was none when it began, or that all of them were removed while it went on. The mark, `.compacted`, tells
 * the two apart. It is created before the first version is removed, and stays. A reader asks for it after the listing: without
 * it nothing was removed meanwhile, so there was no whole version; with it there is one, and the reader lists again.
 *
 * Every file begins with a whole record, so a hole in the numbers (a power cut may lose an entry that was not synced) means
 * nothing, and a file that fails its checksum is void: the one before it stands.
 *
 * The steps of an attempt are recorded with less: each is a line that is added to the newest file (`add`). A line names the version that it
 * follows, so of two writers that add to the same version one is first, and the other's line does not count, nor does any behind it. Before
 * another file is linked, the newest one is closed by a line of the same kind: what is added to it later does not count.
 */

import { RECORD_MAX_BYTES, type TaskRecord } from '../../domain/task/records.ts';
import { errorCode } from '../../lib/fs/io-errors.ts';
import * as io from '../../lib/fs/operations.ts';
import { type Handle, quietly, type Step, unless } from '../../lib/fs/operations.ts';
import {
  asWritten,
  COMPACTED,
  decodeVersion,
  encodeAdded,
  encodeClosing,
  encodeVersion,
  TMP_PREFIX,
  type VersionFile,
  versionName,
  versionNumber,
} from './record-file.ts';

/** How many versions a task's folder keeps. Any `kept` from 1 on is safe; more of them spare readers a second listing. */
export interface Retention {
  /** Versions that a compaction leaves, the newest included. */
  kept: number;
  compactAt: number;
}

export const RETENTION: Retention = { kept: 16, compactAt: 64 };

export interface Head {
  /** Number of the newest version; 0 when there is none. A commit names it as `expected`. */
  n: number;
  /** Number of the newest file, which is that of the first version in it. */
  file: number;
  /** The newest version that is whole; null when there is none. */
  version: VersionFile | null;
  /** Version files that were skipped because their checksum fails. */
  voided: string[];
  /** The newest version is whole but of an unknown format; then `version` is null. */
  unknown: string | null;
  /** Every name in the folder; null when there is no folder. */
  names: string[] | null;
}

const NO_FOLDER: Head = { n: 0, file: 0, version: null, voided: [], unknown: null, names: null };

/** Codes that say what is at a path is not a readable file of ours, rather than that the disk failed. */
const FOREIGN = new Set(['ELOOP', 'EFBIG', 'EINVAL', 'EISDIR', 'ENXIO']);

/** Text at `path`; null when there is nothing, or (as `foreign`) when it is a symlink, a folder or oversized. */
export function* readText(path: string, maxBytes = RECORD_MAX_BYTES): Step<{ text: string | null; foreign: boolean }> {
  try {
    return { text: yield* io.read(path, maxBytes), foreign: false };
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOENT') return { text: null, foreign: false };
    if (FOREIGN.has(code)) return { text: null, foreign: true };
    throw error;
  }
}

/**
 * Most that is read of a file of versions, bytes. Only `RECORD_MAX_BYTES` of it count, but each process that came too late may have left a line
 * behind those: this is the room for more than 500 that add at once.
 */
const VERSIONS_MAX_BYTES = 16 * 1024 * 1024;

const readVersions = (path: string) => readText(path, VERSIONS_MAX_BYTES);

export function newestOf(names: readonly string[]): number {
  return names.reduce((newest, name) => Math.max(newest, versionNumber(name) ?? 0), 0);
}

/**
 * Listings without a whole version after which a marked folder has none: a person may remove the versions and leave the
 * mark, a disk may spoil all of them. A listing misses every whole version only when as many commits as a compaction keeps
 * versions come while it goes on.
 */
const FRUITLESS_LISTINGS = 100;

/** A version that this process has read or written: it is not read again while its file is the one that it was. */
export interface KnownVersion {
  version: VersionFile;
  /** When the file was written, milliseconds since the epoch; null: it is read again. */
  writtenMs: number | null;
}

/** Finds the record of the task whose folder is `dir`: one listing, then the newest version, unless that is `known`. */
export function* readHead(dir: string, known: KnownVersion | null = null): Step<Head> {
  let damaged = 0;
  let fruitless = 0;
  for (;;) {
    let names: string[];
    try {
      names = yield* io.list(dir);
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return NO_FOLDER;
      throw error;
    }
    const head = yield* newestWhole(dir, names, known);
    // A version that was listed and is needed is gone: it has been compacted, so there are newer ones.
    if (head === null) continue;
    const found = head.version !== null || head.unknown !== null;
    if (!found && ++fruitless < FRUITLESS_LISTINGS && (yield* io.modified(`${dir}/${COMPACTED}`)) !== null) continue;
    // Where the newest one is damaged, those before it count. A listing that went on while they came may have missed them;
    // one that begins now does not.
    if (head.voided.length === 0 || head.n === damaged) return head;
    damaged = head.n;
  }
}

function* newestWhole(dir: string, names: string[], known: KnownVersion | null): Step<Head | null> {
  const numbers = names.flatMap((name) => versionNumber(name) ?? []).sort((a, b) => b - a);
  const file = numbers[0] ?? 0;
  const head: Head = { n: file, file, version: null, voided: [], unknown: null, names };
  for (const number of numbers) {
    const path = `${dir}/${versionName(number)}`;
    const isKnown = number === known?.version.n && known.writtenMs !== null;
    if (isKnown && (yield* io.modified(path)) === known.writtenMs) return { ...head, version: known.version };
    const { text, foreign } = yield* readVersions(path);
    if (text === null && !foreign) return null;
    const decoded = text === null ? ({ kind: 'void' } as const) : decodeVersion(text);
    if (decoded.kind === 'valid') return { ...head, n: Math.max(file, decoded.version.n), version: decoded.version };
    if (decoded.kind === 'unknown') return { ...head, unknown: decoded.why };
    head.voided.push(versionName(number));
  }
  return head;
}

export interface CommitRequest {
  /** The version that the change was decided on: `Head.n`. */
  expected: number;
  /** Names this very try; must be unique. */
  op: string;
  record: TaskRecord;
  /** The newest whole version that this process knows: none before the one that it has decided on. Default: it has found none. */
  on?: VersionFile | null | undefined;
}

export type CommitResult =
  /**
   * The change holds. `durable` is false when the folder could not be synced: then a power cut may undo it. `versions`
   * counts the version files that were there before.
   */
  { kind: 'committed'; version: VersionFile; durable: boolean; versions: number } | { kind: 'conflict' };

/**
 * Commits `record` as the version after `expected` in the existing folder `dir`. `text`: that version as a file.
 * Throws what a call threw when nothing has changed; once the link stands nothing is reported as a failure.
 */
export function* commit(
  dir: string,
  { expected, op, record, on = null }: CommitRequest,
  text = encodeVersion({ n: expected + 1, op, record }),
): Step<CommitResult> {
  const n = expected + 1;
  const tmp = `${dir}/${TMP_PREFIX}${op}`;
  const handle = yield* io.create(tmp);
  let names: string[];
  try {
    try {
      names = yield* io.list(dir);
      if (!(yield* isLast(dir, newestOf(names), expected, on))) {
        yield* quietly(io.unlink(tmp));
        return { kind: 'conflict' };
      }
      yield* io.write(handle, text);
      yield* io.syncFile(handle);
    } finally {
      yield* io.close(handle);
    }
  } catch (error) {
    yield* quietly(io.unlink(tmp));
    throw error;
  }

  const linked = yield* linkVersion(tmp, `${dir}/${versionName(n)}`, op);
  if (!linked) {
    yield* quietly(io.unlink(tmp));
    return { kind: 'conflict' };
  }
  const durable = yield* quietly(io.syncDir(dir));
  yield* quietly(io.unlink(tmp));
  const versions = names.filter((name) => versionNumber(name) !== null).length;
  return { kind: 'committed', version: asWritten({ n, op, record }, text), durable, versions };
}

/**
 * Whether version `expected` is the newest, and the last in `file`, the newest file. One that versions are added to is closed for that: then
 * none is added between this look and the link.
 */
function* isLast(dir: string, file: number, expected: number, on: VersionFile | null): Step<boolean> {
  // Below `expected`: the newest file is damaged, and none is added to it.
  if (on === null || on.n < expected) return file === expected;
  if (on.n > expected || file !== (on.open?.first ?? expected)) return false;
  if (on.open === undefined || on.open.end === 'closed') return true;
  const path = `${dir}/${versionName(file)}`;
  const closing = encodeClosing(on);
  if (!(yield* unless('ENOENT', appended(path, closing)))) return false;
  // Another process may close it too. A line that the disk has spoiled since is no part of it any more.
  return (yield* readVersions(path)).text?.startsWith(on.open.text + closing) === true;
}

/** Does `work` with a file that is open for what comes behind all that is in it. */
function* opened(path: string, work: (handle: Handle) => Step<void>): Step<void> {
  const handle = yield* io.append(path);
  try {
    yield* work(handle);
  } finally {
    yield* io.close(handle);
  }
}

function appended(path: string, text: string): Step<void> {
  return opened(path, (handle) => io.write(handle, text));
}

/**
 * Makes the version after `on` by a line in its file, which adds `added` to the journal; nothing else of `record` may differ. Null where the
 * file takes none: it is long, has ended, or its name could not be made durable. Throws what a call threw when nothing has changed, and when the file could not be read afterwards: then the version may be there.
 */
export function* add(
  dir: string,
  on: VersionFile,
  { op, record, added }: { op: string; record: TaskRecord; added: readonly object[] },
): Step<CommitResult | null> {
  const next = encodeAdded(on, { op, record, entries: added });
  if (next === null) return null;
  const { open } = next.version;
  const path = `${dir}/${versionName(open.first)}`;
  // Who linked the file may have been killed before its name was durable. Before the first line, since the next ones rely on that.
  if (on.n === open.first && !(yield* quietly(io.syncDir(dir)))) return null;
  let failure: unknown = null;
  let durable = false;
  try {
    yield* opened(path, function* (handle) {
      yield* io.write(handle, next.line);
      durable = yield* quietly(io.syncFile(handle));
    });
  } catch (error) {
    // It was compacted: there are newer ones.
    if (errorCode(error) === 'ENOENT') return { kind: 'conflict' };
    failure = error;
  }
  if (!(yield* readVersions(path)).text?.startsWith(open.text)) {
    if (failure !== null) throw failure;
    return { kind: 'conflict' };
  }
  // A later version would hang on this line.
  if (!durable) yield* quietly(appended(path, encodeClosing(next.version)));
  return { kind: 'committed', version: next.version, durable, versions: 0 };
}

/** Makes an earlier commit durable: the process that made it may have died before. `on`: the version that was read, which has it. */
export function* settle(dir: string, on: VersionFile | null = null): Step<void> {
  // A file that is gone was compacted, by a writer of newer ones that are durable.
  if (on?.open !== undefined) yield* unless('ENOENT', synced(`${dir}/${versionName(on.open.first)}`));
  yield* io.syncDir(dir);
}

/** Makes what was added to a file durable. */
function synced(path: string): Step<void> {
  return opened(path, io.syncFile);
}

/** Whether the link is ours. After an error the target is read, since the call may have succeeded. */
function* linkVersion(tmp: string, target: string, op: string): Step<boolean> {
  try {
    yield* io.link(tmp, target);
    return true;
  } catch (error) {
    const code = errorCode(error);
    // The reservation was swept, or the folder removed: the record has changed.
    if (code === 'ENOENT') return false;
    const { text, foreign } = yield* readVersions(target);
    const decoded = text === null ? null : decodeVersion(text);
    if (decoded?.kind === 'valid' && makerOf(decoded.version) === op) return true;
    // Where it exists no more, others have committed so often since that it was compacted.
    if (text !== null || foreign || code === 'EEXIST') return false;
    yield* quietly(io.unlink(tmp));
    throw error;
  }
}

/** The commit that made the file. */
function makerOf({ op, open }: VersionFile): string {
  return open?.madeBy ?? op;
}

/**
 * Whether a commit that was reported as a conflict or as failed is known not to have happened. A link whose error says nothing may have been
 * made, and others may have built on it since.
 */
export function* isUndone(dir: string, { expected, op }: Pick<CommitRequest, 'expected' | 'op'>): Step<boolean> {
  try {
    const { text, foreign } = yield* readVersions(`${dir}/${versionName(expected + 1)}`);
    // What a line has made was another commit. A file that was made and is gone was compacted, so there are newer ones.
    if (text === null && !foreign) return (yield* readHead(dir)).file <= expected;
    const decoded = text === null ? null : decodeVersion(text);
    return decoded?.kind === 'valid' && makerOf(decoded.version) !== op;
  } catch {
    return false;
  }
}

/**
 * Removes versions well behind `newest`, which the caller must have committed durably: what is removed must not be missed
 * after a power cut. Anyone may do it at any time; see the top of this file for why it is safe.
 */
export function* compact(dir: string, newest: number, { kept }: Retention = RETENTION): Step<void> {
  const names = yield* io.list(dir);
  for (const name of names) {
    if (name.startsWith(TMP_PREFIX)) yield* removed(`${dir}/${name}`);
  }
  const old = names.filter((name) => (versionNumber(name) ?? Number.POSITIVE_INFINITY) <= newest).sort();
  old.splice(-kept);
  if (old.length > 0 && !names.includes(COMPACTED)) yield* marked(`${dir}/${COMPACTED}`);
  // Oldest first: a reader whose listing missed newer versions must not find an older one in their place.
  for (const name of old) yield* removed(`${dir}/${name}`);
}

/** Makes sure that `path` is there. It need not be durable: a power cut ends every listing that could miss a version. */
function* marked(path: string): Step<void> {
  try {
    yield* io.close(yield* io.create(path));
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
  }
}

/** Makes sure that `path` is gone; failing to remove a reservation must stop a compaction. */
export function removed(path: string): Step<boolean> {
  return unless('ENOENT', io.unlink(path));
}
