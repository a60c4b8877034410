/** How long after a `run` was killed the next one has its tasks moving again. */

import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { forgeArgs } from '../lib/forge.mjs';
import { median } from '../lib/measure.mjs';
import { planOver } from '../lib/plans.mjs';
import { figure, heading, ms } from '../lib/report.mjs';
import { cleanEnv, scratchProject } from '../lib/scratch.mjs';

const TASKS = 4;
const ROUNDS = 5;
const LIMIT_MS = 2000;

export async function recovery() {
  heading(`recovery: \`run\` is killed with ${TASKS} tasks under way, and started again`);
  await recover('workers that end when they are told', 'exec sleep 60');
  await recover('workers that ignore SIGTERM', "trap '' TERM; while :; do sleep 60; done");
}

async function recover(what, command) {
  const times = [];
  for (let round = 0; round < ROUNDS; round++) times.push(await once(command));
  figure(`${what}: all restarted after`, Math.max(...times), {
    unit: 'ms',
    limit: LIMIT_MS,
    detail: `longest of ${ROUNDS}; median ${ms(median(times))}, the start of the process included`,
  });
}

/** Milliseconds from the start of the second run until every interrupted task has a new worker. */
async function once(command) {
  const project = projectOf(TASKS, command);
  const first = await started(project, TASKS);
  first.run.kill('SIGKILL');
  await first.ended;
  const start = performance.now();
  const second = await started(project, TASKS);
  const time = performance.now() - start;
  await second.stop();
  return time;
}

/** With so many tasks, which all can start at once. */
function projectOf(tasks, command) {
  const graph = Array.from({ length: tasks }, () => []);
  return scratchProject('recovery', planOver(graph, command));
}

/** A run of a project whose tasks have all been started. `stop()` ends it. */
export async function started(project, tasks) {
  const run = spawn(process.execPath, forgeArgs(project, 'run', '--max-parallel', String(tasks), '--json'), {
    env: cleanEnv(),
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: path.dirname(project),
  });
  const ended = new Promise((resolve) => {
    run.on('close', resolve);
  });
  let seen = 0;
  await new Promise((resolve, reject) => {
    createInterface({ input: run.stdout }).on('line', (line) => {
      if (JSON.parse(line).type === 'task_started' && ++seen === tasks) resolve();
    });
    run.on('error', reject);
    run.on('close', (code) => reject(new Error(`run ended with ${code} before all its tasks had started`)));
  });
  const stop = async () => {
    // Twice: the second word ends the grace of workers that do not listen.
    run.kill('SIGINT');
    run.kill('SIGINT');
    const again = setInterval(() => run.kill('SIGINT'), 200);
    await ended;
    clearInterval(again);
  };
  return { run, ended, stop };
}
