/** What looking at a large tree costs, against a bare loop over the same files: time and memory. */

import fs from 'node:fs';
import path from 'node:path';
import { program } from '../lib/bundle.mjs';
import { forgeArgs } from '../lib/forge.mjs';
import { execute, inTurns, median } from '../lib/measure.mjs';
import { plainPlan } from '../lib/plans.mjs';
import { figure, heading, ms } from '../lib/report.mjs';
import { cleanEnv, scratchFolder, scratchProject, tasksFolder } from '../lib/scratch.mjs';

const LIMIT = 1.5;
const bare = path.join(import.meta.dirname, '..', 'programs', 'bare-read.mjs');
const peak = path.join(import.meta.dirname, '..', 'programs', 'report-peak.cjs');

export async function status({ full }) {
  const grow = await program('grow-tree');
  for (const size of full ? [1000, 10_000, 100_000] : [1000, 10_000]) {
    for (const kind of ['hand', 'run']) {
      heading(`status: ${size} tasks, ${kind === 'hand' ? 'written by hand' : 'as `run` made them'}`);
      const project = scratchProject(`status-${kind}`, plainPlan(size));
      execute(process.execPath, [grow, project, String(size), kind]);
      await measure(project, size);
      fs.rmSync(project, { recursive: true });
    }
  }
}

async function measure(project, size) {
  await againstBareRead(project, 'status --json', forgeArgs(project, 'status', '--json'), size);
  await againstBareRead(project, 'phases --ready --json', forgeArgs(project, 'phases', '--ready', '--json'), size);
  // The files without a plan: what the tree alone costs.
  fs.rmSync(path.join(project, 'plans'), { recursive: true });
  await againstBareRead(project, 'status --json, without a plan', forgeArgs(project, 'status', '--json'), size);
}

/** Time and memory of `ours`, a command that looks at the tree of `project`, against the bare loop. */
export async function againstBareRead(project, what, ours, size) {
  const base = [bare, tasksFolder(project)];
  const env = cleanEnv();
  const run = (args) => () => void execute(process.execPath, args, { env });
  const rounds = size >= 100_000 ? 3 : size >= 10_000 ? 7 : 11;
  const times = await inTurns(run(ours), run(base), rounds);
  const memory = { ours: peakOf(ours), base: peakOf(base) };
  figure(what, times.ratio, {
    limit: LIMIT,
    detail: `${ms(times.ours)} / ${ms(times.base)}; peak memory ${mib(memory.ours)} / ${mib(memory.base)}`,
  });
}

/** Peak resident memory of a node process, KiB. */
function peakOf(args) {
  const file = path.join(scratchFolder('peak'), 'kib');
  const peaks = [1, 2, 3].map(() => {
    execute(process.execPath, ['--require', peak, ...args], { env: cleanEnv({ BENCH_PEAK_FILE: file }) });
    return Number(fs.readFileSync(file, 'utf8'));
  });
  return median(peaks);
}

function mib(kib) {
  return `${Math.round(kib / 1024)} MiB`;
}
