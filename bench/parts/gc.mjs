/** What gc costs: its planner by itself, and a dry run against a bare loop over the same files. */

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { program } from '../lib/bundle.mjs';
import { forgeArgs } from '../lib/forge.mjs';
import { execute } from '../lib/measure.mjs';
import { plainPlan } from '../lib/plans.mjs';
import { figure, heading } from '../lib/report.mjs';
import { scratchProject } from '../lib/scratch.mjs';
import { againstBareRead } from './status.mjs';

export async function gc({ full }) {
  const plan = await program('plan-gc');
  heading('gc: the planner alone, in a process of its own');
  for (const size of [1000, 10_000, 100_000]) {
    const { stdout } = spawnSync(process.execPath, [plan, String(size)], { encoding: 'utf8' });
    figure(`planGc, ${size} tasks`, (Number(stdout) * 1000) / size, { unit: 'µs a task' });
  }
  const grow = await program('grow-tree');
  for (const size of full ? [1000, 10_000, 100_000] : [1000, 10_000]) {
    for (const kind of ['hand', 'run']) {
      heading(`gc: ${size} tasks, ${kind === 'hand' ? 'written by hand' : 'as `run` made them'}`);
      const project = scratchProject(`gc-${kind}`, plainPlan(size));
      execute(process.execPath, [grow, project, String(size), kind]);
      const ours = forgeArgs(project, 'gc', '--dry-run', '--json');
      await againstBareRead(project, 'gc --dry-run --json', ours, size);
      // The files without a plan: what the tree alone costs.
      fs.rmSync(path.join(project, 'plans'), { recursive: true });
      await againstBareRead(project, 'gc --dry-run --json, without a plan', ours, size);
      fs.rmSync(project, { recursive: true });
    }
  }
}
