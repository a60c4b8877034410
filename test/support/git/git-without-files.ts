/** Uses up all its file descriptors, runs git, and prints the error. */

import { openSync } from 'node:fs';
import { git } from '../../../src/git/git.ts';

const cwd: string = JSON.parse(process.argv[2] ?? '');
// Loads modules before the descriptors are used up, so that only git fails.
await git(['--version'], { cwd, env: process.env });
try {
  for (;;) openSync('/dev/null', 'r');
} catch {}
const { code, message } = await git(['--version'], { cwd, env: process.env }).catch((error) => error);
process.stdout.write(`${JSON.stringify({ code, message })}\n`);
