/** Submodules are there in worktrees, from what the main checkout has, and what they have alone outlives the worktree. */

import fs from 'node:fs';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { openSession } from '../../src/commands/shared/session.ts';
import { freshRecord } from '../../src/domain/task/records.ts';
import { changesIn } from '../../src/git/changes.ts';
import { removeWorktree } from '../../src/git/gc-look.ts';
import { workspaceForNext } from '../../src/git/worktree.ts';
import { planOf, World } from '../support/commands/world.ts';
import { gitCall } from '../support/git/world.ts';
import { Repository } from '../support/repository.ts';

let world: World;
let repo: Repository;
/** What the submodule is cloned from, and what that has as a submodule itself. */
let [lib, inner]: Repository[] = [];

const FILE = ['-c', 'protocol.file.allow=always'];

function another(name: string): Repository {
  const root = `${world.project}-${name}`;
  fs.mkdirSync(root);
  onTestFinished(() => fs.rmSync(root, { recursive: true, force: true }));
  return new Repository(root);
}

beforeEach(() => {
  world = new World(planOf('build'), 'workspace: worktree\n');
  inner = another('inner');
  inner.commit({ 'deep.txt': 'deep\n' });
  lib = another('lib');
  lib.commit({ 'tool.sh': 'one\n' });
  lib.git(...FILE, 'submodule', '--quiet', 'add', inner.root, 'inner');
  lib.git('commit', '--quiet', '--message', 'inner');
  repo = new Repository(world.project);
  repo.write('.forge/.gitignore', '*\n');
  repo.git(...FILE, 'submodule', '--quiet', 'add', lib.root, 'vendor/lib');
  repo.git(...FILE, 'submodule', '--quiet', 'update', '--init', '--recursive');
  repo.git('commit', '--quiet', '--message', 'lib');
});

const opened = () => openSession(gitCall(world));

async function next() {
  const session = await opened();
  const record = freshRecord('build', '2030-01-01T00:00:00.000Z');
  return (await workspaceForNext(session, { id: 'build', depends_on: [] }, record, null)).path;
}

const tool = (at: string) => fs.readFileSync(`${at}/vendor/lib/tool.sh`, 'utf8');

test('a worktree has the submodules of the main checkout and those within them, although their remotes are gone', async () => {
  const url = lib?.root;
  for (const gone of [lib, inner]) fs.renameSync(String(gone?.root), `${gone?.root}-gone`);
  const at = await next();
  for (const gone of [lib, inner]) fs.renameSync(`${gone?.root}-gone`, String(gone?.root));
  expect([tool(at), fs.existsSync(`${at}/vendor/lib/inner/deep.txt`)]).toEqual(['one\n', true]);
  expect(repo.in(`${at}/vendor/lib`, 'remote', 'get-url', 'origin')).toBe(url);
  expect(repo.in(at, 'status', '--porcelain')).toBe('');
  expect(world.warnings).toEqual([]);
});

test('a submodule that a worker has moved stays where it is', async () => {
  const at = await next();
  const moved = repo.commit({ 'tool.sh': 'mine\n' }, `${at}/vendor/lib`);
  await next();
  expect(repo.in(`${at}/vendor/lib`, 'rev-parse', 'HEAD')).toBe(moved);
});

test('a branch that follows its base takes its submodules along', async () => {
  const at = await next();
  repo.commit({ 'tool.sh': 'two\n' }, repo.path('vendor/lib'));
  repo.git('commit', '--quiet', '--all', '--message', 'bump');
  await next();
  expect([tool(at), repo.in(at, 'status', '--porcelain')]).toEqual(['two\n', '']);
});

test('a commit that a worker made in a submodule is there for others, and kept in the main checkout', async () => {
  const at = `${await next()}/vendor/lib`;
  repo.in(at, 'remote', 'remove', 'origin');
  const deep = repo.commit({ 'deep.txt': 'deeper' }, `${at}/inner`);
  repo.in(at, 'add', 'inner');
  const moved = repo.commit({ 'tool.sh': 'mine\n' }, at);
  repo.in(`${at}/../..`, 'commit', '--quiet', '--all', '--message', 'bump');
  repo.git('merge', '--quiet', 'forge/build');
  const record = freshRecord('test', '2030-01-01T00:00:00.000Z');
  const { path: other } = await workspaceForNext(await opened(), { id: 'test', depends_on: [] }, record, null);
  const head = (place: string) => repo.in(place, 'rev-parse', 'HEAD');
  expect([head(`${other}/vendor/lib`), head(`${other}/vendor/lib/inner`)]).toEqual([moved, deep]);
  expect(world.warnings).toEqual([]);
  repo.git('submodule', '--quiet', 'update', '--init', '--recursive');
  expect([head(repo.path('vendor/lib')), head(repo.path('vendor/lib/inner'))]).toEqual([moved, deep]);
});

test.each([
  ['of the submodule, whatever its index says', 'vendor/lib', 'update-index --assume-unchanged tool.sh', 'tool.sh'],
  ['of the submodule within it', 'vendor/lib/inner', 'status', 'deep.txt'],
  ['that the submodule does not have', 'vendor/lib', 'status', 'new.txt'],
])('a change of a file %s is a change of its worktree', async (_, where, git, file) => {
  const at = await next();
  expect(await changesIn(await opened(), at, 'all')).toEqual([]);
  repo.in(`${at}/${where}`, ...git.split(' '));
  fs.writeFileSync(`${at}/${where}/${file}`, 'other\n');
  expect(await changesIn(await opened(), at, 'all')).toEqual([' M vendor/lib']);
});

test('a submodule that is empty in the main checkout stays empty', async () => {
  repo.git('submodule', '--quiet', 'deinit', 'vendor/lib');
  expect(fs.readdirSync(`${await next()}/vendor/lib`)).toEqual([]);
  expect(world.warnings).toEqual([]);
});

test('a submodule that can not be filled is named', async () => {
  // The main checkout has another branch by now, without the submodule and its repository.
  repo.git('branch', 'forge/build');
  repo.git('rm', '--quiet', 'vendor/lib');
  fs.rmSync(repo.path('.git/modules'), { recursive: true });
  fs.rmSync(repo.path('vendor'), { recursive: true, force: true });
  fs.rmSync(String(lib?.root), { recursive: true });
  await next();
  expect(world.warnings).toContainEqual(expect.stringMatching(/^a submodule is empty in .*\/build: vendor\/lib: /));
});

describe('removal of a worktree with submodules', () => {
  const remove = async (at: string) => {
    const head = repo.in(at, 'rev-parse', 'HEAD');
    return removeWorktree(await opened(), { path: at, branch: 'forge/build', head });
  };
  const rescued = (dir: string) =>
    repo.in(dir, 'for-each-ref', '--format=%(refname)', 'refs/forge').split('\n').filter(Boolean);
  const NOW = 'refs/forge/rescue/build/20300101T000000Z';

  test('a worktree whose submodules are as they were is removed without a rescue', async () => {
    const at = await next();
    expect(await remove(at)).toEqual({ kind: 'done', rescued: null });
    expect(fs.existsSync(at)).toBe(false);
    expect(repo.git('worktree', 'list', '--porcelain')).not.toContain('build');
    expect([rescued(repo.path('vendor/lib')), rescued(repo.path('vendor/lib/inner'))]).toEqual([[], []]);
  });

  test("removal of a worktree with submodules commits and files of submodules are kept in the main checkout's, by refs that are named", async () => {
    const at = await next();
    const side = repo.commit({ 'side.txt': 'side\n' }, `${at}/vendor/lib`);
    repo.in(`${at}/vendor/lib`, 'branch', 'side');
    repo.in(`${at}/vendor/lib`, 'reset', '--quiet', '--hard', 'HEAD~1');
    repo.write('inner/deep.txt', 'deeper\n', `${at}/vendor/lib`);
    repo.write('inner/new.txt', 'new\n', `${at}/vendor/lib`);
    repo.in(`${at}/vendor/lib/inner`, 'add', 'new.txt');
    expect(await remove(at)).toEqual({
      kind: 'done',
      rescued: `${NOW} in the submodule vendor/lib, ${NOW} in the submodule vendor/lib/inner`,
    });
    expect(repo.in(repo.path('vendor/lib'), 'rev-parse', NOW)).toBe(side);
    const files = repo.in(repo.path('vendor/lib/inner'), 'grep', '-h', '', NOW);
    expect(files).toBe('deeper\nnew');
    expect(repo.git('status', '--porcelain', '--untracked-files=no')).toBe('');
  });

  test.each<[what: string, spoil: (at: string) => void, why: string]>([
    [
      'ignored files in a submodule',
      (at) => {
        repo.write('.gitignore', 'secret\n', `${at}/vendor/lib`);
        repo.write('secret', 's', `${at}/vendor/lib`);
      },
      'vendor/lib that would be lost: secret',
    ],
    [
      'a merge under way in a submodule',
      (at) => repo.write('MERGE_HEAD', '', moduleOf(at)),
      'submodule vendor/lib is not finished',
    ],
    [
      'a submodule that the main checkout lacks',
      () => repo.git('submodule', '--quiet', 'deinit', '--force', 'vendor/lib'),
      'the main checkout has no submodule vendor/lib',
    ],
    [
      'a repository that is not a submodule',
      (at) => void new Repository(`${at}/own`),
      'own is a repository of its own',
    ],
    [
      'a submodule whose files are gone',
      (at) => repo.in(at, 'submodule', '--quiet', 'deinit', '--force', 'vendor/lib'),
      'is the repository of a submodule without files',
    ],
  ])('a worktree with %s stays, and the reason is named', async (_, spoil, why) => {
    const at = await next();
    spoil(at);
    expect(await remove(at)).toEqual({ kind: 'skipped', why: expect.stringContaining(why) });
    expect(fs.existsSync(`${at}/.git`)).toBe(true);
  });

  const moduleOf = (at: string) => repo.in(`${at}/vendor/lib`, 'rev-parse', '--absolute-git-dir');
});
