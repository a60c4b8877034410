/** What reading a large plan costs, against js-yaml reading the same text: both as a new process does it. */

import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { program } from '../lib/bundle.mjs';
import { inTurns } from '../lib/measure.mjs';
import { planOver, randomGraph } from '../lib/plans.mjs';
import { figure, heading, ms } from '../lib/report.mjs';
import { scratchProject } from '../lib/scratch.mjs';

const ROUNDS = 9;

export async function plan() {
  const parse = await program('parse-plan');
  for (const size of [1000, 10_000]) {
    heading(`plan: ${size} tasks with dependencies`);
    const project = scratchProject('plan', planOver(randomGraph(size), 'true'));
    const file = path.join(project, 'plans', 'phases.yaml');
    const by = (reader) => () =>
      Number(spawnSync(process.execPath, [parse, file, reader], { encoding: 'utf8' }).stdout);
    const { ours, base, ratio } = await inTurns(by('ours'), by('yaml'), ROUNDS);
    figure('parsed and checked, against js-yaml alone', ratio, { detail: `${ms(ours)} / ${ms(base)}` });
  }
}
