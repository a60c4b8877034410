/** The caches of a large project change how long a command takes, and nothing else. */

import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { folder, orchestrate } from '../support/cli.ts';
import { until } from '../support/processes.ts';

const COUNT = 300;
const ATTEMPT = '01a00000-0000-7000-8000-00000000000a';
const QUESTION = '01a00000-0000-7000-8000-00000000000b';
const STATES = ['shipped', 'failed', 'unclaimed', 'reviewed'];
const id = (at: number) => `task-${String(at).padStart(4, '0')}`;

function largeProject(): string {
  const plan = Array.from({ length: COUNT }, (_, at) => `      - { id: ${id(at)}, title: Number ${at} }\n`).join('');
  const files: Record<string, string> = {
    'plans/phases.yaml': `project: large\nphases:\n  - id: phase-1\n    name: One\n    tasks:\n${plan}`,
  };
  for (let at = 0; at < COUNT; at++) {
    const state = STATES[at % STATES.length];
    const record = { version: 1, task_id: id(at), state, attempt_count: 1, current_attempt_id: ATTEMPT };
    const dir = `.forge/orchestrator/tasks/${id(at)}`;
    files[`${dir}/state.json`] = JSON.stringify(record);
    files[`${dir}/attempts/${ATTEMPT}/manifest.json`] = '{}';
  }
  return folder(files);
}

test('commands say the same of a large project whether anything was kept of it or not', async () => {
  const cwd = largeProject();
  const cache = folder();
  const at = (task: number, ...names: string[]) => path.join(cwd, '.forge/orchestrator/tasks', id(task), ...names);
  const isKept = (name: string) =>
    fs.readdirSync(cache, { recursive: true, encoding: 'utf8' }).some((file) => path.basename(file) === name);
  const ask = async (XDG_CACHE_HOME: string, ...args: string[]) => {
    const { code, stdout, stderr } = await orchestrate([...args, '--json'], { cwd, env: { XDG_CACHE_HOME } });
    return { code, stdout, stderr };
  };
  const both = async () => {
    for (const args of [['status'], ['phases', '--ready'], ['gc', '--dry-run'], ['why', id(2)]]) {
      const [kept, anew] = await Promise.all([ask(cache, ...args), ask('/dev/null', ...args)]);
      expect(kept).toEqual(anew);
    }
  };

  await both();
  expect(isKept('plan')).toBe(true);
  const newest = fs.statSync(at(COUNT - 1, 'attempts', ATTEMPT)).ctimeMs;
  await until('nothing has changed for a while', () => Date.now() > newest + 2500);
  await both();
  expect(isKept('tree')).toBe(true);
  await both();

  const edited = fs.readFileSync(at(0, 'state.json'), 'utf8').replace('shipped', 'running');
  fs.writeFileSync(at(0, 'state.json'), edited);
  fs.mkdirSync(at(4, 'attempts', ATTEMPT, 'answers'));
  fs.writeFileSync(at(4, 'attempts', ATTEMPT, 'answers', `${QUESTION}.json`), '{}');
  fs.rmSync(at(8), { recursive: true });
  fs.writeFileSync(at(12, 'lease.json'), 'no lease');
  expect((await orchestrate(['retry', id(1)], { cwd, env: { XDG_CACHE_HOME: cache } })).code).toBe(0);
  fs.appendFileSync(path.join(cwd, 'plans/phases.yaml'), `      - { id: ${id(COUNT)}, title: New }\n`);
  await both();
  const { stdout } = await ask(cache, 'status');
  const { counts, tasks } = JSON.parse(stdout).data;
  expect(counts).toMatchObject({ running: 1, unreadable: 1, shipped: 72 });
  expect(tasks).toHaveLength(COUNT + 1);
  const { stdout: found } = await ask(cache, 'gc', '--dry-run');
  const rows = JSON.parse(found).data.planned.map(({ row, task_id }: { row: number; task_id: string }) => [
    row,
    task_id,
  ]);
  expect(rows).toEqual([
    [2, id(0)],
    [12, id(4)],
  ]);
});
