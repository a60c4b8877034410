/**
 * `npm start`: puts the state of the example right in a scratch copy, runs its plan there, then says what there is to look at.
 *
 * usage: node scripts/start.mjs [FOLDER]    FOLDER holds the scratch copies; default: .scratch of this checkout.
 * Exits with the run's own code.
 */

import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const repo = path.resolve(import.meta.dirname, '..');
const cli = path.join(repo, 'bin', 'forge.cjs');
const project = freshCopy(path.resolve(process.argv[2] ?? path.join(repo, '.scratch')));

// The run would go on without it, and leave to a later gc what is in nobody's way.
process.stdout.write('What a run that was cut short has left is put right by gc:\n');
spawnSync(process.execPath, [cli, 'orchestrate', 'gc', '--dir', project], {
  stdio: 'inherit',
  env: withoutForge(process.env),
});
process.stdout.write('\n');

// Before the run is there: from now on a signal must not end this process and leave a run behind.
passOnSignals();
const run = spawn(process.execPath, [cli, 'orchestrate', 'run', '--dir', project], {
  stdio: 'inherit',
  env: withoutForge(process.env),
});
run.on('exit', (code, signal) => {
  process.exitCode = code ?? 128 + os.constants.signals[signal];
  sayWhatNext();
});

/** Each start has a folder named after its process, so two at once don't meet. Those of earlier starts are removed. */
function freshCopy(folder) {
  fs.mkdirSync(folder, { recursive: true });
  for (const name of fs.readdirSync(folder)) {
    const pid = Number(/^example-(\d+)$/.exec(name)?.[1] ?? Number.NaN);
    if (Number.isNaN(pid) || (pid !== process.pid && isAlive(pid))) continue;
    fs.rmSync(path.join(folder, name), { recursive: true, force: true, maxRetries: 3 });
  }
  const copy = path.join(folder, `example-${process.pid}`);
  fs.cpSync(path.join(repo, '.forge.example'), path.join(copy, '.forge'), { recursive: true });
  return copy;
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Variables of a worker that happens to run this must not lead the example into that worker's project. */
function withoutForge(env) {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('FORGE_')));
}

/** Stays until the run has stopped in good order. On a terminal Ctrl-C reaches the run by itself; twice would mean haste. */
function passOnSignals() {
  const isOnTerminal = Boolean(process.stdin.isTTY);
  for (const signal of ['SIGINT', 'SIGHUP', 'SIGTERM']) {
    process.on(signal, () => {
      if (signal === 'SIGTERM' || !isOnTerminal) run.kill(signal);
    });
  }
}

function sayWhatNext() {
  const summary = path.join(project, 'forge-report', 'summary.txt');
  if (fs.existsSync(summary)) process.stdout.write(`\n${fs.readFileSync(summary, 'utf8')}`);
  const shown = (file) => path.relative(process.cwd(), file) || '.';
  const forge = (verb) => `  node ${shown(cli)} orchestrate ${verb} --dir ${shown(project)}\n`;
  const report = path.join(project, 'forge-report', 'index.html');
  if (fs.existsSync(report)) process.stdout.write(`\nThe report: ${shown(report)}\n`);
  const goOn = process.exitCode === 0 ? '' : forge('run');
  process.stdout.write(
    `\nNext, try:\n${goOn}${forge('status')}${forge('show fetch-calibration')}${forge('logs fetch-calibration')}`,
  );
}
