/** Bundles the simulator, with the product's protocol as it is or with one line of it changed, for worker threads. */

import { join } from 'node:path';
import { build } from 'rolldown';
import type { Mutant } from './mutants.ts';

/** Writes the worker with everything it imports to `file`. Throws when `mutant` does not fit the source any more. */
export async function bundleWorker(root: string, file: string, mutant: Mutant | null): Promise<string> {
  let applied = 0;
  await build({
    input: join(root, 'test/sim/worker.ts'),
    platform: 'node',
    logLevel: 'warn',
    output: { file, format: 'esm', codeSplitting: false },
    plugins: [
      {
        name: 'simulation',
        transform(code, id) {
          let result = code;
          if (mutant !== null && id === join(root, mutant.file)) {
            applied++;
            result = replaced(result, mutant.changes, `mutant "${mutant.name}"`);
          }
          if (id === join(root, SMALL.file)) return replaced(result, SMALL.changes, 'the small journal');
          if (id !== join(root, REMEMBERED.file)) return result;
          return replaced(result, REMEMBERED.changes, 'the memory') + REMEMBERED.added;
        },
      },
    ],
  });
  if (mutant !== null && applied !== 1) throw new Error(`${mutant.name}: ${mutant.file} is not part of the simulation`);
  return file;
}

/**
 * Encoding and decoding take most of the time of a schedule, and the same texts come again and again. In the simulation
 * these pure functions answer from memory what they have met before. The protocol itself is not touched.
 */
const REMEMBERED = {
  file: 'src/store/file/record-file.ts',
  changes: [
    ['export function encodeVersion(', 'function encodeVersionAnew('],
    ['export function decodeVersion(', 'function decodeVersionAnew('],
    ['export function isSealedView(', 'function isSealedViewAnew('],
  ] as [string, string][],
  added: `
import { remembered } from '../../../test/sim/remembered.ts';
const decoding = remembered(decodeVersionAnew);
export const decodeVersion = decoding.answer;
export const isSealedView = remembered(isSealedViewAnew).answer;
export function encodeVersion(version) {
  const text = encodeVersionAnew(version);
  decoding.know(text, { kind: 'valid', version: asWritten(version, text) });
  return text;
}
`,
};

/** A journal of few entries has parts as a large one does. */
const SMALL = {
  file: 'src/domain/steps/journal.ts',
  changes: [['TAIL_MAX_BYTES = 16 * 1024;', 'TAIL_MAX_BYTES = 2048;']] as [string, string][],
};

/** The source with `changes` made. Each text must occur exactly once: a change that no longer fits must not pass unseen. */
export function replaced(code: string, changes: readonly [from: string, to: string][], what: string): string {
  let result = code;
  for (const [from, to] of changes) {
    const parts = result.split(from);
    if (parts.length !== 2) {
      throw new Error(`${what}: its text occurs ${parts.length - 1} times in the source, not once:\n${from}`);
    }
    result = parts.join(to);
  }
  return result;
}
