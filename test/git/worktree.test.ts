/** Worktrees of tasks, in real repositories: made once, kept, and never over files of a person. */

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { openSession } from '../../src/commands/shared/session.ts';
import { ensureWorkspace, type Workspace } from '../../src/git/worktree.ts';
import { planOf, World } from '../support/commands/world.ts';
import { varied } from '../support/faults/knobs.ts';
import { gitCall } from '../support/git/world.ts';
import { until } from '../support/processes.ts';
import { refused } from '../support/refused.ts';
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

async function ensure(id = 'build', depends_on: string[] = [], { env = {}, dir = '' } = {}): Promise<Workspace> {
  return ensureWorkspace(await openSession(gitCall(world, { env, cwd: repo.path(dir) })), { id, depends_on });
}

const tree = (...names: string[]) => repo.path('.forge/worktrees', ...names);
const read = (...names: string[]) => fs.readFileSync(path.join(...names), 'utf8');

beforeEach(() => project());

describe('new worktree', () => {
  test('a new worktree is at its place, on its branch, at the commit of the main checkout', async () => {
    const made = await ensure();
    expect(made).toEqual({ path: tree('build'), cwd: tree('build'), branch: 'forge/build', created: true });
    expect(repo.in(made.path, 'rev-parse', '--abbrev-ref', 'HEAD')).toBe('forge/build');
    expect(repo.in(made.path, 'rev-parse', 'HEAD')).toBe(repo.git('rev-parse', 'main'));
    expect(read(made.path, 'code.txt')).toBe('one\n');
    expect(read(repo.path('.git/config'))).not.toContain('[branch');
    expect(fs.readdirSync(tree()).sort()).toEqual(['.gitignore', 'build']);
    expect(repo.git('status', '--porcelain')).toBe('?? plans/');
  });

  test('a worktree is made for a task whose id is not a branch name', async () => {
    const made = await ensure('a..b.lock');
    expect(made).toMatchObject({ path: tree('a..b.lock'), branch: 'forge/a%2E.b%2Elock' });
    expect(repo.in(made.path, 'symbolic-ref', 'HEAD')).toBe('refs/heads/forge/a%2E.b%2Elock');
  });

  test('a worktree is made outside of the project when the settings say so', async () => {
    const outside = fs.mkdtempSync(`${repo.root}-trees-`);
    try {
      project(`agents: {worktree_root: ${outside}/deep}\n`);
      expect(await ensure()).toMatchObject({ path: `${outside}/deep/build` });
    } finally {
      fs.rmSync(outside, { recursive: true });
    }
  });

  test.each(['new', 'begun by a forge that was killed'])(
    'a worktree is made in a folder that no commit can include: %s',
    async (how) => {
      project('agents: {worktree_root: trees}\n');
      if (how !== 'new') repo.write('trees/.gitignore.1.tmp', '');
      await ensure();
      repo.git('add', '--all');
      expect(repo.git('diff', '--cached', '--name-only')).not.toContain('trees');
    },
  );

  test("workers run in the project's folder of the worktree when that is not the top of the repository", async () => {
    project('version: 1\n', 'apps/one/');
    const made = await ensure('build', [], { dir: 'apps/one' });
    const at = repo.path('apps/one/.forge/worktrees/build');
    expect(made).toMatchObject({ path: at, cwd: `${at}/apps/one` });
    expect(read(made.cwd, 'code.txt')).toBe('one\n');
  });

  test("a worktree has the project's folder even when no commit has it", async () => {
    fs.mkdirSync(repo.path('new/.forge'), { recursive: true });
    const made = await ensure('build', [], { dir: 'new' });
    expect(fs.statSync(made.cwd).isDirectory()).toBe(true);
  });

  test('a worktree starts at the branch in ship.base', async () => {
    project('ship: {base: trunk}\n');
    const trunk = repo.branch('trunk', { 'trunk.txt': 't' });
    expect(repo.in((await ensure()).path, 'rev-parse', 'HEAD')).toBe(trunk);
  });

  test('a worktree that a person removed continues from its branch', async () => {
    const { path: first } = await ensure();
    const work = repo.commit({ 'work.txt': 'w' }, first);
    repo.git('worktree', 'remove', first);
    const again = await ensure();
    expect(again.created).toBe(true);
    expect(repo.in(again.path, 'rev-parse', 'HEAD')).toBe(work);
  });

  test.each(
    varied([
      [{ GIT_DIR: '/nowhere', GIT_WORK_TREE: '/nowhere', GIT_INDEX_FILE: '/nowhere/index' }],
      [{ GIT_CONFIG_PARAMETERS: "'core.bare'='true'" }],
    ]),
  )('a worktree is made whatever repository the environment names: %j', async (env) => {
    expect((await ensure('build', [], { env })).created).toBe(true);
  });
});

describe('existing worktree', () => {
  test('a worktree is kept as the last attempt left it', async () => {
    const { path: at } = await ensure();
    repo.commit({ 'work.txt': 'w' }, at);
    repo.write('half.txt', 'h', at);
    const before = repo.standing();
    expect(await ensure()).toMatchObject({ path: at, created: false });
    expect(repo.standing()).toBe(before);
    expect(read(at, 'half.txt')).toBe('h');
    expect(world.warnings).toEqual([]);
  });

  test.each(
    varied([
      ['a detached HEAD', ['--detach']],
      ['another branch', ['-b', 'other']],
    ]),
  )('a worktree is kept with %s', async (_what, how) => {
    const { path: at } = await ensure();
    repo.in(at, 'checkout', '--quiet', ...how);
    expect(await ensure()).toMatchObject({ created: false, branch: 'forge/build' });
    expect(world.warnings).toEqual([]);
  });

  test('a worktree is kept when a person has locked it', async () => {
    const { path: at } = await ensure();
    repo.git('worktree', 'lock', '--reason', 'mine', at);
    expect((await ensure()).created).toBe(false);
  });

  test('concurrent calls make the worktrees of one or several tasks once', async () => {
    const made = await Promise.all([ensure(), ensure(), ensure('one'), ensure('two'), ensure('three')]);
    expect(made.map(({ created }) => created).sort()).toEqual([false, true, true, true, true]);
    expect(fs.readdirSync(tree()).sort()).toEqual(['.gitignore', 'build', 'one', 'three', 'two']);
  });
});

describe('files of people', () => {
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
  ])("%s at the worktree's place is left alone", async (_what, make) => {
    fs.mkdirSync(tree(), { recursive: true });
    make(tree('build'));
    const error = await refusal();
    expect(error).toMatchObject({ code: 'IO_ERROR', message: expect.stringContaining(tree('build')) });
    expect(error.hint).toContain('Move it away');
    expect(fs.lstatSync(tree('build'))).toBeDefined();
  });

  test('a folder in place of a worktree that was removed by hand is left alone', async () => {
    const { path: at } = await ensure();
    fs.rmSync(at, { recursive: true });
    repo.write('notes.txt', 'mine', at);
    expect((await refusal()).code).toBe('IO_ERROR');
    expect(fs.readdirSync(at)).toEqual(['notes.txt']);
  });

  test('a locked worktree whose disk is missing is left alone', async () => {
    const { path: at } = await ensure();
    repo.git('worktree', 'lock', '--reason', 'on a stick', at);
    fs.rmSync(at, { recursive: true });
    expect((await refusal()).message).toContain('on a stick');
  });

  test("a person's folder at the place of an unfinished worktree is left alone", async () => {
    const { path: at } = await ensure();
    repo.git('worktree', 'lock', '--reason', 'initializing', at);
    fs.rmSync(at, { recursive: true });
    repo.write('notes.txt', 'mine', at);
    expect((await refusal()).code).toBe('IO_ERROR');
    expect(fs.readdirSync(at)).toEqual(['notes.txt']);
  });

  test('another worktree that has the branch is left alone', async () => {
    repo.git('worktree', 'add', '--quiet', '-b', 'forge/build', repo.path('mine'));
    expect((await refusal()).message).toBe(
      `the branch of task build, forge/build, is checked out in ${repo.path('mine')}`,
    );
  });

  test.each(['forge', 'forge/build/old'])(
    'a branch that blocks that of a task is left alone and named: %s',
    async (name) => {
      repo.git('branch', name);
      const { code, message, hint } = await refusal();
      expect(code).toBe('NOT_READY');
      expect(message).toContain(`the branch ${name} (refs/heads/${name}) is in the way`);
      expect(hint).toContain(`git branch -m ${name} ${name.replaceAll('/', '-')}-old`);
    },
  );

  test('another prefix makes branches where one blocks the default', async () => {
    project('agents: {branch_prefix: ai/work}\n');
    repo.git('branch', 'forge');
    const { path: at, branch } = await ensure();
    expect([branch, repo.in(at, 'rev-parse', '--abbrev-ref', 'HEAD')]).toEqual(['ai/work/build', 'ai/work/build']);
  });

  test('other worktrees whose folders are gone stay registered', async () => {
    repo.git('worktree', 'add', '--quiet', '-b', 'other', repo.path('mine'));
    fs.rmSync(repo.path('mine'), { recursive: true });
    fs.rmSync((await ensure()).path, { recursive: true });
    expect((await ensure()).created).toBe(true);
    expect(repo.git('worktree', 'list')).toContain(repo.path('mine'));
  });
});

describe('incomplete worktrees', () => {
  test('an empty folder becomes a complete worktree', async () => {
    fs.mkdirSync(tree('build'), { recursive: true });
    expect((await ensure()).created).toBe(true);
  });

  test.each(varied(['missing', 'empty']))('a registered worktree whose folder is %s is made complete', async (how) => {
    const { path: at } = await ensure();
    const work = repo.commit({ 'work.txt': 'w' }, at);
    fs.rmSync(at, { recursive: true });
    if (how === 'empty') fs.mkdirSync(at);
    expect((await ensure()).created).toBe(true);
    expect(repo.in(at, 'rev-parse', 'HEAD')).toBe(work);
  });

  test.each<[string, (at: string) => void]>(
    varied<[string, (at: string) => void]>(
      [
        ['whole', () => {}],
        ['half full', (at) => fs.rmSync(`${at}/code.txt`)],
        ['empty', (at) => fs.readdirSync(at).map((name) => fs.rmSync(`${at}/${name}`))],
        ['missing', (at) => fs.rmSync(at, { recursive: true })],
      ],
      2,
    ),
  )('an unfinished worktree whose folder is %s is made complete', async (_what, spoil) => {
    const { path: at } = await ensure();
    repo.git('worktree', 'lock', '--reason', 'initializing', at);
    spoil(at);
    expect((await ensure()).created).toBe(true);
    expect(read(at, 'code.txt')).toBe('one\n');
    expect(repo.git('worktree', 'list', '--porcelain')).not.toContain('locked');
  });

  test.each(varied(['', 'gitdir: $COMMON/worktrees/build\n', 'gitdir: ../../../.git/worktrees/build\n']))(
    'a folder with only a .git file is made complete: %j',
    async (pointer) => {
      repo.write('.git', pointer.replace('$COMMON', repo.path('.git')), tree('build'));
      expect((await ensure()).created).toBe(true);
      expect(read(tree('build'), 'code.txt')).toBe('one\n');
    },
  );

  test('a registered worktree without files and index is made complete', async () => {
    const { path: at } = await ensure();
    for (const name of fs.readdirSync(at).filter((each) => each !== '.git')) fs.rmSync(`${at}/${name}`);
    fs.rmSync(repo.path('.git/worktrees/build/index'));
    expect((await ensure()).created).toBe(true);
    expect(read(at, 'code.txt')).toBe('one\n');
  });

  test('a worktree whose files a worker removed is kept', async () => {
    const { path: at } = await ensure();
    for (const name of fs.readdirSync(at).filter((each) => each !== '.git')) fs.rmSync(`${at}/${name}`);
    expect((await ensure()).created).toBe(false);
    expect(fs.readdirSync(at)).toEqual(['.git']);
  });

  describe('worktree of a killed forge', () => {
    const began = () => fs.writeFileSync(tree('.forge-began-build'), '');

    test('a worktree whose forge was killed early is made again, since git may have left locks', async () => {
      await ensure();
      began();
      repo.write('.git/worktrees/build/HEAD.lock', '');
      const { path: at, created } = await ensure();
      expect(created).toBe(true);
      expect(repo.commit({ 'work.txt': 'w' }, at)).toBeTruthy();
      expect((await ensure()).created).toBe(false);
    });

    test('a worktree whose forge was killed early is kept when it has changes', async () => {
      const { path: at } = await ensure();
      began();
      repo.write('half.txt', 'h', at);
      expect((await ensure()).created).toBe(false);
      expect(fs.readdirSync(tree()).sort()).toEqual(['.gitignore', 'build']);
    });

    test('files of people are kept although forge was killed', async () => {
      repo.write('notes.txt', 'mine', tree('build'));
      began();
      expect((await refused(() => ensure())).code).toBe('IO_ERROR');
      expect(fs.readdirSync(tree('build'))).toEqual(['notes.txt']);
    });

    test('a worktree whose git failed by itself is not treated as one of a killed forge', async () => {
      repo.git('branch', 'forge');
      await refused(() => ensure());
      expect(fs.readdirSync(tree())).toEqual(['.gitignore']);
    });
  });

  test('a lock of a killed git on the branch is removed', async () => {
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

  test('the folder of a killed git is made complete', async () => {
    process.kill(-(await stuck()), 'SIGKILL');
    expect(repo.git('worktree', 'list', '--porcelain')).toContain('locked initializing');
    expect((await ensure()).created).toBe(true);
    expect(read(tree('build'), 'a.slow')).toBe('slow\n');
    expect(repo.in(tree('build'), 'status', '--porcelain')).toBe('');
  });

  test.runIf(process.platform === 'linux')(
    'a git that goes on although its forge was killed is stopped first',
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

test('a failing hook is reported and does no harm', async () => {
  repo.write('.git/hooks/post-checkout', '#!/bin/sh\necho no >&2\nexit 3\n');
  fs.chmodSync(repo.path('.git/hooks/post-checkout'), 0o755);
  expect((await ensure()).created).toBe(true);
  expect(world.warnings).toEqual([expect.stringMatching(/^making the worktree of task build: .*exit code 3/)]);
  expect((await ensure()).created).toBe(false);
});

describe('missing requirements', () => {
  test('a worktree is refused outside of a repository', async () => {
    fs.rmSync(repo.path('.git'), { recursive: true });
    const error = await refused(() => ensure());
    expect(error).toMatchObject({ code: 'SETTINGS_INVALID', message: expect.stringContaining('not a git repository') });
    expect(error.hint).toMatch(/git init.*workspace: none/);
    expect(fs.existsSync(tree())).toBe(false);
  });

  test('a worktree is refused when git does not trust the owner of the repository', async () => {
    const error = await refused(() => ensure('build', [], { env: { GIT_TEST_ASSUME_DIFFERENT_OWNER: '1' } }));
    expect(error).toMatchObject({ code: 'SETTINGS_INVALID', message: expect.stringContaining('dubious ownership') });
    expect(error.hint).toContain(`safe.directory ${repo.root}`);
  });

  test('a worktree is refused in a repository without a commit', async () => {
    fs.rmSync(repo.path('.git'), { recursive: true });
    repo = new Repository(world.project);
    expect(await refused(() => ensure())).toMatchObject({
      code: 'SETTINGS_INVALID',
      message: expect.stringContaining('nothing is committed'),
    });
  });

  test('a worktree is refused when the base is no branch', async () => {
    project('ship: {base: trunk}\n');
    expect(await refused(() => ensure())).toMatchObject({
      code: 'SETTINGS_INVALID',
      message: 'ship.base: there is no branch trunk',
    });
  });

  test('a worktree is refused without git', async () => {
    expect(await refused(() => ensure('build', [], { env: { PATH: '/nonexistent' } }))).toMatchObject({
      code: 'IO_ERROR',
      message: expect.stringContaining('git is not installed'),
    });
  });
});
