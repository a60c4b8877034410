/** The command that is measured: this checkout's, or the one that FORGE_BENCH_CLI names, to compare two builds. */

import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { execute } from './measure.mjs';
import { cleanEnv } from './scratch.mjs';

export const CLI = path.resolve(
  process.env.FORGE_BENCH_CLI ?? path.join(import.meta.dirname, '..', '..', 'bin', 'forge.cjs'),
);

/** The arguments for node. */
export function forgeArgs(project, ...verb) {
  return [CLI, 'orchestrate', ...verb, '--dir', project];
}

/** Runs a verb to its end, unseen. Throws when it fails. */
export function forge(project, ...verb) {
  execute(process.execPath, forgeArgs(project, ...verb), { env: cleanEnv() });
}

/** The `data` of a verb's answer. Throws when it fails. */
export function askForge(project, ...verb) {
  const { stdout, stderr } = spawnSync(process.execPath, forgeArgs(project, ...verb, '--json'), {
    env: cleanEnv(),
    encoding: 'utf8',
    maxBuffer: 2 ** 30,
  });
  const answer = JSON.parse(stdout || '{"ok":false}');
  if (answer.ok) return answer.data;
  throw new Error(`${verb.join(' ')}: ${answer.error?.message ?? stderr}`);
}
