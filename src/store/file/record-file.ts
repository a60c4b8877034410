/** How records look as files: versions, which only forge reads, and views, which people read and may edit. */

import { type Entry, withAdded } from '../../domain/steps/journal.ts';
import { parseRecord, type TaskRecord, TaskRecordSchema } from '../../domain/task/records.ts';
import { crc32 } from '../../lib/checksum.ts';
import { KEPT_LEVELS, parseJson } from '../../lib/json.ts';

const VERSION_NAME = /^v\d{9}\.json$/;

/** File name of version `n`; the names sort like the numbers. */
export function versionName(n: number): string {
  return `v${String(n).padStart(9, '0')}.json`;
}

/** Number of a version file, or null for any other name. */
export function versionNumber(name: string): number | null {
  return VERSION_NAME.test(name) ? Number(name.slice(1, -5)) : null;
}

/** Names of unfinished files. Any of them may be removed at any time: its writer notices and starts over. */
export const TMP_PREFIX = '.tmp-';

/** An empty file in the task's folder, there before the first old version is removed, and from then on: see `compact`. */
export const COMPACTED = '.compacted';

export const VIEW_NAMES = ['state.json', 'lease.json'] as const;
export type ViewName = (typeof VIEW_NAMES)[number];

/** A version as it is on disk. `op` names the commit that made it. */
export interface VersionFile {
  n: number;
  op: string;
  record: TaskRecord;
  /** Its file, where versions may be added to that. Absent: it is all of its file. */
  open?: OpenFile;
}

/** A file of versions: a whole record, then lines of what each later one adds to its journal. */
export interface OpenFile {
  /** The number of the first, which the file is named by. */
  first: number;
  /** The commit that made that. */
  madeBy: string;
  /** All of it. */
  text: string;
  /**
   * `cut`: its end is a part of a line: its writer is at it, or was killed, or the power failed. `closed`: a whole line there follows from none,
   * so no version follows in it any more.
   */
  end: 'line' | 'cut' | 'closed';
}

export type Decoded =
  | { kind: 'valid'; version: VersionFile }
  /** Cut short, rotted or edited: void, the version before it stands. */
  | { kind: 'void' }
  /** Whole, but of a format that this forge does not know. */
  | { kind: 'unknown'; why: string };

/** The version that was read or written last: a process that changes one task again and again finds what it knows. */
let last: { text: string; version: VersionFile } | null = null;

const SEAL = /,"sum":"([0-9a-f]{8})"\}\n$/;

/** `json`: of a mapping. */
function sealed(json: string): string {
  const open = json.slice(0, -1);
  return `${open},"sum":"${crc32(open)}"}\n`;
}

/** What a sealed line says; undefined where it is not as it was written. */
function unsealed(line: string): unknown {
  const seal = SEAL.exec(line);
  if (seal === null || crc32(line.slice(0, seal.index)) !== seal[1]) return undefined;
  return parseJson(line, KEPT_LEVELS);
}

/** Of a file whose records are whole, and of one that versions are added to. */
const [WHOLE, OPEN] = [1, 2];

/**
 * A text that is longer is not added to, UTF-16 units: the file has to be read at once, with what ends it. A unit is at most three bytes, and to
 * count these takes longer than all else of a line.
 */
const OPEN_MAX_UNITS = 20_000;

type NewVersion = Pick<VersionFile, 'n' | 'op' | 'record'>;

/** Versions are added to that of an attempt that keeps a journal: what it does most is to record steps. */
export function encodeVersion({ n, op, record }: NewVersion): string {
  const json = JSON.stringify({ n, op, ...record });
  const isOpen = record.lease !== null && record.memo.journal !== undefined && json.length <= OPEN_MAX_UNITS;
  const text = sealed(`{"format":${isOpen ? OPEN : WHOLE},${json.slice(1)}`);
  last = { text, version: asWritten({ n, op, record }, text) };
  return text;
}

const OPEN_HEAD = `{"format":${OPEN},`;

/** The version whose file is `text`. */
export function asWritten(version: NewVersion, text: string): VersionFile {
  if (!text.startsWith(OPEN_HEAD)) return version;
  return { ...version, open: { first: version.n, madeBy: version.op, text, end: 'line' } };
}

/** `entries`: what it adds to the journal. Without these and `op` it closes the file. */
type Line = { after: string; op: string; entries?: readonly Entry[] };

/** The line that makes `next` of `version`, and the version that it makes; null where its file has no room for it. */
export function encodeAdded(
  { n, op: after, open }: VersionFile,
  { op, record, entries }: { op: string; record: TaskRecord; entries: readonly object[] },
): { line: string; version: Required<VersionFile> } | null {
  if (open?.end !== 'line') return null;
  const line = sealed(JSON.stringify({ after, op, entries }));
  const text = open.text + line;
  if (text.length > OPEN_MAX_UNITS) return null;
  const version = { n: n + 1, op, record, open: { ...open, text } };
  last = { text, version };
  return { line, version };
}

/** The line after which no version follows in the file of `version`. A part of a line gets an end that no line has: it may lack no more than its own. */
export function encodeClosing({ op: after, open }: VersionFile): string {
  return `${open?.end === 'cut' ? '!\n' : ''}${sealed(JSON.stringify({ after }))}`;
}

export function decodeVersion(text: string): Decoded {
  if (last?.text === text) return { kind: 'valid', version: last.version };
  const known = last?.version.open?.end === 'line' && text.startsWith(last.text) ? last.version : null;
  const decoded = known === null ? decodeFirst(text) : ({ kind: 'valid', version: known } as const);
  if (decoded.kind !== 'valid') return decoded;
  const { open } = decoded.version;
  const version = open === undefined ? decoded.version : withLines(decoded.version, open, text);
  if (version === null) return { kind: 'unknown', why: 'its journal is not as forge writes it' };
  last = { text, version };
  return { kind: 'valid', version };
}

/** The record that a file begins with. */
function decodeFirst(text: string): Decoded {
  type Raw = { format?: unknown; n: number; op: string; sum?: unknown };
  const first = text.slice(0, text.indexOf('\n') + 1);
  const raw = unsealed(first) as Raw | undefined;
  if (raw === undefined) return { kind: 'void' };
  const { format, sum: _sum, n, op, ...rest } = raw;
  if (format !== WHOLE && format !== OPEN)
    return { kind: 'unknown', why: `format ${String(format)} was written by a newer forge` };
  if (format === WHOLE && first !== text) return { kind: 'void' };
  const parsed = parseRecord(TaskRecordSchema, rest);
  if (!parsed.ok) return { kind: 'unknown', why: parsed.why };
  return { kind: 'valid', version: asWritten({ n, op, record: parsed.value }, first) };
}

/** The newest version in a file, of which `version` is one; null where a line adds what is no entry. A line that does not follow from the one before it does not count, nor does any behind it. */
function withLines(version: VersionFile, open: OpenFile, text: string): VersionFile | null {
  let { n, op } = version;
  let at = open.text.length;
  let end: OpenFile['end'] = 'line';
  const added: Entry[] = [];
  while (at < text.length && end === 'line') {
    const next = text.indexOf('\n', at) + 1;
    const line = unsealed(text.slice(at, next)) as Line | undefined;
    if (line?.after !== op || !Array.isArray(line.entries)) end = next === 0 ? 'cut' : 'closed';
    else {
      added.push(...line.entries);
      n += 1;
      op = line.op;
      at = next;
    }
  }
  const record = added.length === 0 ? version.record : withAdded(version.record, added);
  return record && { n, op, record, open: { ...open, text, end } };
}

const VIEW_SEAL = /,\n {2}"checksum": "([0-9a-f]{8})"\n\}\n?$/;

/** A view: the record's part in readable form, sealed by a checksum that any edit breaks. */
export function encodeView(value: object): string {
  const open = JSON.stringify(value, null, 2).replace(/\n\}$/, '');
  return `${open},\n  "checksum": "${crc32(open)}"\n}\n`;
}

/** Whether forge wrote this text. A power cut may have taken the line end from it, which makes no edit of it. */
export function isSealedView(text: string): boolean {
  const seal = VIEW_SEAL.exec(text);
  return seal !== null && crc32(text.slice(0, seal.index)) === seal[1];
}

/** What the two views of a record should say; null where there should be no file. */
export type Views = Record<ViewName, string | null>;

export function viewsOf(record: TaskRecord): Views {
  const stamped = <T extends object>(part: T) => {
    const { checksum: _old, ...rest } = part as T & { checksum?: unknown };
    return encodeView({ ...rest, state_version: record.state.state_version });
  };
  return {
    'state.json': stamped(record.state),
    'lease.json': record.lease === null ? null : stamped(record.lease),
  };
}
