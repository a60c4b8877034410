/**
 * Standard output and standard error.
 *
 * What is printed goes straight to the file descriptor: nothing is left in a buffer when the process ends, so a long
 * answer reaches a slow reader whole, and a short one does not pay for Node's streams. Only a full
 * descriptor that another process has made non-blocking is left to Node's stream, which waits without blocking.
 */

import fs from 'node:fs';
import { plainJson } from '../lib/text.ts';

export type StreamName = 'stdout' | 'stderr';

const FD = { stdout: 1, stderr: 2 } as const;

export class Output {
  /** Called once when stdout takes no more. `pipe`: its reader has gone away (`| head`); else a terminal or a disk does not take it. */
  onClosed: (what: 'pipe' | 'other') => void = () => {};
  readonly #closed = new Map<StreamName, 'pipe' | 'other'>();
  readonly #streaming = new Set<StreamName>();
  /** The last of what was passed on to each stream. */
  readonly #passing: Partial<Record<StreamName, Promise<void>>> = {};
  /**
   * Every write is left to Node's streams. For commands that have more to do than to print: a reader that stops reading
   * (a pager) must not stop their heartbeats.
   */
  patient = false;
  /** Standard output could not be written, for another reason than a reader that has gone. */
  failed = false;

  /** Asked before each `write`: true when it has taken the text, to `put` it later. */
  detour: (name: StreamName, text: string) => boolean = () => false;

  write(name: StreamName, text: string): void {
    if (!this.detour(name, text)) this.put(name, text);
  }

  put(name: StreamName, text: string): void {
    if (text === '' || this.#closed.has(name)) return;
    if (this.#passing[name] !== undefined) return void this.pass(name, Buffer.from(text));
    if (this.patient || this.#streaming.has(name)) this.#stream(name, text);
    else this.#direct(name, Buffer.from(text));
  }

  /** As they are, for a program. */
  bytes(name: StreamName, bytes: Uint8Array): void {
    if (this.#closed.has(name)) return;
    if (this.#streaming.has(name)) this.#stream(name, bytes);
    else this.#direct(name, Buffer.from(bytes));
  }

  /**
   * Passes bytes on as they are, in turn; resolves when a reader has taken them. While it does not this process goes on: another thread waits,
   * and the descriptor, which other programs may write to as well, blocks as before.
   */
  pass(name: StreamName, bytes: Uint8Array): Promise<void> {
    const passed = (this.#passing[name] ?? Promise.resolve()).then(() => this.#pass(name, bytes));
    this.#passing[name] = passed;
    return passed;
  }

  async #pass(name: StreamName, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length && !this.#closed.has(name); ) {
      try {
        at += await written(FD[name], bytes.subarray(at));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return this.#close(name, error);
        this.#stream(name, bytes.subarray(at));
        return this.taken(name);
      }
    }
  }

  line(name: StreamName, text: string): void {
    this.write(name, `${text}\n`);
  }

  /** The way of JSON to stdout, but for that of `logs`, which is printed in pieces. */
  json(value: object): void {
    this.line('stdout', plainJson(value));
  }

  #direct(name: StreamName, bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      try {
        at += fs.writeSync(FD[name], bytes, at);
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code;
        if (code === 'EINTR') continue;
        if (code === 'EAGAIN') this.#stream(name, bytes.subarray(at));
        else this.#close(name, error);
        return;
      }
    }
  }

  #stream(name: StreamName, data: string | Uint8Array): void {
    const stream = process[name];
    if (!this.#streaming.has(name)) {
      this.#streaming.add(name);
      stream.on('error', (error) => this.#close(name, error));
      // Node writes to terminals synchronously. One that was stopped by Ctrl-S, or whose other end is frozen, would stop all else.
      if (stream.isTTY) (stream as { _handle?: { setBlocking?(on: boolean): void } })._handle?.setBlocking?.(false);
    }
    stream.write(data);
  }

  /** A reader, or a terminal, that takes nothing at present has left much to be written. */
  isFull(name: StreamName): boolean {
    return this.#streaming.has(name) && process[name].writableNeedDrain;
  }

  /** Waits until a slow reader has taken what was written: for what may be larger than memory. */
  async taken(name: StreamName): Promise<void> {
    if (!this.#streaming.has(name)) return;
    const stream = process[name];
    while (this.isFull(name) && !this.#closed.has(name)) {
      await new Promise((resolve) => {
        const go = () => {
          for (const event of ['drain', 'close', 'error']) stream.off(event, go);
          resolve(null);
        };
        for (const event of ['drain', 'close', 'error']) stream.on(event, go);
      });
    }
  }

  /** A reader or a terminal that has gone, or a descriptor that was closed before we started, is not a failure of the command. */
  #close(name: StreamName, error: unknown): void {
    if (this.#closed.has(name)) return;
    const code = (error as NodeJS.ErrnoException).code;
    this.#closed.set(name, code === 'EPIPE' ? 'pipe' : 'other');
    const gone = code === 'EPIPE' || code === 'EBADF' || (code === 'EIO' && process[name].isTTY);
    if (!gone && name === 'stdout') {
      this.failed = true;
      this.line('stderr', `error[IO_ERROR]: writing to standard output: ${(error as Error).message}`);
    }
    if (name === 'stdout') this.onClosed(code === 'EPIPE' ? 'pipe' : 'other');
  }

  hasLostReader(name: StreamName): boolean {
    return this.#closed.get(name) === 'pipe';
  }
}

/** How many of `bytes` were written. */
function written(fd: number, bytes: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.write(fd, bytes, (error, count) => (error === null ? resolve(count) : reject(error)));
  });
}

/** Whether the descriptor is a terminal. */
export function isTerminal(name: StreamName | 'stdin'): boolean {
  const fd = name === 'stdin' ? 0 : FD[name];
  try {
    // node:tty takes long to load, and most of what is no terminal is no character device either, or it is /dev/null.
    const stat = fs.fstatSync(fd);
    if (!stat.isCharacterDevice() || stat.rdev === fs.statSync('/dev/null').rdev) return false;
    return process.getBuiltinModule('node:tty').isatty(fd);
  } catch {
    return false;
  }
}

/**
 * Node aborts at its end when it cannot reset a terminal that is gone, and skips descriptors that are closed. A terminal that is gone is a
 * device that is no terminal, as is /dev/null.
 */
export function leaveTerminal(): void {
  for (const [fd, name] of (['stdin', 'stdout', 'stderr'] as const).entries()) {
    try {
      if (fs.fstatSync(fd).isCharacterDevice() && !isTerminal(name)) fs.closeSync(fd);
    } catch {
      // It was closed before.
    }
  }
}
