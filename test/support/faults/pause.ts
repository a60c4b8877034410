/** Commands that are stopped in front of one system call until others have done what they do. */

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { until } from '../processes.ts';
import { commandLine } from './forge.ts';
import { copyProject, dropProject, freshPlace } from './project.ts';
import { callsAbout, callText, countedAnew, type TracedCall, UNCACHED } from './strace.ts';

/** How often a run is repeated whose pause was before another call than the one that was meant. */
const TRIES = 10;

/** Longer than any test: a pause is ended by the end of strace. */
const PAUSE_US = 3_600_000_000;

export interface Paused {
  dir: string;
  stdout: string;
  stderr: string;
}

/**
 * Runs forge on a fresh copy of the project in `project`, with a pause in front of `call` while `meanwhile` is done.
 * Throws when no pause was before the call that was meant.
 */
export async function pausedRun(
  project: string,
  args: readonly string[],
  call: TracedCall,
  meanwhile: (dir: string) => Promise<void>,
): Promise<Paused> {
  const copy = () => copyProject(project);
  const command = (dir: string) => commandLine(dir, args);
  let aim = call;
  for (let tries = 0; tries < TRIES; tries++) {
    const dir = copy();
    const paused = await once(command(dir), dir, aim, meanwhile);
    if (paused !== null) return { dir, ...paused };
    dropProject(dir);
    aim = (await countedAnew(call, copy, command)) ?? aim;
  }
  throw new Error(`no pause was before ${callText(call)}`);
}

async function once(
  command: readonly string[],
  dir: string,
  call: TracedCall,
  meanwhile: (dir: string) => Promise<void>,
): Promise<{ stdout: string; stderr: string } | null> {
  const log = `${freshPlace()}.trace`;
  const inject = `inject=${call.name}:delay_enter=${PAUSE_US}:when=${call.count}`;
  const child = spawn('strace', ['-y', '-o', log, '-e', `trace=${call.name}`, '-e', inject, '--', ...command], {
    cwd: '/',
    env: UNCACHED,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const out = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      out[name] += text;
    });
  }
  let over = false;
  const ended = new Promise<void>((resolve) =>
    child.once('close', () => {
      over = true;
      resolve();
    }),
  );
  // strace writes down a call when it is entered; the pause comes then.
  const trace = () => (fs.existsSync(log) ? fs.readFileSync(log, 'utf8') : '');
  const reached = () => callsAbout(dir, trace()).find(({ count }) => count === call.count) ?? over;
  const hit = await until(`${call.name} ${call.count} is reached`, reached);
  const meant = hit !== true && hit.shape === call.shape && hit.nth === call.nth;
  const before = trace();
  try {
    if (meant) await meanwhile(dir);
    if (meant && trace() !== before) throw new Error(`there was no pause at ${call.shape}`);
  } finally {
    // What it traces goes on by itself.
    child.kill('SIGKILL');
    await ended;
    fs.rmSync(log);
  }
  return meant ? out : null;
}
