/** Reads files that may have been replaced by anything: follows no symlink, waits for no pipe. */

import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync, readSync, type Stats } from 'node:fs';

/** A refused read, in the shape of a system error. */
function refused(code: string, message: string): Error {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}

export interface ReadOptions {
  /** Whether a symlink may lead to the file, as people use them. Default: no. */
  follow?: boolean;
  /** Asked of the open file; where it says no, the read fails with EPERM. Default: any file will do. */
  accepts?(stat: Stats): boolean;
  /** Whether of a file above `max` its end is read. Default: no, it fails with EFBIG. */
  end?: boolean;
}

/** Text of a regular file, as UTF-8. Fails as `readBytes` does. */
export function readCapped(path: string, max: number, options?: ReadOptions): string {
  return readInto(shared, path, max, options).toString('utf8');
}

const MISSING = Object.assign(new Error('ENOENT: no such file or directory'), { code: 'ENOENT' });

/** `readCapped` for what is often not there: an error of Node's own takes longer than all calls. */
export function readIfThere(path: string, max: number, options?: ReadOptions): string {
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) throw MISSING;
  return readCapped(path, max, options);
}

/** A regular file. Fails with ELOOP on a symlink, EFBIG above `max` bytes, EISDIR for a folder, EINVAL for anything else. */
export function readBytes(path: string, max: number, options?: ReadOptions): Buffer {
  return readInto(Buffer.allocUnsafe, path, max, options);
}

const SHARED_BYTES = 64 * 1024;
let buffer: Buffer | undefined;

/** For bytes that are no longer needed when the next file is read: where many are, making the buffers takes a third of the time. */
function shared(size: number): Buffer {
  if (size > SHARED_BYTES) return Buffer.allocUnsafe(size);
  buffer ??= Buffer.allocUnsafeSlow(SHARED_BYTES);
  return buffer;
}

function readInto(
  make: (size: number) => Buffer,
  path: string,
  max: number,
  { follow = false, accepts, end = false }: ReadOptions = {},
): Buffer {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | (follow ? 0 : constants.O_NOFOLLOW));
  try {
    const stat = fstatSync(fd);
    if (stat.isDirectory()) throw refused('EISDIR', `${path} is a folder`);
    if (!stat.isFile()) throw refused('EINVAL', `${path} is not a regular file`);
    if (stat.size > max && !end) throw refused('EFBIG', `${path} has ${stat.size} bytes; at most ${max} are read`);
    if (accepts?.(stat) === false) throw refused('EPERM', `${path} belongs to another user, or others may write it`);
    // Files of the kernel say that they are empty.
    if (stat.size === 0) return readFileSync(fd);
    const size = Math.min(stat.size, max);
    return readUpTo(fd, stat.size - size, size, make(size));
  } finally {
    closeSync(fd);
  }
}

/** `readFileSync` of so many bytes from `start` on, without asking the file for its size again. */
function readUpTo(fd: number, start: number, size: number, bytes: Buffer): Buffer {
  let length = 0;
  for (let got = -1; got !== 0 && length < size; length += got)
    got = readSync(fd, bytes, length, size - length, start + length);
  return bytes.subarray(0, length);
}

/** Most of a file that `readFrom` returns at once, bytes. */
const CHUNK_BYTES = 64 * 1024;

/**
 * Text of a file from byte `offset` on (from the end when negative), at most 64 KiB, and the next offset: the end of a file that has got
 * shorter than that. A character that is not written completely stays for the next read. Empty for anything but a regular file: workers may put anything there, and a
 * pipe would block its reader.
 */
export function readFrom(file: string, offset: number): { text: string; next: number } {
  const read = ofRegularFile(file, (fd, size) => {
    const start = offset < 0 ? Math.max(0, size + offset) : Math.min(size, offset);
    const buffer = Buffer.alloc(Math.min(size - start, CHUNK_BYTES));
    const got = readSync(fd, buffer, 0, buffer.length, start);
    const whole = wholeCharacters(buffer.subarray(0, got));
    return { text: buffer.toString('utf8', 0, whole), next: start + whole };
  });
  return read ?? { text: '', next: Math.max(0, offset) };
}

/** Byte at which the last `count` lines of a file begin; 0 where there are no more, and for anything but a regular file. */
export function lastLinesAt(file: string, count: number): number {
  const found = ofRegularFile(file, (fd, size) => {
    const buffer = Buffer.alloc(Math.min(size, CHUNK_BYTES));
    // The end of the last line begins no other.
    let left = count + 1;
    for (let end = size; end > 0; ) {
      const start = Math.max(0, end - buffer.length);
      const piece = buffer.subarray(0, readSync(fd, buffer, 0, end - start, start));
      if (end === size && piece.at(-1) !== LINE_FEED) left -= 1;
      if (left === 0) return size;
      for (let at = piece.lastIndexOf(LINE_FEED); at >= 0; at = at === 0 ? -1 : piece.lastIndexOf(LINE_FEED, at - 1)) {
        left -= 1;
        if (left === 0) return start + at + 1;
      }
      end = start;
    }
    return 0;
  });
  return found ?? 0;
}

const LINE_FEED = 0x0a;

/** Null for anything but a regular file that can be read. */
function ofRegularFile<T>(file: string, read: (fd: number, size: number) => T): T | null {
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return null;
  }
  try {
    const stat = fstatSync(fd);
    return stat.isFile() ? read(fd, stat.size) : null;
  } finally {
    closeSync(fd);
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
