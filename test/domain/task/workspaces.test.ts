/** Branch names, the list of worktrees, and the variables that must not reach git. */

import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { DEFAULT_SETTINGS } from '../../../src/domain/settings/settings.ts';
import {
  branchesInTheWay,
  branchFor,
  GIT_LOCAL_VARIABLES,
  isBranchPrefix,
  parseWorktrees,
  rescueFolder,
  taskOfBranch,
  withoutGitLocals,
} from '../../../src/domain/task/workspaces.ts';
import { isTaskId } from '../../../src/lib/ids.ts';
import fc from '../../support/properties.ts';

const planned = fc.stringMatching(/^[A-Za-z0-9]([a.]|\.lock|[A-Za-z0-9._-]){0,12}$/).filter(isTaskId);
const names = fc.stringMatching(/^[a9]([a.:]|\.lock){0,6}$/);
const children = fc.tuple(planned, names, names).map((parts) => parts.join('/'));
const ids = fc.oneof(planned, children.filter(isTaskId));

describe('branch names', () => {
  test('every task has a branch of its own', () => {
    fc.assert(
      fc.property(ids, ids, (one, other) => {
        expect(branchFor(DEFAULT_SETTINGS, one) === branchFor(DEFAULT_SETTINGS, other)).toBe(one === other);
      }),
    );
  });

  test('a branch name identifies its task', () => {
    fc.assert(
      fc.property(ids, (id) => {
        expect(branchFor(DEFAULT_SETTINGS, id).replaceAll('%2E', '.').replaceAll('%3A', ':').replaceAll('+', '/')).toBe(
          `forge/${id}`,
        );
      }),
    );
  });

  test('the task of a branch name is read back, and other names belong to no task', () => {
    fc.assert(
      fc.property(ids, (id) => {
        expect(taskOfBranch(DEFAULT_SETTINGS, branchFor(DEFAULT_SETTINGS, id))).toBe(id);
      }),
    );
    const names = fc.stringMatching(/^(forge\/)?([a./+]|%3A|%2E|%2e|%25|\.lock|-|~){0,8}$/);
    fc.assert(
      fc.property(names, (name) => {
        const id = taskOfBranch(DEFAULT_SETTINGS, name);
        if (id !== null) expect([isTaskId(id), branchFor(DEFAULT_SETTINGS, id)]).toEqual([true, name]);
      }),
    );
  });

  test.each([
    'main',
    'forge',
    'forge/',
    'build',
    'forge/a/b',
    'forge/a+b',
    'forge/a+/b',
    'forge/a%3Ab',
    'forge/a%2Eb',
    'forge/a%2e',
    'forge/-x',
    'x/forge/a',
  ])('branch %s belongs to no task', (name) => {
    expect(taskOfBranch(DEFAULT_SETTINGS, name)).toBeNull();
  });

  test.each([
    ['build', 'forge/build'],
    ['v1.2_x-3', 'forge/v1.2_x-3'],
    ['a..b', 'forge/a%2E.b'],
    ['a...', 'forge/a%2E%2E%2E'],
    ['a.', 'forge/a%2E'],
    ['a.lock', 'forge/a%2Elock'],
    ['a.LOCK', 'forge/a%2ELOCK'],
    ['a.lock.', 'forge/a.lock%2E'],
    ['a..lock', 'forge/a%2E%2Elock'],
    ['a.locked', 'forge/a.locked'],
    ['a-', 'forge/a-'],
    ['a/f/x', 'forge/a+f+x'],
    ['a/f:1/x..y.', 'forge/a+f%3A1+x%2E.y%2E'],
  ])('the branch of task %s is %s, which git accepts', (id, branch) => {
    expect(branchFor(DEFAULT_SETTINGS, id)).toBe(branch);
    expect(() => execFileSync('git', ['check-ref-format', '--branch', branch], { stdio: 'pipe' })).not.toThrow();
  });

  test('the branch of any task id is a name that git accepts', () => {
    // Some dozen processes; the table above has the hard ones.
    for (const id of fc.sample(ids, { numRuns: 30, seed: 7 }))
      expect(() =>
        execFileSync('git', ['check-ref-format', `refs/heads/${branchFor(DEFAULT_SETTINGS, id)}`]),
      ).not.toThrow();
  });
});

describe('branch prefixes', () => {
  test.each(['forge', 'ai/forge', 'a.b', 'a@b', 'ä', 'a{b', '@@'])(
    'branches may begin with %j, as git has it',
    (prefix) => {
      expect(isBranchPrefix(prefix)).toBe(true);
      expect(() =>
        execFileSync('git', ['check-ref-format', '--branch', `${prefix}/x`], { stdio: 'pipe' }),
      ).not.toThrow();
    },
  );

  test.each([
    '',
    '/',
    'a/',
    '/a',
    'a//b',
    '.a',
    'a/.b',
    'a..b',
    'a.lock',
    'a.',
    'a b',
    'a~',
    'a^',
    'a:',
    'a?',
    'a*',
    'a[',
    'a\\',
    'a@{',
    '-a',
    'a\nb',
  ])('branches may not begin with %j', (prefix) => {
    expect(isBranchPrefix(prefix)).toBe(false);
  });

  test('with another prefix branches are named and found by it', () => {
    const settings = { agents: { branch_prefix: 'ai/work' } };
    expect(branchFor(settings, 'a.lock')).toBe('ai/work/a%2Elock');
    expect(taskOfBranch(settings, 'ai/work/a%2Elock')).toBe('a.lock');
    expect(taskOfBranch(settings, 'forge/a')).toBeNull();
  });

  test('a branch is in the way where it ends in a folder of another, or has it for a folder', () => {
    const names = ['a', 'a/b', 'a/b/c', 'a/b/c/d', 'a/bc', 'ab', 'x'];
    expect(branchesInTheWay(['a/b/c'], names)).toEqual(['a', 'a/b', 'a/b/c/d']);
  });
});

describe('rescue refs', () => {
  test.each([
    ['build', 'refs/forge/rescue/build/'],
    ['a..b.lock', 'refs/forge/rescue/a%2E.b%2Elock/'],
    ['.x', 'refs/forge/rescue/%2Ex/'],
    ['a%2E', 'refs/forge/rescue/a%252E/'],
    ['my tree~1^{}:?*[@{', 'refs/forge/rescue/my%20tree%7E1%5E%7B%7D%3A%3F%2A%5B%40%7B/'],
    ['\u00e9\n', 'refs/forge/rescue/%C3%A9%0A/'],
    ['-d', 'refs/forge/rescue/-d/'],
    ['a+f+x', 'refs/forge/rescue/a+f+x/'],
  ])('the rescue refs of %j are below %s, which git accepts', (name, folder) => {
    expect(rescueFolder(name)).toBe(folder);
    expect(() => execFileSync('git', ['check-ref-format', `${folder}1`], { stdio: 'pipe' })).not.toThrow();
  });

  test('two names never share a folder of rescue refs', () => {
    const names = fc.stringMatching(/^([a.%+]|2B|2E|\.lock|~){1,6}$/);
    fc.assert(
      fc.property(names, names, (one, other) => {
        expect(rescueFolder(one) === rescueFolder(other)).toBe(one === other);
      }),
    );
  });
});

describe('git worktree list', () => {
  const records = [
    ['worktree /repo', 'HEAD aaa', 'branch refs/heads/main'],
    ['worktree /repo/a b', 'HEAD bbb', 'branch refs/heads/forge/a', 'locked initializing'],
    ['worktree /gone', 'HEAD ccc', 'detached', 'locked', 'prunable gitdir file points to non-existent location'],
    ['worktree /bare', 'bare'],
  ];
  const parsed = [
    { path: '/repo', head: 'aaa', branch: 'main', locked: null },
    { path: '/repo/a b', head: 'bbb', branch: 'forge/a', locked: 'initializing' },
    { path: '/gone', head: 'ccc', branch: null, locked: '' },
    { path: '/bare', head: null, branch: null, locked: null },
  ];

  test.each([
    ['NUL', '\0'],
    ['newline', '\n'],
  ])('the list of worktrees is read with a %s after each line', (_what, end) => {
    const text = records.map((lines) => lines.map((line) => line + end).join('') + end).join('');
    expect(parseWorktrees(text)).toEqual(parsed);
  });

  test('a path in the list of worktrees may contain a newline', () => {
    expect(parseWorktrees('worktree /a\nbranch refs/heads/x\0HEAD aaa\0detached\0\0')).toEqual([
      { path: '/a\nbranch refs/heads/x', head: 'aaa', branch: null, locked: null },
    ]);
  });

  test('an empty list of worktrees is read as empty', () => {
    expect(parseWorktrees('')).toEqual([]);
  });
});

describe('environment of git', () => {
  const SETTINGS = ['GIT_CONFIG_PARAMETERS', 'GIT_CONFIG_COUNT'];

  test('the environment loses every variable that git calls local but settings, and no other', () => {
    const local = execFileSync('git', ['rev-parse', '--local-env-vars'], { encoding: 'utf8' }).trim().split('\n');
    const told = local.filter((name) => !SETTINGS.includes(name));
    const env = Object.fromEntries([...told, 'GIT_NAMESPACE', 'PATH', 'GIT_AUTHOR_NAME'].map((name) => [name, 'x']));
    expect(withoutGitLocals(env)).toEqual({ PATH: 'x', GIT_AUTHOR_NAME: 'x' });
    expect(GIT_LOCAL_VARIABLES).toEqual(expect.arrayContaining(told));
  });

  const counted = (key: string) => ({ GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: key, GIT_CONFIG_VALUE_0: 'x' });

  test.each([
    [counted('user.name'), true],
    [{ GIT_CONFIG_PARAMETERS: "'user.name'='x'" }, true],
    [counted('Core.worktree'), false],
    [{ GIT_CONFIG_PARAMETERS: "'user.name'='x' 'core.bare=true'" }, false],
  ])('settings of git in the environment %j are kept, unless they name a repository', (env, kept) => {
    expect(withoutGitLocals({ ...env, PATH: 'x' })).toEqual({ ...(kept ? env : {}), PATH: 'x' });
  });
});
