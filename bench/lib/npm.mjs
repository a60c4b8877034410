/** Programs from npm, to compare with: no dependencies, and none of their own scripts is run to install them. */

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { cleanEnv, scratchFolder } from './scratch.mjs';

/** A folder with these packages; null, with a word, where npm can't have them. */
export function installed(packages) {
  const cwd = scratchFolder('npm');
  fs.writeFileSync(path.join(cwd, 'package.json'), '{"private": true}\n');
  const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', ...packages];
  const { status, stderr } = spawnSync('npm', args, { cwd, env: cleanEnv(), encoding: 'utf8' });
  if (status === 0) return cwd;
  console.log(`${stderr}  left out: npm can't install ${packages.join(', ')}`);
  return null;
}
