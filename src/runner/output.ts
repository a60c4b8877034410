/** What workers wrote: the end of it, and what has been added since the last look. */

import fs from 'node:fs';
import type { OutputTail } from '../core/run-events.ts';
import { plainText } from '../core/text.ts';

export const STREAMS = ['stdout', 'stderr'] as const;
export type StreamName = (typeof STREAMS)[number];

/** How much of each stream's end is looked at for error rules and shown after a failure, bytes. */
const TAIL_BYTES = 16 * 1024;

export function logFile(attemptDir: string, stream: StreamName): string {
  return `${attemptDir}/logs/${stream}.log`;
}

/** The end of both logs, made safe to show; empty where there are none. */
export function tailOf(attemptDir: string): OutputTail {
  const tail = (stream: StreamName) => plainText(readFrom(logFile(attemptDir, stream), -TAIL_BYTES).text);
  return { stdout: tail('stdout'), stderr: tail('stderr') };
}

/**
 * Text of a log from byte `offset` on (from the end when negative), at most 64 KiB, and the offset to go on from. A
 * character that is only half written yet stays for the next read.
 */
export function readFrom(file: string, offset: number): { text: string; next: number } {
  let fd: number;
  try {
    fd = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
  } catch {
    return { text: '', next: Math.max(0, offset) };
  }
  try {
    const { size } = fs.fstatSync(fd);
    const start = offset < 0 ? Math.max(0, size + offset) : offset;
    const buffer = Buffer.alloc(Math.max(0, Math.min(size - start, 64 * 1024)));
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
