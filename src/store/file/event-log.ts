/** The append-only logs of tasks, attempts and runs, as files of JSON lines. */

import { ifThere, whileDoing } from '../../lib/fs/io-errors.ts';
import { appendLines, readLines } from '../../lib/fs/json-lines.ts';
import { readCapped } from '../../lib/fs/read.ts';
import type { EventLog, LogStream } from '../port.ts';
import type { StateTree } from './tree.ts';

/** Largest log that is read as a whole, bytes. */
const LOG_MAX_BYTES = 16 * 1024 * 1024;

export class FileEventLog implements EventLog {
  readonly #tree: StateTree;

  constructor(tree: StateTree) {
    this.#tree = tree;
  }

  async read(stream: LogStream): Promise<Record<string, unknown>[]> {
    const path = this.#path(stream);
    return readLines(ifThere(`reading ${path}`, () => readCapped(path, LOG_MAX_BYTES)) ?? '');
  }

  async append(stream: LogStream, entry: object): Promise<void> {
    // The attempt of a tree written by hand may have no folder yet.
    if (stream.log === 'events') this.#tree.ensureAttempt(stream.taskId, stream.attemptId);
    const path = this.#path(stream);
    whileDoing(`appending to ${path}`, () => appendLines(path, [entry]));
  }

  #path(stream: LogStream): string {
    switch (stream.log) {
      case 'claim-history':
        return `${this.#tree.taskFolder(stream.taskId)}/claim-history.jsonl`;
      case 'events':
        return `${this.#tree.attemptFolder(stream.taskId, stream.attemptId)}/events.jsonl`;
      case 'notifications':
        return `${this.#tree.runFolder(stream.runId)}/notifications.jsonl`;
    }
  }
}
