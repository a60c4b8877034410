/** `forge mcp` as an agent meets it: a client of the SDK, the built command, and a project of its own. */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { folder, orchestrate, project } from '../support/cli.ts';
import { mcpClient } from '../support/mcp.ts';

const TASKS = ['id: build, title: Build it', 'id: test, title: Test it, depends_on: [build]'];

describe('an agent that takes part over MCP', () => {
  it('claims, begins, reads its prompt, sends heartbeats, completes, and the next task is ready', async () => {
    const { call, stderr, client } = await mcpClient({ cwd: project(TASKS) });
    expect(client.getServerVersion()).toMatchObject({ name: 'forge' });
    expect(client.getInstructions()).toContain('`claim` with next: true');
    expect((await call('ready')).ready).toMatchObject([{ task_id: 'build' }]);
    const { task_id: task, claim_id: claim, run_id: run } = await call('claim', { next: true });
    const { attempt_id: attempt } = await call('dispatch', { task, claim, run });
    expect((await call('render_worker_prompt', { task, attempt })).prompt).toContain('# Task build: Build it');
    expect(await call('heartbeat', { task, attempt })).toMatchObject({ task_id: 'build', generation: 1 });
    const verdict = { verdict: 'ready_for_review', summary: 'built' };
    expect(await call('complete', { task, attempt, verdict })).toMatchObject({ state: 'shipped' });
    expect((await call('ready')).ready).toMatchObject([{ task_id: 'test' }]);
    expect((await call('show', { task })).attempts).toMatchObject([{ verified: { verdict: 'ready_for_review' } }]);
    expect(stderr()).toBe('');
  });

  it('an agent that takes part over MCP asks, ends, and finds the answer under the same key', async () => {
    const { call } = await mcpClient({ cwd: project(TASKS) });
    const question = {
      decision_key: 'format',
      question: 'Keep the old format?',
      options: [
        { id: 'keep', label: 'Keep it' },
        { id: 'drop', label: 'Drop it' },
      ],
    };
    const begin = async () => {
      const { task_id: task, claim_id: claim, run_id: run } = await call('claim', { task: 'build' });
      return { task, attempt: (await call('dispatch', { task, claim, run })).attempt_id };
    };
    const asked = await call('question', { ...(await begin()), ...question });
    expect(asked).toMatchObject({ status: 'open' });
    expect((await call('questions', { open: true })).questions).toMatchObject([{ question_id: asked.question_id }]);
    await call('answer', { question: asked.question_id, option: 'keep', note: 'until version 3' });
    expect(await call('question', { ...(await begin()), ...question })).toMatchObject({
      status: 'answered',
      option_id: 'keep',
      note: 'until version 3',
    });
  });

  it('an agent that takes part over MCP is known by the environment of its worker, and what it gives goes before', async () => {
    const cwd = project(TASKS);
    const { call } = await mcpClient({ cwd });
    const { task_id, claim_id, run_id } = await call('claim', { next: true });
    const { attempt_id } = await call('dispatch', { task: task_id, claim: claim_id, run: run_id });
    const env = { FORGE_TASK_ID: task_id, FORGE_ATTEMPT_ID: attempt_id, FORGE_CLAIM_ID: claim_id, FORGE_DIR: cwd };
    const worker = await mcpClient({ cwd: folder(), env });
    expect(await worker.call('heartbeat')).toMatchObject({ task_id, attempt_id });
    expect((await worker.refused('heartbeat', { task: 'test' })).code).toBe('STATE_NOT_FOUND');
    expect(await worker.call('complete', { failed: true, error_class: 'tests' })).toMatchObject({ task_id });
  });

  it.each([
    ['heartbeat', {}],
    ['complete', { failed: true, error_class: 'tests' }],
    ['event', { type: 'tested' }],
  ])('whose task was taken over is refused by %s, as the command line refuses it', async (name, more) => {
    const cwd = project(TASKS);
    const { call, refused } = await mcpClient({ cwd });
    const { task_id: task, claim_id: claim, run_id: run } = await call('claim', { task: 'build' });
    const { attempt_id: attempt } = await call('dispatch', { task, claim, run });
    await call('release', { task, claim });
    await call('claim', { task });
    const error = await refused(name, { task, attempt, ...more });
    expect(error).toMatchObject({ code: 'LEASE_STOLEN', retriable: false, hint: expect.stringContaining('Stop') });
    const flags = Object.entries(more).flatMap(([key, value]) => [
      `--${key.replace('_', '-')}`,
      ...(value === true ? [] : [value]),
    ]);
    const told = await orchestrate([name, task, '--attempt', attempt, ...flags, '--json'], { cwd });
    expect(told.json().error).toEqual(error);
  });

  it('an agent that takes part over MCP gets an error with what to do next, and the server goes on', async () => {
    const cwd = project(['id: a, title: A, verify: ["false"], retry: {max_attempts: 1}']);
    const { client, call, refused } = await mcpClient({ cwd });
    expect(await refused('why', { task: 'b' })).toMatchObject({ code: 'TASK_NOT_FOUND' });
    expect(await refused('claim')).toMatchObject({ code: 'INVALID_ARGS' });
    const { content } = await client.callTool({ name: 'why', arguments: { task: 'b' } });
    // Not JSON: some clients take a first text that is JSON for the answer itself.
    expect(content[0]).toMatchObject({
      text: expect.stringMatching(/^error\[TASK_NOT_FOUND\]: .*\nhint: Did you mean a\?$/),
    });
    const { claim_id: claim, run_id: run } = await call('claim', { task: 'a' });
    const { attempt_id: attempt } = await call('dispatch', { task: 'a', claim, run });
    const invalid = await refused('complete', { task: 'a', attempt, verdict: { verdict: 'fine' } });
    expect(invalid).toMatchObject({ code: 'SCHEMA_INVALID', hint: expect.stringContaining('ready_for_review') });
    const verdict = { verdict: 'ready_for_review', summary: '' };
    expect(await refused('complete', { task: 'a', attempt, verdict })).toMatchObject({ code: 'VERIFICATION_FAILED' });
    await expect(client.callTool({ name: 'run', arguments: {} })).rejects.toThrow('there is no tool "run"');
    expect(await call('status')).toMatchObject({ counts: { failed: 1 } });
  });

  it('an agent that takes part over MCP is told where there is no project, and finds one that was made since', async () => {
    const cwd = folder();
    const { call, refused, client } = await mcpClient({ cwd });
    expect(await refused('status')).toMatchObject({ code: 'PHASES_NOT_FOUND' });
    expect((await client.listResources()).resources.map(({ uri }) => uri)).toEqual(['forge://plan']);
    await orchestrate(['init'], { cwd });
    expect((await call('status')).tasks.length).toBeGreaterThan(0);
  });

  it('an agent that takes part over MCP sees plan and settings as they are at each call', async () => {
    const cwd = project(TASKS);
    const { call, refused } = await mcpClient({ cwd });
    const plan = join(cwd, 'plans/phases.yaml');
    const text = readFileSync(plan, 'utf8');
    await call('status');
    writeFileSync(plan, text.replace('depends_on', 'depend_on'));
    const broken = await refused('ready');
    expect(broken).toMatchObject({ code: 'PHASES_PARSE_ERROR', details: { problems: [{ place: { line: 7 } }] } });
    writeFileSync(plan, text.replace('id: build', 'id: compile').replace('[build]', '[compile]'));
    expect((await call('ready')).ready).toMatchObject([{ task_id: 'compile' }]);
    mkdirSync(join(cwd, '.forge'));
    writeFileSync(join(cwd, '.forge/settings.yaml'), 'agents: {lease_ttl: 1h}\n');
    expect(await refused('claim', { next: true })).toMatchObject({ code: 'SETTINGS_INVALID' });
    writeFileSync(join(cwd, '.forge/settings.yaml'), 'agents: {overlap: strict}\n');
    expect(await call('claim', { next: true })).toMatchObject({ task_id: 'compile' });
  });

  it('an agent that takes part over MCP is warned beside the answer', async () => {
    const cwd = project(TASKS);
    const { client, call } = await mcpClient({ cwd });
    const { claim_id: claim, run_id: run } = await call('claim', { task: 'build' });
    const { attempt_id: attempt } = await call('dispatch', { task: 'build', claim, run });
    writeFileSync(join(cwd, 'plans/phases.yaml'), 'phases: 7\n');
    const given = { task: 'build', attempt, failed: true, error_class: 'tests' };
    const { content } = await client.callTool({ name: 'complete', arguments: given });
    expect(content).toMatchObject([{}, { text: expect.stringMatching(/^warning: .*the settings decide alone/) }]);
  });
});

describe('the resources', () => {
  it('the resources are the plan, its tasks and their prompts', async () => {
    const cwd = project(TASKS);
    const { client } = await mcpClient({ cwd });
    const { resources } = await client.listResources();
    expect(resources.map(({ uri }) => uri)).toEqual(['forge://plan', 'forge://task/build', 'forge://task/test']);
    const { resourceTemplates } = await client.listResourceTemplates();
    expect(resourceTemplates.map(({ uriTemplate }) => uriTemplate)).toEqual([
      'forge://task/{id}',
      'forge://task/{id}/prompt',
    ]);
    const read = async (uri: string) => (await client.readResource({ uri })).contents[0] as { text: string };
    expect((await read('forge://plan')).text).toBe(readFileSync(join(cwd, 'plans/phases.yaml'), 'utf8'));
    expect(JSON.parse((await read('forge://task/build')).text)).toMatchObject({ task_id: 'build' });
    expect((await read('forge://task/build/prompt')).text).toContain('# Task build');
  });

  it('the resources are no others', async () => {
    const { client } = await mcpClient({ cwd: project(TASKS) });
    for (const uri of [
      'forge://task/none',
      'forge://task/..',
      'forge://task/%zz',
      'forge://task/a/b',
      'file:///x',
      'x',
    ])
      await expect(client.readResource({ uri })).rejects.toMatchObject({ code: -32602, data: { uri } });
  });

  it('come in pages where there are many tasks', async () => {
    const cwd = project(Array.from({ length: 1100 }, (_, i) => `id: t${i}, title: T`));
    const { client } = await mcpClient({ cwd });
    const pages = [];
    for (let cursor: string | undefined, more = true; more; more = cursor !== undefined) {
      const page = await client.request({ method: 'resources/list', params: cursor === undefined ? {} : { cursor } });
      pages.push(page.resources.length);
      cursor = page.nextCursor;
    }
    expect(pages).toEqual([501, 500, 100]);
    const wrong = client.request({ method: 'resources/list', params: { cursor: 'x' } });
    await expect(wrong).rejects.toThrow('"x" is no cursor of this server');
  });

  it('the resources are errors of the protocol where they cannot be read', async () => {
    const cwd = project(TASKS);
    const { client, refused } = await mcpClient({ cwd });
    writeFileSync(join(cwd, 'plans/phases.yaml'), 'phases: 7\n');
    await expect(client.readResource({ uri: 'forge://task/build/prompt' })).rejects.toThrow(/PHASES_PARSE_ERROR/);
    rmSync(join(cwd, 'plans/phases.yaml'));
    await expect(client.readResource({ uri: 'forge://plan' })).rejects.toThrow();
    expect(await refused('status')).toMatchObject({ code: 'PHASES_NOT_FOUND' });
  });
});

describe('the command line of mcp', () => {
  it('the command line of mcp has help, and refuses what would put something else on its stdout', async () => {
    const cwd = project(TASKS);
    expect((await orchestrate(['mcp', '--help'], { cwd })).stdout).toContain('MCP');
    const refused = await orchestrate(['mcp', '--json'], { cwd });
    expect(refused.json()).toMatchObject({ ok: false, error: { code: 'INVALID_ARGS' } });
  });
});
