/**
 * Append-only logs: one JSON object a line, each with a checksum. They follow the commits and decide nothing, so readers skip a
 * line that a killed process left incomplete.
 */

import fs from 'node:fs';
import { crc32 } from '../checksum.ts';
import { parseJson } from '../json.ts';

const SEAL = /,"sum":"([0-9a-f]{8})"\}$/;

/** Where a log stood before something was added, and stands with it, bytes. */
export interface Appended {
  from: number;
  to: number;
}

/** Appends records in one write. Each starts with the newline, so an incomplete line before it is the only loss. */
export function appendLines(path: string, entries: readonly object[]): Appended {
  const lines = entries.map((entry) => {
    const open = JSON.stringify(entry).slice(0, -1);
    return `\n${open},"sum":"${crc32(open)}"}`;
  });
  const bytes = Buffer.from(lines.join(''), 'utf8');
  const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
  const fd = fs.openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
  try {
    // A pipe takes what is written, and keeps its writer waiting.
    if (!fs.fstatSync(fd).isFile())
      throw Object.assign(new Error(`EINVAL: ${path} is not a regular file`), { code: 'EINVAL' });
    const written = fs.writeSync(fd, bytes);
    const message = `ENOSPC: only ${written} of ${bytes.length} bytes were written to ${path}`;
    if (written !== bytes.length) throw Object.assign(new Error(message), { code: 'ENOSPC' });
    const to = fs.fstatSync(fd).size;
    return { from: to - written, to };
  } finally {
    fs.closeSync(fd);
  }
}

/** The records of a log whose checksum holds, in order; none for a missing file. `having`: only of lines with one of these texts. Default: of all. */
export function readLines(text: string, having: readonly string[] = ['']): Record<string, unknown>[] {
  const records: Record<string, unknown>[] = [];
  for (const line of text.split('\n')) {
    if (!having.some((part) => line.includes(part))) continue;
    const seal = SEAL.exec(line);
    if (seal === null || crc32(line.slice(0, seal.index)) !== seal[1]) continue;
    const value = parseJson(line);
    if (typeof value !== 'object' || value === null) continue;
    const { sum: _sum, ...record } = value as Record<string, unknown>;
    records.push(record);
  }
  return records;
}
