/** What this process has read or committed last of each task. */

import fs from 'node:fs';
import type { KnownVersion } from './protocol.ts';
import { type VersionFile, versionName } from './record-file.ts';

export class KnownVersions {
  readonly #known = new Map<string, KnownVersion>();

  get(taskId: string): KnownVersion | undefined {
    return this.#known.get(taskId);
  }

  /** What was committed: others may have committed more, and this process read that, before it is told of it. */
  committed(taskId: string, dir: string, version: VersionFile): void {
    if ((this.#known.get(taskId)?.version.n ?? 0) < version.n) this.set(taskId, dir, version);
  }

  /** What was read. `dir`: the task's folder. `version`: null: it has none that is whole. */
  set(taskId: string, dir: string, version: VersionFile | null): void {
    if (version === null) this.#known.delete(taskId);
    else if (this.#known.get(taskId)?.version !== version)
      this.#known.set(taskId, {
        version,
        writtenMs: version.open ? null : writtenMs(`${dir}/${versionName(version.n)}`),
      });
  }
}

/** Null where it is gone. */
function writtenMs(file: string): number | null {
  return fs.lstatSync(file, { throwIfNoEntry: false })?.mtimeMs ?? null;
}
