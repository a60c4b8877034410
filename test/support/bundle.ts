/**
 * Turns a TypeScript entry into one file that plain Node can start, for tests that need a second process.
 * Vitest transforms TypeScript in its own process only, and the oldest Node that forge supports cannot read it.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { build } from 'rolldown';
import { afterAll } from 'vitest';

let folder: string | undefined;
const bundles = new Map<string, Promise<string>>();

// Registered for the test file that imports this module; what it bundled is removed with its last test.
afterAll(() => {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

/** Bundles `entryTsPath` (absolute) with everything it imports. Returns the path of an .mjs; the same one for the same entry. */
export function bundle(entryTsPath: string): Promise<string> {
  let file = bundles.get(entryTsPath);
  if (file === undefined) {
    file = write(entryTsPath);
    bundles.set(entryTsPath, file);
  }
  return file;
}

async function write(entry: string): Promise<string> {
  folder ??= mkdtempSync(join(tmpdir(), 'forge-bundle-'));
  const file = join(folder, `${basename(entry, '.ts')}.mjs`);
  await build({
    input: entry,
    platform: 'node',
    logLevel: 'warn',
    output: { file, format: 'esm', codeSplitting: false },
  });
  return file;
}
