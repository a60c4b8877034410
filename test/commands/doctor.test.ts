import fs from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { context } from '../../src/commands/context.ts';
import { doctor } from '../../src/commands/doctor.ts';
import { gc } from '../../src/commands/gc.ts';
import { dirOf } from '../support/commands/divergences.ts';
import { code, keysOf, planOf, TWO_PHASES, World } from '../support/commands/world.ts';

let world: World;
beforeEach(() => {
  world = new World(TWO_PHASES);
});

describe('doctor', () => {
  const checks = async () => new Map((await doctor.run(world.context, {})).checks.map((check) => [check.name, check]));
  const NAMES = [
    'settings',
    'plan',
    'forge',
    'support',
    'writable',
    'room',
    'symlinks',
    'permissions',
    'file system',
    'processes',
    'tasks',
  ];

  test('doctor says nothing of what settings limit that it can not read, and how to change what has no effect', async () => {
    world.write('plans/phases.yaml', planOf('a, uses: [gpu]'));
    expect((await checks()).get('support')).toMatchObject({
      message: expect.stringContaining('task a uses gpu, which has no limit'),
      fix: 'Change that in plan or settings, or leave it if it is meant.',
    });
    world.write('.forge/settings.yaml', 'limits: {gpu: 1}\nretention: 1h\n');
    expect((await checks()).get('support')).toBeUndefined();
  });

  test('doctor lists its checks and reports no problem', async () => {
    await world.start('build');
    const { checks: list } = await doctor.run(world.context, {});
    expect(list.map((check) => check.name)).toEqual(NAMES);
    for (const check of list) {
      expect(keysOf(check)).toEqual(['name', 'status', 'message', 'fix']);
      // Where the tests run may be a file system that nothing can be promised on.
      if (check.name !== 'file system') expect(check, check.name).toMatchObject({ status: 'ok', fix: null });
    }
  });

  test('doctor names parked tasks that are due and that no run has gone on with', async () => {
    await world.put('build', { state: 'waiting', wake_at: '2020-01-01T00:00:00.000Z' });
    expect((await checks()).get('steps')).toEqual({
      name: 'steps',
      status: 'warn',
      message: 'task build has waited until 2020-01-01T00:00:00.000Z, and no run has gone on with it',
      fix: 'forge orchestrate run',
    });
    await world.put('build', { state: 'waiting', wake_at: '2999-01-01T00:00:00.000Z' });
    expect((await checks()).has('steps')).toBe(false);
  });

  test('doctor names a journal of which a part is gone', async () => {
    const { attempt } = await world.start('build');
    const value = JSON.stringify('x'.repeat(9000));
    for (const key of ['a', 'b'])
      await context.run(world.context, { task: 'build', attempt, action: 'set', key, value });
    expect((await checks()).get('steps')).toMatchObject({ status: 'ok' });
    fs.rmSync(`${world.project}/${dirOf('build')}/attempts/${attempt}/steps`, { recursive: true });
    expect((await checks()).get('steps')).toMatchObject({
      status: 'fail',
      message: expect.stringMatching(/^task build: a part of its journal is gone: attempts\//),
    });
  });

  test('doctor names unfinished files of killed processes, which gc removes', async () => {
    const { attempt } = await world.start('build');
    await world.finish('build', attempt);
    world.write(`${dirOf('build')}/.tmp-a`, 'half');
    expect((await checks()).get('unfinished files')).toMatchObject({
      status: 'warn',
      message: expect.stringContaining(`${dirOf('build')}/.tmp-a`),
      fix: 'forge orchestrate gc',
    });
    await gc.run(world.context, {});
    expect((await checks()).has('unfinished files')).toBe(false);
  });

  test.each<[what: string, spoil: () => unknown, name: string, status: string, message: RegExp]>([
    [
      'settings that are wrong',
      () => world.write('.forge/settings.yaml', 'agent: {}\n'),
      'settings',
      'fail',
      /settings\.yaml:1/,
    ],
    ['a plan that is wrong', () => world.write('plans/phases.yaml', planOf('a/b')), 'plan', 'fail', /phases\.yaml:6/],
    ['no plan', () => fs.rmSync(world.path('plans'), { recursive: true }), 'plan', 'warn', /no plan/],
    [
      'what is not supported',
      () => world.write('.forge/settings.yaml', 'tracker: {type: github}\n'),
      'support',
      'warn',
      /tracker/,
    ],
    ['a symlinked task', () => fs.symlinkSync('/', world.path(dirOf('linked'))), 'symlinks', 'fail', /linked/],
    [
      'an open folder',
      () => fs.chmodSync(world.path('.forge/orchestrator/tasks'), 0o777),
      'permissions',
      'warn',
      /tasks/,
    ],
    [
      'a folder that cannot be looked into',
      () => {
        fs.rmSync(world.path('.forge/orchestrator'), { recursive: true });
        fs.symlinkSync('orchestrator', world.path('.forge/orchestrator'));
      },
      'permissions',
      'fail',
      /ELOOP/,
    ],
    ['a damaged record', () => world.write(`${dirOf('test')}/state.json`, '{'), 'tasks', 'fail', /test: state\.json/],
    ['an edit by hand', () => world.write(`${dirOf('build')}/state.json`, '{}'), 'tasks', 'warn', /build: state\.json/],
    [
      'an edit by hand beside a damaged record',
      () => {
        world.write(`${dirOf('test')}/state.json`, '{');
        world.write(`${dirOf('build')}/state.json`, '{}');
      },
      'tasks',
      'fail',
      /test: state\.json.*; build: state\.json/,
    ],
  ])('doctor finds %s', async (_what, spoil, name, expected, message) => {
    await world.start('build');
    spoil();
    const check = (await checks()).get(name);
    expect(check).toMatchObject({ status: expected, message: expect.stringMatching(message) });
    expect(check?.fix).toBeTruthy();
  });

  test('doctor warns when a dead owner cannot be noticed at once', async () => {
    const { ctx } = world.context;
    const blind = { ...ctx, machine: () => ({ ...ctx.machine(), boot_id: '' }) };
    const { checks: list } = await doctor.run({ ...world.context, ctx: blind }, {});
    expect(list.find((check) => check.name === 'processes')).toMatchObject({ status: 'warn' });
  });

  test('doctor says once that there is no repository, and nothing else of what it would look for in it', async () => {
    world.write('.forge/settings.yaml', 'workspace: worktree\nship: {policy: merge}\n');
    const failed = (await doctor.run(world.context, {})).checks.filter(({ status }) => status === 'fail');
    expect(failed).toMatchObject([
      { name: 'workspaces', message: expect.stringContaining('in no git repository'), fix: expect.any(String) },
    ]);
  });

  test('doctor says of what tasks use what run says: more than a limit, with its place, and a name without one', async () => {
    world = new World(
      planOf('a').replace('title:', 'uses: [{gpu: 3}, depoly], title:'),
      'limits: {gpu: 2, deploy: 1}\n',
    );
    const found = await checks();
    expect(found.get('plan')).toMatchObject({
      status: 'fail',
      message: expect.stringMatching(/phases\.yaml:\d+: task "a": it uses 3 of gpu, more than the limit of 2$/),
      fix: expect.stringContaining('Use less'),
    });
    expect(found.get('support')).toMatchObject({
      status: 'warn',
      message: expect.stringContaining('did you mean deploy'),
    });
  });

  test('doctor outside of a project is refused', async () => {
    expect(await code(() => doctor.run(new World().context, {}))).toBe('PHASES_NOT_FOUND');
  });
});
