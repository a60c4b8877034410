/** Whether a task costs more in a larger plan: time, memory, and what is kept of it on disk. */

import fs from 'node:fs';
import path from 'node:path';
import { forgeArgs } from '../lib/forge.mjs';
import { execute, inTurns } from '../lib/measure.mjs';
import { planOver, randomGraph } from '../lib/plans.mjs';
import { figure, heading, times } from '../lib/report.mjs';
import { cleanEnv, scratchProject, tasksFolder } from '../lib/scratch.mjs';
import { peakOf } from './status.mjs';

const SMALL = 300;
/** The time of a task, of that in a plan of `SMALL`. */
const LARGE = [
  { size: 3000, limit: 1.2, rounds: 3 },
  { size: 10_000, limit: 1.3, rounds: 1 },
];
const MEMORY_MIB = 150;

export async function growth({ full }) {
  heading(`growth: a task that does nothing, in large plans and in one of ${SMALL}`);
  let last = '';
  for (const { size, limit, rounds } of full ? LARGE : LARGE.slice(0, 1)) {
    const taken = await inTurns(
      () => {
        last = runOf(size);
      },
      () => void runOf(SMALL),
      rounds,
    );
    const each = { ...taken, ours: taken.ours / size, base: taken.base / SMALL };
    each.cpu = { ours: taken.cpu.ours / size, base: taken.cpu.base / SMALL };
    figure(`a task of ${size}, against one of ${SMALL}`, (taken.ratio * SMALL) / size, { limit, detail: times(each) });
    kept(path.join(tasksFolder(last), '..'), size);
    const project = projectOf(size);
    figure(`memory of a run of ${size}`, peakOf(runArgs(project), cleanEnv(), 1) / 1024, {
      unit: 'MiB',
      limit: MEMORY_MIB,
    });
  }
}

const projectOf = (size) => scratchProject('growth', planOver(randomGraph(size), 'true'));
const runArgs = (project) => forgeArgs(project, 'run', '--max-parallel', '2');

function runOf(size) {
  const project = projectOf(size);
  execute(process.execPath, runArgs(project), { env: cleanEnv() });
  return project;
}

/** The whole state tree, shared out among its tasks. */
function kept(tree, size) {
  const files = fs
    .readdirSync(tree, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => fs.statSync(path.join(entry.parentPath, entry.name)).size);
  figure('files kept of a finished task', files.length / size, { unit: '', limit: 8 });
  figure('bytes kept of a finished task', files.reduce((sum, bytes) => sum + bytes, 0) / size, {
    unit: '',
    limit: 10_000,
  });
}
