// Runs the protocol simulator for as long as one likes: npm run simulate -- --schedules 5000000 --seed 7
// It is written in TypeScript, which the oldest supported Node can't read, so it is bundled first.

import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'rolldown';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
// Inside node_modules, so that the bundle finds the bundler that it needs itself.
const file = join(root, 'node_modules', '.cache', 'forge', `simulate-${process.pid}.mjs`);

await build({
  input: join(root, 'test', 'sim', 'command.ts'),
  platform: 'node',
  external: ['rolldown'],
  logLevel: 'warn',
  output: { file, format: 'esm', codeSplitting: false },
});
const { main } = await import(pathToFileURL(file).href);
rmSync(file, { force: true });
process.exitCode = await main(root, process.argv.slice(2));
