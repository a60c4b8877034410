/** What other runners of tasks take for the same graph, what they keep, and how they go on after they were killed. */

import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { forgeArgs } from '../lib/forge.mjs';
import { cpuOf, execute } from '../lib/measure.mjs';
import { installed } from '../lib/npm.mjs';
import { planOver, randomGraph, taskId } from '../lib/plans.mjs';
import { heading, ms } from '../lib/report.mjs';
import { cleanEnv, scratchFolder, scratchProject } from '../lib/scratch.mjs';

const TASKS = 300;
const graph = randomGraph(TASKS);
const ids = graph.map((_, index) => taskId(index));
/** Where tasks note that they were done, and what they make. */
const RAN = 'ran';
const OUT = 'out';
/** From the folder of the project, or of a package. */
const commandOf = (id, up = '.') => `echo ${id} >> ${up}/${RAN}; echo > ${up}/${OUT}/${id}`;

/** `make(cwd)` writes what the runner needs, and returns how it is started. `npm`: its package, installed for it; default: a program of the machine. */
const PEERS = [
  { name: 'forge', make: (cwd) => [process.execPath, ...forgeArgs(cwd, 'run', '--max-parallel', '2')] },
  { name: 'make', make: makeFiles },
  { name: 'ninja', make: ninjaFiles },
  { name: 'just', npm: 'rust-just@1', make: justFiles },
  { name: 'wireit', npm: 'wireit@0.14', make: wireitFiles },
  { name: 'nx', npm: 'nx@21', make: nxFiles },
  { name: 'turbo', npm: 'turbo@2', make: turboFiles },
  { name: 'lage', npm: 'lage@2', make: lageFiles },
];

export async function peers() {
  heading(`peers: ${TASKS} tasks that write a line and a file, two at a time`);
  console.log(
    '  | | cold | CPU | nothing to do | CPU | files kept | bytes kept | after kill -9 |\n  |---|---|---|---|---|---|---|---|',
  );
  for (const peer of PEERS) {
    const row = await measured(peer);
    console.log(`  | ${[peer.name, ...row].join(' | ')} |`);
  }
}

async function measured(peer) {
  if (peer.npm === undefined && peer.name !== 'forge' && spawnSync(peer.name, ['--version']).error !== undefined)
    return ['not installed'];
  const packages = peer.npm === undefined ? null : installed([peer.npm]);
  if (peer.npm !== undefined && packages === null) return ['not installed'];
  const first = prepare(peer, packages);
  const before = filesOf(first.cwd);
  const cold = await timedRun(first);
  check(first, TASKS);
  const kept = [...filesOf(first.cwd)].filter(
    ([file]) => !before.has(file) && file !== RAN && !file.startsWith(`${OUT}/`),
  );
  const nothing = await timedRun(first);
  const again = linesOf(first).length - TASKS;
  const bytes = kept.reduce((sum, [, size]) => sum + size, 0);
  const idle = again === 0 ? ms(nothing.time) : `${ms(nothing.time)}, does ${again} again`;
  return [ms(cold.time), ms(cold.cpu), idle, ms(nothing.cpu), kept.length, bytes, await killed(peer, packages)];
}

/** A project of its own. */
function prepare({ name, make }, packages) {
  const cwd = name === 'forge' ? scratchProject(name, planOver(graph, null)) : scratchFolder(name);
  fs.mkdirSync(path.join(cwd, OUT));
  if (packages !== null) linkPackages(path.join(packages, 'node_modules'), path.join(cwd, 'node_modules'));
  if (name === 'forge') fs.writeFileSync(path.join(cwd, 'plans', 'phases.yaml'), forgePlan());
  const [program, ...args] = make(cwd);
  const bin = path.join(cwd, 'node_modules', '.bin');
  const env = cleanEnv({ WIREIT_PARALLEL: '2', NX_DAEMON: 'false', DO_NOT_TRACK: '1', TURBO_TELEMETRY_DISABLED: '1' });
  return { cwd, program, args, env: { ...env, PATH: `${bin}:${env.PATH}` } };
}

/** Each by itself: some runners keep files beside them. */
function linkPackages(from, to) {
  fs.mkdirSync(to);
  for (const name of fs.readdirSync(from)) fs.symlinkSync(path.join(from, name), path.join(to, name));
}

/** In a group of its own, which ends with it. */
function begin({ cwd, program, args, env }) {
  const child = spawn(program, args, { cwd, env, detached: true, stdio: ['ignore', 'ignore', 'ignore'] });
  const ended = new Promise((resolve, reject) => child.on('error', reject).on('close', resolve));
  return { child, ended };
}

async function timedRun(project) {
  const start = performance.now();
  const before = cpuOf('self').children;
  const code = await begin(project).ended;
  if (code !== 0) throw new Error(`${project.program} ${project.args.join(' ')} in ${project.cwd} ended with ${code}`);
  return { time: performance.now() - start, cpu: cpuOf('self').children - before };
}

/** Kills it with all of its group when a third is done, and starts it again. */
async function killed(peer, packages) {
  const project = prepare(peer, packages);
  const { child, ended } = begin(project);
  while (linesOf(project).length < TASKS / 3) await pause(5);
  process.kill(-child.pid, 'SIGKILL');
  await ended;
  const done = linesOf(project).length;
  const code = await begin(project).ended;
  if (code !== 0) return `the second run fails (${code})`;
  check(project, TASKS);
  return `${linesOf(project).length - TASKS} of ${done} done again`;
}

function linesOf({ cwd }) {
  const file = path.join(cwd, RAN);
  return fs.existsSync(file) ? fs.readFileSync(file, 'utf8').split('\n').filter(Boolean) : [];
}

function check(project, count) {
  const done = new Set(linesOf(project)).size;
  if (done !== count) throw new Error(`${project.program} in ${project.cwd} has done ${done} tasks of ${count}`);
}

/** Sizes by their paths, but for packages. */
function filesOf(cwd) {
  const entries = fs.readdirSync(cwd, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const files = entries.map((entry) => path.join(entry.parentPath, entry.name));
  return new Map(files.map((file) => [path.relative(cwd, file), fs.statSync(file).size]));
}

const write = (cwd, name, content) => {
  const file = path.join(cwd, name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
};

function forgePlan() {
  const tasks = graph.map((needs, index) => ({
    id: ids[index],
    title: 'T',
    depends_on: needs.map(taskId),
    run: commandOf(ids[index]),
  }));
  return JSON.stringify({ project: 'bench', phases: [{ id: 'p', name: 'P', tasks }] });
}

const outOf = (index) => `${OUT}/${ids[index]}`;

function makeFiles(cwd) {
  const rules = graph.map((needs, i) => `${outOf(i)}: ${needs.map(outOf).join(' ')}\n\t@${commandOf(ids[i])}\n`);
  write(cwd, 'Makefile', `all: ${ids.map((_, i) => outOf(i)).join(' ')}\n${rules.join('')}`);
  return ['make', '-j2', 'all'];
}

function ninjaFiles(cwd) {
  const rules = graph.map(
    (needs, i) => `build ${outOf(i)}: sh ${needs.map(outOf).join(' ')}\n  c = ${commandOf(ids[i])}\n`,
  );
  write(cwd, 'build.ninja', `rule sh\n  command = $c\n${rules.join('')}`);
  return ['ninja', '-j2'];
}

/** It has no limit on how many recipes run at once: without [parallel] one does. */
function justFiles(cwd) {
  const recipes = graph.map((needs, i) => `${ids[i]}: ${needs.map(taskId).join(' ')}\n    @${commandOf(ids[i])}\n`);
  write(cwd, 'justfile', `all: ${ids.join(' ')}\n${recipes.join('')}`);
  return ['just', 'all'];
}

function wireitFiles(cwd) {
  const scripts = Object.fromEntries(['all', ...ids].map((id) => [id, 'wireit']));
  const of = (index) => ({
    command: commandOf(ids[index]),
    dependencies: graph[index].map(taskId),
    files: [],
    output: [outOf(index)],
  });
  const wireit = Object.fromEntries([['all', { dependencies: ids }], ...ids.map((id, index) => [id, of(index)])]);
  write(cwd, 'package.json', { name: 'bench', scripts, wireit });
  return ['npm', 'run', 'all'];
}

function nxFiles(cwd) {
  write(cwd, 'package.json', { name: 'bench', private: true });
  write(cwd, 'nx.json', { neverConnectToCloud: true, analytics: false });
  for (const [index, id] of ids.entries()) {
    const needs = graph[index].map((need) => ({ projects: [taskId(need)], target: 'work' }));
    const work = {
      executor: 'nx:run-commands',
      options: { command: commandOf(id) },
      dependsOn: needs,
      cache: true,
      inputs: ['{projectRoot}/project.json'],
      outputs: [`{workspaceRoot}/${outOf(index)}`],
    };
    write(cwd, `packages/${id}/project.json`, { name: id, targets: { work } });
  }
  return ['nx', 'run-many', '-t', 'work', '--parallel=2'];
}

/** A package a task. */
function packagesIn(cwd, more = {}) {
  write(cwd, 'package.json', {
    name: 'bench',
    private: true,
    packageManager: 'npm@10.0.0',
    workspaces: ['packages/*'],
    ...more,
  });
  const locked = { '': { name: 'bench', workspaces: ['packages/*'] } };
  for (const [index, id] of ids.entries()) {
    const dependencies = Object.fromEntries(graph[index].map((need) => [taskId(need), '1.0.0']));
    const made = { name: id, version: '1.0.0', dependencies };
    write(cwd, `packages/${id}/package.json`, { ...made, scripts: { work: commandOf(id, '../..') } });
    locked[`packages/${id}`] = made;
    locked[`node_modules/${id}`] = { resolved: `packages/${id}`, link: true };
  }
  write(cwd, 'package-lock.json', { name: 'bench', lockfileVersion: 3, requires: true, packages: locked });
}

function turboFiles(cwd) {
  packagesIn(cwd);
  write(cwd, 'turbo.json', { tasks: { work: { dependsOn: ['^work'], inputs: ['package.json'] } } });
  return ['turbo', 'run', 'work', '--concurrency=2', '--no-daemon'];
}

function lageFiles(cwd) {
  packagesIn(cwd);
  write(cwd, 'lage.config.js', "module.exports = { pipeline: { work: ['^work'] }, npmClient: 'npm' };\n");
  write(cwd, '.gitignore', `node_modules\n${RAN}\n${OUT}\n`);
  // It asks git for the files of the last commit.
  const git = (...args) =>
    execute('git', ['-c', 'user.name=bench', '-c', 'user.email=bench@localhost', ...args], { cwd });
  for (const args of [
    ['init', '-q'],
    ['add', '-A'],
    ['commit', '-q', '-m', 'bench'],
  ])
    git(...args);
  return ['lage', 'work', '--concurrency', '2'];
}
