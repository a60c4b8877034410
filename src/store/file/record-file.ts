/** How records look as files: versions, which only forge reads, and views, which people read and may edit. */

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

export function encodeVersion({ n, op, record }: VersionFile): string {
  const open = JSON.stringify({ format: 1, n, op, ...record }).slice(0, -1);
  const text = `${open},"sum":"${crc32(open)}"}\n`;
  last = { text, version: { n, op, record } };
  return text;
}

export function decodeVersion(text: string): Decoded {
  if (last?.text === text) return { kind: 'valid', version: last.version };
  const seal = SEAL.exec(text);
  if (seal === null || crc32(text.slice(0, seal.index)) !== seal[1]) return { kind: 'void' };
  type Raw = { format?: unknown; n: number; op: string; sum?: unknown };
  const raw = parseJson(text, KEPT_LEVELS) as Raw | undefined;
  if (raw === undefined) return { kind: 'void' };
  if (raw.format !== 1) return { kind: 'unknown', why: `format ${String(raw.format)} was written by a newer forge` };
  const { format: _format, sum: _sum, n, op, ...rest } = raw;
  const parsed = parseRecord(TaskRecordSchema, rest);
  if (!parsed.ok) return { kind: 'unknown', why: parsed.why };
  last = { text, version: { n, op, record: parsed.value } };
  return { kind: 'valid', version: last.version };
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
