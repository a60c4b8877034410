/** What `doctor` finds that would fail later: programs of workers, and what worktrees, commits and merges need of git. */

import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { doctor } from '../../src/commands/doctor.ts';
import { planOf, World } from '../support/commands/world.ts';
import { GIT_ENV, Repository } from '../support/repository.ts';

async function checkOf(world: World, name: string, env: Record<string, string>) {
  const { checks } = await doctor.run({ ...world.context, ctx: { ...world.context.ctx, env } }, {});
  return checks.find((check) => check.name === name);
}

describe('doctor on programs', () => {
  /** A program on PATH that npm has installed; returns the PATH. */
  function installed(world: World, program: string, name: string, version = '1.2.3'): string {
    world.write(`global/lib/node_modules/${name}/package.json`, JSON.stringify({ name, version }));
    world.write(`global/lib/node_modules/${name}/bin/cli.js`, '#!/bin/sh\n');
    fs.chmodSync(world.path(`global/lib/node_modules/${name}/bin/cli.js`), 0o755);
    fs.mkdirSync(world.path('global/bin'), { recursive: true });
    fs.symlinkSync(`../lib/node_modules/${name}/bin/cli.js`, world.path('global/bin', program));
    return `${world.path('global/bin')}:/usr/bin:/bin`;
  }

  test.each([
    ['the preset', 'agents: {worker: codex}\n', 'a'],
    ['a command of the settings', 'agents: {worker_command: "codex exec -"}\n', 'a'],
    ['a reviewer', 'review: {command: "codex review"}\n', 'a'],
  ])('doctor fails where %s starts a codex of another publisher', async (_, settings, plan) => {
    const world = new World(planOf(plan), settings);
    const PATH = installed(world, 'codex', 'codex');
    expect(await checkOf(world, 'publishers', { PATH })).toMatchObject({
      status: 'fail',
      message: expect.stringMatching(/^codex on PATH \(.*global\/bin\/codex\) is of the package codex, not by OpenAI/),
      fix: expect.stringContaining('npm install -g @openai/codex'),
    });
  });

  test('doctor accuses neither the publisher itself, nor a program of no package, nor one that nothing calls', async () => {
    const world = new World(planOf('a'), 'agents: {worker: codex}\n');
    const PATH = installed(world, 'codex', '@openai/codex');
    installed(world, 'claude', 'claude');
    expect(await checkOf(world, 'publishers', { PATH })).toMatchObject({ status: 'ok' });
    fs.rmSync(world.path('global/bin/codex'));
    fs.writeFileSync(world.path('global/bin/codex'), '', { mode: 0o755 });
    world.write('package.json', '{"name": "codex"}');
    expect(await checkOf(world, 'publishers', { PATH })).toMatchObject({ status: 'ok' });
  });

  test('doctor names the package of an agent that is missing', async () => {
    const world = new World(planOf('a'), 'agents: {worker: gemini}\n');
    const fix = expect.stringContaining('npm install -g @google/gemini-cli');
    expect(await checkOf(world, 'worker', { PATH: '/nonexistent' })).toMatchObject({ status: 'fail', fix });
  });

  test.each<[what: string, agent: string, version: string, env: Record<string, string>, found: object]>([
    [
      'a login by a variable',
      'claude',
      '2.1.197',
      { ANTHROPIC_API_KEY: 'k' },
      { status: 'ok', message: 'claude 2.1.197 (login: ANTHROPIC_API_KEY)' },
    ],
    [
      'a login by a file',
      'codex',
      '0.171.0',
      { CODEX_HOME: 'HOME/elsewhere' },
      { status: 'ok', message: 'codex 0.171.0 (login: HOME/elsewhere/auth.json)' },
    ],
    [
      'a login below the home folder',
      'gemini',
      '1.0.0',
      {},
      { status: 'ok', message: 'gemini 1.0.0 (login: ~/.gemini/oauth_creds.json)' },
    ],
    [
      'a login in the folder that stands for the home folder',
      'gemini',
      '1.0.0',
      { GEMINI_CLI_HOME: 'HOME/other' },
      { status: 'ok', message: 'gemini 1.0.0 (login: HOME/other/.gemini/gemini-credentials.json)' },
    ],
    [
      'no login',
      'claude',
      '2.1.0',
      { ANTHROPIC_API_KEY: '' },
      {
        status: 'warn',
        message: expect.stringMatching(
          /^no login of claude is found: ANTHROPIC_API_KEY, .* are not set, and there is no ~\/\.claude\/\.credentials\.json$/,
        ),
        fix: 'Log in: `claude /login`. Leave it if the agent has its login elsewhere.',
      },
    ],
    [
      'an older version',
      'codex',
      '0.90.1',
      { OPENAI_API_KEY: 'k' },
      {
        status: 'warn',
        message: 'codex 0.90.1 is older than 0.171, with which forge was tried',
        fix: expect.stringContaining('npm install -g @openai/codex'),
      },
    ],
  ])('doctor looks at the version and the login of an agent: %s', async (_, agent, version, env, found) => {
    const world = new World(planOf('a'), `agents: {worker: ${agent}}\n`);
    const PATH = installed(
      world,
      agent,
      { claude: '@anthropic-ai/claude-code', codex: '@openai/codex' }[agent] ?? '@google/gemini-cli',
      version,
    );
    const HOME = world.path('home');
    world.write('home/elsewhere/auth.json', '{}');
    world.write('home/.gemini/oauth_creds.json', '{}');
    world.write('home/other/.gemini/gemini-credentials.json', '{}');
    const given = Object.entries(env).map(([name, value]) => [name, value.replace('HOME', HOME)]);
    const check = await checkOf(world, 'accounts', { PATH, HOME, ...Object.fromEntries(given) });
    expect({ ...check, message: check?.message.replace(HOME, 'HOME') }).toMatchObject(found);
  });

  test('doctor looks at no account where no agent is chosen', async () => {
    expect(await checkOf(new World(planOf('a')), 'accounts', { PATH: '/usr/bin:/bin' })).toBeUndefined();
  });

  test('doctor names another forge that is first on PATH', async () => {
    const world = new World(planOf('a'));
    const PATH = installed(world, 'forge', 'foundry');
    expect(await checkOf(world, 'forge', { PATH })).toMatchObject({
      status: 'warn',
      message: expect.stringMatching(
        /^the first forge on PATH is .*global\/bin\/forge \(of the package foundry 1\.2\.3\)/,
      ),
      fix: expect.stringContaining('"$FORGE_CLI" orchestrate'),
    });
  });

  test('doctor takes a script that names this forge for this forge', async () => {
    const world = new World(planOf('a'));
    const own = path.join(import.meta.dirname, '../../bin/forge.cjs');
    world.write('bin/forge', `#!/bin/sh\nexec node ${own} "$@"\n`);
    fs.chmodSync(world.path('bin/forge'), 0o755);
    expect(await checkOf(world, 'forge', { PATH: `${world.path('bin')}:/usr/bin:/bin` })).toMatchObject({
      status: 'ok',
    });
  });

  test.each(['forge', 'forge.cjs'])('doctor takes a symlink to bin/%s for this forge', async (name) => {
    const world = new World(planOf('a'));
    fs.mkdirSync(world.path('bin'));
    fs.symlinkSync(path.join(import.meta.dirname, '../../bin', name), world.path('bin/forge'));
    expect(await checkOf(world, 'forge', { PATH: `${world.path('bin')}:/usr/bin:/bin` })).toMatchObject({
      status: 'ok',
    });
  });
});

describe('doctor on what other commands warn of', () => {
  test('doctor shows the warnings of settings and plan, with the file to change', async () => {
    const world = new World(planOf('a, timeout: 30'), 'verify: {timeout: 20}\n');
    const settings = {
      status: 'warn',
      message: expect.stringContaining('20'),
      fix: expect.stringContaining('settings.yaml'),
    };
    expect(await checkOf(world, 'settings', {})).toMatchObject(settings);
    const plan = {
      status: 'warn',
      message: expect.stringContaining('30'),
      fix: expect.stringContaining('phases.yaml'),
    };
    expect(await checkOf(world, 'plan', {})).toMatchObject(plan);
  });

  test.each([
    ['bytes', { bavail: 10, ffree: 1e6 }, /only 41 kB left/],
    ['files', { bavail: 1e9, ffree: 3 }, /only room for 3 more files left/],
  ])('doctor warns of a disk that has few free %s', async (_, free, message) => {
    const world = new World(planOf('a'));
    const disk = { type: 0xef53, bsize: 4096, frsize: 4096, blocks: 1e9, bfree: 1e9, files: 1e7 };
    const spy = vi.spyOn(fs, 'statfsSync').mockReturnValue({ ...disk, ...free } as unknown as fs.StatsFs);
    try {
      expect(await checkOf(world, 'room', {})).toMatchObject({
        status: 'warn',
        message: expect.stringMatching(message),
      });
    } finally {
      spy.mockRestore();
    }
  });
});

describe('doctor on git', () => {
  function inRepository(): { world: World; repo: Repository } {
    const world = new World(planOf('a'), 'workspace: worktree\n');
    const repo = new Repository(world.project);
    repo.commit({ 'code.txt': 'one\n' });
    return { world, repo };
  }

  test('doctor warns where git has no identity, also by the environment', async () => {
    const { world } = inRepository();
    const found = await checkOf(world, 'identity', GIT_ENV);
    expect(found).toMatchObject({ status: 'warn', message: expect.stringContaining("a worker's `git commit` fails") });
    const ann = { NAME: 'Ann', EMAIL: 'ann@example.org' };
    const given = ['AUTHOR', 'COMMITTER'].flatMap((role) =>
      Object.entries(ann).map(([part, value]) => [`GIT_${role}_${part}`, value]),
    );
    expect(await checkOf(world, 'identity', { ...GIT_ENV, ...Object.fromEntries(given) })).toMatchObject({
      status: 'ok',
    });
  });

  test('doctor looks at the key that signs commits, and at nothing where none are signed', async () => {
    const { world, repo } = inRepository();
    expect(await checkOf(world, 'signing', GIT_ENV)).toBeUndefined();
    for (const [key, value] of [
      ['commit.gpgsign', 'true'],
      ['gpg.format', 'ssh'],
      ['gpg.ssh.program', 'sh'],
      ['user.signingkey', '~/key.pub'],
    ] as const)
      repo.git('config', key, value);
    const env = { ...GIT_ENV, HOME: world.project };
    const finding = async (key: string | null) => {
      if (key !== null) world.write('key', `-----BEGIN OPENSSH PRIVATE KEY-----\n${key}\n`);
      return checkOf(world, 'signing', env);
    };
    expect(await finding(null)).toMatchObject({ status: 'fail', message: expect.stringContaining('there is no key') });
    const head = (cipher: string) => Buffer.from(`openssh-key-v1\0\0\0\0${cipher}`).toString('base64');
    expect(await finding(head('\x0aaes256-ctr\0\0\0\x06bcrypt'))).toMatchObject({
      status: 'fail',
      message: expect.stringContaining('has a passphrase'),
    });
    expect(await finding(head('\x04none\0\0\0\x04none\0\0\0\0'))).toMatchObject({ status: 'ok' });
  });

  test('doctor warns of submodules that are empty in the main checkout', async () => {
    const { world, repo } = inRepository();
    repo.write('.gitmodules', '[submodule "lib"]\n\tpath = lib\n\turl = ./lib\n');
    repo.git('update-index', '--add', '--cacheinfo', `160000,${repo.git('rev-parse', 'HEAD')},lib`);
    const found = await checkOf(world, 'submodules', GIT_ENV);
    expect(found).toMatchObject({ status: 'warn', fix: 'git submodule update --init --recursive' });
    expect(found?.message).toContain('(lib)');
    repo.write('lib/.git', 'gitdir: elsewhere\n');
    expect(await checkOf(world, 'submodules', GIT_ENV)).toMatchObject({ status: 'ok' });
  });
});
