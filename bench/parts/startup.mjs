/** What a verb on a small tree costs, against a process that does nothing. */

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { askForge, CLI, forge, forgeArgs } from '../lib/forge.mjs';
import { execute, inTurns } from '../lib/measure.mjs';
import { installed } from '../lib/npm.mjs';
import { plainPlan, taskId } from '../lib/plans.mjs';
import { figure, heading, times } from '../lib/report.mjs';
import { cleanEnv, scratchProject } from '../lib/scratch.mjs';

const LIMITS = { look: 1.6, change: 1.9 };
const ROUNDS = 25;
/** Verbs that change something need a task of their own every time; round 0 warms up. */
const SIZE = ROUNDS + 2;
const OTHER_NODES = [22, 24];

/** `nodes`: with newer versions of Node too, which are installed for it. */
export async function startup({ nodes }) {
  await startupOn(process.execPath);
  for (const major of nodes ? OTHER_NODES : []) {
    const name = `node-${process.platform}-${process.arch}`;
    const folder = installed([`${name}@${major}`]);
    if (folder !== null) await startupOn(path.join(folder, 'node_modules', name, 'bin', 'node'));
  }
}

async function startupOn(node) {
  const version = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.trim();
  heading(`startup: a verb on a small tree, against \`node -e 0\`, both with Node ${version}`);
  const looks = [['status'], ['phases', '--ready'], ['why', taskId(0)]];
  const project = startupProject('startup');
  forge(project, 'run', 'start');
  const look = (what, argsOf) => against(node, what, argsOf, LIMITS.look);
  await look('--help', () => [CLI, 'orchestrate', '--help']);
  for (const verb of looks) await look(`${verb.join(' ')} --json`, () => forgeArgs(project, ...verb, '--json'));
  await changing(node);
}

/** With the settings that `init` writes, but for their comments. */
function startupProject(name) {
  const project = scratchProject(name, plainPlan(SIZE));
  fs.mkdirSync(path.join(project, '.forge'));
  fs.writeFileSync(path.join(project, '.forge', 'settings.yaml'), 'version: 1\n');
  return project;
}

async function changing(node) {
  const project = startupProject('startup-change');
  const run = askForge(project, 'run', 'start').run_id;
  const change = (verb, argsOf) =>
    against(node, `${verb} --json`, (round) => forgeArgs(project, verb, ...argsOf(round), '--json'), LIMITS.change);
  await change('claim', (round) => [taskId(round), '--run', run]);
  const attempts = Array.from({ length: ROUNDS + 1 }, (_, round) => attemptOf(project, run, taskId(round)));
  await change('heartbeat', (round) => [taskId(round), '--attempt', attempts[round]]);
  const verdict = path.join(project, 'verdict.json');
  fs.writeFileSync(verdict, '{"verdict": "ready_for_review", "summary": "done"}\n');
  await change('complete', (round) => [taskId(round), '--attempt', attempts[round], '--verdict-file', verdict]);
}

function attemptOf(project, run, id) {
  const claim = askForge(project, 'show', id).lease.claim_id;
  return askForge(project, 'dispatch', id, '--claim', claim, '--run', run).attempt_id;
}

async function against(node, what, argsOf, limit) {
  const env = cleanEnv();
  const ours = (round) => void execute(node, argsOf(round), { env });
  const base = () => void execute(node, ['-e', '0'], { env });
  const taken = await inTurns(ours, base, ROUNDS);
  figure(what, taken.ratio, { limit, detail: times(taken) });
}
