/** FORGE_* variables are the defaults of options that are not given. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseArgv } from '../../src/cli/program.ts';
import { ForgeError } from '../../src/lib/errors.ts';
import { folder, orchestrate, project } from '../support/cli.ts';

const ID = '01997b62-5a10-7c3e-9d44-0b6f2a1e7c01';
const OTHER = '01997b62-6f7d-7a52-8e10-5c3d9b8a4f02';
/** What the verbs can't do without. */
const REST = { FORGE_TASK_ID: 'a', FORGE_RUN_ID: ID, FORGE_CLAIM_ID: ID, FORGE_ATTEMPT_ID: ID };

/** What the command line and the environment give a verb. */
async function inputOf(args: readonly string[], env: Record<string, string>): Promise<Record<string, unknown>> {
  const request = await parseArgv(['orchestrate', ...args], env);
  if (request.kind !== 'verb') throw new Error(`${args.join(' ')} is no verb`);
  return request.input as Record<string, unknown>;
}

describe('options from the environment', () => {
  it.each([
    ['claim', 'run', 'FORGE_RUN_ID'],
    ['dispatch', 'claim', 'FORGE_CLAIM_ID'],
    ['release', 'claim', 'FORGE_CLAIM_ID'],
    ['heartbeat', 'attempt', 'FORGE_ATTEMPT_ID'],
    ['dispatch', 'phase', 'FORGE_PHASE'],
    ['exec', 'run', 'FORGE_RUN_ID'],
    ['run end', 'run', 'FORGE_RUN_ID'],
    ['status', 'run', 'FORGE_RUN_ID'],
  ])('%s --%s is %s unless it is given', async (verb, name, variable) => {
    const [value, other] = name === 'phase' ? ['review', 'ship'] : [ID, OTHER];
    const words = verb.split(' ');
    const own = { ...REST, [variable]: value };
    expect((await inputOf(words, own))[name]).toBe(value);
    expect((await inputOf([...words, `--${name}`, other], own))[name]).toBe(other);
    const unset = await inputOf(words, { ...REST, [variable]: '' }).catch((error: unknown) => error);
    if (unset instanceof ForgeError) expect(unset.message).toBe(`${verb} needs --${name} <id> (or ${variable})`);
    else expect(unset).not.toHaveProperty(name);
  });

  it('run --task does not come from the environment', async () => {
    expect(await inputOf(['run'], { FORGE_TASK_ID: 'a' })).toEqual({});
    expect(await inputOf(['run', '--task', 'a', '--task', 'b'], {})).toEqual({ task: ['a', 'b'] });
  });
});

it('the task is FORGE_TASK_ID unless it is given', async () => {
  expect(await inputOf(['why'], { FORGE_TASK_ID: 'a' })).toEqual({ task: 'a' });
  expect(await inputOf(['why', 'b'], { FORGE_TASK_ID: 'a' })).toEqual({ task: 'b' });
});

it('the project is FORGE_DIR unless --dir is given', async () => {
  const [here, there, nowhere] = [project(['id: here, title: A']), project(['id: there, title: A']), folder()];
  const ids = async (args: string[], env: Record<string, string>, cwd: string) =>
    (await orchestrate(['status', '--json', ...args], { cwd, env }))
      .json()
      .data.tasks.map((task: { task_id: string }) => task.task_id);
  expect(await ids([], { FORGE_DIR: there }, here)).toEqual(['there']);
  expect(await ids(['--dir', here], { FORGE_DIR: there }, nowhere)).toEqual(['here']);
  expect(await ids([], { FORGE_DIR: '' }, here)).toEqual(['here']);
});

/** Claims and dispatches `a`; returns what its worker's environment would be. */
async function worker(cwd: string): Promise<Record<string, string>> {
  const claim = (await orchestrate(['claim', 'a', '--json'], { cwd })).json().data;
  const env = { FORGE_TASK_ID: 'a', FORGE_RUN_ID: claim.run_id, FORGE_CLAIM_ID: claim.claim_id };
  const attempt = (await orchestrate(['dispatch', '--json'], { cwd, env })).json().data;
  expect(attempt).toMatchObject({ task_id: 'a', attempt_number: 1, phase: 'implement' });
  return { ...env, FORGE_ATTEMPT_ID: attempt.attempt_id, FORGE_VERDICT_FILE: join(cwd, 'verdict.json') };
}

describe('environment of a worker', () => {
  const plan = () => project(['id: a, title: A', 'id: b, title: B']);

  it('a worker and its verification get the environment without a surrounding forge and git', async () => {
    const seen = 'echo "$GREETING,$GIT_AUTHOR_NAME,$FORGE_OUTER,$GIT_DIR,$GIT_INDEX_FILE,$OWN" >>';
    const task = `id: a, title: A, env: {OWN: set}, run: '${seen} worker', verify: ['${seen} check']`;
    const cwd = project([task]);
    const surrounding = { FORGE_OUTER: 'x', GIT_DIR: '/nowhere', GIT_INDEX_FILE: '/nowhere/index' };
    const env = { GREETING: 'hello', GIT_AUTHOR_NAME: 'Me', ...surrounding };
    expect(await orchestrate(['run', '--json'], { cwd, env })).toMatchObject({ code: 0 });
    for (const who of ['worker', 'check']) {
      expect(readFileSync(join(cwd, who), 'utf8')).toBe('hello,Me,,,,set\n');
    }
  });

  it('a worker can do its task without naming it', async () => {
    const cwd = plan();
    const env = await worker(cwd);
    const beat = await orchestrate(['heartbeat', '--json'], { cwd, env });
    expect(beat.json().data).toMatchObject({ task_id: 'a', attempt_id: env['FORGE_ATTEMPT_ID'], generation: 1 });
    const event = await orchestrate(['event', '--type', 'tests.passed', '--data', '{"count": 2}', '--json'], {
      cwd,
      env,
    });
    expect(event.json().data).toMatchObject({ task_id: 'a', type: 'tests.passed' });
    writeFileSync(env['FORGE_VERDICT_FILE'] ?? '', '{"verdict": "ready_for_review", "summary": "done"}');
    const done = await orchestrate(['complete', '--json'], { cwd, env });
    expect(done.json().data).toMatchObject({ task_id: 'a', state: 'shipped' });
  });

  it('a worker without a verdict ends by its exit code', async () => {
    const cwd = plan();
    const env = await worker(cwd);
    expect(existsSync(env['FORGE_VERDICT_FILE'] ?? '')).toBe(false);
    const undecided = await orchestrate(['complete', '--json'], { cwd, env });
    expect(undecided.json().error).toMatchObject({
      code: 'INVALID_ARGS',
      message: expect.stringContaining('--verdict-file'),
    });
  });

  it('a worker that reports a failure fails, whatever verdict it has left', async () => {
    const cwd = plan();
    const env = await worker(cwd);
    writeFileSync(env['FORGE_VERDICT_FILE'] ?? '', '{"verdict": "ready_for_review"}');
    const args = [
      'complete',
      '--failed',
      '--error-class',
      'tests',
      '--message',
      'two failed',
      '--exit-code',
      '2',
      '--json',
    ];
    expect((await orchestrate(args, { cwd, env })).json().data).toMatchObject({ state: 'awaiting_respawn' });
    const state = JSON.parse(readFileSync(join(cwd, '.forge/orchestrator/tasks/a/state.json'), 'utf8'));
    expect(state.last_error).toMatchObject({ class: 'tests', message: 'two failed', exit_code: 2 });
  });

  it('a worker may read the logs of another task', async () => {
    const cwd = project(['id: a, title: A', 'id: b, title: B, run: "echo from b"']);
    const env = await worker(cwd);
    await orchestrate(['run', '--task', 'b'], { cwd });
    expect((await orchestrate(['logs', 'b'], { cwd, env })).stdout).toBe('==> stdout <==\nfrom b\n');
  });

  it('a worker may claim another task with --next', async () => {
    const cwd = plan();
    const env = await worker(cwd);
    expect((await orchestrate(['claim', '--next', '--json'], { cwd, env })).json().data).toMatchObject({
      task_id: 'b',
      run_id: env['FORGE_RUN_ID'],
    });
  });
});
