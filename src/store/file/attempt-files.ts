/** The files of an attempt that are no records: what its worker was told, its logs, and those of what checks its result. */

import fs from 'node:fs';
import { asIoError } from '../../lib/fs/io-errors.ts';
import { readFrom } from '../../lib/fs/read.ts';

export const STREAMS = ['stdout', 'stderr'] as const;
export type StreamName = (typeof STREAMS)[number];

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
