/** Reads files that may have been replaced by anything: follows no symlink, waits for no pipe. */

import fs from 'node:fs';

/** A refused read, in the shape of a system error. */
function refused(code: string, message: string): Error {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}

export interface ReadOptions {
  /** Whether a symlink may lead to the file, as people use them. Default: no. */
  follow?: boolean;
  /** Asked of the open file; where it says no, the read fails with EPERM. Default: any file will do. */
  accepts?(stat: fs.Stats): boolean;
}

/** Text of a regular file, as UTF-8. Fails as `readBytes` does. */
export function readCapped(path: string, max: number, options?: ReadOptions): string {
  return readBytes(path, max, options).toString('utf8');
}

/** A regular file. Fails with ELOOP on a symlink, EFBIG above `max` bytes, EISDIR for a folder, EINVAL for anything else. */
export function readBytes(path: string, max: number, { follow = false, accepts }: ReadOptions = {}): Buffer {
  const fd = fs.openSync(
    path,
    fs.constants.O_RDONLY | fs.constants.O_NONBLOCK | (follow ? 0 : fs.constants.O_NOFOLLOW),
  );
  try {
    const stat = fs.fstatSync(fd);
    if (stat.isDirectory()) throw refused('EISDIR', `${path} is a folder`);
    if (!stat.isFile()) throw refused('EINVAL', `${path} is not a regular file`);
    if (stat.size > max) throw refused('EFBIG', `${path} has ${stat.size} bytes; at most ${max} are read`);
    if (accepts?.(stat) === false) throw refused('EPERM', `${path} belongs to another user, or others may write it`);
    return fs.readFileSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** Most of a file that `readFrom` returns at once, bytes. */
const CHUNK_BYTES = 64 * 1024;

/**
 * Text of a file from byte `offset` on (from the end when negative), at most 64 KiB, and the next offset. A character that is
 * not written completely stays for the next read. Empty for anything but a regular file: workers may put anything there, and a
 * pipe would block its reader.
 */
export function readFrom(file: string, offset: number): { text: string; next: number } {
  const nothing = { text: '', next: Math.max(0, offset) };
  let fd: number;
  try {
    fd = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK);
  } catch {
    return nothing;
  }
  try {
    const stat = fs.fstatSync(fd);
    if (!stat.isFile()) return nothing;
    const start = offset < 0 ? Math.max(0, stat.size + offset) : offset;
    const buffer = Buffer.alloc(Math.max(0, Math.min(stat.size - start, CHUNK_BYTES)));
    const got = fs.readSync(fd, buffer, 0, buffer.length, start);
    const whole = wholeCharacters(buffer.subarray(0, got));
    return { text: buffer.toString('utf8', 0, whole), next: start + whole };
  } finally {
    fs.closeSync(fd);
  }
}

/** Length of `bytes` without a multi-byte character that is cut off at its end. Source: RFC 3629, section 3. */
function wholeCharacters(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0b1100_0000) === 0b1000_0000) continue;
    const needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return needs > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}
