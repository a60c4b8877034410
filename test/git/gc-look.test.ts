/** What gc reads from git, in real repositories: branches and worktrees of tasks, and proofs of merge. */

import fs from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { openSession, type Session } from '../../src/commands/shared/session.ts';
import { type GitLook, lookAtGit, mayHaveTasks, tasksInGit } from '../../src/git/gc-look.ts';
import { ensureWorkspace } from '../../src/git/worktree.ts';
import { planOf, World } from '../support/commands/world.ts';
import { varied } from '../support/faults/knobs.ts';
import { gitCall, repositoryOf } from '../support/git/world.ts';
import { refused } from '../support/refused.ts';
import { Repository } from '../support/repository.ts';

let world: World;
let repo: Repository;

function project(settings = 'version: 1\n'): void {
  world = new World(planOf('build'), settings);
  repo = repositoryOf(world);
}

function session(env: Record<string, string> = {}): Promise<Session> {
  return openSession(gitCall(world, { env }));
}

const look = async (env: Record<string, string> = {}): Promise<GitLook> => lookAtGit(await session(env), repo.root);
const ensure = async (id = 'build') => (await ensureWorkspace(await session(), { id, depends_on: [] })).path;
const tree = (...names: string[]) => repo.path('.forge/worktrees', ...names);

beforeEach(() => project());

describe('empty git look', () => {
  const NOTHING = { branches: [], worktrees: [] };

  test.each<[string, () => void, Record<string, string>]>([
    ['no repository', () => fs.rmSync(repo.path('.git'), { recursive: true }), {}],
    ['no git', () => {}, { PATH: '/nonexistent' }],
    ['no branch and no worktree', () => {}, {}],
  ])('gc sees nothing in git with %s', async (_what, make, env) => {
    make();
    const seen = await look(env);
    expect(seen).toMatchObject(NOTHING);
    expect(await seen.mergedSha('build', null)).toBeNull();
    expect(await seen.mergedSha('build', 'a'.repeat(40))).toBeNull();
  });

  test('gc sees nothing in a repository without a commit', async () => {
    fs.rmSync(repo.path('.git'), { recursive: true });
    repo = new Repository(world.project);
    expect(await look()).toMatchObject(NOTHING);
  });
});

test('a broken repository is an error for gc, not an empty one', async () => {
  repo.write('.git/refs/heads/forge/bad', `${'1'.repeat(40)}\n`);
  expect((await refused(() => look())).code).toBe('IO_ERROR');
});

test('a base that is no branch is reported when something is compared with it', async () => {
  project('ship: {base: trunk}\n');
  expect(await look()).toMatchObject({ branches: [], worktrees: [] });
  repo.branch('forge/lib', { 'lib.txt': 'l' });
  expect((await refused(() => look())).code).toBe('SETTINGS_INVALID');
});

test('reading the repository for gc changes nothing', async () => {
  repo.branch('forge/lib', { 'lib.txt': 'l' });
  repo.commit({ 'more.txt': 'm' });
  await ensure();
  repo.write('half.txt', 'h', tree('build'));
  const before = repo.standing();
  await look();
  expect(repo.standing()).toBe(before);
  expect(fs.readdirSync(tree()).sort()).toEqual(['.gitignore', 'build']);
});

describe('task branches seen by gc', () => {
  const branch = async (name: string) => (await look()).branches.find((each) => each.name === name);

  test('gc sees a task branch with its task, its commit, and whether it is checked out', async () => {
    const lib = repo.branch('forge/lib', { 'lib.txt': 'l' });
    const odd = repo.branch('forge/a%2E.b', { 'odd.txt': 'o' });
    await ensure('build');
    const start = repo.git('rev-parse', 'main');
    expect((await look()).branches).toEqual([
      { name: 'forge/a%2E.b', task_id: 'a..b', sha: odd, has_worktree: false, merged: false },
      { name: 'forge/build', task_id: 'build', sha: start, has_worktree: true, merged: true },
      { name: 'forge/lib', task_id: 'lib', sha: lib, has_worktree: false, merged: false },
    ]);
  });

  test('gc sees the branch and the worktree of a child as those of the child', async () => {
    await ensure('build/files/x:1');
    const child = { name: 'build/files/x:1', branch: 'forge/build+files+x%3A1', path: tree('build+files+x%3A1') };
    expect(await look()).toMatchObject({
      branches: [{ name: child.branch, task_id: child.name, has_worktree: true }],
      worktrees: [child],
    });
  });

  test.each([
    'other',
    'forge/-D',
    'forge/deep/er',
    'forge/a%2Eb',
    'forge/;touch x',
    'forge/$(id)',
    'forge/--exec=id',
    'forge/\u00e9',
  ])('a branch called %s is not a task branch', async (name) => {
    if (/ /.test(name)) return expect(() => repo.git('update-ref', `refs/heads/${name}`, 'main')).toThrow();
    repo.git('update-ref', `refs/heads/${name}`, 'main');
    expect((await look()).branches).toEqual([]);
  });

  test('a symbolic ref is not a task branch', async () => {
    repo.git('symbolic-ref', 'refs/heads/forge/build', 'refs/heads/main');
    expect((await look()).branches).toEqual([]);
  });

  test('a task branch has a worktree when it is checked out anywhere', async () => {
    repo.branch('forge/lib', { 'lib.txt': 'l' });
    repo.git('checkout', '--quiet', 'forge/lib');
    expect(await branch('forge/lib')).toMatchObject({ has_worktree: true });
  });

  test("a task branch has a worktree when the task's worktree has something else checked out", async () => {
    repo.in(await ensure(), 'checkout', '--quiet', '--detach');
    expect(await branch('forge/build')).toMatchObject({ has_worktree: true });
  });

  test('a task branch has a worktree while it is rebased anywhere', async () => {
    repo.branch('forge/lib', { 'code.txt': 'theirs\n' });
    repo.commit({ 'code.txt': 'ours\n' });
    repo.git('worktree', 'add', '--quiet', repo.path('mine'), 'forge/lib');
    expect(() => repo.in(repo.path('mine'), 'rebase', 'main')).toThrow();
    expect(repo.git('worktree', 'list')).toContain('detached');
    expect(await branch('forge/lib')).toMatchObject({ has_worktree: true });
  });
});

describe('merged tasks', () => {
  /** Two commits on the branch of `lib`; main goes on by one of its own. */
  function diverged(): { first: string; last: string } {
    const first = repo.branch('forge/lib', { 'lib.txt': 'one\n' });
    repo.git('checkout', '--quiet', 'forge/lib');
    const last = repo.commit({ 'lib.txt': 'one\ntwo\n', 'b.bin': '\u0000\u0001' });
    repo.git('checkout', '--quiet', 'main');
    repo.commit({ 'more.txt': 'm' });
    return { first, last };
  }

  const proof = async (sha: string | null = null, id = 'lib') => (await look()).mergedSha(id, sha);

  test.each<[string, () => void]>([
    ['by a fast-forward', () => repo.git('reset', '--quiet', '--hard', 'forge/lib')],
    ['by a merge commit', () => repo.git('merge', '--quiet', '--no-ff', '--no-edit', 'forge/lib')],
    ['by cherry-picks', () => repo.git('cherry-pick', 'main..forge/lib')],
    [
      'by a squash',
      () => {
        repo.git('merge', '--squash', 'forge/lib');
        repo.git('commit', '--quiet', '--message', 'lib (#1)');
      },
    ],
  ])('a task merged %s is merged, with or without its branch, and whatever came after', async (_how, merge) => {
    const { last } = diverged();
    merge();
    repo.commit({ 'lib.txt': 'other\n' });
    expect((await look()).branches).toMatchObject([{ task_id: 'lib', sha: last, merged: true }]);
    expect(await proof()).toBe(last);
    expect(await proof(last)).toBe(last);
    repo.git('update-ref', '-d', 'refs/heads/forge/lib');
    expect(await proof()).toBeNull();
    expect(await proof(last)).toBe(last);
  });

  test('a branch without a commit of its own is no proof of merge', async () => {
    await ensure('lib');
    expect(await proof()).toBeNull();
    const sha = repo.commit({ 'lib.txt': 'l' }, tree('lib'));
    repo.git('merge', '--quiet', '--ff-only', 'forge/lib');
    expect(await proof()).toBe(sha);
  });

  test('a squash of a branch that the base was merged into counts as merged', async () => {
    diverged();
    repo.git('checkout', '--quiet', 'forge/lib');
    repo.git('merge', '--quiet', '--no-edit', 'main');
    repo.git('checkout', '--quiet', 'main');
    repo.git('merge', '--squash', 'forge/lib');
    repo.git('commit', '--quiet', '--message', 'lib');
    expect(await proof()).toBe(repo.git('rev-parse', 'forge/lib'));
  });

  test('a task is merged when ship.base has it, whatever is checked out', async () => {
    project('ship: {base: trunk}\n');
    const { last } = diverged();
    repo.git('branch', 'trunk');
    repo.git('merge', '--quiet', '--no-edit', 'forge/lib');
    repo.git('checkout', '--quiet', '--detach');
    expect(await proof()).toBeNull();
    repo.git('branch', '--force', 'trunk', 'main');
    expect(await proof()).toBe(last);
  });

  test('a task is merged when a detached head has it', async () => {
    const { last } = diverged();
    repo.git('checkout', '--quiet', '--detach');
    repo.git('merge', '--quiet', '--no-edit', 'forge/lib');
    expect(await proof()).toBe(last);
  });

  describe('unmerged tasks', () => {
    test.each<[string, () => void]>([
      ['when nothing of it is in the base', () => {}],
      ['when only a part of it is', () => repo.git('cherry-pick', 'forge/lib~1')],
      [
        'when it is there with something else in the same commit',
        () => {
          repo.git('merge', '--squash', 'forge/lib');
          repo.commit({ 'and.txt': 'a' });
        },
      ],
    ])('a task is not merged %s', async (_what, merge) => {
      const { last } = diverged();
      merge();
      expect((await look()).branches).toMatchObject([{ merged: false }]);
      expect(await proof()).toBeNull();
      expect(await proof(last)).toBeNull();
    });

    test('a task is not merged when its branch has gone on after its commit was merged', async () => {
      const { first, last } = diverged();
      repo.git('cherry-pick', first);
      expect(await proof()).toBeNull();
      expect(await proof(first)).toBe(first);
      expect(await proof(last)).toBeNull();
    });

    test('a task is not merged when its branch has a merge with a resolution of its own', async () => {
      repo.branch('forge/lib', { 'code.txt': 'theirs\n' });
      repo.branch('side', { 'code.txt': 'ours\n' });
      repo.git('checkout', '--quiet', 'forge/lib');
      expect(() => repo.git('merge', '--quiet', '--no-edit', 'side')).toThrow();
      repo.commit({ 'code.txt': 'both\n' });
      repo.git('checkout', '--quiet', 'main');
      repo.git('cherry-pick', 'forge/lib^1');
      repo.git('revert', '--no-edit', 'HEAD');
      repo.git('cherry-pick', 'side');
      expect(await proof()).toBeNull();
    });

    test('a task is not merged when it changes nothing or has nothing in common with the base', async () => {
      repo.git('checkout', '--quiet', '-b', 'forge/lib');
      repo.git('commit', '--quiet', '--allow-empty', '--message', 'nothing');
      repo.git('checkout', '--quiet', '--orphan', 'forge/odd');
      repo.commit({ 'odd.txt': 'o' });
      repo.git('checkout', '--quiet', 'main');
      expect(await proof()).toBeNull();
      expect(await proof(null, 'odd')).toBeNull();
    });

    test.each(
      varied(['HEAD', 'main', '--all', '-h', 'refs/heads/main', '', '^main', 'a'.repeat(40), 'A'.repeat(40)], 3),
    )('a task is not merged when its verdict calls its commit %j', async (sha) => {
      diverged();
      repo.git('merge', '--quiet', '--no-edit', 'forge/lib');
      expect(await proof(sha)).toBeNull();
    });
  });
});

describe('worktrees seen by gc', () => {
  const names = async () => (await look()).worktrees.map(({ name, registered }) => [name, registered]);

  test('gc sees worktrees below the worktree root, on a branch or on none', async () => {
    const build = await ensure('build');
    const head = repo.commit({ 'work.txt': 'w' }, build);
    repo.git('worktree', 'add', '--quiet', '--detach', tree('my tree'));
    expect((await look()).worktrees).toEqual([
      { path: build, name: 'build', branch: 'forge/build', head, registered: true },
      { path: tree('my tree'), name: 'my tree', branch: null, head: repo.git('rev-parse', 'main'), registered: true },
    ]);
  });

  test('gc sees worktrees whose folders are gone', async () => {
    fs.rmSync(await ensure('build'), { recursive: true });
    expect(await names()).toEqual([['build', true]]);
  });

  test('gc sees folders that git does not know, but no files, symlinks or folders of forge', async () => {
    await ensure('build');
    fs.mkdirSync(tree('notes/deep'), { recursive: true });
    fs.mkdirSync(tree('.forge-removed-x'));
    fs.writeFileSync(tree('file'), '');
    fs.symlinkSync(repo.root, tree('link'));
    repo.git('worktree', 'add', '--quiet', '--detach', repo.path('elsewhere'));
    repo.git('worktree', 'add', '--quiet', '--detach', tree('build/inner'));
    expect(await names()).toEqual([
      ['build', true],
      ['notes', false],
    ]);
  });

  test('gc never sees the main checkout as a worktree', async () => {
    project('agents: {worktree_root: ..}\n');
    expect((await look()).worktrees.map(({ path }) => path)).not.toContain(repo.root);
  });
});

describe('files of a repository', () => {
  const may = (dir = repo.root) => mayHaveTasks(`${dir}/.git`, 'forge');

  test('a repository without task branches and worktrees has nothing of tasks', () => {
    expect(may()).toBe(false);
    repo.git('branch', 'forget-me-not');
    repo.git('branch', 'feature/forge');
    repo.git('tag', 'forge/a');
    repo.git('pack-refs', '--all');
    expect(may()).toBe(false);
  });

  test.each<[string, () => void]>([
    ['loose', () => {}],
    ['packed', () => repo.git('pack-refs', '--all')],
    [
      'packed, beside others',
      () => {
        repo.git('branch', 'zebra');
        repo.git('pack-refs', '--all', '--prune');
        repo.git('branch', 'loose');
      },
    ],
  ])('a task branch that is %s is found in the files of a repository', (_, pack) => {
    repo.git('branch', 'forge/build');
    pack();
    expect(may()).toBe(true);
    repo.git('branch', '-D', 'forge/build');
    expect(repo.git('for-each-ref', 'refs/heads/forge/')).toBe('');
  });

  test('a worktree is found in the files of the main checkout and in its own', () => {
    repo.git('worktree', 'add', '--quiet', '--detach', repo.path('linked'));
    expect([may(), may(repo.path('linked'))]).toEqual([true, true]);
  });

  test('a repository that cannot be read as files may have anything', () => {
    fs.renameSync(repo.path('.git/refs/heads'), repo.path('.git/refs/other'));
    // As where refs are kept in tables.
    repo.write('.git/refs/heads', 'this repository uses another format\n');
    expect(may()).toBe(true);
    fs.rmSync(repo.path('.git/refs/heads'));
    fs.renameSync(repo.path('.git/refs/other'), repo.path('.git/refs/heads'));
    fs.mkdirSync(repo.path('.git/packed-refs'));
    expect(may()).toBe(true);
  });
});

describe('tasks in git', () => {
  const seen = async (checkout: string | null = repo.root) => tasksInGit(await session(), checkout);
  const found = async () => {
    const { branches, worktrees } = await seen();
    return { branches: [...branches].sort(), worktrees: [...worktrees].sort() };
  };

  test('tasks with a branch, a worktree or a folder in the place of one are known', async () => {
    expect(await found()).toEqual({ branches: [], worktrees: [] });
    await ensure('build');
    repo.branch('forge/lib', { 'lib.txt': 'x' });
    fs.mkdirSync(tree('half'), { recursive: true });
    expect(await found()).toEqual({ branches: ['build', 'lib'], worktrees: ['build', 'half'] });
  });

  test('a folder in the place of a worktree is known without a repository', async () => {
    fs.mkdirSync(tree('half'), { recursive: true });
    expect([...(await seen(null)).worktrees]).toEqual(['half']);
  });

  test('where there may be branches and there is no git, it is an error and not an empty look', async () => {
    repo.branch('forge/lib', { 'lib.txt': 'x' });
    const blind = await session({ PATH: '/nonexistent' });
    expect((await refused(() => tasksInGit(blind, repo.root))).code).toBe('IO_ERROR');
  });
});
