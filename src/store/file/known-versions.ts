/** What this process has read or committed last of each task. */

import fs from 'node:fs';
import { isTerminal } from '../../domain/task/states.ts';
import type { KnownVersion } from './protocol.ts';
import { type VersionFile, versionName } from './record-file.ts';

/** Tasks of which this is known, from which on those that are over are left out: a run would hold the records of tens of thousands. */
const MANY = 1_000;

export class KnownVersions {
  readonly #known = new Map<string, KnownVersion>();

  get(taskId: string): KnownVersion | undefined {
    return this.#known.get(taskId);
  }

  /** What was committed: others may have committed more, and this process read that, before it is told of it. */
  committed(taskId: string, dir: string, version: VersionFile): void {
    if ((this.#known.get(taskId)?.version.n ?? 0) < version.n) this.#set(taskId, dir, version);
  }

  /** What was read. `dir`: the task's folder. `version`: null: it has none that is whole. */
  read(taskId: string, dir: string, version: VersionFile | null): void {
    if (version === null || (this.#known.size >= MANY && isLast(version))) this.#known.delete(taskId);
    else this.#set(taskId, dir, version);
  }

  #set(taskId: string, dir: string, version: VersionFile): void {
    if (this.#known.get(taskId)?.version === version) return;
    this.#known.set(taskId, {
      version,
      writtenMs: version.open ? null : writtenMs(`${dir}/${versionName(version.n)}`),
    });
  }
}

/** Whether the task is over. Who commits on it all the same need not know this version, since nothing is added to its file. */
function isLast({ open, record }: VersionFile): boolean {
  return open === undefined && record.lease === null && isTerminal(record.state.state);
}

/** Null where it is gone. */
function writtenMs(file: string): number | null {
  return fs.lstatSync(file, { throwIfNoEntry: false })?.mtimeMs ?? null;
}
