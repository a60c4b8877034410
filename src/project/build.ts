/** What comes with forge, beside its code. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The text of a file of the package. The path up is the same from src/project and from the bundle in dist/cli. */
export function shippedText(file: string): string {
  return readFileSync(join(import.meta.dirname, '../..', file), 'utf8');
}
