/** After a `git worktree add` that is killed in place of a system call the next call completes the worktree by itself. */

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { expect, test } from 'vitest';
import { openSession } from '../../src/commands/shared/session.ts';
import { ensureWorkspace } from '../../src/git/worktree.ts';
import { planOf, World } from '../support/commands/world.ts';
import { sized } from '../support/faults/knobs.ts';
import { noStrace } from '../support/faults/strace.ts';
import { gitCall, repositoryOf } from '../support/git/world.ts';
import { GIT_ENV, type Repository } from '../support/repository.ts';

/** Calls that change something, or that come right before one that does. */
const CALLS = 'openat,mkdir,rename,unlink,rmdir,link,write';
/** Of the points that are reached, every so manieth is tried. */
const STEP = sized(21, 7, 1);

test.skipIf(noStrace() !== null)(
  'a worktree is made without a person, whatever system call git is killed at',
  async () => {
    const world = new World(planOf('build'), 'version: 1\n');
    const repo = repositoryOf(world, { 'a.txt': 'a', 'b.txt': 'b' });
    const env = await openSession(gitCall(world));
    const place = repo.path('.forge/worktrees/build');
    fs.mkdirSync(repo.path('.forge/worktrees'));
    let killed = 0;
    const began = repo.path('.forge/worktrees/.forge-began-build');
    for (let point = 1; killedAt(repo, place, point); point += STEP) {
      killed++;
      // As its forge does, who is killed with it.
      fs.writeFileSync(began, '');
      await ensureWorkspace(env, { id: 'build', depends_on: [] });
      expect(repo.in(place, 'status', '--porcelain'), `killed at ${point}`).toBe('');
      expect(fs.readdirSync(place).sort(), `killed at ${point}`).toEqual(['.git', 'a.txt', 'b.txt']);
      expect(repo.in(place, 'symbolic-ref', 'HEAD')).toBe('refs/heads/forge/build');
      repo.git('worktree', 'remove', place);
      repo.git('branch', '-D', 'forge/build');
    }
    expect(killed).toBeGreaterThan(sized(2, 7, 50));
    expect(world.warnings).toEqual([]);
  },
  600_000,
);

/** Kills each process of git at its own call of that number; false when git came to its end. */
function killedAt(repo: Repository, place: string, point: number): boolean {
  const inject = `inject=${CALLS}:signal=KILL:when=${point}`;
  const add = ['git', 'worktree', 'add', '--no-track', '-b', 'forge/build', place, 'main'];
  const { status, error } = spawnSync('strace', ['-f', '-o', '/dev/null', '-e', inject, ...add], {
    cwd: repo.root,
    env: GIT_ENV,
  });
  if (error !== undefined) throw error;
  return status !== 0;
}
