/** Uses up all its file descriptors, runs git, and prints how that was refused. */

import { openSync } from 'node:fs';
import { git } from '../../../src/git/git.ts';

const cwd: string = JSON.parse(process.argv[2] ?? '');
// What is loaded on the first use must not be what fails.
await git(['--version'], { cwd, env: process.env });
try {
  for (;;) openSync('/dev/null', 'r');
} catch {}
const { code, message } = await git(['--version'], { cwd, env: process.env }).catch((error) => error);
process.stdout.write(`${JSON.stringify({ code, message })}\n`);
