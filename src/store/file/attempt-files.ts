/** The files of an attempt that are no records: what its worker was told, its logs, and those of what checks its result. */

import fs from 'node:fs';
import { asIoError } from '../../lib/fs/io-errors.ts';

export const STREAMS = ['stdout', 'stderr'] as const;
export type StreamName = (typeof STREAMS)[number];

/** Most of a log that is read at once, bytes. */
const CHUNK_BYTES = 64 * 1024;

export function logFile(attemptDir: string, stream: StreamName): string {
  return `${attemptDir}/logs/${stream}.log`;
}

/** File descriptors to write an attempt's logs through; `closeLogs` when they are handed on. Throws IO_ERROR. */
export function openLogs(attemptDir: string): Record<StreamName, number> {
  const open = (stream: StreamName) => fs.openSync(logFile(attemptDir, stream), 'ax', 0o600);
  try {
    fs.mkdirSync(`${attemptDir}/logs`, { mode: 0o700 });
    return { stdout: open('stdout'), stderr: open('stderr') };
  } catch (error) {
    throw asIoError(error, `making the logs of ${attemptDir}`);
  }
}

/** Where the output of the check that runs as number `index` (from 1) goes, stdout and stderr as they come. */
export function verifyLog(attemptDir: string, index: number, name: string): string {
  return `${attemptDir}/logs/${verifyLogName(index, name)}`;
}

export function verifyLogName(index: number, name: string): string {
  return `verify-${index}-${name}.log`;
}

/** A file descriptor to write a check's output through, from the beginning: whoever checked before has died. Throws IO_ERROR. */
export function openVerifyLog(file: string): number {
  try {
    fs.mkdirSync(file.slice(0, file.lastIndexOf('/')), { recursive: true, mode: 0o700 });
    fs.rmSync(file, { force: true });
    return fs.openSync(file, 'ax', 0o600);
  } catch (error) {
    throw asIoError(error, `opening ${file}`);
  }
}

export function closeLog(fd: number): void {
  fs.closeSync(fd);
}

export function closeLogs(logs: Record<StreamName, number>): void {
  for (const stream of STREAMS) fs.closeSync(logs[stream]);
}

/** Writes what the worker of an attempt is told; returns the file's path. It is derived, so it need not be durable. Throws IO_ERROR. */
export function writePrompt(attemptDir: string, text: string): string {
  const file = `${attemptDir}/prompt.md`;
  try {
    fs.writeFileSync(file, text, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    throw asIoError(error, `writing ${file}`);
  }
  return file;
}

/** Takes back the folder of an attempt that no commit refers to. One that stays did not happen all the same. */
export function removeAttempt(attemptDir: string): void {
  try {
    fs.rmSync(attemptDir, { recursive: true, force: true });
  } catch {
    // What was refused, and why, is what the caller has to hear of.
  }
}

/**
 * Text of a log from byte `offset` on (from the end when negative), at most 64 KiB, and the offset to go on from. A
 * character that is only half written yet stays for the next read. Empty for what is not a regular file: workers may put
 * anything there, and a pipe would keep its reader waiting.
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

/** Reads an attempt's logs, each time on from where it stopped before. */
export class LogReader {
  readonly #dir: string;
  readonly #streams: readonly StreamName[];
  readonly #offsets = new Map<StreamName, number>();

  constructor(attemptDir: string, streams: readonly StreamName[] = STREAMS) {
    this.#dir = attemptDir;
    this.#streams = streams;
  }

  /** Hands over what has been written since, as it was written. */
  drain(emit: (chunk: { stream: StreamName; text: string }) => void): void {
    for (const stream of this.#streams) {
      for (;;) {
        const { text, next } = readFrom(logFile(this.#dir, stream), this.#offsets.get(stream) ?? 0);
        this.#offsets.set(stream, next);
        if (text === '') break;
        emit({ stream, text });
      }
    }
  }
}
