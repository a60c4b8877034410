/** The gc rows that need git, with real repositories, through the verb: what is removed, rescued and kept. */

import fs from 'node:fs';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { claim } from '../../src/commands/claim.ts';
import { dispatch } from '../../src/commands/dispatch.ts';
import { type GcData, type GcInput, gc } from '../../src/commands/gc.ts';
import { type CommandContext, openSession } from '../../src/commands/shared/session.ts';
import { removeShippedWorktrees } from '../../src/commands/shared/shipped-worktrees.ts';
import { orchestrate } from '../support/cli.ts';
import { handLease, handState } from '../support/commands/divergences.ts';
import { code, planOf, shortly, World } from '../support/commands/world.ts';
import { gitCall } from '../support/git/world.ts';
import { refused } from '../support/refused.ts';
import { GIT_ENV, Repository } from '../support/repository.ts';

/** What the clock of the tests shows, as a rescue ref has it. */
const NOW = '20300101T000000Z';
const ORPHANS = { remove_orphan_worktrees: true };

let world: World;
let repo: Repository;
let call: CommandContext;

beforeEach(async () => {
  world = new World(planOf('build', 'other'), 'workspace: worktree\n');
  repo = new Repository(world.project);
  world.write('.git/info/exclude', '/.forge\n/plans\n/*.json\n');
  repo.commit({ 'code.txt': 'one\n' });
  (await world.session()).store.ensureTree();
  call = gitCall(world);
});

const run = (options: GcInput = {}) => gc.run(call, options);
const rescuedBy = ({ applied }: GcData) => applied.map(({ payload }) => (payload as { rescued?: unknown }).rescued);
const tree = (...names: string[]) => world.path('.forge/worktrees', ...names);
const branches = () => repo.git('for-each-ref', '--format=%(refname:short)', 'refs/heads/forge').split('\n');
const shaOf = (name: string) => repo.git('rev-parse', '--verify', name);
const merge = (branch: string) => repo.git('merge', '--quiet', '--no-ff', '--no-edit', branch);

/** A worktree as forge makes it, with a commit of its own and work that is in none. The commit. */
function worktree(name: string): string {
  repo.git('worktree', 'add', '--quiet', '--no-track', '-b', `forge/${name}`, tree(name), 'main');
  const sha = repo.commit({ 'lib.txt': name }, tree(name));
  repo.write('half.txt', 'half', tree(name));
  return sha;
}

/** Everything but git's own folder, in which even a look at what has changed leaves its traces. */
const outsideGit = () => world.footprint().filter((entry) => !entry.startsWith(world.path('.git')));

/** The preview shows `wanted` and changes nothing; it is applied; after that nothing but reports is left. */
async function putRight(wanted: string[], options: GcInput = {}): Promise<GcData> {
  const before = [repo.standing(), outsideGit()];
  const preview = await run({ ...options, dry_run: true });
  expect(shortly(preview.planned)).toEqual(wanted);
  expect(preview.applied).toEqual([]);
  expect([repo.standing(), outsideGit()]).toEqual(before);
  const data = await run(options);
  expect([...data.skipped, ...data.failed]).toEqual([]);
  expect(shortly(data.applied).sort()).toEqual([...wanted].sort());
  expect((await run(options)).planned).toEqual([]);
  return data;
}

/** gc plans and does nothing. */
async function stays(options: GcInput = {}): Promise<GcData> {
  const before = repo.standing();
  const data = await run(options);
  expect([...data.planned, ...data.applied, ...data.failed]).toEqual([]);
  expect(repo.standing()).toBe(before);
  return data;
}

describe('row 9: the branch of a task without a worktree', () => {
  test('gc removes a merged branch without a rescue', async () => {
    repo.branch('forge/build', { 'lib.txt': 'l' });
    merge('forge/build');
    expect(rescuedBy(await putRight(['9 build prune_branch']))).toEqual([null]);
    expect(branches()).toEqual(['']);
    expect(repo.git('for-each-ref', 'refs/forge')).toBe('');
  });

  test('gc removes the branch of a shipped task and rescues its commit', async () => {
    const sha = repo.branch('forge/build', { 'lib.txt': 'l' });
    const { claim, attempt } = await started();
    expect(claim).not.toBe('');
    await world.finish('build', attempt);
    const data = await putRight(['9 build prune_branch']);
    expect(rescuedBy(data)).toEqual([`refs/forge/rescue/build/${NOW}`]);
    expect(shaOf(`refs/forge/rescue/build/${NOW}`)).toBe(sha);
    expect(branches()).toEqual(['']);
    expect((await world.record('build')).state.state).toBe('shipped');
  });

  /** The task in flight, without a worktree. */
  async function started() {
    world.write('.forge/settings.yaml', 'version: 1\n');
    return world.start('build');
  }

  test.each<[string, () => unknown]>([
    ['its work is in no base, and nothing has happened to its task', () => {}],
    ['its task may be claimed again', () => handState(world, 'build', 'awaiting_respawn')],
    ['its task has failed, and its work is in no base', () => handState(world, 'build', 'failed')],
    ['its task is in flight', started],
  ])('gc keeps a branch when %s', async (_what, make) => {
    repo.branch('forge/build', { 'lib.txt': 'l' });
    await make();
    expect((await stays()).reported).toEqual([]);
  });

  test('gc keeps the merged branch of a task in flight', async () => {
    repo.branch('forge/build', { 'lib.txt': 'l' });
    merge('forge/build');
    handState(world, 'build', 'running');
    handLease(world, 'build', { expires_at: '2030-01-01T02:00:00.000Z' });
    await stays();
  });

  test('gc keeps a branch while its worktree exists, also of a shipped task', async () => {
    worktree('build');
    handState(world, 'build', 'shipped');
    await stays(ORPHANS);
    expect(fs.readFileSync(tree('build', 'half.txt'), 'utf8')).toBe('half');
  });

  test('gc removes no branches of people or without a task', async () => {
    for (const name of ['mine', 'forge-lib', 'forge/a/b']) repo.git('branch', name);
    await stays(ORPHANS);
  });
});

describe('row 10: a worktree of no task', () => {
  test('gc reports an orphan worktree and keeps it', async () => {
    worktree('lost');
    fs.mkdirSync(tree('stray'), { recursive: true });
    const before = repo.standing();
    for (let times = 0; times < 2; times++) {
      const { reported } = await stays();
      expect(reported).toMatchObject([
        { row: 10, task_id: 'lost', payload: { kind: 'worktree', path: tree('lost') } },
        { row: 10, task_id: 'stray', payload: { kind: 'worktree', path: tree('stray') } },
      ]);
    }
    expect(repo.standing()).toBe(before);
    expect(fs.readFileSync(tree('lost', 'half.txt'), 'utf8')).toBe('half');
  });

  test('gc removes an orphan worktree on request after a rescue, and keeps folders unknown to git', async () => {
    const sha = worktree('lost');
    fs.mkdirSync(tree('stray'), { recursive: true });
    const data = await putRight(['10 lost remove_worktree'], ORPHANS);
    const [ref] = rescuedBy(data);
    expect(ref).toBe(`refs/forge/rescue/lost/${NOW}`);
    expect(fs.existsSync(tree('lost'))).toBe(false);
    expect(repo.git('show', `${ref}:half.txt`)).toBe('half');
    expect(shaOf(`${ref}^`)).toBe(sha);
    // What is in no base stays on its branch.
    expect(shaOf('forge/lost')).toBe(sha);
    expect(shortly((await stays(ORPHANS)).reported)).toEqual(['10 stray report_orphan']);
  });

  test('one gc removes a worktree and then its branch', async () => {
    repo.git('worktree', 'add', '--quiet', '--no-track', '-b', 'forge/lost', tree('lost'), 'main');
    repo.commit({ 'lib.txt': 'l' }, tree('lost'));
    merge('forge/lost');
    const data = await putRight(['9 lost prune_branch', '10 lost remove_worktree'], ORPHANS);
    expect(shortly(data.applied)).toEqual(['10 lost remove_worktree', '9 lost prune_branch']);
    expect(rescuedBy(data)).toEqual([null, null]);
    expect(branches()).toEqual(['']);
    expect(repo.git('worktree', 'list').split('\n')).toHaveLength(1);
    expect((await stays(ORPHANS)).reported).toEqual([]);
  });

  test('gc --row 9 keeps an orphan worktree', async () => {
    worktree('lost');
    merge('forge/lost');
    await stays({ ...ORPHANS, row: [9], task: ['build'] });
    expect(shortly((await run({ ...ORPHANS, task: ['lost'], dry_run: true })).planned)).toHaveLength(2);
    expect(await code(() => run({ task: ['last'] }))).toBe('TASK_NOT_FOUND');
    expect(shortly((await run({ ...ORPHANS, row: [10] })).applied)).toEqual(['10 lost remove_worktree']);
    expect(shaOf('forge/lost')).not.toBe('');
  });

  test.each<[string, () => void]>([
    ['a plan that cannot be read', () => world.write('plans/phases.yaml', 'phases: [')],
    ['no plan', () => fs.rmSync(world.path('plans'), { recursive: true })],
  ])('a worktree is not an orphan with %s', async (_what, spoil) => {
    worktree('build');
    spoil();
    expect((await stays(ORPHANS)).reported).toEqual([]);
  });
});

describe('between the look and the removal', () => {
  async function meanwhile(act: () => unknown, options: GcInput = {}) {
    const out = world.path('plan.json');
    await run({ ...options, out });
    await act();
    const before = repo.standing();
    const error = await refused(() => run({ plan: out }));
    expect(repo.standing()).toBe(before);
    expect(error.code).toBe('STALE_PLAN');
    return error.details;
  }

  test('a commit on the branch after the plan keeps it', async () => {
    repo.branch('forge/build', { 'lib.txt': 'l' });
    merge('forge/build');
    const details = await meanwhile(() => {
      repo.branch('more', { 'more.txt': 'm' }, 'forge/build');
      repo.git('branch', '--force', 'forge/build', 'more');
    });
    expect(details).toMatchObject({
      skipped: [
        { row: 9, code: 'STATE_VERSION_CONFLICT', why: expect.stringMatching(/^forge\/build is at .* by now$/) },
      ],
    });
  });

  test('a commit in the worktree after the plan keeps it', async () => {
    worktree('lost');
    await meanwhile(() => repo.commit({ 'more.txt': 'm' }, tree('lost')), ORPHANS);
    expect(fs.readFileSync(tree('lost', 'half.txt'), 'utf8')).toBe('half');
  });

  test('a worktree in which a task has begun since the plan stays, with its branch', async () => {
    repo.git('worktree', 'add', '--quiet', '--no-track', '-b', 'forge/lost', tree('lost'), 'main');
    await meanwhile(async () => {
      world.write('plans/phases.yaml', planOf('build', 'other', 'lost'));
      const { claim_id, run_id } = await claim.run(call, { task: 'lost' });
      await dispatch.run(call, { task: 'lost', claim: claim_id, run: run_id, phase: 'implement' });
    }, ORPHANS);
    expect(fs.existsSync(tree('lost', 'code.txt'))).toBe(true);
  });

  test('the worktree of a shipped task that is done again since the plan stays, with its branch', async () => {
    repo.git('worktree', 'add', '--quiet', '--no-track', '-b', 'forge/build', tree('build'), 'main');
    await world.put('build', { state: 'shipped', updated_at: world.at(0) });
    await meanwhile(() => world.put('build', { state: 'running' }), { shipped: true });
    expect(fs.existsSync(tree('build', 'code.txt'))).toBe(true);
  });

  test('a saved plan removes an orphan worktree whose name no task can have', async () => {
    repo.git('worktree', 'add', '--quiet', '--detach', tree('my tree'), 'main');
    const out = world.path('plan.json');
    await run({ ...ORPHANS, out });
    expect(shortly((await run({ plan: out })).applied)).toEqual(['10 my tree remove_worktree']);
    expect([fs.existsSync(tree('my tree')), world.warnings]).toEqual([false, []]);
  });

  test('a gc plan applied twice removes nothing the second time', async () => {
    repo.branch('forge/build', { 'lib.txt': 'l' });
    merge('forge/build');
    const out = world.path('plan.json');
    await run({ out });
    expect(shortly((await run({ plan: out })).applied)).toEqual(['9 build prune_branch']);
    const before = repo.standing();
    expect(await code(() => run({ plan: out }))).toBe('STALE_PLAN');
    expect(repo.standing()).toBe(before);
  });
});

test('gc shows the rescue ref of a removed worktree', async () => {
  worktree('lost');
  handState(world, 'build', 'shipped');
  repo.branch('forge/build', { 'lib.txt': 'l' });
  const options = { cwd: world.project, env: GIT_ENV };
  const preview = await orchestrate(['gc', '--remove-orphan-worktrees', '--dry-run', '--detailed-exitcode'], options);
  expect(preview.code).toBe(10);
  expect(preview.stdout).toMatch(/~ build +prune_branch \(row 9\)[\s\S]*~ lost +remove_worktree \(row 10\)/);
  const { code: exit, stdout } = await orchestrate(['gc', '--remove-orphan-worktrees'], options);
  expect(exit).toBe(0);
  const refs = repo.git('for-each-ref', '--format=%(refname)', 'refs/forge/rescue').split('\n');
  expect(refs).toHaveLength(2);
  for (const ref of refs) expect(stdout.replace(/\s+/g, ' ')).toContain(ref);
  const again = await orchestrate(['gc', '--remove-orphan-worktrees', '--detailed-exitcode'], options);
  expect(again).toMatchObject({ code: 0, stdout: 'no divergences found\n' });
});

describe('worktrees of shipped tasks', () => {
  /** A shipped task with a worktree at its merged branch. */
  async function shippedTask(name: string): Promise<void> {
    worktree(name);
    fs.rmSync(tree(name, 'half.txt'));
    merge(`forge/${name}`);
    await world.put(name, { state: 'shipped', updated_at: world.at(0) });
  }

  test('--shipped removes them with their merged branches, and nothing of other tasks', async () => {
    await shippedTask('build');
    worktree('other');
    await world.put('other', { state: 'reviewed' });
    await stays();
    await putRight(['9 build prune_branch', '10 build remove_worktree'], { shipped: true });
    expect([fs.existsSync(tree('build')), fs.existsSync(tree('other')), branches()]).toEqual([
      false,
      true,
      ['forge/other'],
    ]);
  });

  test('--older-than keeps those that were shipped since', async () => {
    await shippedTask('build');
    await stays({ shipped: true, older_than: '3d' });
    world.wait(3 * 86_400_000);
    expect(shortly((await run({ shipped: true, older_than: '3d' })).applied)).toContain('10 build remove_worktree');
  });

  test.each([
    ['without --shipped', { older_than: '3d' }],
    ['no duration', { shipped: true, older_than: 'soon' }],
    ['a number that has lost its unit', { shipped: true, older_than: '3' }],
    ['the same with --prune', { prune: true, older_than: '90' }],
    ['the same of failed tasks', { prune: true, failed_older_than: '90' }],
  ])('--older-than is refused: %s', async (_, options) => {
    expect(await code(() => run(options))).toBe('INVALID_ARGS');
  });

  test('one with ignored files that would be lost stays, and gc names them', async () => {
    await shippedTask('build');
    repo.write('.git/info/exclude', '/.forge\n/plans\n/*.json\n*.log\n');
    repo.write('run.log', 'mine', tree('build'));
    const { skipped } = await run({ shipped: true });
    expect(skipped[0]?.why).toContain('run.log');
    expect(fs.existsSync(tree('build', 'run.log'))).toBe(true);
  });
});

test.each([
  [
    'stays, with the reason, when something in it is new',
    () => repo.commit({ 'late.txt': 'l' }, tree('build')),
    ['build'],
  ],
  [
    'is not said to stay when another process has removed it',
    () => repo.git('worktree', 'remove', '--force', tree('build')),
    [],
  ],
])('at the end of a run the worktree of a shipped task %s', async (_what, meanwhile, named) => {
  world.write('.forge/settings.yaml', 'workspace: worktree\nworktrees: {keep: 0}\n');
  worktree('build');
  fs.rmSync(tree('build', 'half.txt'));
  merge('forge/build');
  handState(world, 'build', 'shipped');
  const session = await openSession(call);
  const { store } = session;
  const snapshot = store.snapshot.bind(store);
  vi.spyOn(store, 'snapshot').mockImplementation(async (...args) => {
    meanwhile();
    return snapshot(...args);
  });
  await removeShippedWorktrees(session);
  expect(world.warnings.map((warning) => /^the worktree of shipped task (\w+) stays: /.exec(warning)?.[1])).toEqual(
    named,
  );
});
