/** Commands that are stopped for a while in front of one system call. */

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { until } from '../processes.ts';
import { commandLine } from './forge.ts';
import { copyProject, dropProject, freshPlace } from './project.ts';
import { callsAbout, callText, countedAnew, type TracedCall, UNCACHED } from './strace.ts';

/** How often a run is repeated whose pause was before another call than the one that was meant. */
const TRIES = 10;

export interface Paused {
  dir: string;
  stdout: string;
  stderr: string;
}

/**
 * Runs forge on a fresh copy of the project in `project`, with a pause in front of `call`; `meanwhile` is done within the pause.
 * Throws when the pause was over before it, or never was before the call that was meant.
 */
export async function pausedRun(
  project: string,
  args: readonly string[],
  call: TracedCall,
  pauseMs: number,
  meanwhile: (dir: string) => Promise<void>,
): Promise<Paused> {
  const copy = () => copyProject(project);
  const command = (dir: string) => commandLine(dir, args);
  let aim = call;
  for (let tries = 0; tries < TRIES; tries++) {
    const dir = copy();
    const paused = await once(command(dir), dir, aim, pauseMs, meanwhile);
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
  pauseMs: number,
  meanwhile: (dir: string) => Promise<void>,
): Promise<{ stdout: string; stderr: string } | null> {
  const log = `${freshPlace()}.trace`;
  const inject = `inject=${call.name}:delay_enter=${pauseMs * 1000}:when=${call.count}`;
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
  const reached = () => {
    const trace = fs.existsSync(log) ? fs.readFileSync(log, 'utf8') : '';
    return callsAbout(dir, trace).find(({ count }) => count === call.count) ?? over;
  };
  const hit = await until(`${call.name} ${call.count} is reached`, reached);
  const meant = hit !== true && hit.shape === call.shape && hit.nth === call.nth;
  if (meant) {
    await meanwhile(dir);
    if (over) throw new Error(`a pause of ${pauseMs} ms at ${call.shape} was too short`);
  }
  await ended;
  const delayed = fs.readFileSync(log, 'utf8').includes('(DELAYED)');
  fs.rmSync(log);
  return meant && delayed ? out : null;
}
