/** `gc --prune` by the real command: what it prints, and what other commands say of pruned attempts. */

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { orchestrate, project } from '../support/cli.ts';
import { GIT_ENV, Repository } from '../support/repository.ts';

const { PATH: _, ...env } = GIT_ENV;

const TASKS = ['id: build, title: B, run: "echo built"', 'id: test, title: T, run: "exit 3", retry: {max_attempts: 1}'];
const PRUNE = ['gc', '--prune', '--older-than', '0'];

async function ran(tasks: readonly string[] = TASKS): Promise<string> {
  const cwd = project(tasks);
  await orchestrate(['run'], { cwd });
  return cwd;
}

const logFolders = (cwd: string) =>
  readdirSync(join(cwd, '.forge/orchestrator/tasks'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('/logs'),
  );

describe('gc --prune', () => {
  it('shows first what it removes then, by task and in all', async () => {
    const cwd = await ran();
    const line = /^. build {2}shipped \d{4}-\d\d-\d\d: 1 attempt, 3 files, [\d.]+ k?B$/m;
    const preview = await orchestrate([...PRUNE, '--dry-run'], { cwd });
    expect(preview.stdout).toMatch(line);
    expect(preview.stdout).toMatch(/^to be removed: 3 files of 1 task, [\d.]+ k?B$/m);
    expect(logFolders(cwd)).toHaveLength(2);
    const done = await orchestrate(PRUNE, { cwd });
    expect(done.stdout).toMatch(line);
    expect(done.stdout).toMatch(/^removed: 3 files of 1 task, [\d.]+ k?B$/m);
    expect(logFolders(cwd)).toHaveLength(1);
    const again = await orchestrate(PRUNE, { cwd });
    expect({ code: again.code, stdout: again.stdout }).toEqual({
      code: 0,
      stdout: 'nothing is old enough to be removed\n',
    });
  });

  it.each([
    ['retention: {older_than: 0}', /^removed 3 files of 1 old task, [\d.]+ k?B$/m, 1],
    ['retention:\n  failed_older_than: 1h', /^✗ failed/m, 2],
  ])('a run removes at its end what the settings call old: %j', async (settings, said, left) => {
    const cwd = project(TASKS, { '.forge/settings.yaml': settings });
    const { code, stdout } = await orchestrate(['run'], { cwd });
    expect(code).toBe(1);
    expect(stdout).toMatch(said);
    expect(logFolders(cwd)).toHaveLength(left);
  });

  it('by default removes nothing of what has ended lately', async () => {
    const cwd = await ran();
    expect((await orchestrate(['gc', '--prune'], { cwd })).stdout).toBe('nothing is old enough to be removed\n');
    expect(logFolders(cwd)).toHaveLength(2);
  });

  it('exits with 10 under --detailed-exitcode while there is something to remove', async () => {
    const cwd = await ran();
    const dry = [...PRUNE, '--dry-run', '--detailed-exitcode'];
    expect((await orchestrate(dry, { cwd })).code).toBe(10);
    expect((await orchestrate([...PRUNE, '--detailed-exitcode'], { cwd })).code).toBe(0);
    expect((await orchestrate(dry, { cwd })).code).toBe(0);
  });

  it('names at most twenty tasks, and how many more there are', async () => {
    const cwd = await ran(Array.from({ length: 23 }, (_, at) => `id: t${at}, title: T, run: "true"`));
    const { stdout } = await orchestrate(PRUNE, { cwd });
    expect(stdout.match(/^✓ t/gm)).toHaveLength(20);
    expect(stdout).toMatch(/^ {2}and 3 more; --json has all$/m);
    expect(stdout).toMatch(/^removed: 69 files of 23 tasks, /m);
  });

  it('keeps all of a task that has a worktree, then a branch, and says so', async () => {
    const cwd = project([TASKS[0] as string]);
    const repo = new Repository(cwd);
    repo.write('.forge/settings.yaml', 'workspace: worktree\n');
    repo.write('.gitignore', '.forge/\n');
    repo.git('add', '--all');
    repo.git('commit', '--quiet', '--message', 'first');
    await orchestrate(['exec', 'build', '--', 'sh', '-c', 'echo x > x; git add x; git commit -qm x'], { cwd, env });
    await orchestrate(['cancel', 'build'], { cwd, env });
    const kept = async () => (await orchestrate([...PRUNE, '--json'], { cwd, env })).json().data.pruned;
    expect(await kept()).toMatchObject({ tasks: [], kept: [{ task_id: 'build', why: 'it has a worktree' }] });
    expect((await orchestrate(PRUNE, { cwd, env })).stdout).toContain('build  kept: it has a worktree\n');
    repo.git('worktree', 'remove', '--force', '.forge/worktrees/build');
    expect(await kept()).toMatchObject({ tasks: [], kept: [{ task_id: 'build', why: 'it has a branch' }] });
    repo.git('branch', '-D', 'forge/build');
    expect(await kept()).toMatchObject({ tasks: [{ task_id: 'build', state: 'cancelled', files: 1 }], kept: [] });
  });
});

describe('after gc --prune', () => {
  it('logs and show say that the logs were removed, and status and doctor go on as before', async () => {
    const cwd = await ran();
    const before = await orchestrate(['status', '--json'], { cwd });
    await orchestrate(PRUNE, { cwd });
    const shown = await orchestrate(['logs', 'build'], { cwd });
    expect(shown).toMatchObject({ code: 0, stdout: '' });
    expect(shown.stderr).toMatch(/^nothing in .*stderr\.log: its logs were removed by gc --prune [\d.]+s ago\n$/);
    expect((await orchestrate(['logs', 'build', '--json'], { cwd })).json().data).toMatchObject({
      stdout: '',
      pruned_at: expect.stringMatching(/^\d{4}-/),
    });
    expect((await orchestrate(['show', 'build'], { cwd })).stdout).toMatch(
      /^ {6}its logs were removed by gc --prune$/m,
    );
    expect((await orchestrate(['status', '--json'], { cwd })).json().data.tasks).toEqual(before.json().data.tasks);
    expect((await orchestrate(['doctor'], { cwd })).code).toBe(0);
    expect((await orchestrate(['gc', '--dry-run'], { cwd })).stdout).toBe('no divergences found\n');
  });

  it('a pruned task can be retried, and its next attempt has logs', async () => {
    const cwd = await ran();
    await orchestrate([...PRUNE, '--failed-older-than', '0'], { cwd });
    expect(logFolders(cwd)).toEqual([]);
    await orchestrate(['retry', 'test'], { cwd });
    await orchestrate(['run'], { cwd });
    expect(logFolders(cwd)).toHaveLength(1);
    const { attempts } = (await orchestrate(['show', 'test', '--json'], { cwd })).json().data;
    expect(attempts.map(({ pruned_at }: { pruned_at: string | null }) => pruned_at === null)).toEqual([false, true]);
    expect(existsSync(join(cwd, '.forge/orchestrator/.gc.lock'))).toBe(false);
  });
});
