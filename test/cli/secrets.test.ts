/** Secrets of the environment come up nowhere, and copied files in no commit. */

import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { FORGE, orchestrate, project, startCli } from '../support/cli.ts';
import { finishing, WORK } from '../support/finishing.ts';
import { until } from '../support/processes.ts';
import { GIT_ENV } from '../support/repository.ts';

const TOKEN = 'tok_4f9c2b7d1e';
const URL = 'db://u:p@h';

const { PATH: _, ...QUIET } = GIT_ENV;
const ENV = { ...QUIET, SERVICE_TOKEN: TOKEN, DATABASE_URL: URL };

/** Every file below a folder that is still there when it is read, by path. */
function texts(folder: string): [name: string, text: string][] {
  const names = !fs.existsSync(folder) ? [] : fs.readdirSync(folder, { recursive: true, withFileTypes: true });
  return names.flatMap((entry) => {
    const file = path.join(entry.parentPath, entry.name);
    if (!entry.isFile()) return [];
    try {
      return [[file, fs.readFileSync(file, 'utf8')]];
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  });
}

/** The files of the state tree in which a secret stands. */
const leaks = (at: string, ...secrets: string[]) =>
  texts(path.join(at, '.forge/orchestrator')).flatMap(([name, text]) =>
    secrets.some((secret) => text.includes(secret)) ? [name] : [],
  );

describe('a secret', () => {
  test('a secret that a worker prints is in no log, no message and no record', async () => {
    const cwd = project(
      [
        'id: build, title: Build, retry: {max_attempts: 2, base: 0}, env: {OWN_PASSWORD: hunter2hunter2}, run: \'echo "$SERVICE_TOKEN $DATABASE_URL"; echo "no access with $SERVICE_TOKEN$OWN_PASSWORD" >&2; exit 3\'',
      ],
      { '.forge/settings.yaml': 'redact: [DATABASE_URL]\n' },
    );
    const run = await orchestrate(['run', '--json'], { cwd, env: ENV });
    const shown = [run.stdout, run.stderr];
    for (const verb of [
      ['logs', 'build'],
      ['logs', 'build', '--json'],
      ['show', 'build', '--json'],
      ['why', 'build'],
    ])
      shown.push((await orchestrate(verb, { cwd, env: ENV })).stdout);
    for (const secret of [TOKEN, URL]) expect(shown.join()).not.toContain(secret);
    // `show` repeats the plan as it stands.
    expect(shown.join().replaceAll('"env":{"OWN_PASSWORD":"hunter2hunter2"}', '')).not.toContain('hunter2hunter2');
    expect(shown.join()).toContain(`no access with ${'*'.repeat(TOKEN.length + 14)}`);
    expect(leaks(cwd, TOKEN, URL, 'hunter2hunter2')).toEqual([]);
  });

  test('a secret that lies across the pieces in which a log is read is masked', async () => {
    const pad = 'x'.repeat(64 * 1024 - 5);
    const cwd = project([
      `id: build, title: Build, run: 'printf %s%s ${pad} "$SERVICE_TOKEN"; until [ -e gate ]; do sleep 0.05; done'`,
    ]);
    const run = startCli(['orchestrate', 'run'], { cwd, env: ENV });
    const log = () => texts(path.join(cwd, '.forge')).find(([name]) => name.endsWith('stdout.log'));
    await until('the worker has written', () => log()?.[1].endsWith(TOKEN));
    const { stdout } = await orchestrate(['logs', 'build'], { cwd, env: ENV });
    expect(stdout.trimEnd().slice(-20)).toBe('*'.repeat(TOKEN.length).padStart(20, 'x'));
    fs.writeFileSync(path.join(cwd, 'gate'), '');
    await run.ended;
  });

  test('a secret that a worker prints is masked while the log is followed', async () => {
    const cwd = project([
      'id: build, title: Build, run: \'echo "with $SERVICE_TOKEN"; until [ -e gate ]; do sleep 0.05; done\'',
    ]);
    const run = startCli(['orchestrate', 'run'], { cwd, env: ENV });
    const log = () => texts(path.join(cwd, '.forge')).find(([name]) => name.endsWith('stdout.log'));
    await until('the worker has written', () => log()?.[1].includes('with'));
    const { stdout } = await orchestrate(['logs', 'build'], { cwd, env: ENV });
    expect(stdout).toContain(`with ${'*'.repeat(TOKEN.length)}`);
    fs.writeFileSync(path.join(cwd, 'gate'), '');
    await run.ended;
  });

  test('a secret that a check or a verdict repeats is kept nowhere', async () => {
    const verdict = '{\\"verdict\\":\\"ready_for_review\\",\\"summary\\":\\"used $SERVICE_TOKEN\\"}';
    const cwd = project(
      [
        `id: build, title: Build, retry: {max_attempts: 1}, run: 'echo "${verdict}" > $FORGE_VERDICT_FILE; echo key $SERVICE_TOKEN'`,
      ],
      { '.forge/settings.yaml': 'verify: {commands: ["echo checked $SERVICE_TOKEN; exit 1"]}\n' },
    );
    const run = await orchestrate(['run'], { cwd, env: ENV });
    expect([run.code, run.stdout.includes(TOKEN)]).toEqual([1, false]);
    // The worker's own draft is its own.
    expect(leaks(cwd, TOKEN).filter((name) => !name.endsWith('draft-verdict.json'))).toEqual([]);
  });

  test('a secret that a worker asks about, or notes, is not in the state tree', async () => {
    const run =
      `echo '[{"id":"k","label":"'$SERVICE_TOKEN'"},{"id":"d","label":"D"}]' > o.json; f="node ${FORGE} orchestrate"; ` +
      `$f event --type note --data "{"$SERVICE_TOKEN":["$SERVICE_TOKEN"]}"; ` +
      '$f question --decision-key "k $SERVICE_TOKEN" --question "q $SERVICE_TOKEN" --context "$SERVICE_TOKEN" --options-file o.json --default k --deadline 1s';
    const cwd = project([`id: build, title: Build, run: ${JSON.stringify(run)}, retry: {max_attempts: 1}`]);
    const { stdout } = await orchestrate(['run', '--json'], { cwd, env: ENV });
    expect(stdout).toContain(`q ${'*'.repeat(TOKEN.length)}`);
    expect(stdout).not.toContain(TOKEN);
    expect(leaks(cwd, TOKEN)).toEqual([]);
  });

  test('a secret that stands in the plan is not in the prompt', async () => {
    const cwd = project([`id: build, title: Build, description: 'call it with ${TOKEN}', run: "true"`]);
    const { stdout } = await orchestrate(['render-worker-prompt', 'build'], { cwd, env: ENV });
    expect(stdout).toContain(`call it with ${'*'.repeat(TOKEN.length)}`);
    await orchestrate(['run'], { cwd, env: ENV });
    expect(leaks(cwd, TOKEN)).toEqual([]);
  });
});

describe('a file that forge copies into worktrees', () => {
  const SETTINGS = 'ship: {policy: merge}\nretry: {max_attempts: 1}';

  /** The task has begun, so its worktree has a copy. */
  const withSecretFile = (run: string) => {
    const made = finishing([`id: build, title: Build, run: '${run}'`], SETTINGS);
    fs.writeFileSync(path.join(made.at, '.env'), 'KEY=1');
    return made;
  };

  test.each([
    ['commits it', WORK],
    [
      'commits it and takes it back',
      `${WORK}; git rm -q --cached .env; git -c user.name=w -c user.email=w@x commit -qm back`,
    ],
  ])('keeps a worker from passing verification that %s', async (_, run) => {
    const { forge, state, repo } = withSecretFile(run);
    expect((await forge('run')).code).toBe(1);
    expect((await state('build'))['last_error']).toMatchObject({
      class: 'verify.copied-file',
      message: expect.stringContaining('.env, which forge copied'),
    });
    expect(repo.git('log', '--format=', '--name-only', 'main')).not.toContain('.env');
  });

  test('a file that forge copies into worktrees does no harm where the worker leaves it alone', async () => {
    const { forge, state } = withSecretFile(WORK.replace('git add -A', 'git add build.txt'));
    expect((await forge('run')).code).toBe(0);
    expect((await state('build')).state).toBe('shipped');
  });

  test('a file that forge copies into worktrees is named by doctor unless git ignores it', async () => {
    const { at, data } = withSecretFile(WORK);
    const copies = async () => (await data('doctor')).checks.find(({ name }: { name: string }) => name === 'copies');
    expect(await copies()).toMatchObject({ status: 'warn', message: expect.stringContaining('.env: copied into') });
    fs.writeFileSync(path.join(at, '.gitignore'), '.env\n');
    expect(await copies()).toMatchObject({ status: 'ok' });
  });
});
