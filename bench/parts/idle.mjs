/** What a run costs while its only worker works, by itself and with many tasks that wait for it. */

import { setTimeout as pause } from 'node:timers/promises';
import { cpuOf } from '../lib/measure.mjs';
import { planOver } from '../lib/plans.mjs';
import { figure, heading } from '../lib/report.mjs';
import { scratchProject } from '../lib/scratch.mjs';
import { started } from './recovery.mjs';

const SECONDS = 20;
const LIMIT_PERCENT = 0.5;
const WAITING = 1000;

export async function idle() {
  heading('idle: a run whose worker sleeps');
  await measure('alone', 0);
  await measure(`${WAITING} tasks wait`, WAITING);
}

/** `waiting`: how many tasks wait, each for the one before. */
async function measure(what, waiting) {
  const graph = Array.from({ length: 1 + waiting }, (_, index) => (index === 0 ? [] : [index - 1]));
  const { run, stop } = await started(scratchProject('idle', planOver(graph, 'exec sleep 600')), 1);
  // What it does right after a start is over.
  await pause(3000);
  const before = cpuOf(run.pid).own;
  await pause(SECONDS * 1000);
  const taken = cpuOf(run.pid).own - before;
  figure(`${what}: CPU of the run, in ${SECONDS} s`, taken / SECONDS / 10, {
    unit: '% of a core',
    limit: LIMIT_PERCENT,
  });
  await stop();
}
