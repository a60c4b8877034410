/** `notify` of the settings: commands and web addresses that get notifications of a run. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { dataOf, jsonLines, orchestrate, project, startCli } from '../support/cli.ts';
import { until } from '../support/processes.ts';

const lines = (file: string) => jsonLines(readFileSync(file, 'utf8'));

/** A server on this machine that answers with `status`, and what it was sent. */
async function server(status = 200): Promise<{ url: string; bodies: Record<string, unknown>[]; logins: unknown[] }> {
  const bodies: Record<string, unknown>[] = [];
  const logins: unknown[] = [];
  const http = createServer((request, response) => {
    let body = '';
    logins.push(request.headers.authorization);
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      bodies.push(body === '' ? {} : JSON.parse(body));
      response.writeHead(status, status === 302 ? { location: '/elsewhere' } : {}).end('ok');
    });
  });
  await new Promise<void>((resolve) => {
    http.listen(0, '127.0.0.1', resolve);
  });
  onTestFinished(() => {
    http.closeAllConnections();
    http.close();
  });
  return { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/hook/s3cr3t-path`, bodies, logins };
}

it('run tells a command on stdin and in variables, and a web address, each event once', async () => {
  const { url, bodies } = await server();
  const cwd = project(
    ['id: good, title: Good, run: "true"', 'id: bad, title: Bad one, run: exit 3, retry: {max_attempts: 1}'],
    {
      '.forge/settings.yaml': [
        'notify:',
        '  - {on: [failed, finished], command: "cat >> told; echo \\"$FORGE_NOTIFY_EVENT $FORGE_NOTIFY_TASK_ID\\" >> named"}',
        '  - {on: [shipped], webhook: $HOOK}',
        'agents: {max_parallel: 1}',
      ].join('\n'),
    },
  );
  const { code, stderr } = await orchestrate(['run'], { cwd, env: { HOOK: url } });
  expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
  expect(lines(join(cwd, 'told')).sort((a, b) => (a.event < b.event ? -1 : 1))).toMatchObject([
    { event: 'failed', task_id: 'bad', title: 'Bad one', error: { class: 'exit.3' } },
    { event: 'finished', task_id: null, run: { counts: { failed: 1, shipped: 1 }, exit_code: 1 } },
  ]);
  expect(readFileSync(join(cwd, 'named'), 'utf8').split('\n').sort()).toEqual(['', 'failed bad', 'finished ']);
  expect(bodies).toMatchObject([{ event: 'shipped', task_id: 'good', text: 'good has shipped' }]);
});

it('what fails is one warning, which names no path, and the run goes on', async () => {
  const { url } = await server(500);
  const cwd = project(['id: a, title: A, run: "true"', 'id: b, title: B, run: "true"'], {
    '.forge/settings.yaml': [
      'notify:',
      `  - {on: [shipped], webhook: "${url}"}`,
      '  - {on: [finished], webhook: $NOWHERE}',
      '  - {on: [finished], command: exit 7}',
    ].join('\n'),
  });
  const { code, stderr } = await orchestrate(['run'], { cwd });
  expect(code).toBe(0);
  expect(stderr).toMatch(/notify: 127\.0\.0\.1:\d+ failed: it answered with 500/);
  expect(stderr).toContain('notify: a webhook failed: $NOWHERE is not an address, or not set');
  expect(stderr).toMatch(/notify: the command "exit 7" failed: it\s+ended with 7/);
  expect(stderr).toContain('notify: 1 more notifications were not delivered');
  expect(stderr).not.toContain('s3cr3t-path');
});

it('a web address that has moved is a failure: where it leads to is sent nothing', async () => {
  const { url, bodies } = await server(302);
  const cwd = project(['id: a, title: A, run: "true"'], {
    '.forge/settings.yaml': `notify: [{on: [shipped], webhook: "${url}"}]`,
  });
  const { stderr } = await orchestrate(['run'], { cwd });
  expect(stderr).toMatch(/notify: 127\.0\.0\.1:\d+ failed: it answered with 302/);
  expect(bodies).toHaveLength(1);
});

it('a web address with a user and a password gets them as a login, and no warning names them', async () => {
  const { url, bodies, logins } = await server(403);
  const cwd = project(['id: a, title: A, run: "true"'], {
    '.forge/settings.yaml': `notify: [{on: [shipped], webhook: $HOOK}, {on: [finished], webhook: $ODD}]`,
  });
  const withLogin = (login: string) => url.replace('//', `//${login}@`);
  const env = { HOOK: withLogin('ann:p%40ss%C3%BC'), ODD: withLogin('ann:p%ss') };
  const { stderr } = await orchestrate(['run'], { cwd, env });
  expect(logins).toEqual([`Basic ${Buffer.from('ann:p@ssü').toString('base64')}`]);
  expect(bodies).toMatchObject([{ event: 'shipped' }]);
  expect(stderr).toMatch(/notify: 127\.0\.0\.1:\d+ failed: it answered with 403/);
  expect(stderr).toMatch(/notify: 127\.0\.0\.1:\d+ failed: URI malformed/);
  expect(stderr).not.toMatch(/ann|ss|s3cr3t/);
});

it('a run that goes on after kill -9 tells nothing again of which the killed one has told, or was telling', async () => {
  const tell = 'cat >> told; until [ -e gate ]; do sleep 0.02; done';
  const cwd = project(
    ['id: a, title: A, run: "true"', 'id: b, title: B, run: "until [ -e gate ]; do sleep 0.02; done", depends_on: [a]'],
    { '.forge/settings.yaml': `notify: [{on: [shipped], command: "${tell}"}]\nagents: {kill_grace_ms: 100}\n` },
  );
  const told = join(cwd, 'told');
  const first = startCli(['orchestrate', 'run'], { cwd });
  const hasA = () => existsSync(told) && readFileSync(told, 'utf8').endsWith('\n');
  const isWorking = async () => (await dataOf(cwd, 'show', 'b')).state?.state === 'running';
  await until('the command gets a', hasA);
  while (!(await isWorking()));
  first.process.kill('SIGKILL');
  await first.ended;
  writeFileSync(join(cwd, 'gate'), '');
  expect((await orchestrate(['run'], { cwd })).code).toBe(0);
  expect(lines(told).map(({ event, task_id }) => [event, task_id])).toEqual([
    ['shipped', 'a'],
    ['shipped', 'b'],
  ]);
});

it('exec notifies of its task, and a worker has none of the variables', async () => {
  const cwd = project(['id: a, title: A'], {
    '.forge/settings.yaml': 'notify: [{on: [shipped], command: cat > told}]\n',
  });
  const run = await orchestrate(['exec', 'a', '--', 'sh', '-c', 'test -z "$FORGE_NOTIFY_EVENT"'], { cwd });
  expect(run.code).toBe(0);
  expect(existsSync(join(cwd, 'told'))).toBe(true);
  expect(lines(join(cwd, 'told'))).toMatchObject([{ event: 'shipped', task_id: 'a' }]);
});

it('settings with a wrong notify are refused with its place', async () => {
  const cwd = project(['id: a, title: A'], {
    '.forge/settings.yaml':
      'notify:\n  - {on: [shiped], command: x}\n  - {on: [failed]}\n  - {on: [failed], webhook: ftp://x}\n',
  });
  const { code, stderr } = await orchestrate(['run'], { cwd });
  expect(code).toBe(2);
  expect(stderr).toMatch(/settings\.yaml:2:\d+/);
  expect(stderr).toContain('needs one of command and webhook');
  expect(stderr.replace(/\s+/g, ' ')).toContain('must be a web address, or the name of a variable that has one');
});
