/** Branches and worktrees of tasks, found in the files of a repository without git. None that git knows is missed. */

import fs from 'node:fs';
import { beforeEach, expect, test } from 'vitest';
import { lookForRepository } from '../../src/git/repository-look.ts';
import { Repository } from '../support/repository.ts';
import { emptyFolder } from '../support/store/tree.ts';

let repo: Repository;
let project: string;
beforeEach(() => {
  repo = new Repository(emptyFolder());
  repo.commit({ 'app/readme': 'r' });
  project = repo.path('app');
});

const look = () => lookForRepository(project);
const nothing = () => ({ top: repo.root, branches: false, worktrees: false });

test('a project in no repository has nothing of tasks', () => {
  expect(lookForRepository(emptyFolder())).toBeNull();
});

test('a repository without task branches has nothing of tasks', () => {
  expect(look()).toEqual(nothing());
  repo.git('branch', 'forget-me-not');
  repo.git('branch', 'feature/forge');
  repo.git('tag', 'forge/a');
  repo.git('pack-refs', '--all');
  expect(look()).toEqual(nothing());
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
])('a task branch that is %s is found', (_, pack) => {
  repo.git('branch', 'forge/build');
  pack();
  expect(look()).toMatchObject({ branches: true, worktrees: false });
  repo.git('branch', '-D', 'forge/build');
  expect(repo.git('for-each-ref', 'refs/heads/forge/')).toBe('');
});

test('a worktree is found from the main checkout and from itself', () => {
  repo.git('worktree', 'add', '--quiet', '--detach', repo.path('linked'));
  expect(look()).toMatchObject({ branches: false, worktrees: true });
  expect(lookForRepository(repo.path('linked', 'app'))).toMatchObject({
    top: repo.path('linked'),
    branches: true,
    worktrees: true,
  });
});

test('a repository that cannot be read as files may have anything', () => {
  fs.renameSync(repo.path('.git/refs/heads'), repo.path('.git/refs/other'));
  // As where refs are kept in tables.
  repo.write('.git/refs/heads', 'this repository uses another format\n');
  expect(look()).toMatchObject({ branches: true });
  fs.rmSync(repo.path('.git/refs/heads'));
  fs.renameSync(repo.path('.git/refs/other'), repo.path('.git/refs/heads'));
  fs.mkdirSync(repo.path('.git/packed-refs'));
  expect(look()).toMatchObject({ branches: true });
});
