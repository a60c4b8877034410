/** A task's folder as a whole: reading it with what people did to it, adopting it, and committing to it. */

import path from 'node:path';
import {
  freshRecord,
  type Lease,
  LeaseSchema,
  parseRecord,
  RECORD_MAX_BYTES,
  type TaskRecord,
  type TaskStateRecord,
  TaskStateSchema,
} from '../../domain/task/records.ts';
import { crc32 } from '../../lib/checksum.ts';
import { ForgeError } from '../../lib/errors.ts';
import { runSync } from '../../lib/fs/drivers.ts';
import { errorCode, whileDoing } from '../../lib/fs/io-errors.ts';
import * as io from '../../lib/fs/operations.ts';
import { type Handle, quietly, type Step, unless } from '../../lib/fs/operations.ts';
import { parseJson } from '../../lib/json.ts';
import type { RecordCommit, TaskRead } from '../port.ts';
import type { FoldersAhead } from './folders-ahead.ts';
import {
  add,
  type CommitRequest,
  type CommitResult,
  commit,
  compact,
  type Head,
  type KnownVersion,
  RETENTION,
  type Retention,
  readHead,
  readText,
  settle,
} from './protocol.ts';
import { encodeVersion, type VersionFile, viewsOf } from './record-file.ts';
import { findEdits, publish } from './views.ts';

export interface FolderRead extends TaskRead {
  names: readonly string[];
  /** The version that it comes from; null when there is none that is whole. */
  whole: VersionFile | null;
}

/**
 * What `read` gives, or a task of which nothing can be read where it fails and `problemAt` says what is wrong with the folder. Reading never
 * waits for the disk to confirm anything, so it needs no driver. Throws IO_ERROR.
 */
export function readNow(task_id: string, read: () => Step<FolderRead>, problemAt: () => string | null): FolderRead {
  try {
    return whileDoing(`reading task ${task_id}`, () => runSync(read()));
  } catch (error) {
    const problem = problemAt();
    if (problem === null) throw error;
    return { task_id, version: 0, names: [], whole: null, warnings: [], origin: 'none', record: null, problem };
  }
}

/** `lookAtTask` for what may be decided and committed on it. */
export function* readTask(...args: Parameters<typeof lookAtTask>): Step<FolderRead> {
  const read = yield* lookAtTask(...args);
  const { record, whole, version } = read;
  if (record !== null && record === whole?.record) READ_FROM.set(record.state, { version, lease: record.lease });
  return read;
}

/**
 * Reads the task whose folder is `dir`. `thorough` compares the views with the record even where their times look right;
 * a change is always decided on a thorough read. `known`: a version that need not be read.
 */
export function* lookAtTask(
  dir: string,
  taskId: string,
  thorough: boolean,
  known: KnownVersion | null = null,
): Step<FolderRead> {
  const head = yield* readHead(dir, known);
  const names = head.names ?? [];
  const whole = head.version;
  const base = { task_id: taskId, version: head.n, names, whole, warnings: [] as string[], problem: null };
  if (head.unknown !== null)
    return { ...base, origin: 'record', record: null, problem: `version ${head.n}: ${head.unknown}` };
  if (head.names === null) return { ...base, origin: 'none', record: null };
  if (head.n === 0) {
    const read = yield* readFiles(dir, taskId, base, thorough);
    // Views that it met may be of a version that was made since the listing.
    const isFirst = read.origin === 'files' && (yield* readHead(dir)).n > 0;
    return isFirst ? yield* lookAtTask(dir, taskId, thorough) : read;
  }
  if (head.version === null) {
    return { ...base, origin: 'record', record: null, problem: `none of ${head.voided.join(', ')} is whole` };
  }
  const edits = yield* findEdits(dir, head, thorough);
  const warnings = [
    ...head.voided.map((name) => `${name} is damaged; the version before it stands`),
    ...edits.warnings,
  ];
  const record = afterDamage(edits.edited ?? head.version.record, head.voided.length);
  return { ...base, origin: 'record', record, problem: edits.refused, warnings };
}

/** Each damaged version may have given a generation out, and none is given out twice. */
function afterDamage(record: TaskRecord, damaged: number): TaskRecord {
  if (damaged === 0) return record;
  return { ...record, memo: { ...record.memo, generation: record.memo.generation + damaged } };
}

export const HISTORY = 'claim-history.jsonl';
/** A history grows by a line a claim; it is only read for a task that has no version yet. */
export const HISTORY_MAX_BYTES = 16 * 1024 * 1024;

/** A claim must exceed every generation ever given out, also where the lease that had it was deleted. */
function largestGeneration(history: string): number {
  let largest = 0;
  for (const match of history.matchAll(/"generation":\s*(\d{1,15})\b/g)) largest = Math.max(largest, Number(match[1]));
  return largest;
}

type Base = Omit<FolderRead, 'origin' | 'record'>;

/** A tree that holds only the two files, by hand or by another tool, is read as it stands. */
function* readFiles(dir: string, taskId: string, base: Base, thorough: boolean): Step<FolderRead> {
  const refuse = (problem: string): FolderRead => ({ ...base, origin: 'files', record: null, problem });
  const absorbed: string[] = [];
  const parts: unknown[] = [];
  for (const name of ['state.json', 'lease.json']) {
    // A file that an editor replaces while the folder is being listed may be missing from the list.
    const isThere = base.names.includes(name) || (thorough && (yield* io.modified(`${dir}/${name}`)) !== null);
    const { text, foreign } = isThere ? yield* readText(`${dir}/${name}`) : { text: null, foreign: false };
    if (foreign) return refuse(`${name} is not a regular file of at most 64 KiB`);
    if (text === null) {
      parts.push(undefined);
      continue;
    }
    absorbed.push(crc32(text));
    const value = parseJson(text);
    if (value === undefined) return refuse(`${name} is not JSON; it may have been cut short`);
    parts.push(value);
  }
  const [rawState, rawLease] = parts;
  const history = base.names.includes(HISTORY) ? yield* readText(`${dir}/${HISTORY}`, HISTORY_MAX_BYTES) : null;
  if (history?.foreign) return refuse(`${HISTORY} is not a regular file of at most 16 MiB`);
  const seen = largestGeneration(history?.text ?? '');
  if (rawState === undefined && rawLease === undefined && seen === 0) return { ...base, origin: 'none', record: null };
  const state = rawState === undefined ? null : parseRecord(TaskStateSchema, rawState);
  if (state?.ok === false) return refuse(`state.json: ${state.why}`);
  const lease = rawLease === undefined ? null : parseRecord(LeaseSchema, rawLease);
  if (lease?.ok === false) return refuse(`lease.json: ${lease.why}`);
  const record = freshRecord(taskId, '1970-01-01T00:00:00.000Z');
  // The folder says which task it is, whatever is written in the files.
  if (state !== null) record.state = { ...state.value, task_id: taskId };
  if (lease !== null) record.lease = { ...lease.value, task_id: taskId };
  record.memo.absorbed = absorbed;
  record.memo.generation = Math.max(seen, record.lease?.generation ?? 0, record.state.updated_by.generation);
  return { ...base, origin: 'files', record };
}

export interface TaskCommitRequest extends CommitRequest {
  /** The `state_version` that this process has brought the views to; they are left alone for it. Absent: none. */
  shown?: number | undefined;
  /** Entries of the journal by which alone the record differs. Absent: it differs in more. */
  added?: readonly object[] | undefined;
  /** What is made with the folder of a first commit, or was before. Absent: nothing. */
  ahead?: FoldersAhead;
}

export type FolderCommit =
  | (Extract<RecordCommit, { kind: 'committed' }> & { whole: VersionFile })
  | { kind: 'conflict' };

/**
 * Commits `record` on version `expected` of the task whose folder is `dir`, and brings the views up to it. Creates the
 * folder, durably, for a first commit. Throws what a call threw only when nothing has changed.
 */
export function* commitTask(
  dir: string,
  { expected, op, record: decided, shown, on, added, ahead }: TaskCommitRequest,
  retention: Retention = RETENTION,
): Step<FolderCommit> {
  const line = yield* addTo(dir, { expected, op, record: decided, on, added });
  if (line !== null) return line.kind === 'conflict' ? line : committed(line);
  const record = stamped(decided, expected + 1);
  const text = encodeVersion({ n: expected + 1, op, record });
  const views = shown === record.state.state_version ? null : viewsOf(record);
  requireReadable(record, [text, ...Object.values(views ?? {})]);
  // One that was made ahead may have been removed since.
  const isMade = expected > 0 || (ahead?.take(dir) === true && (yield* io.modified(dir)) !== null);
  if (!isMade) yield* ensureFolder(dir, ahead);
  const result = yield* commit(dir, { expected, op, record, on }, text);
  if (result.kind === 'conflict') return result;
  const done = committed(result);
  // Nothing, neither a file that a person wrote nor an older version, makes way for what a power cut may undo.
  if (!result.durable) return done;
  const { warnings, version: n, whole } = done;
  const head: Head = { n, file: n, version: whole, voided: [], unknown: null, names: null };
  try {
    const asides = views === null ? [] : yield* publish(dir, op, head, views);
    for (const aside of asides)
      warnings.push(`a hand-edited file did not match the newest version and was moved to ${dir}/${aside}`);
    if (result.versions >= retention.compactAt) yield* compact(dir, n, retention);
  } catch (error) {
    warnings.push(`the change is made, but its files could not all be brought up to date (${errorCode(error)})`);
  }
  return done;
}

/** Commits a change of the journal alone as a line of the newest file; null where it takes none. Throws what `add` throws. */
export function* addTo(dir: string, { expected, op, record, on, added }: TaskCommitRequest): Step<CommitResult | null> {
  const isAdded = added !== undefined && on?.n === expected && isAsBefore(on.record, record);
  return isAdded ? yield* add(dir, on, { op, record, added }) : null;
}

function committed({ version: whole, durable }: Extract<CommitResult, { kind: 'committed' }>) {
  const warnings = durable ? [] : ['the change is made, but the disk did not confirm it: a power cut may undo it'];
  return { kind: 'committed' as const, version: whole.n, record: whole.record, whole, warnings };
}

/** Whether state and lease are the very ones. A person's edit that was taken over makes them others. */
function isAsBefore(before: TaskRecord, { state, lease }: TaskRecord): boolean {
  return state === before.state && lease === before.lease;
}

/** What could not be read again is not written. Throws SCHEMA_INVALID. */
function requireReadable(record: TaskRecord, files: readonly (string | null)[]): void {
  const { task_id, attempt_count, state_version } = record.state;
  const counters = { generation: record.memo.generation, attempt_count, state_version };
  const over = Object.entries(counters).find(([, count]) => !Number.isSafeInteger(count));
  if (over !== undefined) {
    throw new ForgeError('SCHEMA_INVALID', `the record of task ${task_id} would have ${over[0]} ${over[1]}`, {
      details: { task_id },
      hint: `It counts up to 2^53 - 1. Put a smaller number into its state.json or lease.json, then repeat; nothing was changed.`,
    });
  }
  const bytes = Math.max(...files.map((file) => Buffer.byteLength(file ?? '')));
  if (bytes <= RECORD_MAX_BYTES) return;
  throw new ForgeError('SCHEMA_INVALID', `the record of task ${task_id} would have ${bytes} bytes`, {
    details: { task_id, bytes, max: RECORD_MAX_BYTES },
    hint: `A record has at most ${RECORD_MAX_BYTES} bytes. Shorten what was added to its state.json or lease.json by hand, then repeat; nothing was changed.`,
  });
}

/** Where a state was read, and with which lease, when no person has edited its views. */
const READ_FROM = new WeakMap<TaskStateRecord, { version: number; lease: Lease | null }>();

/**
 * The views count on from what a hand-written tree said, and never fall behind the number of the version that changed them. A change of what no
 * view shows leaves them as they are: a step of a journal writes no view.
 */
function stamped(record: TaskRecord, n: number): TaskRecord {
  const read = READ_FROM.get(record.state);
  if (read?.version === n - 1 && read.lease === record.lease) return record;
  const state_version = Math.max(record.state.state_version + 1, n);
  const state: TaskStateRecord = { ...record.state, state_version };
  return { ...record, state, lease: record.lease && { ...record.lease, state_version } };
}

/** The folder's own name must be durable before anything in it may count as committed. */
function* ensureFolder(dir: string, ahead?: FoldersAhead): Step<void> {
  yield* unless('EEXIST', io.mkdir(dir));
  const others: string[] = [];
  for (const other of ahead?.besides(dir) ?? []) {
    if (yield* quietly(unless('EEXIST', io.mkdir(other)))) others.push(other);
  }
  yield* io.syncDir(path.dirname(dir));
  ahead?.made(others);
}

/** Does `settle`, and makes the commit visible. Of a task that was removed meanwhile nothing is left to be done. */
export function* settleTask(dir: string, op: string, on?: VersionFile | null): Step<void> {
  yield* unless('ENOENT', settle(dir, on));
  yield* quietly(publish(dir, op));
}

/** Writes a new file to its end and closes it; then its content is durable, and its name may not be. */
function* fill(handle: Handle, text: string): Step<void> {
  try {
    yield* io.write(handle, text);
    yield* io.syncFile(handle);
  } finally {
    yield* io.close(handle);
  }
}

/**
 * Creates `file` with `text`, once. Returns false when it exists already; then nothing is changed. The file is whole and
 * durable before it has its name; a repeat by a writer that died in between finds the first one's content.
 */
export function* createOnce(file: string, text: string, op: string): Step<boolean> {
  const dir = path.dirname(file);
  const tmp = `${dir}/.tmp-${op}`;
  const handle = yield* io.create(tmp);
  try {
    yield* fill(handle, text);
    yield* io.link(tmp, file);
  } catch (error) {
    yield* quietly(io.unlink(tmp));
    if (errorCode(error) !== 'EEXIST') throw error;
    yield* io.syncDir(dir);
    return false;
  }
  yield* io.syncDir(dir);
  yield* quietly(io.unlink(tmp));
  return true;
}
