/** The logs of what forge starts stay within `logs.max_bytes`, by the real command. */

import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { dataOf, orchestrate, project, startCli } from '../support/cli.ts';
import { finishing, WORK } from '../support/finishing.ts';
import { until } from '../support/processes.ts';

const MAX = 100_000;
const SETTINGS = `logs: {max_bytes: ${MAX / 1000}kB}\nretry: {max_attempts: 1}\n`;

/** Writes thirty times as much as is kept. */
const LONG = 'echo BEGIN; yes "a line of many" | head -c 3000000; echo; echo END';

/** Of a log that was cut. */
const CUT = /^BEGIN\n(a line of many\n)+\[forge: \d+ bytes cut here\]\n[\s\S]*a line of many\n[\s\S]*END\n$/;

async function filesOf(cwd: string): Promise<string> {
  const data = await dataOf(cwd, 'show', 'a');
  return join(data.attempts[0].path, 'logs');
}

it('of the long output of a worker and of a check the beginning and the end are kept, and the place of the cut is marked', async () => {
  const cwd = project([`id: a, title: A, run: '${LONG}; (${LONG}) >&2', verify: ['${LONG}; exit 1']`], {
    '.forge/settings.yaml': SETTINGS,
  });
  const { stdout } = await orchestrate(['run'], { cwd });
  expect(stdout).toContain('exited with code 1: END');
  const logs = await filesOf(cwd);
  for (const name of ['stdout.log', 'stderr.log', 'verify-1-echo-begin-yes-a-line-of-many-head-c-300.log']) {
    expect(statSync(join(logs, name)).size, name).toBeLessThanOrEqual(MAX);
    expect(readFileSync(join(logs, name), 'utf8'), name).toMatch(CUT);
  }
});

it('logs says what was cut, and --tail shows only the end', async () => {
  const cwd = project([`id: a, title: A, run: '${LONG}'`], { '.forge/settings.yaml': SETTINGS });
  await orchestrate(['run'], { cwd });
  const text = await orchestrate(['logs', 'a'], { cwd });
  expect(text.stdout).toMatch(/\[forge: \d+ bytes cut here\]/);
  expect(text.stderr).toContain('logs: max_bytes');
  const json = async (...more: string[]) =>
    (await orchestrate(['logs', 'a', '--json', ...more], { cwd })).json().data as { stdout: string };
  expect(await json()).toMatchObject({ truncated: true });
  expect(await json('--tail', '1')).toMatchObject({ truncated: true, stdout: 'END\n', stderr: '' });
  const end = await orchestrate(['logs', 'a', '--tail', '1'], { cwd });
  expect(end).toMatchObject({ stdout: '==> stdout <==\nEND\n', stderr: '' });
});

it('a log without a limit is kept whole', async () => {
  const cwd = project([`id: a, title: A, run: '${LONG}'`], { '.forge/settings.yaml': 'logs: {max_bytes: unlimited}' });
  await orchestrate(['run'], { cwd });
  expect(statSync(join(await filesOf(cwd), 'stdout.log')).size).toBeGreaterThan(3_000_000);
});

it('of the long output of a reviewer the beginning and the end are kept', async () => {
  const review = JSON.stringify(`${LONG}; exit 7`);
  const play = finishing([`id: a, title: A, run: '${WORK}'`], `review: {command: ${review}}\n${SETTINGS}`);
  await play.forge('run');
  const { attempts } = await play.data('show', 'a');
  const logs: string[] = attempts.flatMap(({ path }: { path: string }) => {
    const file = join(path, 'logs/stdout.log');
    return existsSync(file) ? [readFileSync(file, 'utf8')] : [];
  });
  expect(logs.filter((log) => CUT.test(log))).toHaveLength(1);
  expect(logs.filter((log) => log.length > MAX)).toEqual([]);
});

it('a secret that a cut would part is masked', async () => {
  const secret = `sk-${'0123456789'.repeat(20)}`;
  const cwd = project([`id: a, title: A, run: 'for i in $(seq 3000); do printf "%s " $MY_API_KEY; done; sleep 1'`], {
    '.forge/settings.yaml': SETTINGS,
  });
  await orchestrate(['run'], { cwd, env: { MY_API_KEY: secret } });
  const text = readFileSync(join(await filesOf(cwd), 'stdout.log'), 'utf8');
  expect(text).toContain('bytes cut here');
  expect(text).not.toMatch(/[0-9]{12}/);
});

it('the log of a worker that went on after its run was killed is cut by the next run', async () => {
  const worker = `test -e done && exit 0; touch begun; until test -e go; do sleep 0.01; done; ${LONG}; touch done; sleep 60`;
  const cwd = project([`id: a, title: A, run: '${worker}'`], { '.forge/settings.yaml': SETTINGS });
  const first = startCli(['orchestrate', 'run'], { cwd });
  onTestFinished(() => void first.process.kill('SIGKILL'));
  await until('the worker runs', () => existsSync(join(cwd, 'begun')));
  first.process.kill('SIGKILL');
  await first.ended;
  const log = join(await filesOf(cwd), 'stdout.log');
  writeFileSync(join(cwd, 'go'), '');
  await until('the worker has written', () => existsSync(join(cwd, 'done')));
  expect(statSync(log).size).toBeGreaterThan(3_000_000);
  expect((await orchestrate(['run'], { cwd })).code).toBe(0);
  expect(statSync(log).size).toBeLessThanOrEqual(MAX);
  expect(readFileSync(log, 'utf8')).toMatch(CUT);
});
