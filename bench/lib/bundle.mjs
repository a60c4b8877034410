/** Turns a program of this folder, which imports the TypeScript sources, into one file that plain Node can start. */

import path from 'node:path';
import { build } from 'rolldown';
import { scratchFolder } from './scratch.mjs';

const made = new Map();

/** `name` without `.mjs`, from `bench/programs`. Returns the path of the bundle. */
export async function program(name) {
  if (!made.has(name)) {
    const file = path.join(scratchFolder('program'), `${name}.mjs`);
    const input = path.resolve(import.meta.dirname, '..', 'programs', `${name}.mjs`);
    await build({ input, platform: 'node', logLevel: 'warn', output: { file, format: 'esm', codeSplitting: false } });
    made.set(name, file);
  }
  return made.get(name);
}
