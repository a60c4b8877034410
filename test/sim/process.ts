/** One step of the protocol at a time, for tests that say themselves in which order the calls of several come. */

import type { FsCall, Step } from '../../src/lib/fs/operations.ts';
import type { Disk } from './disk.ts';

/** A process that makes as many calls as the test lets it. */
export class Process<T> {
  result: T | undefined;
  readonly #step: Step<T>;
  #next: IteratorResult<FsCall, T>;

  constructor(step: Step<T>) {
    this.#step = step;
    this.#next = step.next();
  }

  /** Makes up to `calls` calls. */
  run(perform: (call: FsCall) => unknown, calls = Number.POSITIVE_INFINITY): void {
    for (let made = 0; made < calls && this.#next.done !== true; made++) this.#call(perform, this.#next.value);
    if (this.#next.done === true) this.result = this.#next.value;
  }

  #call(perform: (call: FsCall) => unknown, call: FsCall): void {
    let answer: unknown;
    try {
      answer = perform(call);
    } catch (error) {
      this.#next = this.#step.throw(error);
      return;
    }
    this.#next = this.#step.next(answer);
  }
}

/** What `step` comes to, alone on the disk. */
export function run<T>(disk: Disk, step: Step<T>): T {
  const process = new Process(step);
  process.run((call) => disk.perform(call));
  return process.result as T;
}
