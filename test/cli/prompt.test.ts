/** render-worker-prompt, by the real command. */

import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { environment, orchestrate, project } from '../support/cli.ts';

const ID = '01997b62-5a10-7c3e-9d44-0b6f2a1e7c01';

async function start(cwd: string, task: string): Promise<Record<string, string>> {
  const claim = (await orchestrate(['claim', task, '--json'], { cwd })).json().data;
  const env = { FORGE_TASK_ID: task, FORGE_RUN_ID: claim.run_id, FORGE_CLAIM_ID: claim.claim_id };
  const attempt = (await orchestrate(['dispatch', '--json'], { cwd, env })).json().data;
  return { ...env, FORGE_ATTEMPT_ID: attempt.attempt_id };
}

describe('render-worker-prompt', () => {
  it('render-worker-prompt prints the prompt, and with --json as data', async () => {
    const cwd = project(['id: a, title: Do A, acceptance: [it works]'], { 'AGENTS.md': 'No tabs.\n' });
    const printed = await orchestrate(['render-worker-prompt', 'a'], { cwd });
    expect(printed).toMatchObject({ code: 0, stderr: '' });
    expect(printed.stdout).toMatch(
      /^# Task a: Do A\n[\s\S]*- it works\n[\s\S]*No tabs\.[\s\S]*## How to report\n[\s\S]*\S\n$/,
    );
    const { data } = (await orchestrate(['render-worker-prompt', 'a', '--json'], { cwd })).json();
    expect(data).toEqual({ task_id: 'a', attempt_number: null, prompt: printed.stdout });
  });

  it("render-worker-prompt uses a worker's own attempt, and the next one of another task", async () => {
    const cwd = project(['id: a, title: Do A', 'id: b, title: Do B']);
    const env = await start(cwd, 'a');
    const numberOf = async (...args: string[]) =>
      (await orchestrate(['render-worker-prompt', ...args, '--json'], { cwd, env })).json().data.attempt_number;
    expect(await numberOf()).toBe(1);
    expect(await numberOf('a')).toBe(1);
    expect(await numberOf('b')).toBeNull();
  });

  it('render-worker-prompt refuses an unknown task or attempt', async () => {
    const cwd = project(['id: build, title: Build']);
    const gone = await orchestrate(['render-worker-prompt', 'biuld', '--json'], { cwd });
    expect(gone.code).toBe(2);
    expect(gone.json().error).toMatchObject({ code: 'TASK_NOT_FOUND', hint: 'Did you mean build?' });
    const stale = await orchestrate(['render-worker-prompt', 'build', '--attempt', ID, '--json'], { cwd });
    expect(stale.code).toBe(3);
    expect(stale.json().error).toMatchObject({ code: 'STALE_ATTEMPT' });
  });

  it('the longest prompt fits into one argument', async () => {
    const cwd = project(['id: a, title: A'], { 'AGENTS.md': '`'.repeat(1 << 20) });
    const { stdout } = await orchestrate(['render-worker-prompt', 'a'], { cwd });
    const echoed = spawnSync('/bin/echo', [stdout.trimEnd()], { encoding: 'utf8', env: environment() });
    expect(echoed.stdout).toBe(stdout);
  });
});
