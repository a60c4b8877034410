/** What a build of forge is known by. Caches and records say which one wrote them. */

import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

const repo = path.resolve(import.meta.dirname, '..');

/** As the bundler takes it. */
export function buildId() {
  return { FORGE_BUILD: JSON.stringify(sumOfSources()) };
}

/** What another one has put into its cache is not read. */
function sumOfSources() {
  const sources = fs.readdirSync(path.join(repo, 'src'), { recursive: true }).filter((name) => name.endsWith('.ts'));
  const others = ['package.json', 'package-lock.json', 'scripts/build.mjs'];
  const files = [...sources.sort().map((name) => path.join('src', name)), ...others];
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${file}\0`).update(fs.readFileSync(path.join(repo, file)));
  return hash.digest('hex').slice(0, 16);
}
