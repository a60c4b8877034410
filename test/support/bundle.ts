/**
 * Turns a TypeScript entry into one file that plain Node can start, for tests that need a second process.
 * Vitest transforms TypeScript in its own process only, and the oldest Node that forge supports cannot read it.
 */

import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { build } from 'rolldown';

/** Bundles `entry` (absolute) with everything it imports. Returns the path of an .mjs. */
export async function bundle(entry: string): Promise<string> {
  const file = join(mkdtempSync(join(tmpdir(), 'forge-bundle-')), `${basename(entry, '.ts')}.mjs`);
  await build({
    input: entry,
    platform: 'node',
    logLevel: 'warn',
    output: { file, format: 'esm', codeSplitting: false },
  });
  return file;
}
