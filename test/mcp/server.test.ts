/** What one server of `forge mcp` has to bear: hours of calls, several at once, clients that cancel, vanish or send anything. */

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { orchestrate, project } from '../support/cli.ts';
import { mcpClient, startServer } from '../support/mcp.ts';
import { until } from '../support/processes.ts';

/** A project whose only task is verified by a command that writes its pid to `check`, and goes on until there is a file `go`. */
function verifiedProject(): { cwd: string; check: string; pidOf(): number; isAlive(): boolean } {
  const command = 'echo $$ >> check; until test -e go; do sleep 0.02; done';
  const cwd = project([`id: a, title: A, verify: [${JSON.stringify(command)}], retry: {max_attempts: 1}`]);
  const check = join(cwd, 'check');
  const pidOf = () => Number(readFileSync(check, 'utf8').split('\n')[0]);
  const isAlive = () => existsSync(`/proc/${pidOf()}`) || (process.platform !== 'linux' && answers(pidOf()));
  return { cwd, check, pidOf, isAlive };
}

function answers(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

const VERDICT = { verdict: 'ready_for_review', summary: 'done' };

async function begin(call: (name: string, args?: Record<string, unknown>) => Promise<Record<string, string>>) {
  const { claim_id: claim, run_id: run } = await call('claim', { task: 'a' });
  const { attempt_id: attempt } = await call('dispatch', { task: 'a', claim, run });
  return { task: 'a', attempt };
}

describe('a server of many calls', () => {
  it('a server of many calls stays as small as it was, and adds no listener', async () => {
    const cwd = project(['id: a, title: A', 'id: b, title: B']);
    // What a call left behind would soon fill that heap.
    const { client, call, stderr } = await mcpClient({ cwd, flags: ['--max-old-space-size=32'] });
    const work = await begin(call);
    for (let round = 0; round < 60; round++) {
      await Promise.all(
        Array.from({ length: 5 }, async () => {
          await call('heartbeat', work);
          await call('run_list');
          await client.callTool({ name: 'why', arguments: { task: 'none' } });
          await client.readResource({ uri: 'forge://task/b/prompt' });
        }),
      );
    }
    expect(stderr()).toBe('');
  });
});

describe('calls at once', () => {
  it('calls at once of two servers give out every task once', async () => {
    const cwd = project(Array.from({ length: 8 }, (_, i) => `id: t${i}, title: T`));
    const servers = await Promise.all([mcpClient({ cwd }), mcpClient({ cwd })]);
    const calls = servers.flatMap(({ call }) => Array.from({ length: 4 }, () => call('claim', { next: true })));
    const claimed = await Promise.all(calls);
    expect(claimed.map(({ task_id }) => task_id).sort()).toEqual(Array.from({ length: 8 }, (_, i) => `t${i}`));
  });

  it('calls at once that complete the same attempt have it verified once, while heartbeats and other tasks go on', async () => {
    const { cwd, check } = verifiedProject();
    const { call } = await mcpClient({ cwd });
    const work = await begin(call);
    const both = [call('complete', { ...work, verdict: VERDICT }), call('complete', { ...work, verdict: VERDICT })];
    await until('the check', () => existsSync(check));
    expect(await call('heartbeat', work)).toMatchObject({ attempt_id: work.attempt });
    expect(await call('status')).toMatchObject({ counts: { running: 1 } });
    writeFileSync(join(cwd, 'go'), '');
    expect(await Promise.all(both)).toMatchObject([{ state: 'shipped' }, { state: 'shipped' }]);
    expect(readFileSync(check, 'utf8').trim().split('\n')).toHaveLength(1);
  });
});

describe('a call that takes long', () => {
  it('a call that takes long tells what goes on, and ends in good order when it is cancelled: a repeat goes on', async () => {
    const { cwd, check, isAlive } = verifiedProject();
    const { client, call } = await mcpClient({ cwd });
    const work = await begin(call);
    const told: string[] = [];
    const stop = new AbortController();
    const cancelled = client.callTool(
      { name: 'complete', arguments: { ...work, verdict: VERDICT } },
      { signal: stop.signal, onprogress: ({ message = '' }) => told.push(message) },
    );
    await until('the check', () => existsSync(check));
    expect(isAlive()).toBe(true);
    stop.abort();
    await expect(cancelled).rejects.toThrow();
    await until('the end of the check', () => !isAlive());
    expect(told).toEqual([expect.stringMatching(/^verifying: echo/)]);
    writeFileSync(join(cwd, 'go'), '');
    expect(await call('complete', { ...work, verdict: VERDICT })).toMatchObject({ state: 'shipped' });
  });

  it.each([
    ['stdin ends', (server: ReturnType<typeof startServer>) => void server.child.stdin.end(), 0],
    ['a signal comes', (server: ReturnType<typeof startServer>) => void server.child.kill('SIGTERM'), 0],
    ['nothing reads its answers', (server: ReturnType<typeof startServer>) => void server.child.stdout.destroy(), null],
  ])('ends with the server when %s: no process, lease or file is left in the way', async (_, end, code) => {
    const { cwd, check, isAlive } = verifiedProject();
    const { call, client } = await mcpClient({ cwd });
    const work = await begin(call);
    await client.close();
    const server = startServer({ cwd });
    initialize(server);
    server.send({
      id: 2,
      method: 'tools/call',
      params: { name: 'complete', arguments: { ...work, verdict: VERDICT } },
    });
    await until('the check', () => existsSync(check));
    end(server);
    if (code === null) {
      // It is noticed with the next answer.
      server.send({ id: 3, method: 'tools/list' });
      server.send({ id: 4, method: 'tools/list' });
    }
    expect(await server.ended).toMatchObject({ code: 0, signal: null });
    expect(isAlive()).toBe(false);
    writeFileSync(join(cwd, 'go'), '');
    rmSync(check);
    const verdict = join(cwd, 'verdict.json');
    writeFileSync(verdict, JSON.stringify(VERDICT));
    const again = await orchestrate(
      ['complete', 'a', '--attempt', work.attempt ?? '', '--verdict-file', verdict, '--json'],
      { cwd },
    );
    expect(again.json()).toMatchObject({ ok: true, data: { state: 'shipped' } });
    expect((await orchestrate(['gc', '--dry-run', '--json'], { cwd })).json().data).toMatchObject({
      planned: [],
      litter: { removed: [] },
    });
  });
});

describe('a server that is given anything', () => {
  it('a server that is given anything ends when stdin does, and takes no signal away from its process while it is idle', async () => {
    const cwd = project(['id: a, title: A']);
    const ended = startServer({ cwd });
    initialize(ended);
    await until('the answer', () => ended.messages().length === 1);
    ended.child.stdin.end();
    expect(await ended.ended).toEqual({ code: 0, signal: null });
    const killed = startServer({ cwd });
    initialize(killed);
    await until('the answer', () => killed.messages().length === 1);
    killed.child.kill('SIGTERM');
    expect(await killed.ended).toEqual({ code: null, signal: 'SIGTERM' });
  });

  it('a server that is given anything writes nothing but the protocol to stdout, and goes on after lines that are none of it', async () => {
    const server = startServer({ cwd: project(['id: a, title: A']) });
    server.child.stdin.write('not json\n{"jsonrpc":"2.0"}\n[]\n');
    server.child.stdin.write(Buffer.from([0xff, 0xfe, 0x7b, 0x0a]));
    initialize(server);
    const call = (id: number, name: string, given: unknown) =>
      server.send({ id, method: 'tools/call', params: { name, arguments: given } });
    call(2, 'why', { task: 'x'.repeat(1_000_000) });
    call(3, 'status', { constructor: 1, __proto__: null });
    call(4, 'why', { task: '\u0000\u202e\ud800' });
    call(5, 'claim', { task: 'a' });
    call(6, 'why', ['a']);
    server.child.stdin.write(
      Buffer.concat([
        Buffer.from('{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"why","arguments":{"task":"'),
        Buffer.from([0xc3, 0x28, 0xff]),
        Buffer.from('"}}}\n'),
      ]),
    );
    await until('the answers', () => server.messages().length >= 7);
    const byId = new Map(server.messages().map((message) => [message.id, message]));
    expect([...byId.keys()].sort()).toEqual([1, 2, 3, 4, 5, 6, 7]);
    for (const id of [2, 4, 7]) expect(byId.get(id).result).toMatchObject({ isError: true });
    expect(JSON.parse(byId.get(2).result.content[1].text).error.code).toBe('INVALID_ID');
    expect(byId.get(3).result).toMatchObject({ isError: true });
    expect(byId.get(5).result).toMatchObject({ structuredContent: { task_id: 'a' } });
    server.child.stdin.end();
    expect((await server.ended).code).toBe(0);
    expect(server.out.stderr).toMatch(/warning: mcp: /);
  });
});

function initialize(server: ReturnType<typeof startServer>): void {
  server.send({
    id: 1,
    method: 'initialize',
    params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
  });
  server.send({ method: 'notifications/initialized' });
}
