/** The content of a task's worktree: the work of its dependencies, copied files, and what inspectWorkspace reports. */

import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { openSession, type Session } from '../../src/commands/shared/session.ts';
import { inspectWorkspace } from '../../src/git/inspect-worktree.ts';
import { headOf } from '../../src/git/repository.ts';
import { ensureWorkspace, type Workspace } from '../../src/git/worktree.ts';
import { planOf, World } from '../support/commands/world.ts';
import { gitCall } from '../support/git/world.ts';
import { refused } from '../support/refused.ts';
import { GIT_ENV, Repository } from '../support/repository.ts';

let world: World;
let repo: Repository;

/** A repository with one commit, and a project in it. */
function project(settings = 'version: 1\n', prefix = ''): void {
  world = new World(null, null);
  repo = new Repository(world.project);
  repo.write(`${prefix}plans/phases.yaml`, planOf('build'));
  repo.write(`${prefix}.forge/settings.yaml`, settings);
  repo.write(`${prefix}.forge/.gitignore`, '*\n');
  repo.commit({ [`${prefix}code.txt`]: 'one\ntwo\nthree\n', [`${prefix}plans/phases.yaml`]: planOf('build') });
}

function session(env: Record<string, string> = {}, dir = ''): Promise<Session> {
  return openSession(gitCall(world, { env, cwd: repo.path(dir) }));
}

async function ensure(depends_on: string[] = [], dir = ''): Promise<Workspace> {
  return ensureWorkspace(await session({}, dir), { id: 'build', depends_on });
}

const tree = (...names: string[]) => repo.path('.forge/worktrees', ...names);
const read = (...names: string[]) => fs.readFileSync(path.join(...names), 'utf8');
const headIn = (dir: string) => repo.in(dir, 'rev-parse', 'HEAD');

beforeEach(() => project());

describe('branch base', () => {
  test('a task starts at the branch of its only dependency with a branch', async () => {
    const lib = repo.branch('forge/lib', { 'lib.txt': 'l' });
    expect(headIn((await ensure(['none', 'lib'])).path)).toBe(lib);
  });

  test('a task starts at the base when the base has all dependencies', async () => {
    repo.branch('forge/lib', { 'lib.txt': 'l' });
    repo.git('merge', '--quiet', '--no-ff', '--no-edit', 'forge/lib');
    expect(headIn((await ensure(['lib'])).path)).toBe(repo.git('rev-parse', 'main'));
  });

  test('a task starts at the later dependency when it contains the other', async () => {
    repo.branch('forge/lib', { 'lib.txt': 'l' });
    const app = repo.branch('forge/app', { 'app.txt': 'a' }, 'forge/lib');
    expect(headIn((await ensure(['app', 'lib'])).path)).toBe(app);
  });

  test('a task starts at a merge of diverged dependencies, made without a checkout or a git identity', async () => {
    const lib = repo.branch('forge/lib', { 'lib.txt': 'l' });
    const app = repo.branch('forge/a%2E.b', { 'app.txt': 'a' });
    repo.write('code.txt', 'mine\n');
    const { path: at } = await ensure(['lib', 'a..b']);
    expect(fs.readdirSync(at)).toEqual(expect.arrayContaining(['app.txt', 'lib.txt']));
    expect(repo.in(at, 'log', '-1', '--format=%P|%s|%an <%ae>|%cn')).toBe(
      `${lib} ${app}|Merge branch 'forge/a%2E.b' into forge/build|forge <forge@localhost>|forge`,
    );
    expect(repo.git('status', '--porcelain')).toBe(' M code.txt');
    expect(world.warnings).toEqual([]);
  });

  test('the merge of dependencies uses the git identity if there is one', async () => {
    repo.git('config', 'user.name', 'Bea');
    repo.git('config', 'user.email', 'bea@example.org');
    repo.branch('forge/lib', { 'lib.txt': 'l' });
    repo.commit({ 'more.txt': 'm' });
    expect(repo.in((await ensure(['lib'])).path, 'log', '-1', '--format=%an <%ae> %cn')).toBe(
      'Bea <bea@example.org> Bea',
    );
  });

  test('a dependency that conflicts is left out with a warning', async () => {
    repo.branch('forge/lib', { 'code.txt': 'ours\n', 'b c.txt': 'l' });
    repo.branch('forge/odd', { 'code.txt': 'theirs\n' });
    const app = repo.branch('forge/app', { 'app.txt': 'a' });
    const { path: at } = await ensure(['lib', 'odd', 'app']);
    expect(read(at, 'code.txt')).toBe('ours\n');
    expect(repo.in(at, 'rev-parse', 'HEAD^2')).toBe(app);
    expect(world.warnings).toEqual([
      'the worktree of task build starts without the work of odd (branch forge/odd): it conflicts in code.txt',
    ]);
  });

  test('a dependency without a common ancestor is left out', async () => {
    repo.git('checkout', '--quiet', '--orphan', 'forge/lib');
    repo.commit({ 'lib.txt': 'l' });
    repo.git('checkout', '--quiet', 'main');
    expect(headIn((await ensure(['lib'])).path)).toBe(repo.git('rev-parse', 'main'));
    expect(world.warnings).toEqual([expect.stringContaining('unrelated histories')]);
  });

  test('dependencies are not merged by a git that needs a checkout for it', async () => {
    repo.branch('forge/lib', { 'lib.txt': 'l' });
    repo.commit({ 'more.txt': 'm' });
    const real = repo.git('--exec-path');
    repo.write(
      'old/git',
      `#!/bin/sh\ncase "$*" in *" merge-tree "* | *"worktree list"*-z) exit 129;; esac\nexec ${real}/git "$@"\n`,
    );
    fs.chmodSync(repo.path('old/git'), 0o755);
    const old = await session({ PATH: `${repo.path('old')}:${GIT_ENV.PATH}` });
    expect((await ensureWorkspace(old, { id: 'build', depends_on: ['lib'] })).created).toBe(true);
    expect(world.warnings).toEqual([expect.stringContaining('older than 2.38')]);
    expect(await inspectWorkspace(old, 'build', tree('build'))).toMatchObject({ conflicts: null });
  });
});

describe('copied files', () => {
  test('named files are copied with their mode, ignored or not', async () => {
    repo.commit({ '.gitignore': '.env\n', '.npmrc': 'tracked' });
    for (const name of ['.env', '.env.local', 'AGENTS.md', '.claude/agents/one.md', 'notes.txt', 'sub/.env'])
      repo.write(name, name);
    repo.write('.npmrc', 'changed');
    fs.chmodSync(repo.path('.env'), 0o600);
    fs.chmodSync(repo.path('.env.local'), 0o755);
    const { path: at } = await ensure();
    const found = fs.readdirSync(at, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    expect(found.map((entry) => path.relative(at, path.join(entry.parentPath, entry.name))).sort()).toEqual(
      [
        '.git',
        '.gitignore',
        '.npmrc',
        '.env',
        '.env.local',
        '.claude/agents/one.md',
        'AGENTS.md',
        'code.txt',
        'plans/phases.yaml',
      ].sort(),
    );
    expect(read(at, '.npmrc')).toBe('tracked');
    expect(fs.statSync(`${at}/.env`).mode & 0o777).toBe(0o600);
    expect(fs.statSync(`${at}/.env.local`).mode & 0o777).toBe(0o755);
    expect(fs.readdirSync(tree()).sort()).toEqual(['.gitignore', 'build']);
  });

  test('the settings choose the copied files, and nothing of forge or git is copied', async () => {
    project("agents: {worktree_copy: ['**/*.local', '.forge/**', '.git/**', '**']}\n");
    repo.write('.forge/orchestrator/secret.local', 'x');
    repo.write('a/b/c.local', 'c');
    repo.write('odd name\n.local', 'o');
    const { path: at } = await ensure();
    expect(read(at, 'a/b/c.local')).toBe('c');
    expect(read(at, 'odd name\n.local')).toBe('o');
    expect(fs.existsSync(`${at}/.forge`)).toBe(false);
    // Not from its own worktree, over and over.
    expect(fs.readdirSync(at).sort()).toEqual(['.git', 'a', 'code.txt', 'odd name\n.local', 'plans']);
  });

  test('no files are copied when the settings name none', async () => {
    project('agents: {worktree_copy: []}\n');
    repo.write('.env', 'x');
    expect(fs.existsSync(`${(await ensure()).path}/.env`)).toBe(false);
  });

  test('files that appear later are copied later, and never over existing ones', async () => {
    const { path: at } = await ensure();
    repo.write('.env', 'new');
    repo.write('.envrc', 'of the project');
    repo.write('.envrc', 'of the worker', at);
    await ensure();
    expect([read(at, '.env'), read(at, '.envrc')]).toEqual(['new', 'of the worker']);
  });

  test('files are copied into the project folder when that is not the top of the repository', async () => {
    project('version: 1\n', 'apps/one/');
    repo.write('.env', 'of the repository');
    repo.write('apps/one/.env', 'of the project');
    const made = await ensure([], 'apps/one');
    expect(read(made.cwd, '.env')).toBe('of the project');
    expect(fs.existsSync(`${made.path}/.env`)).toBe(false);
  });

  test('files are never copied from or to a symlink', async () => {
    const outside = fs.mkdtempSync(`${repo.root}-outside-`);
    try {
      fs.writeFileSync(`${outside}/secret`, 's');
      fs.symlinkSync(`${outside}/secret`, repo.path('.env'));
      const { path: at } = await ensure();
      expect(fs.lstatSync(`${at}/.env`, { throwIfNoEntry: false })).toBeUndefined();
      fs.rmSync(repo.path('.env'));
      // A worker that puts a link in the way must not have forge write outside of its worktree.
      fs.symlinkSync(outside, `${at}/.claude`);
      fs.symlinkSync(`${outside}/new`, `${at}/AGENTS.md`);
      repo.write('.claude/one.md', 'x');
      repo.write('AGENTS.md', 'x');
      await ensure();
      expect(fs.readdirSync(outside)).toEqual(['secret']);
    } finally {
      fs.rmSync(outside, { recursive: true });
    }
  });

  test.each([['/etc/*'], ['../*'], ['a/../../b']])(
    'copied files cannot be outside of the project: %s',
    async (glob) => {
      world.write('.forge/settings.yaml', `agents:\n  worktree_copy: ['.env', '${glob}']\n`);
      expect(await refused(() => ensure())).toMatchObject({
        code: 'SETTINGS_INVALID',
        problems: [{ message: 'agents.worktree_copy[1]: must name files below the project', place: { line: 2 } }],
      });
    },
  );
});

describe('inspectWorkspace', () => {
  test('inspectWorkspace is null without a complete worktree', async () => {
    expect(await inspectWorkspace(await session(), 'build', tree('build'))).toBeNull();
    const { path: at } = await ensure();
    repo.git('worktree', 'lock', '--reason', 'initializing', at);
    expect(await inspectWorkspace(await session(), 'build', tree('build'))).toBeNull();
    repo.git('worktree', 'unlock', at);
    fs.rmSync(at, { recursive: true });
    expect(await inspectWorkspace(await session(), 'build', tree('build'))).toBeNull();
    // In this folder git would answer for the main checkout.
    repo.write('notes.txt', 'mine', at);
    expect(await inspectWorkspace(await session(), 'build', tree('build'))).toBeNull();
  });

  test('inspectWorkspace reports committed and uncommitted changes and changes nothing', async () => {
    const base = repo.git('rev-parse', 'main');
    repo.write('.env', 'x');
    repo.commit({ '.gitignore': '*.log\n' });
    const { path: at } = await ensure();
    repo.commit({ 'ü x.txt': 'x', 'a.txt': 'a' }, at);
    repo.in(at, 'mv', 'code.txt', 'moved.txt');
    repo.in(at, 'commit', '--quiet', '-m', 'move');
    repo.write('new/one.txt', '1', at);
    repo.write('a.txt', 'changed', at);
    repo.write('x.log', 'ignored', at);
    const before = repo.standing();
    const seen = await inspectWorkspace(await session(), 'build', tree('build'));
    expect(seen).toEqual({
      prefix: '',
      branch: 'forge/build',
      head: headIn(at),
      base: 'main',
      base_sha: repo.git('rev-parse', 'main'),
      files_changed: ['a.txt', 'code.txt', 'moved.txt', 'ü x.txt'],
      conflicts: [],
      uncommitted: ['a.txt', 'new/one.txt'],
      modified: ['a.txt'],
      copied: [],
      own_branch: { name: 'forge/build', sha: headIn(at) },
    });
    expect(seen?.base_sha).not.toBe(base);
    expect(repo.standing()).toBe(before);
  });

  test('inspectWorkspace counts from the merge base and reports conflicts', async () => {
    const { path: at } = await ensure();
    repo.commit({ 'code.txt': 'worker\n', 'b.txt': 'b' }, at);
    repo.commit({ 'code.txt': 'person\n', 'c.txt': 'c' });
    expect(await inspectWorkspace(await session(), 'build', tree('build'))).toMatchObject({
      files_changed: ['b.txt', 'code.txt'],
      conflicts: ['code.txt'],
      uncommitted: [],
    });
  });

  test('inspectWorkspace leaves out what the work has from the branches that it depends on', async () => {
    repo.branch('forge/lib', { 'lib.txt': 'l' });
    repo.branch('forge/app', { 'app.txt': 'a', 'both.txt': 'a' });
    const { path: at } = await ensure(['lib', 'app']);
    const changedFiles = async () =>
      (await inspectWorkspace(await session(), 'build', tree('build'), null, [], ['lib', 'app', 'none']))
        ?.files_changed;
    expect(await changedFiles()).toEqual([]);
    repo.commit({ 'own.txt': 'o', 'both.txt': 'b' }, at);
    expect(await changedFiles()).toEqual(['both.txt', 'own.txt']);
  });

  test("inspectWorkspace reports a detached HEAD, on either side, and the task's branch", async () => {
    const { path: at } = await ensure();
    for (const dir of [repo.root, at]) repo.in(dir, 'checkout', '--quiet', '--detach');
    const sha = headIn(at);
    repo.commit({ 'b.txt': 'b' }, at);
    const own_branch = { name: 'forge/build', sha };
    expect(await inspectWorkspace(await session(), 'build', tree('build'))).toMatchObject({
      branch: null,
      base: null,
      own_branch,
    });
    repo.git('branch', '--delete', '--force', 'forge/build');
    expect(await inspectWorkspace(await session(), 'build', tree('build'))).toMatchObject({
      own_branch: { ...own_branch, sha: null },
    });
  });

  test('inspectWorkspace names files from the top of the repository', async () => {
    project('ship: {base: trunk}\n', 'apps/one/');
    repo.git('branch', 'trunk');
    repo.write('apps/one/.env', 'x');
    const made = await ensure([], 'apps/one');
    repo.commit({ 'top.txt': 't', 'apps/one/in.txt': 'i' }, made.path);
    repo.write('apps/one/new.txt', 'n', made.path);
    expect(await inspectWorkspace(await session({}, 'apps/one'), 'build', made.cwd)).toMatchObject({
      prefix: 'apps/one/',
      base: 'trunk',
      files_changed: ['apps/one/in.txt', 'top.txt'],
      uncommitted: ['apps/one/new.txt'],
    });
  });
});

test('headOf is known for a folder with a commit', async () => {
  const main = repo.git('rev-parse', 'main');
  expect(await headOf(await session(), repo.root)).toEqual({ head: main, branch: 'main' });
  repo.git('checkout', '--quiet', '--detach');
  expect(await headOf(await session(), repo.root)).toEqual({ head: main, branch: null });
  expect(await headOf(await session({ PATH: '/nonexistent' }), repo.root)).toBeNull();
  fs.rmSync(repo.path('.git'), { recursive: true });
  expect(await headOf(await session(), repo.root)).toBeNull();
  new Repository(repo.root);
  expect(await headOf(await session(), repo.root)).toBeNull();
});
