/** What a verb on a small tree costs, against a process that does nothing. */

import fs from 'node:fs';
import path from 'node:path';
import { askForge, CLI, forge, forgeArgs } from '../lib/forge.mjs';
import { execute, inTurns } from '../lib/measure.mjs';
import { plainPlan, taskId } from '../lib/plans.mjs';
import { figure, heading, ms } from '../lib/report.mjs';
import { cleanEnv, scratchProject } from '../lib/scratch.mjs';

const LIMIT = 1.25;
const ROUNDS = 25;
/** Verbs that change something need a task of their own every time; round 0 warms up. */
const SIZE = ROUNDS + 2;

export async function startup() {
  heading('startup: a verb on a small tree, against `node -e 0`');
  const looks = [['status'], ['phases', '--ready'], ['why', taskId(0)]];
  const project = startupProject('startup');
  forge(project, 'run', 'start');
  await against('--help', () => [CLI, 'orchestrate', '--help']);
  for (const verb of looks) await against(`${verb.join(' ')} --json`, () => forgeArgs(project, ...verb, '--json'));
  await changing();
}

/** With the settings that `init` writes, but for their comments. */
function startupProject(name) {
  const project = scratchProject(name, plainPlan(SIZE));
  fs.mkdirSync(path.join(project, '.forge'));
  fs.writeFileSync(path.join(project, '.forge', 'settings.yaml'), 'version: 1\n');
  return project;
}

async function changing() {
  const project = startupProject('startup-change');
  const run = askForge(project, 'run', 'start').run_id;
  await against('claim --json', (round) => forgeArgs(project, 'claim', taskId(round), '--run', run, '--json'));
  const attempts = Array.from({ length: ROUNDS + 1 }, (_, round) => attemptOf(project, run, taskId(round)));
  const beat = (round) => forgeArgs(project, 'heartbeat', taskId(round), '--attempt', attempts[round], '--json');
  await against('heartbeat --json', beat);
  const verdict = path.join(project, 'verdict.json');
  fs.writeFileSync(verdict, '{"verdict": "ready_for_review", "summary": "done"}\n');
  const complete = (round) => ['complete', taskId(round), '--attempt', attempts[round], '--verdict-file', verdict];
  await against('complete --json', (round) => forgeArgs(project, ...complete(round), '--json'));
}

function attemptOf(project, run, id) {
  const claim = askForge(project, 'show', id).lease.claim_id;
  return askForge(project, 'dispatch', id, '--claim', claim, '--run', run).attempt_id;
}

async function against(what, argsOf) {
  const env = cleanEnv();
  const ours = (round) => void execute(process.execPath, argsOf(round), { env });
  const base = () => void execute(process.execPath, ['-e', '0'], { env });
  const { ratio, ours: time, base: empty } = await inTurns(ours, base, ROUNDS);
  figure(what, ratio, { limit: LIMIT, detail: `${ms(time)} / ${ms(empty)}` });
}
