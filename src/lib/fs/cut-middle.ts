/** Takes the middle out of a file that others append to. */

import fs from 'node:fs';

/** How much is moved at once, and how far from where it is due a cut may be, for the end of a line. Bytes. */
const CHUNK_BYTES = 1024 * 1024;
const LINE_BYTES = 64 * 1024;

/** How far before the end of what was moved a second cut is made, at least: few secrets are longer. Bytes. */
const PARTED_BYTES = 4096;

/** How many times the tail is moved, to catch up with what is written meanwhile. */
const FOLLOWED_TAILS = 8;

/** And how much is moved at least, bytes: what a writer manages in the time that `prepare` takes. */
const FOLLOWED_BYTES = 64 * 1024 * 1024;

export interface MiddleCut {
  /** A file that is not larger is left alone, bytes. */
  max: number;
  /** Bytes that are left at its beginning and at its end, at most; less than `max` together. */
  head: number;
  tail: number;
  /** Bytes that were cut before: the mark counts them too. */
  before: number;
  /** What stands in a line of its own where so many bytes are missing. */
  mark(bytes: number): string;
  /** Called with a range around each end of what is cut, while all of it is there. */
  prepare(start: number, end: number): Promise<void>;
}

/**
 * Cuts a file to its head, a mark and its tail, at ends of lines where there are any near; returns the bytes that are missing in all.
 * Another process may go on appending (O_APPEND): what comes faster than it can be moved is cut too, and marked; a write in the very
 * moment of the cut may be lost. A process that is killed meanwhile leaves head, mark and all of the tail, a part of it twice. Nothing
 * happens to anything but a regular file. Throws a system error.
 */
export async function cutMiddle(path: string, cut: MiddleCut): Promise<number> {
  const { O_RDWR, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
  // Synchronous, since a writer that is fast writes megabytes in the time that one call on another thread takes.
  const fd = fs.openSync(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
  try {
    const stat = fs.fstatSync(fd);
    if (!stat.isFile() || stat.size <= cut.max) return cut.before;
    const from = lineEndBefore(fd, cut.head);
    const start = lineEndAfter(fd, stat.size - cut.tail, cut.tail);
    for (const at of [from, start]) await cut.prepare(Math.max(0, at - LINE_BYTES), at + LINE_BYTES);
    const missing = cut.before + start - from;
    let to = from;
    const put = (bytes: Buffer) => {
      to += fs.writeSync(fd, bytes, 0, bytes.length, to);
    };
    const isMidLine = from === cut.head && pieceAt(fd, from - 1, from).toString() !== '\n';
    put(Buffer.from(`${isMidLine ? '\n' : ''}${cut.mark(missing)}\n`));
    const behindMark = to;
    const buffer = Buffer.alloc(Math.min(CHUNK_BYTES, cut.tail));
    // A writer that is faster than this is not followed forever. Nothing else of this process may run meanwhile, to be faster.
    const limit = start + Math.max(FOLLOWED_BYTES, FOLLOWED_TAILS * cut.tail);
    let at = start;
    // Asked of the size last of all, so that hardly anything can come between that and the cut.
    while (at < limit && at < fs.fstatSync(fd).size) {
      const bytesRead = fs.readSync(fd, buffer, 0, buffer.length, at);
      put(buffer.subarray(0, bytesRead));
      at += bytesRead;
    }
    let lost = 0;
    if (at >= limit) {
      // What a cut right here would part may not be there as a whole any more: so the cut is made a little before.
      const end = lineEndBefore(fd, Math.max(behindMark, to - PARTED_BYTES), behindMark);
      await cut.prepare(Math.max(behindMark, end - LINE_BYTES), to);
      lost = fs.fstatSync(fd).size - at + to - end;
      to = end;
      put(Buffer.from(`${end === behindMark ? '' : '\n'}${cut.mark(lost)}\n`));
    }
    fs.ftruncateSync(fd, to);
    return missing + lost;
  } finally {
    fs.closeSync(fd);
  }
}

/** Behind the last line end before `at`, not far from it and not before `first`; else `at`. */
function lineEndBefore(fd: number, at: number, first = 0): number {
  const piece = pieceAt(fd, at - Math.min(LINE_BYTES, at - first), at);
  const end = piece.lastIndexOf('\n');
  return end < 0 ? at : at - piece.length + end + 1;
}

/** Behind the first line end from `at` on, not far from it; else `at`. `most`: how much may follow. */
function lineEndAfter(fd: number, at: number, most: number): number {
  const piece = pieceAt(fd, at, at + Math.min(LINE_BYTES, Math.floor(most / 2)));
  return at + piece.indexOf('\n') + 1;
}

function pieceAt(fd: number, start: number, end: number): Buffer {
  const buffer = Buffer.alloc(end - start);
  return buffer.subarray(0, fs.readSync(fd, buffer, 0, buffer.length, start));
}
