/** What this build of forge is, and what comes with it. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

declare const FORGE_BUILD: string | undefined;

/** A checksum of the command's sources, set by scripts/build.mjs; null when they run without a build. */
export const BUILD: string | null = typeof FORGE_BUILD === 'string' ? FORGE_BUILD : null;

/** The text of a file of the package. The path up is the same from src/project and from the bundle in dist/cli. */
export function shippedText(file: string): string {
  return readFileSync(join(import.meta.dirname, '../..', file), 'utf8');
}
