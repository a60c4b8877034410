/** Verbs that make or look at worktrees, with `workspace: worktree` and without. */

import fs from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { claim } from '../../src/commands/claim.ts';
import { dispatch } from '../../src/commands/dispatch.ts';
import { doctor } from '../../src/commands/doctor.ts';
import { ensureWorktree } from '../../src/commands/ensure-worktree.ts';
import { release } from '../../src/commands/release.ts';
import { renderWorkerPrompt } from '../../src/commands/render-worker-prompt.ts';
import type { CommandContext } from '../../src/commands/shared/session.ts';
import { code, keysOf, planOf, World } from '../support/commands/world.ts';
import { gitCall, repositoryOf } from '../support/git/world.ts';
import { refused } from '../support/refused.ts';
import type { Repository } from '../support/repository.ts';

let world: World;
let repo: Repository;
let call: CommandContext;

function project(settings: string): void {
  world = new World(planOf('build', 'test, depends_on: [build]'), settings);
  repo = repositoryOf(world);
  call = gitCall(world);
}

beforeEach(() => project('workspace: worktree\n'));

const tree = (task: string) => world.path('.forge/worktrees', task);

/** A claim, as options of `dispatch`. */
async function claimed(task = 'build') {
  const { claim_id, run_id } = await claim.run(call, { task });
  return { task, claim: claim_id, run: run_id, phase: 'implement' as const };
}

const manifest = (attempt: string) => world.json('.forge/orchestrator/tasks/build/attempts', attempt, 'manifest.json');

describe('dispatch', () => {
  test('dispatch names the worktree in its answer and in the manifest', async () => {
    const options = await claimed();
    const data = await dispatch.run(call, options);
    expect(data.worktree_path).toBe(tree('build'));
    expect(fs.readFileSync(`${data.worktree_path}/code.txt`, 'utf8')).toBe('one\n');
    expect(manifest(data.attempt_id)).toMatchObject({ worktree_path: tree('build') });
    expect(await dispatch.run(call, options)).toEqual(data);
    expect(world.warnings).toEqual([]);
  });

  test('dispatch makes no worktree when the settings do not ask for one', async () => {
    project('version: 1\n');
    expect(await dispatch.run(call, await claimed())).toMatchObject({ worktree_path: null });
    expect(world.has('.forge/worktrees')).toBe(false);
  });

  test("dispatch starts the worktree with the work of the task's dependencies", async () => {
    const lib = repo.branch('forge/build', { 'lib.txt': 'l' });
    await world.put('build', { state: 'shipped' });
    const { worktree_path } = await dispatch.run(call, await claimed('test'));
    expect(repo.in(String(worktree_path), 'rev-parse', 'HEAD')).toBe(lib);
  });

  test('dispatch goes on with a warning when the plan cannot be read', async () => {
    const options = await claimed();
    world.write('plans/phases.yaml', 'phases: [');
    expect(await dispatch.run(call, options)).toMatchObject({ worktree_path: tree('build') });
    expect(world.warnings).toEqual([expect.stringContaining('phases.yaml')]);
  });

  test('a failed dispatch leaves the claim and no attempt, and may be repeated', async () => {
    const options = await claimed();
    world.write('.forge/worktrees/build/notes.txt', 'mine');
    const before = await world.record('build');
    expect(await code(() => dispatch.run(call, options))).toBe('IO_ERROR');
    expect(await world.record('build')).toEqual(before);
    expect(world.has('.forge/orchestrator/tasks/build/attempts')).toBe(false);
    fs.rmSync(tree('build'), { recursive: true });
    expect(await dispatch.run(call, options)).toMatchObject({ attempt_number: 1, worktree_path: tree('build') });
  });

  test('dispatch without the claim makes no worktree', async () => {
    const options = await claimed();
    await release.run(call, { task: 'build', claim: options.claim });
    await refused(() => dispatch.run(call, options));
    expect(world.has('.forge/worktrees')).toBe(false);
  });

  test('dispatch of a second attempt uses the same worktree', async () => {
    const first = await dispatch.run(call, await claimed());
    fs.writeFileSync(`${first.worktree_path}/half.txt`, 'h');
    await world.put('build', { state: 'awaiting_respawn' });
    const second = await dispatch.run(call, await claimed());
    expect(second.worktree_path).toBe(first.worktree_path);
    expect(fs.existsSync(`${second.worktree_path}/half.txt`)).toBe(true);
  });
});

describe('ensure-worktree', () => {
  test.each(['workspace: worktree\n', 'workspace: none\n'])(
    'ensure-worktree makes a worktree, then finds it, with %s',
    async (settings) => {
      project(settings);
      const made = await ensureWorktree.run(call, { task: 'build' });
      expect(keysOf(made)).toEqual(['task_id', 'worktree_path', 'branch', 'created']);
      expect(made).toEqual({ task_id: 'build', worktree_path: tree('build'), branch: 'forge/build', created: true });
      expect(await ensureWorktree.run(call, { task: 'build' })).toEqual({ ...made, created: false });
    },
  );

  test.each([
    ['bild', 'TASK_NOT_FOUND'],
    ['../up', 'INVALID_ID'],
  ])('ensure-worktree refuses %s: %s', async (task, why) => {
    expect(await code(() => ensureWorktree.run(call, { task }))).toBe(why);
    expect(world.has('.forge/worktrees')).toBe(false);
  });
});

describe('doctor', () => {
  const check = async () => (await doctor.run(call, {})).checks.find(({ name }) => name === 'workspaces');

  test('doctor reports how worktrees are made', async () => {
    expect(await check()).toEqual({
      name: 'workspaces',
      status: 'ok',
      message: `worktrees are made of ${repo.root}, from main`,
      fix: null,
    });
  });

  test.each([
    ['other', 'ok'],
    ['forge/build', 'ok'],
    ['forge', 'fail'],
    ['forge/test/x', 'fail'],
  ])('doctor looks for branches in the way of those of tasks: with %s it says %s', async (name, status) => {
    repo.branch(name, { 'x.txt': 'x' });
    const found = (await doctor.run(call, {})).checks.find((each) => each.name === 'branches');
    expect(found).toMatchObject({ status });
    if (status === 'fail') expect(found?.message).toContain(`the branch ${name} `);
  });

  test('doctor does not run git when the settings want no worktrees', async () => {
    project('version: 1\n');
    expect(await check()).toBeUndefined();
  });

  test.each<[string, () => void, RegExp]>([
    ['no repository', () => fs.rmSync(repo.path('.git'), { recursive: true }), /in no git repository/],
    ['no commit', () => repo.git('update-ref', '-d', 'HEAD'), /nothing is committed/],
    [
      'no base',
      () => world.write('.forge/settings.yaml', 'workspace: worktree\nship: {base: trunk}\n'),
      /no branch trunk/,
    ],
    [
      'no git',
      () => {
        call = { ...call, ctx: { ...call.ctx, env: { PATH: '/nonexistent' } } };
      },
      /git is not installed/,
    ],
  ])('doctor finds %s', async (_what, spoil, message) => {
    spoil();
    expect(await check()).toMatchObject({
      status: 'fail',
      message: expect.stringMatching(message),
      fix: expect.any(String),
    });
  });
});

describe('render-worker-prompt', () => {
  test('render-worker-prompt names the worktree and its branch before it exists, and makes none', async () => {
    const { prompt } = await renderWorkerPrompt.run(call, { task: 'build' });
    expect(prompt).toContain(`- Workspace: \`${tree('build')}\`\n- Branch: \`forge/build\``);
    expect(world.has('.forge/worktrees')).toBe(false);
    await ensureWorktree.run(call, { task: 'build' });
    expect((await renderWorkerPrompt.run(call, { task: 'build' })).prompt).toBe(prompt);
  });
});
