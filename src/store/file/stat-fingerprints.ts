/**
 * Whether files are as they were, for a great many of them at once. Each look takes some microseconds, nearly all of them
 * the system's; so where there are thousands to take, other threads take their share.
 */

import fs from 'node:fs';
import type { Worker } from 'node:worker_threads';

/** A path below some folder, and what a look at it gave: its inode, and the time of its last change of any kind, whole ms. */
export type Stamp = [path: string, inode: number, changedMs: number];

/** Null where there is nothing to be seen. */
export function stampOf(folder: string, path: string): Stamp | null {
  try {
    // Most of what is not there was never there, and an exception costs more than the question.
    const stat = fs.lstatSync(folder + path, { throwIfNoEntry: false });
    return stat === undefined ? null : [path, stat.ino, Math.trunc(stat.ctimeMs)];
  } catch {
    return null;
  }
}

/** What the threads share. */
export interface Stamped {
  /** Where the folders are. */
  root: string;
  bytes: Uint8Array;
  /** Four numbers a folder: where in `bytes` its name begins and ends, and where its stamps do: JSON in ASCII, one after another in one list. */
  places: Uint32Array;
}

/** How much of them is worth a thread more, bytes: starting one takes as long as looking at some two thousand folders. */
const BYTES_A_THREAD = 1.5 * 1024 * 1024;
const THREADS_MAX = 4;

/** Looks at many folders. Helpers begin as soon as they can; this thread may do something else before it joins them. */
export class StampCheck {
  readonly #helpers: Worker[] = [];
  #shared: Shared | null = null;

  /** `bytes`: about how much text there will be. */
  constructor(bytes: number) {
    if (bytes < BYTES_A_THREAD) return;
    const cores = process.getBuiltinModule('node:os').availableParallelism();
    const threads = Math.min(THREADS_MAX, cores, Math.ceil(bytes / BYTES_A_THREAD));
    try {
      for (let i = 1; i < threads; i++) this.#helpers.push(helper());
    } catch {
      // Where no thread may be started it takes longer.
    }
  }

  begin(stamped: Stamped): void {
    this.#shared = {
      ...stamped,
      held: new Uint8Array(new SharedArrayBuffer(stamped.places.length / 4)),
      next: new Uint32Array(new SharedArrayBuffer(4)),
    };
    for (const each of this.#helpers) each.postMessage(this.#shared);
  }

  /** How many folders have been looked at by now. */
  get looked(): number {
    return this.#shared?.held.filter((state) => state !== 0).length ?? 0;
  }

  /** Whether everything is as it was, by folder. */
  result(): (at: number) => boolean {
    const shared = this.#shared;
    if (shared === null) return () => false;
    check(shared, false);
    // What a helper has begun and not finished, as one that died, is done here: looking twice does no harm.
    check(shared, true);
    return (at) => shared.held[at] === HELD;
  }
}

const HELD = 1;

interface Shared extends Stamped {
  /** By folder: 0 not looked at yet, 1 all is as it was, 2 it is not. */
  held: Uint8Array;
  /** How many folders have been given out. */
  next: Uint32Array;
}

/** It ends by itself when there is nothing left to look at, and nobody waits for it. */
function helper(): Worker {
  const { Worker } = process.getBuiltinModule('node:worker_threads');
  const code = `require('node:worker_threads').parentPort.once('message', (shared) => (${check})(shared, false))`;
  const started = new Worker(code, { eval: true, execArgv: [], stdout: true, stderr: true });
  started.on('error', () => {});
  started.unref();
  return started;
}

/**
 * Looks at folders, some at a time, until all are given out; or, with `left`, at those that nobody has finished. A helper runs
 * it from its text, so it uses nothing from outside of itself.
 */
function check({ root, bytes, places, held, next }: Shared, left: boolean): void {
  const { lstatSync } = process.getBuiltinModule('node:fs');
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isAsItWas = (at: number): boolean => {
    const folder = `${root}/${text.toString('latin1', places[4 * at], places[4 * at + 1])}`;
    try {
      const stamps = JSON.parse(text.toString('latin1', places[4 * at + 2], places[4 * at + 3]));
      for (let i = 0; i < stamps.length; i += 3) {
        const { ino, ctimeMs } = lstatSync(folder + stamps[i]);
        if (ino !== stamps[i + 1] || Math.trunc(ctimeMs) !== stamps[i + 2]) return false;
      }
      return true;
    } catch {
      return false;
    }
  };
  const part = left ? held.length : 64;
  for (;;) {
    const from = left ? 0 : Atomics.add(next, 0, part);
    for (let at = from; at < Math.min(from + part, held.length); at++) {
      if (held[at] === 0) held[at] = isAsItWas(at) ? 1 : 2;
    }
    if (left || from >= held.length) return;
  }
}
