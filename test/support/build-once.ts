/** Before any test: builds forge when it is not built, or when its source is newer. `npm test` has built it by then. */

import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

const REPO = join(import.meta.dirname, '../..');

export default function setup(): void {
  if (modified(join(REPO, 'dist/cli/main.cjs')) >= Math.max(...sources().map(modified))) return;
  const { status } = spawnSync(process.execPath, [join(REPO, 'scripts/build.mjs')], { stdio: 'inherit' });
  if (status !== 0) throw new Error('forge could not be built');
}

function sources(): string[] {
  const inSource = readdirSync(join(REPO, 'src'), { recursive: true, encoding: 'utf8' });
  return [
    ...inSource.map((file) => join(REPO, 'src', file)),
    ...['build.mjs', 'warm-up.cjs'].map((file) => join(REPO, 'scripts', file)),
  ];
}

/** Milliseconds since the epoch; 0 when there is no such file. */
function modified(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
