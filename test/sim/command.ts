/** `npm run simulate`: as many schedules as one likes. */

import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { bundleWorker } from './bundle.ts';
import { MUTANTS } from './mutants.ts';
import { explain, simulate } from './pool.ts';
import { FOCI } from './world.ts';

const USAGE = `npm run simulate -- [--schedules N] [--seed N] [--threads N] [--focus F] [--mutant NAME] [--lock-file]

--schedules  how many (default 1000000)
--seed       of the first one; the others follow (default 1)
--threads    default: one for each core
--focus      a corner that every schedule goes to: stillness, failures, edits, adoption, questions, steps or
             fan-outs (default: none)
--mutant     the protocol with one thing changed, see test/sim/mutants.ts
--lock-file  a lock file in the protocol's place, which must fail
`;

/** Runs the command; returns the exit code. `root` is the project's folder. */
export async function main(root: string, argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      schedules: { type: 'string', default: '1000000' },
      seed: { type: 'string', default: '1' },
      threads: { type: 'string', default: String(availableParallelism()) },
      focus: { type: 'string' },
      mutant: { type: 'string' },
      'lock-file': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const mutant = MUTANTS.find(({ name }) => name === values.mutant) ?? null;
  const unknown = values.mutant !== undefined && mutant === null;
  if (values.help || unknown) {
    process.stdout.write(unknown ? `Mutants:\n${MUTANTS.map(({ name }) => `  ${name}\n`).join('')}` : USAGE);
    return unknown ? 2 : 0;
  }
  const folder = mkdtempSync(join(tmpdir(), 'forge-simulation-'));
  try {
    const result = await simulate({
      file: await bundleWorker(root, join(folder, 'worker.mjs'), mutant),
      setting: {
        subject: values['lock-file'] ? 'lock-file' : 'protocol',
        depth: mutant?.depth ?? 'mixed',
        focus: FOCI.find((focus) => focus === values.focus) ?? mutant?.focus,
      },
      seed: Number(values.seed),
      schedules: Number(values.schedules),
      threads: Number(values.threads),
      onProgress: (done) => process.stderr.isTTY && process.stderr.write(`\r${done} schedules `),
    });
    const seconds = result.elapsedMs / 1000;
    for (const failure of result.failures.slice(0, 1)) process.stdout.write(`${explain(failure)}\n\n`);
    process.stdout.write(`${JSON.stringify(result.stats)}\n`);
    process.stdout.write(
      `${result.schedules} schedules in ${seconds.toFixed(1)} s, ${Math.round(result.schedules / seconds)} a second, ` +
        `${result.failures.length === 0 ? 'no promise broken' : 'FAILED'}\n`,
    );
    return result.failures.length === 0 ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
