/** Removal of branches and worktrees by gc, in real repositories: work is rescued first, also after a kill. */

import fs from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { openSession, type Session } from '../../src/commands/shared/session.ts';
import { pruneBranch, type Removal, removeWorktree } from '../../src/git/gc-look.ts';
import { ensureWorkspace } from '../../src/git/worktree.ts';
import { planOf, World } from '../support/commands/world.ts';
import { varied } from '../support/faults/knobs.ts';
import { gitCall, repositoryOf } from '../support/git/world.ts';
import { refused } from '../support/refused.ts';
import { GIT_ENV, Repository } from '../support/repository.ts';

let world: World;
let repo: Repository;

function project(settings = 'version: 1\n'): void {
  world = new World(planOf('build'), settings);
  repo = repositoryOf(world, { 'code.txt': 'one\n', 'gone.txt': 'g\n', 'kept.txt': 'k\n' });
}

function session(env: Record<string, string> = {}, cwd = repo.root): Promise<Session> {
  return openSession(gitCall(world, { env, cwd }));
}

const tree = (...names: string[]) => repo.path('.forge/worktrees', ...names);
const ensure = async (id = 'build') => (await ensureWorkspace(await session(), { id, depends_on: [] })).path;
const rescues = () => repo.git('for-each-ref', '--format=%(refname)', 'refs/forge').split('\n').filter(Boolean);
const shaOf = (name: string) => repo.git('rev-parse', '--verify', name);
const has = (ref: string) => repo.git('for-each-ref', ref) !== '';
/** What the clock of the tests shows. */
const NOW = '20300101T000000Z';

beforeEach(() => project());

describe('branch removal', () => {
  const prune = async (branch: string, sha = shaOf(`refs/heads/${branch}`), merged = false): Promise<Removal> =>
    pruneBranch(await session(), { branch, sha, merged });

  test('a merged branch is removed without a rescue', async () => {
    repo.branch('forge/lib', { 'lib.txt': 'l' });
    repo.git('merge', '--quiet', '--no-ff', '--no-edit', 'forge/lib');
    expect(await prune('forge/lib', undefined, true)).toEqual({ kind: 'done', rescued: null });
    expect(has('refs/heads/forge/lib')).toBe(false);
    expect(rescues()).toEqual([]);
  });

  test.each([false, true])(
    'a branch whose commit is nowhere else is rescued (merged by its patch: %s)',
    async (merged) => {
      const sha = repo.branch('forge/a%2E.b', { 'lib.txt': 'l' });
      expect(await prune('forge/a%2E.b', sha, merged)).toEqual({
        kind: 'done',
        rescued: `refs/forge/rescue/a%2E.b/${NOW}`,
      });
      expect(has('refs/heads/forge/a%2E.b')).toBe(false);
      expect(shaOf(`refs/forge/rescue/a%2E.b/${NOW}`)).toBe(sha);
      repo.git('branch', 'back', `refs/forge/rescue/a%2E.b/${NOW}`);
      expect(repo.git('show', 'back:lib.txt')).toBe('l');
    },
  );

  test.each<[string, (sha: string) => void, string | null]>([
    ['another branch', (sha) => repo.git('branch', 'other', sha), null],
    ['a tag with a message', (sha) => repo.git('tag', '-m', 'v1', 'v1', sha), null],
    ['a remote', (sha) => repo.git('update-ref', 'refs/remotes/origin/forge/lib', sha), null],
    ['a rescue ref', (sha) => repo.git('update-ref', 'refs/forge/rescue/lib/x', sha), 'refs/forge/rescue/lib/x'],
  ])('a branch needs no rescue when %s has its commit', async (_what, keep, rescued) => {
    keep(repo.branch('forge/lib', { 'lib.txt': 'l' }));
    expect(await prune('forge/lib')).toEqual({ kind: 'done', rescued });
    expect(rescues()).toEqual(rescued === null ? [] : [rescued]);
  });

  test('a symbolic ref to a branch does not count as a rescue', async () => {
    repo.branch('forge/lib', { 'lib.txt': 'l' });
    repo.git('symbolic-ref', 'refs/heads/alias', 'refs/heads/forge/lib');
    expect(await prune('forge/lib')).toMatchObject({ rescued: `refs/forge/rescue/lib/${NOW}` });
  });

  test('a second rescue of a task gets a ref of its own', async () => {
    for (const count of [1, 2, 3]) {
      repo.branch('forge/lib', { 'lib.txt': `${count}` });
      await prune('forge/lib');
    }
    expect(rescues().map((name) => name.split('/').at(-1))).toEqual([NOW, `${NOW}-2`, `${NOW}-3`]);
  });

  test('two branches at one commit are rescued once when both are removed, also concurrently', async () => {
    const sha = repo.branch('forge/one', { 'lib.txt': 'l' });
    repo.git('branch', 'forge/two', sha);
    const results = await Promise.all([prune('forge/one', sha), prune('forge/two', sha), prune('forge/one', sha)]);
    expect(results.filter(({ kind }) => kind === 'done')).toHaveLength(2);
    expect(rescues()).toHaveLength(1);
    expect(repo.git('branch', '--list', 'forge/*')).toBe('');
  });

  describe('branches that stay', () => {
    const stays = async (branch: string, sha: string): Promise<string> => {
      const before = repo.standing();
      const result = await prune(branch, sha);
      expect(repo.standing()).toBe(before);
      return result.kind === 'skipped' ? result.why : '';
    };

    test('a branch stays when it has moved', async () => {
      const sha = repo.branch('forge/lib', { 'lib.txt': 'l' });
      repo.git('branch', '--force', 'forge/lib', 'main');
      expect(await stays('forge/lib', sha)).toBe(`forge/lib is at ${shaOf('main')} by now`);
    });

    test('a branch that is gone is reported', async () => {
      expect(await stays('forge/lib', shaOf('main'))).toBe('there is no branch forge/lib');
    });

    test('a branch stays when it is checked out: here, in its worktree, or elsewhere', async () => {
      const at = await ensure();
      expect(await stays('forge/build', shaOf('forge/build'))).toBe(`forge/build is checked out in ${at}`);
      repo.in(at, 'checkout', '--quiet', '--detach');
      expect(await stays('forge/build', shaOf('forge/build'))).toBe(`the task has a worktree, ${at}`);
      const lib = repo.branch('forge/lib', { 'lib.txt': 'l' });
      repo.git('checkout', '--quiet', 'forge/lib');
      expect(await stays('forge/lib', lib)).toContain('is checked out');
    });

    test('a branch stays while a rebase will return to it', async () => {
      const sha = repo.branch('forge/lib', { 'code.txt': 'theirs\n' });
      repo.commit({ 'code.txt': 'ours\n' });
      repo.git('worktree', 'add', '--quiet', repo.path('mine'), 'forge/lib');
      expect(() => repo.in(repo.path('mine'), 'rebase', 'main')).toThrow();
      expect(await stays('forge/lib', sha)).toContain('not finished');
    });

    test('a branch stays when it is a symbolic ref', async () => {
      repo.git('symbolic-ref', 'refs/heads/forge/lib', 'refs/heads/main');
      expect(await stays('forge/lib', shaOf('main'))).toContain('refs/heads/main');
    });

    test.each(['main', '--all', '-D', 'forge/--x', 'forge/../main', 'forge/a b', 'refs/heads/main', 'forge/;id'])(
      'a branch called %s belongs to no task and stays',
      async (name) => {
        expect(await stays(name, shaOf('main'))).toContain('of no task');
      },
    );

    test.each(['--all', 'main', ''])('a branch stays when its commit is called %j', async (sha) => {
      repo.branch('forge/lib', { 'lib.txt': 'l' });
      expect(await stays('forge/lib', sha)).toContain('by now');
    });

    test.each(varied(['refs/forge', 'refs/forge/rescue']))('a branch stays when %s blocks the rescue', async (ref) => {
      const sha = repo.branch('forge/lib', { 'lib.txt': 'l' });
      repo.git('update-ref', ref, 'main');
      const before = repo.standing();
      expect((await refused(() => prune('forge/lib', sha))).code).toBe('IO_ERROR');
      expect(repo.standing()).toBe(before);
    });
  });

  test('removing a branch finishes the killed removal of its worktree', async () => {
    fs.renameSync(await ensure(), tree('.forge-removed-build'));
    repo.git('worktree', 'prune');
    expect(await prune('forge/build')).toEqual({ kind: 'done', rescued: null });
    expect(fs.readdirSync(tree())).toEqual(['.gitignore']);
  });

  test('a branch is removed although a killed git has left a lock on it', async () => {
    repo.branch('forge/lib', { 'lib.txt': 'l' });
    repo.write('.git/refs/heads/forge/lib.lock', '');
    expect(await prune('forge/lib')).toMatchObject({ kind: 'done' });
    expect(has('refs/heads/forge/lib')).toBe(false);
  });
});

describe('worktree removal', () => {
  interface Seen {
    path: string;
    branch: string | null;
    head: string;
  }

  /** As a look sees it. */
  function seen(path: string): Seen {
    const branch = repo.in(path, 'branch', '--show-current');
    return { path, branch: branch === '' ? null : branch, head: repo.in(path, 'rev-parse', 'HEAD') };
  }

  const remove = async (what: Seen | string, env: Record<string, string> = {}): Promise<Removal> =>
    removeWorktree(await session(env), typeof what === 'string' ? seen(what) : what);

  const isGone = (at: string) => {
    expect(fs.existsSync(at)).toBe(false);
    expect(repo.git('worktree', 'list', '--porcelain')).not.toContain(`worktree ${at}\n`);
    expect(fs.readdirSync(tree())).toEqual(['.gitignore']);
  };

  /** Staged, changed, staged and changed again, new, deleted, and deleted in the index alone. */
  function dirty(at: string): void {
    repo.write('code.txt', 'two\n', at);
    repo.write('staged.txt', 'only staged\n', at);
    repo.write('twice.txt', 'first\n', at);
    repo.in(at, 'add', 'staged.txt', 'twice.txt');
    fs.rmSync(`${at}/staged.txt`);
    repo.write('twice.txt', 'second\n', at);
    repo.write('new/deep é.txt', 'new\n', at);
    fs.symlinkSync('/nowhere', `${at}/link`);
    fs.writeFileSync(`${at}/run.sh`, '#!/bin/sh\n', { mode: 0o755 });
    fs.rmSync(`${at}/gone.txt`);
    repo.in(at, 'rm', '--quiet', '--cached', 'kept.txt');
  }

  const DIRTY = [
    '100644 code.txt',
    '100644 kept.txt',
    '120000 link',
    '100644 new/deep é.txt',
    '100755 run.sh',
    '100644 twice.txt',
  ];
  const listed = (ref: string) =>
    repo
      .git('-c', 'core.quotePath=false', 'ls-tree', '-r', ref)
      .split('\n')
      .map((line) => line.replace(/ blob \S+\t/, ' '));

  test('a worktree without work of its own is removed, and its branch stays', async () => {
    const at = await ensure();
    const sha = repo.commit({ 'work.txt': 'w' }, at);
    expect(await remove(at)).toEqual({ kind: 'done', rescued: null });
    isGone(at);
    expect(shaOf('forge/build')).toBe(sha);
    expect(rescues()).toEqual([]);
  });

  test('a detached worktree at a commit that is nowhere else is rescued', async () => {
    const at = tree('my tree');
    repo.git('worktree', 'add', '--quiet', '--detach', at);
    const sha = repo.commit({ 'work.txt': 'w' }, at);
    fs.writeFileSync(tree('.gitignore'), '*\n');
    const ref = `refs/forge/rescue/my%20tree/${NOW}`;
    expect(await remove(at)).toEqual({ kind: 'done', rescued: ref });
    isGone(at);
    expect(shaOf(ref)).toBe(sha);
  });

  test('uncommitted work is rescued to the last file, and nothing else is changed', async () => {
    const at = await ensure();
    repo.write('code.txt', 'mine\n');
    repo.git('add', 'code.txt');
    dirty(at);
    const main = [repo.git('status', '--porcelain'), repo.git('for-each-ref', 'refs/heads'), shaOf('HEAD')];
    const ref = `refs/forge/rescue/build/${NOW}`;
    expect(await remove(at)).toEqual({ kind: 'done', rescued: ref });
    isGone(at);
    expect(listed(ref)).toEqual(DIRTY);
    expect(repo.git('show', `${ref}:code.txt`)).toBe('two');
    expect(repo.git('show', `${ref}:twice.txt`)).toBe('second');
    expect(repo.git('show', `${ref}:link`)).toBe('/nowhere');
    expect(shaOf(`${ref}^1`)).toBe(shaOf('forge/build'));
    // What was staged and is in no file.
    expect(repo.git('show', `${ref}^2:staged.txt`)).toBe('only staged');
    expect(repo.git('show', `${ref}^2:twice.txt`)).toBe('first');
    expect(repo.git('log', '-1', '--format=%an <%ae> %s', ref)).toBe(
      'forge <forge@localhost> Uncommitted work in worktree build',
    );
    expect([repo.git('status', '--porcelain'), repo.git('for-each-ref', 'refs/heads'), shaOf('HEAD')]).toEqual(main);
  });

  test('worktree removal changes that git was told to ignore are rescued', async () => {
    const at = await ensure();
    repo.in(at, 'update-index', '--assume-unchanged', 'code.txt');
    repo.in(at, 'update-index', '--skip-worktree', 'kept.txt');
    repo.write('code.txt', 'two\n', at);
    repo.write('kept.txt', 'three\n', at);
    const { rescued } = (await remove(at)) as { rescued: string };
    expect(repo.git('show', `${rescued}:code.txt`)).toBe('two');
    expect(repo.git('show', `${rescued}:kept.txt`)).toBe('three');
  });

  test('a worktree is inspected whatever the environment says', async () => {
    const at = await ensure();
    repo.write('new.txt', 'n\n', at);
    const env = { GIT_INDEX_FILE: repo.path('.git/index'), GIT_DIR: '/nowhere', GIT_LITERAL_PATHSPECS: '1' };
    const { rescued } = (await remove(seen(at), env)) as { rescued: string };
    expect(repo.git('show', `${rescued}:new.txt`)).toBe('n');
  });

  test('a worktree whose folder is gone or empty is forgotten, and its commit rescued', async () => {
    for (const how of ['gone', 'empty']) {
      const at = tree(how);
      repo.git('worktree', 'add', '--quiet', '--detach', at);
      repo.commit({ 'work.txt': how }, at);
      const was = seen(at);
      fs.rmSync(at, { recursive: true });
      if (how === 'empty') fs.mkdirSync(at);
      expect(await remove(was)).toEqual({ kind: 'done', rescued: `refs/forge/rescue/${how}/${NOW}` });
      expect(fs.existsSync(at)).toBe(false);
      expect(repo.git('worktree', 'list')).not.toContain(at);
    }
  });

  describe('worktrees with ignored files', () => {
    let at: string;
    beforeEach(async () => {
      repo.commit({ '.gitignore': '.env\nnode_modules/\n*.pyc\ndata/\ntarget\n' });
      repo.write('.env', 'secret\n');
      at = await ensure();
    });

    test('a worktree with copied files is removed, and no secret gets into git', async () => {
      expect(await remove(at)).toEqual({ kind: 'done', rescued: null });
    });

    test('a worktree with files that tools make again is removed', async () => {
      repo.write('node_modules/a/index.js', 'x', at);
      repo.write('pkg/b.pyc', 'x', at);
      repo.write('web/.husky/_/.gitignore', '*', at);
      repo.write('web/.husky/_/pre-commit', 'x', at);
      fs.symlinkSync(repo.root, `${at}/target`);
      expect(await remove(at)).toEqual({ kind: 'done', rescued: null });
      expect(fs.existsSync(repo.path('code.txt'))).toBe(true);
    });

    test.each<[string, string, string]>([
      ['of a person', 'data/result.csv', 'data/result.csv'],
      ['that were copied in and then changed', '.env', '.env'],
    ])('a worktree with ignored files %s stays with everything in it', async (_what, file, named) => {
      repo.write(file, 'work\n', at);
      repo.write('new.txt', 'n\n', at);
      const before = repo.standing();
      expect(await remove(at)).toEqual({
        kind: 'skipped',
        why: `git ignores 1 file in ${at} that would be lost: ${named}`,
      });
      expect(repo.standing()).toBe(before);
      expect(fs.readFileSync(`${at}/${file}`, 'utf8')).toBe('work\n');
      expect(fs.readdirSync(tree()).sort()).toEqual(['.gitignore', 'build']);
    });
  });

  test('a copied file that git does not ignore is not rescued', async () => {
    repo.write('.env', 'secret\n');
    const at = await ensure();
    expect(repo.in(at, 'status', '--porcelain')).toBe('?? .env');
    expect(await remove(at)).toEqual({ kind: 'done', rescued: null });
  });

  describe('worktrees that stay', () => {
    const stays = async (what: Seen): Promise<string> => {
      const before = repo.standing();
      const result = await remove(what);
      expect(repo.standing()).toBe(before);
      expect(rescues()).toEqual([]);
      return result.kind === 'skipped' ? result.why : '';
    };

    test.each<[string, (at: string) => void, string]>([
      ['when it is locked', (at) => repo.git('worktree', 'lock', '--reason', 'mine', at), 'locked: mine'],
      ['when it has gone on', (at) => repo.commit({ 'more.txt': 'm' }, at), 'by now'],
      ['when it has another branch', (at) => repo.in(at, 'checkout', '--quiet', '-b', 'other'), 'by now'],
      ['when it has no branch any more', (at) => repo.in(at, 'checkout', '--quiet', '--detach'), 'by now'],
      ['when git does not know it', (at) => repo.git('worktree', 'move', at, repo.path('mine')), 'knows no worktree'],
      ['with a repository in it', (at) => void new Repository(`${at}/node_modules/x`), 'a repository of its own'],
      [
        'with another worktree in it',
        (at) => repo.git('worktree', 'add', '--quiet', '--detach', `${at}/in/it`),
        'in/it is a repository of its own',
      ],
      [
        'in the middle of a merge',
        (at) => {
          repo.write('code.txt', 'theirs\n');
          repo.git('commit', '--quiet', '--all', '--message', 'theirs');
          repo.git('update-ref', 'refs/heads/theirs', 'HEAD');
          repo.write('code.txt', 'ours\n', at);
          repo.write('.git/info/exclude', '');
          expect(() => repo.in(at, 'merge', '--no-commit', '--no-ff', 'theirs', '--strategy=ours')).not.toThrow();
        },
        'a merge is not finished',
      ],
      [
        'when something else is in its place',
        (at) => {
          fs.rmSync(at, { recursive: true });
          repo.write('notes.txt', 'mine', at);
        },
        'is not the worktree that git knows',
      ],
      [
        'when a symlink is in its place',
        (at) => {
          fs.renameSync(at, repo.path('moved'));
          fs.symlinkSync(repo.path('moved'), at);
        },
        'is not the worktree that git knows',
      ],
    ])('a worktree stays %s', async (_what, change, why) => {
      const at = await ensure();
      const was = seen(at);
      change(at);
      expect(await stays(was)).toContain(why);
    });

    test('a worktree stays when the command runs in it', async () => {
      const at = await ensure();
      const result = await removeWorktree(await session({}, at), seen(at));
      expect(result).toMatchObject({ kind: 'skipped', why: expect.stringContaining('started') });
    });

    test('the main checkout and folders elsewhere are not removed', async () => {
      await ensure();
      repo.git('worktree', 'add', '--quiet', '--detach', repo.path('mine'));
      for (const path of [repo.root, repo.path('mine'), tree('build/..'), tree('..'), tree(), '--force', '']) {
        expect(await stays({ path, branch: null, head: shaOf('main') })).toMatch(/not directly below/);
      }
      project('agents: {worktree_root: ..}\n');
      expect(await stays(seen(repo.root))).toContain('main checkout');
    });

    test.each(varied(['refs/forge', 'refs/forge/rescue', 'refs/forge/rescue/build']))(
      'a worktree stays when %s blocks the rescue',
      async (ref) => {
        const at = await ensure();
        dirty(at);
        repo.git('update-ref', ref, 'main');
        const [before, status] = [repo.standing(), repo.in(at, 'status', '--porcelain')];
        expect((await refused(() => remove(at))).code).toBe('IO_ERROR');
        expect(repo.standing()).toBe(before);
        expect(repo.in(at, 'status', '--porcelain')).toBe(status);
        expect(fs.readdirSync(tree()).sort()).toEqual(['.gitignore', 'build']);
      },
    );

    test('a worktree stays when git cannot read all of it', async () => {
      const at = await ensure();
      repo.commit({ '.gitattributes': '*.odd filter=odd\n' }, at);
      repo.git('config', 'filter.odd.clean', 'false');
      repo.git('config', 'filter.odd.required', 'true');
      repo.write('new.odd', 'n', at);
      expect((await refused(() => remove(at))).code).toBe('IO_ERROR');
      expect(fs.readFileSync(`${at}/new.odd`, 'utf8')).toBe('n');
      expect(rescues()).toEqual([]);
    });

    test('a worktree that git cannot forget is put back', async () => {
      const at = await ensure();
      dirty(at);
      const status = repo.in(at, 'status', '--porcelain');
      const real = repo.git('--exec-path');
      repo.write('odd/git', `#!/bin/sh\ncase "$*" in *"worktree remove"*) exit 9;; esac\nexec ${real}/git "$@"\n`);
      fs.chmodSync(repo.path('odd/git'), 0o755);
      const error = await refused(() => remove(seen(at), { PATH: `${repo.path('odd')}:${GIT_ENV.PATH}` }));
      expect(error.code).toBe('IO_ERROR');
      expect(repo.in(at, 'status', '--porcelain')).toBe(status);
      expect(await remove(at)).toMatchObject({ kind: 'done' });
      expect(rescues()).toHaveLength(1);
    });
  });

  test('worktree removal changes made right after the rescue are rescued again', async () => {
    const at = await ensure();
    repo.write('new.txt', 'one\n', at);
    const real = repo.git('--exec-path');
    const late = `[ -d ${at} ] && case "$*" in *update-ref*) echo late >${at}/late.txt;; esac`;
    repo.write('odd/git', `#!/bin/sh\n${late}\nexec ${real}/git "$@"\n`);
    fs.chmodSync(repo.path('odd/git'), 0o755);
    const result = await remove(seen(at), { PATH: `${repo.path('odd')}:${GIT_ENV.PATH}` });
    const rescued = `refs/forge/rescue/build/${NOW}-2`;
    expect(result).toEqual({ kind: 'done', rescued });
    expect(repo.git('show', `${rescued}:late.txt`)).toBe('late');
    isGone(at);
  });

  test.each([1, 2, 3])('a worktree whose task has begun by look %d of its removal stays as it is', async (look) => {
    const at = await ensure();
    dirty(at);
    const status = repo.in(at, 'status', '--porcelain');
    let looks = 0;
    const begun = async () => {
      if (++looks >= look) throw new Error('it has begun');
    };
    await expect(removeWorktree(await session(), seen(at), begun)).rejects.toThrow('it has begun');
    expect(repo.in(at, 'status', '--porcelain')).toBe(status);
    expect(fs.readdirSync(tree()).sort()).toEqual(['.gitignore', 'build']);
  });

  test.each([1, 2, 3])('a removal that has lost its lock by look %d, as in a pause, removes nothing', async (look) => {
    const at = await ensure();
    dirty(at);
    const status = repo.in(at, 'status', '--porcelain');
    const lock = tree('.forge-lock-build');
    let looks = 0;
    const taken = async () => {
      if (++looks !== look) return;
      fs.renameSync(lock, `${lock}-gone`);
      fs.mkdirSync(lock);
    };
    const why = expect.stringContaining('another process has begun');
    expect(await removeWorktree(await session(), seen(at), taken)).toEqual({ kind: 'skipped', why });
    expect(repo.in(at, 'status', '--porcelain')).toBe(status);
  });

  test('two concurrent removals remove a worktree once', async () => {
    const at = await ensure();
    dirty(at);
    const was = seen(at);
    const results = await Promise.all([remove(was), remove(was)]);
    expect(results.map(({ kind }) => kind).sort()).toEqual(['done', 'skipped']);
    expect(rescues()).toHaveLength(1);
    isGone(at);
  });

  describe('killed worktree removal', () => {
    const away = () => tree('.forge-removed-build');

    test('a worktree is put back when its removal was killed after the move, for gc and for the task', async () => {
      const at = await ensure();
      dirty(at);
      const was = seen(at);
      const status = repo.in(at, 'status', '--porcelain');
      fs.renameSync(at, away());
      await ensure();
      expect(repo.in(at, 'status', '--porcelain')).toContain(status.split('\n')[0]);
      fs.renameSync(at, away());
      expect(await remove(was)).toMatchObject({ kind: 'done', rescued: expect.stringContaining('rescue/build') });
      isGone(at);
    });

    test.each<[string, () => void]>([
      ['after git had forgotten it', () => repo.git('worktree', 'remove', '--force', tree('build'))],
      ['while git forgot it', () => fs.rmSync(repo.path('.git/worktrees/build/HEAD'))],
    ])('a removal that was killed %s is finished', async (_what, forget) => {
      const at = await ensure();
      const was = seen(at);
      fs.renameSync(at, away());
      forget();
      expect(await remove(was)).toMatchObject({ kind: 'skipped' });
      isGone(at);
    });
  });
});
