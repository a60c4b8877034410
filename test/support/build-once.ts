/**
 * Before any test: builds forge if there is no build or the source is newer (`npm test` has built it already), and
 * gives the tested commands a cache of their own instead of the user's, and no certificates.
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const REPO = join(import.meta.dirname, '../..');

/** Returns what cleans up after the last test. */
export default function setup(): () => void {
  const cache = mkdtempSync(join(tmpdir(), 'forge-cache-'));
  process.env['XDG_CACHE_HOME'] = cache;
  // Node parses that file at every start, which doubles it; no test opens a TLS connection.
  delete process.env['NODE_EXTRA_CA_CERTS'];
  build();
  return () => rmSync(cache, { recursive: true, force: true, maxRetries: 3 });
}

function build(): void {
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
