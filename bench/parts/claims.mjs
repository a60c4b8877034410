/** Many processes that claim and complete the tasks of one project: nothing twice, nothing lost, and no slower together. */

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { program } from '../lib/bundle.mjs';
import { askForge, forgeArgs } from '../lib/forge.mjs';
import { inTurns } from '../lib/measure.mjs';
import { plainPlan } from '../lib/plans.mjs';
import { fact, figure, heading, ms } from '../lib/report.mjs';
import { cleanEnv, scratchProject } from '../lib/scratch.mjs';

const PROCESSES = 8;
const TASKS = 1000;
const ROUNDS = 3;
const COMMAND_TASKS = 40;
/** The time of all of them, of that of one. */
const LIMIT = 0.85;

export async function claims() {
  heading(`claims: ${PROCESSES} processes against one`);
  await inLoops();
  await byCommands();
}

async function inLoops() {
  const loop = await program('claim-loop');
  const tallies = [];
  const race = (processes) => async () => {
    const project = scratchProject('claims', plainPlan(TASKS));
    const { time, done } = await raceIn(loop, project, processes);
    tallies.push(tally(project, done, TASKS));
    return time;
  };
  const { ours, base, ratio } = await inTurns(race(PROCESSES), race(1), ROUNDS);
  const each = (time) => `${Math.round((TASKS / time) * 1000)} tasks/s`;
  figure(`${TASKS} tasks: time of ${PROCESSES} against that of one`, ratio, {
    limit: LIMIT,
    detail: `${ms(ours)} (${each(ours)}) / ${ms(base)} (${each(base)})`,
  });
  verdicts(tallies);
}

/** Starts the processes, lets them go together, and takes the time until the last has ended. */
async function raceIn(loop, project, processes) {
  const racers = Array.from({ length: processes }, () => {
    const child = spawn(process.execPath, [loop, project], {
      env: cleanEnv(),
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdout.setEncoding('utf8');
    return child;
  });
  await Promise.all(racers.map((child) => new Promise((resolve) => child.stdout.once('data', resolve))));
  const start = performance.now();
  const ends = racers.map(ended);
  for (const child of racers) child.stdin.end('go\n');
  const done = (await Promise.all(ends)).map((text) => JSON.parse(text));
  return { time: performance.now() - start, done };
}

/** What a process prints until it ends. */
function ended(child) {
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (chunk) => {
      text += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve(text) : reject(new Error(`a process ended with ${code}`))));
  });
}

/** What the processes say that they did, against what the tree says was done. */
function tally(project, done, tasks) {
  const acknowledged = done.flat();
  const records = fs.readdirSync(path.join(project, '.forge', 'orchestrator', 'tasks')).map((id) => {
    const file = path.join(project, '.forge', 'orchestrator', 'tasks', id, 'state.json');
    return JSON.parse(fs.readFileSync(file, 'utf8'));
  });
  const shipped = records.filter((record) => record.state === 'shipped');
  return {
    twice: acknowledged.length - new Set(acknowledged).size,
    again: shipped.filter((record) => record.attempt_count !== 1 || record.updated_by.generation !== 1).length,
    lost: tasks - shipped.length + (tasks - acknowledged.length),
  };
}

function verdicts(tallies) {
  const sum = (name) => tallies.reduce((total, one) => total + one[name], 0);
  fact('no task was done twice', sum('twice') === 0 && sum('again') === 0);
  fact('no task was lost', sum('lost') === 0);
}

/** The same through the command line, where the start of a process outweighs the rest. */
async function byCommands() {
  const tallies = [];
  const race = (processes) => async () => {
    const project = scratchProject('claims-cli', plainPlan(COMMAND_TASKS));
    const verdict = path.join(project, 'verdict.json');
    fs.writeFileSync(verdict, '{"verdict": "ready_for_review", "summary": ""}\n');
    const run = askForge(project, 'run', 'start').run_id;
    const start = performance.now();
    const done = await Promise.all(Array.from({ length: processes }, () => worker(project, run, verdict)));
    const time = performance.now() - start;
    tallies.push(tally(project, done, COMMAND_TASKS));
    return time;
  };
  const { ours, base, ratio } = await inTurns(race(PROCESSES), race(1), 1);
  figure(`${COMMAND_TASKS} tasks by commands: time of ${PROCESSES} against one`, ratio, {
    limit: LIMIT,
    detail: `${ms(ours)} / ${ms(base)}`,
  });
  verdicts(tallies);
}

/** `claim --next`, `dispatch`, `complete`, until nothing is ready any more. */
async function worker(project, run, verdict) {
  const mine = [];
  for (;;) {
    const claim = await answer(project, 'claim', '--next', '--run', run);
    if (!claim.ok && claim.error.code === 'NOT_READY') return mine;
    const { task_id, claim_id } = required(claim);
    const dispatch = await answer(project, 'dispatch', task_id, '--claim', claim_id, '--run', run);
    const { attempt_id } = required(dispatch);
    required(await answer(project, 'complete', task_id, '--attempt', attempt_id, '--verdict-file', verdict));
    mine.push(task_id);
  }
}

function required(envelope) {
  if (envelope.ok) return envelope.data;
  throw new Error(`${envelope.error.code}: ${envelope.error.message}`);
}

/** The envelope that a verb prints, also when it refuses. */
function answer(project, ...verb) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, forgeArgs(project, ...verb, '--json'), {
      env: cleanEnv(),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
    });
    child.on('error', reject);
    child.on('close', () => resolve(JSON.parse(text)));
  });
}
