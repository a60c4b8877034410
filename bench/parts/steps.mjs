/** What durable steps cost: those that are done, those that are to do, one from the shell, and 10,000 of them; against other programs. */

import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { askForge, CLI, forgeArgs } from '../lib/forge.mjs';
import { execute, inTurns, median } from '../lib/measure.mjs';
import { OTHER_NAMES, withOthers } from '../lib/others.mjs';
import { plainPlan, taskId } from '../lib/plans.mjs';
import { figure, heading, ms } from '../lib/report.mjs';
import { cleanEnv, scratchProject } from '../lib/scratch.mjs';
import { callsOf } from '../lib/strace.mjs';

const STEPS = 1000;
const MANY = 10_000;
const COUNTED = 100;
const ROUNDS = 25;
const FEW = 3;

const LIBRARY = path.resolve(path.dirname(CLI), '..', 'dist', 'lib', 'worker.js');
const PROGRAM = path.join(import.meta.dirname, '..', 'programs', 'steps.mjs');

/** `others`: against DBOS and Absurd too, which are installed for it. `absurdSql`: the file that makes Absurd's tables. */
export async function steps({ others, absurdSql }) {
  heading(`steps: ${STEPS} that do nothing`);
  const tasks = attempts(scratchProject('steps', plainPlan(64)));
  await done(tasks);
  syncs(tasks);
  growth(tasks);
  await fromShell(tasks);
  if (others) await againstOthers(tasks, { absurdSql });
  else console.log(`  ${OTHER_NAMES.join(' and ')} are measured with --others`);
}

/** Gives out attempts at the tasks of a project. */
function attempts(project) {
  const run = askForge(project, 'run', 'start').run_id;
  let given = 0;
  const begin = (id) => {
    const claim = askForge(project, 'claim', id, '--run', run).claim_id;
    const attempt = askForge(project, 'dispatch', id, '--claim', claim, '--run', run).attempt_id;
    const env = cleanEnv({ FORGE_DIR: project, FORGE_TASK_ID: id, FORGE_ATTEMPT_ID: attempt, FORGE_CLI: CLI });
    return { project, id, attempt, env, next: () => released(claim) };
    function released() {
      askForge(project, 'release', id, '--claim', claim);
      return begin(id);
    }
  };
  return { next: () => begin(taskId(given++)) };
}

/** Runs the steps of an attempt. */
function pass({ env }, count = STEPS, ...more) {
  return timedRun([PROGRAM, LIBRARY, String(count), ...more], { env });
}

/** What a program prints, with the time of its process. */
function timedRun(args, options) {
  const start = performance.now();
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', ...options });
  if (status !== 0) throw new Error(`${args[0]} ended with ${status}: ${stderr}`);
  return { process: performance.now() - start, ...JSON.parse(stdout) };
}

async function done(tasks) {
  const first = tasks.next();
  pass(first);
  const attempt = first.next();
  const { ratio, ours, base } = await inTurns(
    () => pass(attempt).process,
    () => pass(attempt, STEPS, 'bare').process,
    ROUNDS,
  );
  figure('the next attempt passes them, against a bare loop', ratio, {
    limit: 1.5,
    detail: `${ms(ours)} / ${ms(base)}`,
  });
}

function syncs(tasks) {
  const calls = callsOf([PROGRAM, LIBRARY, String(COUNTED)], ['fsync', 'fdatasync'], tasks.next().env);
  if (calls === null) return;
  figure(`fsyncs a step, of ${COUNTED}`, (calls.fsync + calls.fdatasync) / COUNTED, { limit: 2.1, unit: '' });
}

function growth(tasks) {
  const runs = Array.from({ length: FEW }, () => pass(tasks.next(), MANY));
  const last = (times) => times.at(-1) / times[0];
  const detail = `last 1,000 of ${MANY}, against the first; CPU time ${median(runs.map(({ cpu }) => last(cpu))).toFixed(2)} x`;
  figure('the cost of a step does not grow', median(runs.map(({ wall }) => last(wall))), { limit: 1.5, detail });
}

async function fromShell(tasks) {
  const { project, id, attempt, env } = tasks.next();
  const verb = (...args) => execute(process.execPath, args, { env });
  const step = (name, more = {}) =>
    void execute(process.execPath, [...forgeArgs(project, 'step', name), '--', 'true'], { env: { ...env, ...more } });
  const beat = () => void verb(...forgeArgs(project, 'heartbeat', id, '--attempt', attempt));
  const compared = async (what, ours, base) => {
    const { ratio, ...times } = await inTurns(ours, base, ROUNDS);
    figure(what, ratio, { detail: `${ms(times.ours)} / ${ms(times.base)}` });
  };
  await compared('`step` from the shell, against `heartbeat`', (round) => step(`one-${round}`), beat);
  await compared(
    'the same, against `node -e 0`',
    (round) => step(`two-${round}`),
    () => void verb('-e', '0'),
  );
}

async function againstOthers(tasks, files) {
  await withOthers(files, FEW, async (name, program, database) => {
    const other = (round, ...more) =>
      timedRun([program, database(round), String(STEPS), ...more], { cwd: path.dirname(program), env: cleanEnv() });
    const first = [];
    const again = [];
    for (let round = 0; round < FEW; round++) {
      const attempt = tasks.next();
      first.push(
        inPair(
          round,
          () => pass(attempt),
          () => other(round, 'first'),
        ),
      );
      const next = attempt.next();
      for (let time = 0; time < FEW; time++)
        again.push(
          inPair(
            time,
            () => pass(next),
            () => other(round),
          ),
        );
    }
    report(`done for the first time, against ${name}`, first);
    report(`passed by the next attempt, against ${name}`, again);
  });
}

/** Both, one after the other, in an order that changes. */
function inPair(round, ours, base) {
  if (round % 2 === 0) return { ours: ours(), base: base() };
  const [second, first] = [base(), ours()];
  return { ours: first, base: second };
}

function report(what, pairs) {
  for (const [time, part] of [
    ['process', 'process'],
    ['took', 'steps alone'],
  ]) {
    const ratio = median(pairs.map(({ ours, base }) => ours[time] / base[time]));
    const [ours, base] = ['ours', 'base'].map((side) => ms(median(pairs.map((pair) => pair[side][time]))));
    figure(`${what}, ${part}`, ratio, { limit: 1, detail: `${ours} / ${base}` });
  }
}
