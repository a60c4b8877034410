/** Locks that a killed git has left in a worktree are removed before the next attempt if no process can hold them. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { claim } from '../../src/commands/claim.ts';
import { dispatch } from '../../src/commands/dispatch.ts';
import { ensureWorktree } from '../../src/commands/ensure-worktree.ts';
import type { VerbInput } from '../../src/commands/registry.ts';
import { release } from '../../src/commands/release.ts';
import type { CommandContext } from '../../src/commands/shared/session.ts';
import { planOf, World } from '../support/commands/world.ts';
import { varied } from '../support/faults/knobs.ts';
import { gitCall, repositoryOf } from '../support/git/world.ts';
import { GIT_ENV, type Repository } from '../support/repository.ts';

let world: World;
let repo: Repository;
let call: CommandContext;
let tree: string;
let lock: string;

beforeEach(() => {
  world = new World(planOf('build'), 'workspace: worktree\n');
  repo = repositoryOf(world);
  call = gitCall(world);
  tree = world.path('.forge/worktrees/build');
  lock = world.path('.git/worktrees/build/index.lock');
});

async function claimed(by = call): Promise<VerbInput<'dispatch'>> {
  const { claim_id, run_id } = await claim.run(by, { task: 'build' });
  return { task: 'build', claim: claim_id, run: run_id, phase: 'implement' };
}

/** Opens an attempt at the task; the one before, if there is one, gives it up first. */
async function attempted(before?: VerbInput<'dispatch'>, by = call): Promise<VerbInput<'dispatch'>> {
  if (before !== undefined) await release.run(by, { task: 'build', claim: before.claim });
  const options = await claimed(by);
  await dispatch.run(by, options);
  return options;
}

/** Kills a `git commit` in the worktree that is about to commit; its index is locked by then. */
function killCommit(): void {
  repo.write('.git/hooks/pre-commit', '#!/bin/sh\nkill -9 $PPID\n');
  fs.chmodSync(repo.path('.git/hooks/pre-commit'), 0o755);
  repo.write('code.txt', 'two\n', tree);
  const args = ['-c', 'user.name=Ann', '-c', 'user.email=ann@example.org', 'commit', '--all', '--message', 'two'];
  const { signal } = spawnSync('git', args, { cwd: tree, env: GIT_ENV });
  expect(signal).toBe('SIGKILL');
  fs.rmSync(repo.path('.git/hooks/pre-commit'));
  expect(() => repo.commit({ 'code.txt': 'two\n' }, tree)).toThrow('index.lock');
}

/** A process that works in `cwd`, with this file open; gone when the test is done. */
function living(cwd: string, file = '/dev/null'): ChildProcess {
  const open = fs.openSync(file, 'r');
  const child = spawn('sleep', ['1000'], { cwd, stdio: [open, 'ignore', 'ignore'] });
  fs.closeSync(open);
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

const MINE = 'if none is running there, remove it';

describe.runIf(process.platform === 'linux')('stale git locks', () => {
  test('an attempt after a killed git commit can commit all that was left', async () => {
    const first = await attempted();
    killCommit();
    await attempted(first);
    expect(world.warnings).toEqual([`removed ${lock}, which a git that was killed has left`]);
    expect(repo.in(tree, 'status', '--porcelain')).toBe(' M code.txt');
    expect(repo.commit({ 'code.txt': 'two\n' }, tree)).toBeTruthy();
  });

  test('a stale lock of a killed checkout is removed', async () => {
    const first = await attempted();
    repo.write('.git/worktrees/build/HEAD.lock', '');
    await attempted(first);
    expect(fs.existsSync(repo.path('.git/worktrees/build/HEAD.lock'))).toBe(false);
  });

  test('a stale lock in the main checkout stays', async () => {
    const first = await attempted();
    for (const name of ['index.lock', 'HEAD.lock', 'refs/heads/forge/build.lock']) repo.write(`.git/${name}`, '');
    await attempted(first);
    for (const name of ['index.lock', 'HEAD.lock', 'refs/heads/forge/build.lock']) {
      expect(fs.existsSync(repo.path('.git', name)), name).toBe(true);
    }
    expect(world.warnings).toEqual([]);
  });

  test.each<[string, () => ChildProcess]>(
    varied(
      [
        ['runs in the worktree', () => living(tree)],
        ['runs in a folder of it', () => living(fs.mkdtempSync(`${tree}/deep-`))],
        ['runs where git keeps it', () => living(path.dirname(lock))],
        ['has a file of it open', () => living('/', `${tree}/code.txt`)],
        ['has the lock itself open', () => living('/', lock)],
      ],
      2,
    ),
  )('a stale lock stays while a process of its owner %s', async (_what, start) => {
    const first = await attempted();
    killCommit();
    const child = start();
    const second = await attempted(first);
    expect(fs.existsSync(lock)).toBe(true);
    expect(world.warnings).toEqual([expect.stringContaining(MINE)]);
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('close', resolve));
    await attempted(second);
    expect(fs.existsSync(lock)).toBe(false);
  });

  test('a stale lock stays when the worktree is not handed to a new attempt', async () => {
    const options = await attempted();
    killCommit();
    await dispatch.run(call, options);
    await ensureWorktree.run(call, { task: 'build' });
    expect(fs.existsSync(lock)).toBe(true);
    expect(world.warnings).toEqual([]);
  });

  test.each(varied(['host', 'boot_id', 'pid_ns']))(
    'a stale lock stays when the last attempt was on another machine, by its %s',
    async (name) => {
      const first = await attempted();
      killCommit();
      const machine = { ...call.ctx.machine(), [name]: 'other' };
      await attempted(first, { ...call, ctx: { ...call.ctx, machine: () => machine } });
      expect(fs.existsSync(lock)).toBe(true);
      expect(world.warnings).toEqual([expect.stringContaining(MINE)]);
    },
  );

  test('a stale lock stays without an earlier attempt', async () => {
    await ensureWorktree.run(call, { task: 'build' });
    killCommit();
    await attempted();
    expect(fs.existsSync(lock)).toBe(true);
    expect(world.warnings).toEqual([expect.stringContaining(MINE)]);
  });
});
