/** What people make of tasks beside their attempts: `rerun`, `done`, `forget`, and `retry` of several. */

import fs from 'node:fs';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { answer } from '../../src/commands/answer.ts';
import { cancel } from '../../src/commands/cancel.ts';
import { claim } from '../../src/commands/claim.ts';
import { done } from '../../src/commands/done.ts';
import { forget } from '../../src/commands/forget.ts';
import { gc } from '../../src/commands/gc.ts';
import { question } from '../../src/commands/question.ts';
import { rerun } from '../../src/commands/rerun.ts';
import { retry } from '../../src/commands/retry.ts';
import type { CommandContext } from '../../src/commands/shared/session.ts';
import { show } from '../../src/commands/show.ts';
import { signal } from '../../src/commands/signal.ts';
import { blocking, type Driver } from '../../src/lib/fs/drivers.ts';
import { openStores } from '../../src/store/open.ts';
import { code, planOf, World } from '../support/commands/world.ts';
import { refused } from '../support/refused.ts';

let world: World;
beforeEach(() => {
  world = new World(planOf('build', 'test, depends_on: [build]', 'docs, depends_on: [test]', 'other'));
});

async function ship(...tasks: string[]) {
  for (const task of tasks) await world.finish(task, (await world.start(task)).attempt);
}

const states = async (...tasks: string[]) =>
  Promise.all(tasks.map(async (task) => (await world.record(task)).state.state));

describe('rerun', () => {
  test('rerun begins a shipped task again, and names what was made of it', async () => {
    await ship('build', 'test');
    expect(await rerun.run(world.context, { tasks: ['build'] })).toEqual({
      tasks: [{ task_id: 'build', state: 'unclaimed' }],
      dependents: ['test'],
      dry_run: false,
    });
    expect(await states('build', 'test')).toEqual(['unclaimed', 'shipped']);
    expect((await claim.run(world.context, { task: 'build' })).generation).toBe(2);
    const { rerun: again, attempts, history } = await show.run(world.context, { task: 'build' });
    expect(again).toEqual({ at: world.at(0), times: 1 });
    expect(attempts.map(({ attempt_number }) => attempt_number)).toEqual([1]);
    expect(history.map(({ event }) => event)).toEqual(['acquired', 'released', 'rerun', 'acquired']);
  });

  test('--with-dependents begins all again that was made of it, and nothing that was not done', async () => {
    await ship('build', 'test', 'other');
    const dry = await rerun.run(world.context, { tasks: ['build'], with_dependents: true, dry_run: true });
    expect(dry.tasks.map(({ task_id }) => task_id)).toEqual(['build', 'test']);
    expect(await states('build', 'test', 'other')).toEqual(['shipped', 'shipped', 'shipped']);
    const begun = await rerun.run(world.context, { tasks: ['build'], with_dependents: true });
    expect(begun).toEqual({ ...dry, dry_run: false });
    expect(await states('build', 'test', 'other')).toEqual(['unclaimed', 'unclaimed', 'shipped']);
    expect(await code(() => claim.run(world.context, { task: 'test' }))).toBe('NOT_READY');
    const found = await gc.run(world.context, { dry_run: true });
    expect([found.planned, found.reported]).toEqual([[], []]);
  });

  test('rerun changes nothing when one of the tasks is worked on, is unknown, or is over in the plan', async () => {
    await ship('build');
    await world.start('test');
    expect(await refused(() => rerun.run(world.context, { tasks: ['build'], with_dependents: true }))).toMatchObject({
      code: 'ILLEGAL_TRANSITION',
      message: 'task test is dispatched: it is being worked on',
      hint: expect.stringContaining('forge orchestrate cancel test'),
    });
    expect(await code(() => rerun.run(world.context, { tasks: ['build', 'biuld'] }))).toBe('TASK_NOT_FOUND');
    expect(await states('build')).toEqual(['shipped']);
    world.write('plans/phases.yaml', planOf('build, status: done'));
    expect(await code(() => rerun.run(world.context, { tasks: ['build'] }))).toBe('ILLEGAL_TRANSITION');
  });
});

describe('done', () => {
  test('ships a checkpoint as a person says, and rerun takes that back', async () => {
    world.write('plans/phases.yaml', planOf('sign, owner_type: human', 'after, depends_on: [sign]'));
    expect(await done.run(world.context, { tasks: ['sign'], note: 'seen' })).toEqual({
      tasks: [{ task_id: 'sign', state: 'shipped', by_hand: true, children: 0 }],
      note: 'seen',
    });
    const shown = await show.run(world.context, { task: 'sign' });
    expect(shown.done_by_hand).toEqual({ at: world.at(0), note: 'seen' });
    expect(shown.history).toMatchObject([{ event: 'done_by_hand', reason: 'seen' }]);
    expect((await claim.run(world.context, { task: 'after' })).generation).toBe(1);
    await rerun.run(world.context, { tasks: ['sign'] });
    expect((await show.run(world.context, { task: 'sign' })).done_by_hand).toBeNull();
  });

  test('done changes nothing when one of the tasks is unknown, or the note is empty', async () => {
    expect(await code(() => done.run(world.context, { tasks: ['build', 'gone'] }))).toBe('TASK_NOT_FOUND');
    expect(await code(() => done.run(world.context, { tasks: ['build'], note: ' ' }))).toBe('INVALID_ARGS');
    expect(world.has('.forge/orchestrator/tasks/build')).toBe(false);
  });
});

describe('forget', () => {
  test('forget removes all that is kept of a task that has left the plan', async () => {
    await ship('build');
    const plan = planOf('other');
    world.write('plans/phases.yaml', plan);
    expect(await forget.run(world.context, { tasks: ['build'] })).toEqual({ tasks: ['build'] });
    expect(world.has('.forge/orchestrator/tasks/build')).toBe(false);
    expect((await gc.run(world.context, { dry_run: true })).reported).toEqual([]);
    await ship('other');
    expect(await forget.run(world.context, { tasks: ['othr'] })).toEqual({ tasks: [] });
    expect(world.warnings.at(-1)).toBe('nothing is kept of task othr. Did you mean other?');
  });

  test.each<[string, (context: CommandContext) => Promise<unknown>]>([
    ['cancel', (context) => cancel.run(context, { task: 'build' })],
    ['done', (context) => done.run(context, { tasks: ['build'] })],
    ['retry', (context) => retry.run(context, { task: 'build' })],
    ['signal', (context) => signal.run(context, { task: 'build', signal: 'go' })],
    ['answer', (context) => answer.run(context, { question: 'build', choice: 'keep' })],
  ])('what is forgotten while %s is about to change it does not come back', async (verb, change) => {
    const { attempt } = await world.start('build');
    if (verb === 'answer') {
      const options_file = world.write('options.yaml', '[{id: keep, label: Keep}, {id: drop, label: Drop}]');
      const asked = { decision_key: 'old', question: 'Keep it?', options_file };
      await question.run(world.context, { task: 'build', attempt, ...asked });
    } else await world.fail('build', attempt);
    world.write('plans/phases.yaml', planOf('other'));
    let forgotten: Promise<unknown> | undefined;
    const driver: Driver = async (step) => {
      forgotten ??= forget.run(world.context, { tasks: ['build'] });
      await forgotten;
      return blocking(step);
    };
    const stores = openStores((await world.session()).paths, driver);
    expect(await code(() => change({ ...world.context, stores }))).toBe('TASK_NOT_FOUND');
    expect(world.has('.forge/orchestrator/tasks/build')).toBe(false);
  });

  test('forget goes on beside others that empty the trash', async () => {
    const tasks = ['build', 'other'];
    await ship(...tasks);
    world.write('plans/phases.yaml', planOf('docs'));
    const { store } = await world.session();
    const trash = world.path('.forge/orchestrator/trash');
    const mkdir = vi.spyOn(fs, 'mkdirSync').mockImplementationOnce((place) => {
      mkdir.mockRestore();
      fs.mkdirSync(place);
      store.gc.emptyTrash();
      return undefined;
    });
    expect(await forget.run(world.context, { tasks })).toEqual({ tasks });
    expect([world.warnings, fs.existsSync(trash)]).toEqual([[], false]);
    expect(await store.list()).toEqual([]);
  });

  test('forget of a task with a matrix is refused in the plan, and names what is kept of it once it has left', async () => {
    const matrix = planOf('build, matrix: {node: [20, 22]}', 'other');
    world.write('plans/phases.yaml', matrix);
    await ship('build.node-20', 'build.node-22');
    expect(await refused(() => forget.run(world.context, { tasks: ['build'] }))).toMatchObject({
      code: 'ILLEGAL_TRANSITION',
      message: expect.stringMatching(/^task build is in /),
    });
    world.write('plans/phases.yaml', planOf('other'));
    expect(await forget.run(world.context, { tasks: ['build'] })).toEqual({ tasks: [] });
    expect(world.warnings.at(-1)).toBe('nothing is kept of task build. Kept: build.node-20, build.node-22.');
  });

  test('forget is refused in the plan, and while the task is worked on', async () => {
    await world.start('build');
    expect(await code(() => forget.run(world.context, { tasks: ['build'] }))).toBe('ILLEGAL_TRANSITION');
    world.write('plans/phases.yaml', planOf('other'));
    expect(await refused(() => forget.run(world.context, { tasks: ['build'] }))).toMatchObject({
      code: 'ILLEGAL_TRANSITION',
      hint: expect.stringContaining('forge orchestrate cancel build'),
    });
  });
});

test('retry warns of a task that the plan keeps from going on', async () => {
  await world.fail('other', (await world.start('other')).attempt);
  world.write('plans/phases.yaml', planOf('build', 'other, status: dropped'));
  expect((await retry.run(world.context, { task: 'other' })).state).toBe('awaiting_respawn');
  expect(world.warnings).toEqual(['task other does not go on: the plan says that it is dropped']);
});

test('retry takes several tasks', async () => {
  for (const task of ['build', 'other']) await world.fail(task, (await world.start(task)).attempt);
  expect(await retry.run(world.context, { task: 'build', more: ['other', 'build'] })).toEqual({
    task_id: null,
    state: null,
    tasks: [
      { task_id: 'build', state: 'awaiting_respawn' },
      { task_id: 'other', state: 'awaiting_respawn' },
    ],
  });
  expect(await code(() => retry.run(world.context, { task: 'build', more: ['gone'] }))).toBe('TASK_NOT_FOUND');
});
