/**
 * Before any test: builds forge if there is no build or the source is newer (`npm test` has built it already), puts
 * temporary folders into memory, and gives the tested commands a cache of their own instead of the user's, and no
 * certificates.
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statfsSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const REPO = join(import.meta.dirname, '../..');

const MEMORY = '/dev/shm';
/** What all tests that run at once take there is far less. */
const ENOUGH_BYTES = 1 << 30;

/** Returns what cleans up after the last test. */
export default function setup(): () => void {
  // Thousands of projects are made and removed; and a killed process loses nothing there that it would keep on a disk.
  if (process.env['TMPDIR'] === undefined && freeBytes(MEMORY) > ENOUGH_BYTES) process.env['TMPDIR'] = MEMORY;
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
  return [...inSource.map((file) => join(REPO, 'src', file)), join(REPO, 'scripts/build.mjs')];
}

/** 0 when there is no such folder, as on macOS. */
function freeBytes(folder: string): number {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch {
    return 0;
  }
}

/** Milliseconds since the epoch; 0 when there is no such file. */
function modified(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
