/** What a run costs that has nothing to do, or finds what it needs in its cache: against the same of wireit and turbo. */

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { forgeArgs } from '../lib/forge.mjs';
import { execute, inTurns, timed } from '../lib/measure.mjs';
import { randomGraph, taskId } from '../lib/plans.mjs';
import { figure, heading, times } from '../lib/report.mjs';
import { cleanEnv, scratchFolder } from '../lib/scratch.mjs';

const TASKS = 100;
const INPUTS = 10;
const INPUT_BYTES = 2000;
const OUTPUT_BYTES = 20_000;
const ROUNDS = 7;
const TURBO = 'turbo@2.6.1';

const graph = randomGraph(TASKS);
const ids = graph.map((_, index) => taskId(index));
/** From the project folder, or that of a package. */
const command = (from, to) =>
  `mkdir -p ${to} && cat ${from}/* > ${to}/out && head -c ${OUTPUT_BYTES} /dev/zero >> ${to}/out`;

/** `others`: against turbo too, which is installed for it. */
export async function reuse({ others }) {
  heading(`reuse: ${TASKS} tasks, each with ${INPUTS} inputs and an output`);
  const forge = forgeProject();
  await against('wireit', forge, wireitProject());
  const turbo = others ? turboProject() : null;
  if (turbo !== null) await against('turbo', forge, turbo);
  else if (!others) console.log('  turbo is measured with --others');
}

async function against(name, forge, other) {
  for (const one of [forge, other]) one.run();
  const again = await inTurns(forge.run, other.run, ROUNDS);
  figure(`nothing to do, against ${name}`, again.ratio, { limit: 1, detail: times(again) });
  const gone = (one) => () => {
    for (const output of one.outputs) fs.rmSync(output, { recursive: true });
    return timed(() => one.run());
  };
  const back = await inTurns(gone(forge), gone(other), ROUNDS);
  for (const one of [forge, other])
    for (const output of one.outputs)
      if (fs.statSync(path.join(output, 'out')).size < OUTPUT_BYTES) throw new Error(`${output} was not put back`);
  figure(`outputs put back, against ${name}`, back.ratio, { limit: 1, detail: times(back) });
}

function inputs(folder) {
  fs.mkdirSync(folder, { recursive: true });
  for (let file = 0; file < INPUTS; file++)
    fs.writeFileSync(path.join(folder, `${file}.txt`), `${folder} ${file}\n`.padEnd(INPUT_BYTES, 'x'));
}

function forgeProject() {
  const project = scratchFolder('reuse');
  const tasks = graph.map((needs, index) => ({
    id: ids[index],
    title: 'T',
    depends_on: needs.map(taskId),
    run: command(`src/${ids[index]}`, `dist/${ids[index]}`),
    inputs: [`src/${ids[index]}/*`],
    outputs: [`dist/${ids[index]}/*`],
    cache: true,
  }));
  fs.mkdirSync(path.join(project, 'plans'));
  const plan = { project: 'bench', phases: [{ id: 'p', name: 'P', tasks }] };
  fs.writeFileSync(path.join(project, 'plans', 'phases.yaml'), JSON.stringify(plan));
  for (const id of ids) inputs(path.join(project, 'src', id));
  return {
    outputs: ids.map((id) => path.join(project, 'dist', id)),
    run: () => execute(process.execPath, forgeArgs(project, 'run', '--max-parallel', '2'), { env: cleanEnv() }),
  };
}

function wireitProject() {
  const cwd = scratchFolder('wireit');
  const scripts = Object.fromEntries(['all', ...ids].map((id) => [id, 'wireit']));
  const of = (index) => ({
    command: command(`src/${ids[index]}`, `dist/${ids[index]}`),
    dependencies: graph[index].map(taskId),
    files: [`src/${ids[index]}/*`],
    output: [`dist/${ids[index]}/*`],
  });
  const wireit = Object.fromEntries([['all', { dependencies: ids }], ...ids.map((id, index) => [id, of(index)])]);
  fs.writeFileSync(path.join(cwd, 'package.json'), JSON.stringify({ name: 'bench', scripts, wireit }));
  for (const id of ids) inputs(path.join(cwd, 'src', id));
  const env = cleanEnv({ WIREIT_PARALLEL: '2', WIREIT_CACHE: 'local' });
  return {
    outputs: ids.map((id) => path.join(cwd, 'dist', id)),
    run: () => execute('npm', ['run', 'all'], { cwd, env }),
  };
}

/** A package a task, as turbo has it; null where it can't be installed. */
function turboProject() {
  const cwd = scratchFolder('turbo');
  const root = { name: 'bench', private: true, packageManager: 'npm@10.0.0', workspaces: ['packages/*'] };
  fs.writeFileSync(path.join(cwd, 'package.json'), JSON.stringify({ ...root, devDependencies: {} }));
  const tasks = { build: { dependsOn: ['^build'], inputs: ['src/*'], outputs: ['dist/*'] } };
  fs.writeFileSync(path.join(cwd, 'turbo.json'), JSON.stringify({ tasks }));
  for (const [index, id] of ids.entries()) {
    const folder = path.join(cwd, 'packages', id);
    inputs(path.join(folder, 'src'));
    const dependencies = Object.fromEntries(graph[index].map((need) => [taskId(need), '*']));
    const made = { name: id, version: '1.0.0', scripts: { build: command('src', 'dist') }, dependencies };
    fs.writeFileSync(path.join(folder, 'package.json'), JSON.stringify(made));
  }
  const env = cleanEnv({ TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1' });
  const installed = spawnSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '-D', TURBO], {
    cwd,
    env,
  });
  if (installed.status !== 0) {
    console.log(`  turbo is left out: npm can't install ${TURBO}`);
    return null;
  }
  const program = path.join(cwd, 'node_modules', '.bin', 'turbo');
  return {
    outputs: ids.map((id) => path.join(cwd, 'packages', id, 'dist')),
    run: () => execute(program, ['run', 'build', '--concurrency=2', '--no-daemon'], { cwd, env }),
  };
}
