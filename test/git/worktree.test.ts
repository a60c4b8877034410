/** Worktrees of tasks, in real repositories: made once, kept, and never at the cost of what a person made. */

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { openSession } from '../../src/commands/shared/session.ts';
import { ensureWorkspace, type Workspace } from '../../src/git/worktree.ts';
import { planOf, refused, World } from '../support/commands/world.ts';
import { until } from '../support/processes.ts';
import { GIT_ENV, Repository } from '../support/repository.ts';

let world: World;
let repo: Repository;

/** A project below `prefix` in a repository, with one commit. */
function project(settings = 'version: 1\n', prefix = ''): void {
  world = new World(planOf('build'), settings);
  // A repository around the project, where it is in a folder of it.
  repo = new Repository(world.project);
  if (prefix !== '') {
    fs.mkdirSync(repo.path(prefix), { recursive: true });
    for (const name of ['plans', '.forge']) fs.renameSync(repo.path(name), repo.path(prefix, name));
  }
  repo.write(`${prefix}.forge/.gitignore`, '*\n');
  repo.commit({ [`${prefix}code.txt`]: 'one\n' });
}

function ensure(id = 'build', depends_on: string[] = [], { env = {}, dir = '' } = {}): Promise<Workspace> {
  const ctx = { ...world.call.ctx, env: { ...GIT_ENV, ...env }, cwd: repo.path(dir) };
  return ensureWorkspace(openSession({ ...world.call, ctx }), { id, depends_on });
}

const tree = (...names: string[]) => repo.path('.forge/worktrees', ...names);
const read = (...names: string[]) => fs.readFileSync(path.join(...names), 'utf8');

beforeEach(() => project());

describe('a task without a worktree gets one', () => {
  test('at its place, on its branch, at the commit of the main checkout', async () => {
    const made = await ensure();
    expect(made).toEqual({ path: tree('build'), cwd: tree('build'), branch: 'forge/build', created: true });
    expect(repo.in(made.path, 'rev-parse', '--abbrev-ref', 'HEAD')).toBe('forge/build');
    expect(repo.in(made.path, 'rev-parse', 'HEAD')).toBe(repo.git('rev-parse', 'main'));
    expect(read(made.path, 'code.txt')).toBe('one\n');
    expect(read(repo.path('.git/config'))).not.toContain('[branch');
    expect(fs.readdirSync(tree()).sort()).toEqual(['.gitignore', 'build']);
    expect(repo.git('status', '--porcelain')).toBe('?? plans/');
  });

  test('whose id is no name of a branch', async () => {
    const made = await ensure('a..b.lock');
    expect(made).toMatchObject({ path: tree('a..b.lock'), branch: 'forge/a%2E.b%2Elock' });
    expect(repo.in(made.path, 'symbolic-ref', 'HEAD')).toBe('refs/heads/forge/a%2E.b%2Elock');
  });

  test('outside of the project, where the settings say so', async () => {
    const outside = fs.mkdtempSync(`${repo.root}-trees-`);
    try {
      project(`agents: {worktree_root: ${outside}/deep}\n`);
      expect(await ensure()).toMatchObject({ path: `${outside}/deep/build` });
    } finally {
      fs.rmSync(outside, { recursive: true });
    }
  });

  test.each(['new', 'begun by a forge that was killed'])('in a folder that no commit can swallow: %s', async (how) => {
    project('agents: {worktree_root: trees}\n');
    if (how !== 'new') repo.write('trees/.gitignore.1.tmp', '');
    await ensure();
    repo.git('add', '--all');
    expect(repo.git('diff', '--cached', '--name-only')).not.toContain('trees');
  });

  test('of a project in a folder of its repository; workers run in that folder', async () => {
    project('version: 1\n', 'apps/one/');
    const made = await ensure('build', [], { dir: 'apps/one' });
    const at = repo.path('apps/one/.forge/worktrees/build');
    expect(made).toMatchObject({ path: at, cwd: `${at}/apps/one` });
    expect(read(made.cwd, 'code.txt')).toBe('one\n');
  });

  test('also where no commit has the folder of the project', async () => {
    fs.mkdirSync(repo.path('new/.forge'), { recursive: true });
    const made = await ensure('build', [], { dir: 'new' });
    expect(fs.statSync(made.cwd).isDirectory()).toBe(true);
  });

  test('from the branch in ship.base', async () => {
    project('ship: {base: trunk}\n');
    const trunk = repo.branch('trunk', { 'trunk.txt': 't' });
    expect(repo.in((await ensure()).path, 'rev-parse', 'HEAD')).toBe(trunk);
  });

  test('from where it left off, when a person has removed the worktree', async () => {
    const { path: first } = await ensure();
    const work = repo.commit({ 'work.txt': 'w' }, first);
    repo.git('worktree', 'remove', first);
    const again = await ensure();
    expect(again.created).toBe(true);
    expect(repo.in(again.path, 'rev-parse', 'HEAD')).toBe(work);
  });

  test.each([
    [{ GIT_DIR: '/nowhere', GIT_WORK_TREE: '/nowhere', GIT_INDEX_FILE: '/nowhere/index' }],
    [{ GIT_CONFIG_PARAMETERS: "'core.bare'='true'" }],
  ])('whatever the environment would have git look at: %j', async (env) => {
    expect((await ensure('build', [], { env })).created).toBe(true);
  });
});

describe('a worktree that is there', () => {
  test('is kept as the last attempt left it', async () => {
    const { path: at } = await ensure();
    repo.commit({ 'work.txt': 'w' }, at);
    repo.write('half.txt', 'h', at);
    const before = repo.standing();
    expect(await ensure()).toMatchObject({ path: at, created: false });
    expect(repo.standing()).toBe(before);
    expect(read(at, 'half.txt')).toBe('h');
    expect(world.warnings).toEqual([]);
  });

  test.each([
    ['a detached HEAD', ['--detach']],
    ['another branch', ['-b', 'other']],
  ])('is kept with %s', async (_what, how) => {
    const { path: at } = await ensure();
    repo.in(at, 'checkout', '--quiet', ...how);
    expect(await ensure()).toMatchObject({ created: false, branch: 'forge/build' });
    expect(world.warnings).toEqual([]);
  });

  test('is kept when a person has locked it', async () => {
    const { path: at } = await ensure();
    repo.git('worktree', 'lock', '--reason', 'mine', at);
    expect((await ensure()).created).toBe(false);
  });

  test('is made once when two ask at the same moment, and so are those of several tasks', async () => {
    const made = await Promise.all([ensure(), ensure(), ensure('one'), ensure('two'), ensure('three')]);
    expect(made.map(({ created }) => created).sort()).toEqual([false, true, true, true, true]);
    expect(fs.readdirSync(tree()).sort()).toEqual(['.gitignore', 'build', 'one', 'three', 'two']);
  });
});

describe('what a person made is left alone', () => {
  const refusal = async () => {
    const before = repo.standing();
    const error = await refused(() => ensure());
    expect(repo.standing()).toBe(before);
    return error;
  };

  test.each<[string, (place: string) => void]>([
    ['a folder with something in it', (place) => fs.mkdirSync(`${place}/notes`, { recursive: true })],
    ['a file', (place) => fs.writeFileSync(place, 'mine')],
    ['a symlink', (place) => fs.symlinkSync(repo.root, place)],
    ['a symlink that leads nowhere', (place) => fs.symlinkSync('gone', place)],
    ['a repository', (place) => void new Repository(place)],
    [
      'a worktree of another repository',
      (place) => {
        const other = new Repository(`${repo.root}/other`);
        other.commit({ a: '1' });
        other.git('worktree', 'add', '--quiet', place);
      },
    ],
  ])('%s', async (_what, make) => {
    fs.mkdirSync(tree(), { recursive: true });
    make(tree('build'));
    const error = await refusal();
    expect(error).toMatchObject({ code: 'IO_ERROR', message: expect.stringContaining(tree('build')) });
    expect(error.hint).toContain('Move it away');
    expect(fs.lstatSync(tree('build'))).toBeDefined();
  });

  test('a folder in place of a worktree that was removed by hand', async () => {
    const { path: at } = await ensure();
    fs.rmSync(at, { recursive: true });
    repo.write('notes.txt', 'mine', at);
    expect((await refusal()).code).toBe('IO_ERROR');
    expect(fs.readdirSync(at)).toEqual(['notes.txt']);
  });

  test('a locked worktree whose disk is not there', async () => {
    const { path: at } = await ensure();
    repo.git('worktree', 'lock', '--reason', 'on a stick', at);
    fs.rmSync(at, { recursive: true });
    expect((await refusal()).message).toContain('on a stick');
  });

  test('a folder of theirs where git had only begun to make one', async () => {
    const { path: at } = await ensure();
    repo.git('worktree', 'lock', '--reason', 'initializing', at);
    fs.rmSync(at, { recursive: true });
    repo.write('notes.txt', 'mine', at);
    expect((await refusal()).code).toBe('IO_ERROR');
    expect(fs.readdirSync(at)).toEqual(['notes.txt']);
  });

  test('another worktree that has the branch', async () => {
    repo.git('worktree', 'add', '--quiet', '-b', 'forge/build', repo.path('mine'));
    expect((await refusal()).message).toBe(
      `the branch of task build, forge/build, is checked out in ${repo.path('mine')}`,
    );
  });

  test('a branch that keeps git from having those of tasks', async () => {
    repo.git('branch', 'forge');
    expect((await refusal()).hint).toContain('Rename the branch `forge`');
  });

  test('other worktrees whose folders are gone stay registered', async () => {
    repo.git('worktree', 'add', '--quiet', '-b', 'other', repo.path('mine'));
    fs.rmSync(repo.path('mine'), { recursive: true });
    fs.rmSync((await ensure()).path, { recursive: true });
    expect((await ensure()).created).toBe(true);
    expect(repo.git('worktree', 'list')).toContain(repo.path('mine'));
  });
});

describe('what is left of a worktree is made whole', () => {
  test('an empty folder', async () => {
    fs.mkdirSync(tree('build'), { recursive: true });
    expect((await ensure()).created).toBe(true);
  });

  test.each(['missing', 'empty'])('a folder that is %s, of a worktree that git still knows', async (how) => {
    const { path: at } = await ensure();
    const work = repo.commit({ 'work.txt': 'w' }, at);
    fs.rmSync(at, { recursive: true });
    if (how === 'empty') fs.mkdirSync(at);
    expect((await ensure()).created).toBe(true);
    expect(repo.in(at, 'rev-parse', 'HEAD')).toBe(work);
  });

  test.each<[string, (at: string) => void]>([
    ['whole', () => {}],
    ['half full', (at) => fs.rmSync(`${at}/code.txt`)],
    ['empty', (at) => fs.readdirSync(at).map((name) => fs.rmSync(`${at}/${name}`))],
    ['missing', (at) => fs.rmSync(at, { recursive: true })],
  ])('one that git had not finished, and whose folder is %s', async (_what, spoil) => {
    const { path: at } = await ensure();
    repo.git('worktree', 'lock', '--reason', 'initializing', at);
    spoil(at);
    expect((await ensure()).created).toBe(true);
    expect(read(at, 'code.txt')).toBe('one\n');
    expect(repo.git('worktree', 'list', '--porcelain')).not.toContain('locked');
  });

  test.each(['', 'gitdir: $COMMON/worktrees/build\n', 'gitdir: ../../../.git/worktrees/build\n'])(
    'a folder with nothing but a .git file: %j',
    async (pointer) => {
      repo.write('.git', pointer.replace('$COMMON', repo.path('.git')), tree('build'));
      expect((await ensure()).created).toBe(true);
      expect(read(tree('build'), 'code.txt')).toBe('one\n');
    },
  );

  test('a worktree that git knows, with neither files nor an index', async () => {
    const { path: at } = await ensure();
    for (const name of fs.readdirSync(at).filter((each) => each !== '.git')) fs.rmSync(`${at}/${name}`);
    fs.rmSync(repo.path('.git/worktrees/build/index'));
    expect((await ensure()).created).toBe(true);
    expect(read(at, 'code.txt')).toBe('one\n');
  });

  test('but one whose files a worker has removed is kept', async () => {
    const { path: at } = await ensure();
    for (const name of fs.readdirSync(at).filter((each) => each !== '.git')) fs.rmSync(`${at}/${name}`);
    expect((await ensure()).created).toBe(false);
    expect(fs.readdirSync(at)).toEqual(['.git']);
  });

  describe('whose forge was killed before it was sure', () => {
    const began = () => fs.writeFileSync(tree('.forge-began-build'), '');

    test('is made anew: git may have left locks in it', async () => {
      await ensure();
      began();
      repo.write('.git/worktrees/build/HEAD.lock', '');
      const { path: at, created } = await ensure();
      expect(created).toBe(true);
      expect(repo.commit({ 'work.txt': 'w' }, at)).toBeTruthy();
      expect((await ensure()).created).toBe(false);
    });

    test('is kept when somebody has changed something', async () => {
      const { path: at } = await ensure();
      began();
      repo.write('half.txt', 'h', at);
      expect((await ensure()).created).toBe(false);
      expect(fs.readdirSync(tree()).sort()).toEqual(['.gitignore', 'build']);
    });

    test('is still no reason to clear away what a person made', async () => {
      repo.write('notes.txt', 'mine', tree('build'));
      began();
      expect((await refused(() => ensure())).code).toBe('IO_ERROR');
      expect(fs.readdirSync(tree('build'))).toEqual(['notes.txt']);
    });

    test('is not what a git leaves that gave up by itself', async () => {
      repo.git('branch', 'forge');
      await refused(() => ensure());
      expect(fs.readdirSync(tree())).toEqual(['.gitignore']);
    });
  });

  test('a lock that a killed git has left on the branch', async () => {
    repo.write('.git/refs/heads/forge/build.lock', '');
    expect((await ensure()).created).toBe(true);
    expect(fs.existsSync(repo.path('.git/refs/heads/forge/build.lock'))).toBe(false);
  });

  /** A `git worktree add` that stands still in the middle of its checkout, with all that it was given. */
  async function stuck(env: Record<string, string> = {}): Promise<number> {
    repo.commit({ '.gitattributes': '*.slow filter=slow\n', 'a.slow': 'slow\n' });
    repo.git('config', 'filter.slow.smudge', `touch ${repo.path('.git/reached')}; cat ${repo.path('.git/fifo')}`);
    repo.git('-c', 'alias.fifo=!mkfifo .git/fifo', 'fifo');
    const child = spawn('git', ['worktree', 'add', '-b', 'forge/build', tree('build')], {
      cwd: repo.root,
      env: { ...GIT_ENV, ...env },
      stdio: 'ignore',
      detached: true,
    });
    await until('the checkout has begun', () => fs.existsSync(repo.path('.git/reached')));
    repo.git('config', 'filter.slow.smudge', 'cat');
    return child.pid as number;
  }

  test('that of a git which was killed', async () => {
    process.kill(-(await stuck()), 'SIGKILL');
    expect(repo.git('worktree', 'list', '--porcelain')).toContain('locked initializing');
    expect((await ensure()).created).toBe(true);
    expect(read(tree('build'), 'a.slow')).toBe('slow\n');
    expect(repo.in(tree('build'), 'status', '--porcelain')).toBe('');
  });

  test.runIf(process.platform === 'linux')(
    'that of a git which goes on although its forge was killed: it is stopped first',
    async () => {
      const pid = await stuck({ FORGE_MAKES_WORKTREE: tree('build') });
      expect((await ensure()).created).toBe(true);
      await until('git is gone', () => !alive(pid));
      expect(read(tree('build'), 'a.slow')).toBe('slow\n');
    },
  );

  const alive = (pid: number) => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };
});

test('a hook that fails spoils nothing, and is told of', async () => {
  repo.write('.git/hooks/post-checkout', '#!/bin/sh\necho no >&2\nexit 3\n');
  fs.chmodSync(repo.path('.git/hooks/post-checkout'), 0o755);
  expect((await ensure()).created).toBe(true);
  expect(world.warnings).toEqual([expect.stringMatching(/^making the worktree of task build: .*exit code 3/)]);
  expect((await ensure()).created).toBe(false);
});

describe('without what it needs it is refused', () => {
  test('where there is no repository', async () => {
    fs.rmSync(repo.path('.git'), { recursive: true });
    const error = await refused(() => ensure());
    expect(error).toMatchObject({ code: 'SETTINGS_INVALID', message: expect.stringContaining('not a git repository') });
    expect(error.hint).toMatch(/git init.*workspace: none/);
    expect(fs.existsSync(tree())).toBe(false);
  });

  test('where git does not trust the owner of the repository', async () => {
    const error = await refused(() => ensure('build', [], { env: { GIT_TEST_ASSUME_DIFFERENT_OWNER: '1' } }));
    expect(error).toMatchObject({ code: 'SETTINGS_INVALID', message: expect.stringContaining('dubious ownership') });
    expect(error.hint).toContain(`safe.directory ${repo.root}`);
  });

  test('where nothing is committed', async () => {
    fs.rmSync(repo.path('.git'), { recursive: true });
    repo = new Repository(world.project);
    expect(await refused(() => ensure())).toMatchObject({
      code: 'SETTINGS_INVALID',
      message: expect.stringContaining('nothing is committed'),
    });
  });

  test('where the base is no branch', async () => {
    project('ship: {base: trunk}\n');
    expect(await refused(() => ensure())).toMatchObject({
      code: 'SETTINGS_INVALID',
      message: 'ship.base: there is no branch trunk',
    });
  });

  test('where there is no git', async () => {
    expect(await refused(() => ensure('build', [], { env: { PATH: '/nonexistent' } }))).toMatchObject({
      code: 'IO_ERROR',
      message: expect.stringContaining('git is not installed'),
    });
  });
});
