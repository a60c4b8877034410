/** What a run costs while its only worker works. */

import { setTimeout as pause } from 'node:timers/promises';
import { cpuOf } from '../lib/measure.mjs';
import { figure, heading } from '../lib/report.mjs';
import { projectOf, started } from './recovery.mjs';

const SECONDS = 20;
const LIMIT_PERCENT = 0.5;

export async function idle() {
  heading('idle: a run whose worker sleeps');
  const { run, stop } = await started(projectOf(1, 'exec sleep 600'), 1);
  // What it does right after a start is over.
  await pause(3000);
  const before = cpuOf(run.pid).own;
  await pause(SECONDS * 1000);
  const taken = cpuOf(run.pid).own - before;
  figure(`CPU of the run, in ${SECONDS} s`, taken / SECONDS / 10, { unit: '% of a core', limit: LIMIT_PERCENT });
  await stop();
}
