/** What `run` adds to 300 tasks that do nothing: against wireit and make on the same graph, and against its own floor. */

import fs from 'node:fs';
import path from 'node:path';
import { forgeArgs } from '../lib/forge.mjs';
import { execute, inTurns, median, timed } from '../lib/measure.mjs';
import { planOver, randomGraph, taskId } from '../lib/plans.mjs';
import { fact, figure, heading, times } from '../lib/report.mjs';
import { cleanEnv, scratchFolder, scratchProject, tasksFolder } from '../lib/scratch.mjs';
import { callsOf } from '../lib/strace.mjs';

const TASKS = 300;
const PARALLEL = 2;
const ROUNDS = 5;
const bare = path.join(import.meta.dirname, '..', 'programs', 'bare-run.mjs');
const graph = randomGraph(TASKS);

export async function run() {
  heading(`run: ${TASKS} tasks that do nothing, ${PARALLEL} at a time`);
  const plan = planOver(graph, 'true');
  const projects = [];
  const forgeRun = () => {
    const project = scratchProject('run', plan);
    projects.push(project);
    return time(process.execPath, forgeArgs(project, 'run', '--max-parallel', String(PARALLEL)));
  };
  const wireit = await inTurns(forgeRun, wireitRun(), ROUNDS);
  figure('run against wireit', wireit.ratio, { limit: 1, detail: times(wireit) });
  figure('CPU of all processes, a task', wireit.cpu.ours / TASKS, { unit: 'ms', limit: 5 });
  const make = await inTurns(forgeRun, makeRun(), ROUNDS);
  figure('run against make -j2', make.ratio, { detail: times(make) });
  const floor = await inTurns(forgeRun, bareRun('commits', 'workers'), ROUNDS);
  figure('run against its floor', floor.ratio, { limit: 2, detail: times(floor) });
  for (const parts of [['commits'], ['workers']]) {
    const alone = [];
    for (let round = 0; round < ROUNDS; round++) alone.push(await bareRun(...parts)());
    figure(`the floor's ${parts[0]} alone`, median(alone), { unit: 'ms' });
  }
  countCommits(projects);
  countCalls(plan);
}

async function time(command, args, options = {}) {
  return timed(() => execute(command, args, { env: cleanEnv(), ...options }));
}

/** Every version file is a commit; nothing is compacted below 64 of them. */
function countCommits(projects) {
  const counts = projects.flatMap((project) =>
    fs.readdirSync(tasksFolder(project)).map((id) => {
      const names = fs.readdirSync(path.join(tasksFolder(project), id));
      return names.filter((name) => /^v\d+\.json$/.test(name)).length;
    }),
  );
  fact('every task was run', counts.length === projects.length * TASKS);
  figure('durable commits a task, at most', Math.max(...counts), { unit: '', limit: 2 });
}

/** Of all processes, the shells of the tasks too. */
function countCalls(plan) {
  const args = forgeArgs(scratchProject('run', plan), 'run', '--max-parallel', String(PARALLEL));
  const calls = callsOf(args, ['fsync', 'openat'], cleanEnv());
  if (calls === null) return;
  figure('fsyncs a task', calls.fsync / TASKS, { unit: '', limit: 4 });
  figure('files opened, a task', calls.openat / TASKS, { unit: '', limit: 45 });
}

/**
 * Cold, with nothing remembered, but set to remember: a script with `files` and `output` is not run again when nothing has
 * changed, as a shipped task is not.
 */
function wireitRun() {
  const script = (needs) => ({ command: 'true', dependencies: needs.map(taskId), files: [], output: [] });
  const scripts = Object.fromEntries([['all', 'wireit'], ...graph.map((_, index) => [taskId(index), 'wireit'])]);
  const wireit = Object.fromEntries([
    ['all', { dependencies: graph.map((_, index) => taskId(index)) }],
    ...graph.map((needs, index) => [taskId(index), script(needs)]),
  ]);
  return () => {
    const cwd = scratchFolder('wireit');
    fs.writeFileSync(path.join(cwd, 'package.json'), JSON.stringify({ name: 'bench', scripts, wireit }));
    return time('npm', ['run', 'all'], { cwd, env: cleanEnv({ WIREIT_PARALLEL: String(PARALLEL) }) });
  };
}

function makeRun() {
  const ids = graph.map((_, index) => taskId(index));
  const rules = graph.map((needs, index) => `${taskId(index)}: ${needs.map(taskId).join(' ')}\n\t@true`);
  return () => {
    const cwd = scratchFolder('make');
    fs.writeFileSync(
      path.join(cwd, 'Makefile'),
      `all: ${ids.join(' ')}\n.PHONY: all ${ids.join(' ')}\n${rules.join('\n')}\n`,
    );
    return time('make', [`-j${PARALLEL}`, 'all'], { cwd });
  };
}

function bareRun(...parts) {
  return () => time(process.execPath, [bare, scratchFolder('bare'), String(TASKS), ...parts]);
}
