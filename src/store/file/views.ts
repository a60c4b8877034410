/**
 * The views of a record, `state.json` and `lease.json`: what people and other tools read, and may edit.
 *
 * A view with a valid checksum was written by forge and may be overwritten. Any other content is an edit: one made on the
 * newest version is committed by the next changing command; one on an older version, or unreadable, is moved aside.
 */

import { LeaseSchema, type Memo, parseRecord, type TaskRecord, TaskStateSchema } from '../../domain/task/records.ts';
import { crc32 } from '../../lib/checksum.ts';
import * as io from '../../lib/fs/operations.ts';
import { quietly, type Step, unless } from '../../lib/fs/operations.ts';
import { parseJson } from '../../lib/json.ts';
import { fromIso } from '../../lib/time.ts';
import { type Head, newestOf, readHead, readText, removed } from './protocol.ts';
import { isSealedView, TMP_PREFIX, VIEW_NAMES, type ViewName, type Views, viewsOf } from './record-file.ts';

export interface ViewEdits {
  /** The record with the edits in it; null when there are none. */
  edited: TaskRecord | null;
  /** For people; each names a file. */
  warnings: string[];
  /** An edit on the newest version that can't be taken over; changing commands refuse until it is fixed. */
  refused: string | null;
}

const NO_EDITS: ViewEdits = { edited: null, warnings: [], refused: null };

/** Whether the views have the times that forge gives them: an edit changes them. */
function* untouched(dir: string, record: TaskRecord, names: readonly string[]): Step<boolean> {
  const expected = fromIso(record.state.updated_at);
  for (const name of VIEW_NAMES) {
    const wanted = name === 'state.json' || record.lease !== null;
    if (names.includes(name) !== wanted) return false;
    if (!wanted) continue;
    const time = yield* io.modified(`${dir}/${name}`);
    if (time === null || Math.abs(time - expected) > 1) return false;
  }
  return true;
}

/** Looks for edits of the views of `head`, which must hold a version. `thorough` reads the files even if their times look right. */
export function* findEdits(dir: string, head: Head, thorough: boolean): Step<ViewEdits> {
  const record = head.version?.record;
  if (record === undefined) return NO_EDITS;
  if (!thorough && (yield* untouched(dir, record, head.names ?? []))) return NO_EDITS;
  let edited = record;
  const absorbed: string[] = [];
  const found: ViewEdits = { edited: null, warnings: [], refused: null };
  for (const name of VIEW_NAMES) {
    const { text, foreign } = yield* readText(`${dir}/${name}`);
    if (foreign) {
      found.warnings.push(
        `${name} is not a regular file of at most 64 KiB; the next change moves it aside and writes it again`,
      );
      continue;
    }
    if (text === null || isSealedView(text) || record.memo.absorbed.includes(crc32(text))) continue;
    const edit = readEdit(name, text, record);
    if (edit.kind === 'refused') found.refused ??= `${name} was edited and can't be read: ${edit.why}`;
    else if (edit.kind === 'aside') found.warnings.push(`${name} ${edit.why}; the next change moves it aside`);
    else {
      edited = edit.apply(edited);
      absorbed.push(crc32(text));
      found.warnings.push(`${name} was edited by hand; the next change takes it over`);
    }
  }
  if (absorbed.length > 0) found.edited = withMemo(edited, record, absorbed);
  return found;
}

/** An edit may say anything but take the fencing generation back; a claim that is given by hand gets one of its own. */
function withMemo(edited: TaskRecord, before: TaskRecord, absorbed: string[]): TaskRecord {
  const given = edited.lease !== null && edited.lease.claim_id !== before.lease?.claim_id;
  const generation = Math.max(
    before.memo.generation + (given ? 1 : 0),
    edited.lease?.generation ?? 0,
    edited.state.updated_by.generation,
  );
  const lease = edited.lease && { ...edited.lease, generation };
  const memo: Memo = { ...before.memo, generation, absorbed };
  // A person who sets another state decides how the task goes on, whatever was being verified.
  if (edited.state.state !== before.state.state) delete memo.verification;
  return { ...edited, lease, memo };
}

type Edit =
  | { kind: 'edit'; apply: (record: TaskRecord) => TaskRecord }
  | { kind: 'aside'; why: string }
  | { kind: 'refused'; why: string };

function readEdit(name: ViewName, text: string, record: TaskRecord): Edit {
  const value = parseJson(text);
  const madeOn = stateVersion(value);
  if (madeOn === null) return { kind: 'aside', why: 'is not what forge wrote and names no state_version' };
  // The folder says which task it is; an edit can't move it to another.
  const { task_id } = record.state;
  const parsed =
    name === 'state.json'
      ? applied(parseRecord(TaskStateSchema, value), (state) => (old) => ({ ...old, state: { ...state, task_id } }))
      : applied(parseRecord(LeaseSchema, value), (lease) => (old) => ({ ...old, lease: { ...lease, task_id } }));
  const newer = typeof value === 'object' && value !== null && 'version' in value && Number(value.version) > 1;
  if (parsed.kind === 'refused' && newer) return parsed;
  if (madeOn !== record.state.state_version) {
    return { kind: 'aside', why: `was edited on version ${madeOn}, but the task is at ${record.state.state_version}` };
  }
  return parsed;
}

function applied<T>(
  parsed: { ok: true; value: T } | { ok: false; why: string },
  apply: (value: T) => (record: TaskRecord) => TaskRecord,
): Edit {
  return parsed.ok ? { kind: 'edit', apply: apply(parsed.value) } : { kind: 'refused', why: parsed.why };
}

function stateVersion(value: unknown): number | null {
  if (typeof value !== 'object' || value === null || !('state_version' in value)) return null;
  return typeof value.state_version === 'number' ? value.state_version : null;
}

const ASIDE_PREFIX = 'aside-';

/** Limit of rounds in which the record moves on; then the views are left to the process that moves it. */
const PUBLISH_ROUNDS = 100;

/**
 * Brings both views up to the newest version. Returns the names that edits were moved aside to.
 *
 * Reads the head again after writing: a writer that was paused before its rename may have put an old view over a newer one,
 * and a task that has ended is not changed again. `from`, `views`: the head as it is known, and its views. Default: they are read and made.
 */
export function* publish(dir: string, op: string, from?: Head, views?: Views): Step<string[]> {
  const asides: string[] = [];
  let head = from ?? (yield* readHead(dir));
  for (let round = 0; round < PUBLISH_ROUNDS; round++) {
    if (head.version === null) return asides;
    const wanted = (round === 0 ? views : undefined) ?? viewsOf(head.version.record);
    for (const name of VIEW_NAMES) {
      const aside = yield* publishView(dir, name, wanted[name], head.version.record, `${op}-${round}`);
      if (aside !== null) asides.push(aside);
    }
    if (newestOf(yield* io.list(dir)) === head.file) return asides;
    head = yield* readHead(dir);
  }
  return asides;
}

function* publishView(
  dir: string,
  name: ViewName,
  wanted: string | null,
  record: TaskRecord,
  op: string,
): Step<string | null> {
  const path = `${dir}/${name}`;
  const { text, foreign } = yield* readText(path);
  if (text === wanted && !foreign) return null;
  let aside: string | null = null;
  const missing = text === null && !foreign;
  const ours = text !== null && (isSealedView(text) || record.memo.absorbed.includes(crc32(text)));
  if (!ours && !missing) {
    if (text !== null && stateVersion(parseJson(text)) === record.state.state_version) return null;
    aside = `${ASIDE_PREFIX}${op}-${name}`;
    if (!(yield* renamed(path, `${dir}/${aside}`))) aside = null;
  }
  // What is done to this name next may reach the disk before the name that an edit was moved to, unless that is durable.
  // Where there is no file, another publisher may have moved one aside and not have synced yet.
  const moved = missing ? (yield* io.list(dir)).some((found) => found.startsWith(ASIDE_PREFIX)) : !ours;
  if (moved) yield* io.syncDir(dir);
  if (wanted === null) yield* removed(path);
  else yield* replace(dir, path, wanted, fromIso(record.state.updated_at), op);
  return aside;
}

function renamed(from: string, to: string): Step<boolean> {
  return unless('ENOENT', io.rename(from, to));
}

/** How often an unfinished view may be swept away by a compaction before its writer gives up. */
const REPLACE_TRIES = 20;

function* replace(dir: string, path: string, text: string, timeMs: number, op: string): Step<void> {
  for (let attempt = 0; attempt < REPLACE_TRIES; attempt++) {
    const tmp = `${dir}/${TMP_PREFIX}view-${op}-${attempt}`;
    const handle = yield* io.create(tmp);
    try {
      try {
        yield* io.write(handle, text);
        yield* io.setTime(handle, timeMs);
      } finally {
        yield* io.close(handle);
      }
      if (yield* renamed(tmp, path)) return;
    } catch (error) {
      yield* quietly(io.unlink(tmp));
      throw error;
    }
  }
}
