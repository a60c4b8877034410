/** `gc --prune` by the real command: what it prints, and what other commands say of pruned attempts. */

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { dataOf, orchestrate, project, within } from '../support/cli.ts';
import { GIT_ENV, Repository } from '../support/repository.ts';

const { PATH: _, ...env } = GIT_ENV;

const TASKS = [
  'id: build, title: B, run: "echo built"',
  'id: test, title: T, run: "echo half; exit 3", retry: {max_attempts: 1}',
];
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
  it('gc --prune shows first what it removes then, by task and in all', async () => {
    const cwd = await ran();
    const line = /^. build {2}shipped \d{4}-\d\d-\d\d: 1 attempt, 2 files, [\d.]+ k?B$/m;
    const preview = await orchestrate([...PRUNE, '--dry-run'], { cwd });
    expect(preview.stdout).toMatch(line);
    expect(preview.stdout).toMatch(/^to be removed: 2 files of 1 task, [\d.]+ k?B$/m);
    expect(logFolders(cwd)).toHaveLength(2);
    const done = await orchestrate(PRUNE, { cwd });
    expect(done.stdout).toMatch(line);
    expect(done.stdout).toMatch(/^removed: 2 files of 1 task, [\d.]+ k?B$/m);
    expect(logFolders(cwd)).toHaveLength(1);
    const again = await orchestrate(PRUNE, { cwd });
    expect({ code: again.code, stdout: again.stdout }).toEqual({
      code: 0,
      stdout: 'nothing is old enough to be removed\n',
    });
  });

  it.each([
    ['retention: {older_than: 0}', /^removed 2 files of 1 old task, [\d.]+ k?B$/m, 1],
    ['retention:\n  failed_older_than: 1h', /^✗ failed/m, 2],
  ])('a run removes at its end what the settings call old: %j', async (settings, said, left) => {
    const cwd = project(TASKS, { '.forge/settings.yaml': settings });
    const { code, stdout } = await orchestrate(['run'], { cwd });
    expect(code).toBe(1);
    expect(stdout).toMatch(said);
    expect(logFolders(cwd)).toHaveLength(left);
  });

  it('gc --prune by default removes nothing of what has ended lately', async () => {
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

  it('gc --prune names at most twenty tasks, and how many more there are', async () => {
    const cwd = await ran(Array.from({ length: 23 }, (_, at) => `id: t${at}, title: T, run: "true"`));
    const { stdout } = await orchestrate(PRUNE, { cwd });
    expect(stdout.match(/^✓ t/gm)).toHaveLength(20);
    expect(stdout).toMatch(/^ {2}and 3 more; --json has all$/m);
    expect(stdout).toMatch(/^removed: 23 files of 23 tasks, /m);
  });

  it('gc --prune keeps all of a task that has a worktree, then a branch, and says so', async () => {
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
    expect(await kept()).toMatchObject({ tasks: [{ task_id: 'build', state: 'cancelled', files: 4 }], kept: [] });
  });
});

const line = (name: string, run: string) => JSON.stringify({ name, run, retry: { max_attempts: 1 } });
const SCRIPT = [
  'test "$FORGE_ATTEMPT_NUMBER" != 1',
  `echo '${line('a', 'echo a')}' > lines`,
  `echo '${line('b', 'exit 3')}' >> lines`,
  '"$FORGE_CLI" orchestrate fan-out files --from lines',
  '"$FORGE_CLI" orchestrate repeat ping --every 1ms --times 2 -- true',
  '"$FORGE_CLI" orchestrate join files --allow-failed',
].join('\n');

it('a task that was tried often loses the attempts that its record does not name, and show says how many', async () => {
  const cwd = project(['id: build, title: B, run: "exit 3", retry: {max_attempts: 8, base: 0}']);
  await orchestrate(['run'], { cwd });
  expect((await orchestrate(['show', 'build'], { cwd })).stdout).not.toContain('removed');
  await orchestrate([...PRUNE, '--failed-older-than', '0'], { cwd });
  const { stdout } = await orchestrate(['show', 'build'], { cwd });
  expect(stdout).toContain('8 attempts\n  3 earlier attempts removed by gc --prune\n   4  ');
  await orchestrate(['retry', 'build'], { cwd });
  await orchestrate(['run'], { cwd });
  expect((await within(['show', 'build'], { cwd })).attempts.at(-1)).toMatchObject({
    attempt_number: 16,
    current: true,
  });
});

describe('a shipped task with children', () => {
  it('a shipped task with children loses them, its ticks and its old versions, still says what came of them, and does not do them again', async () => {
    const cwd = project([`id: all, title: A, run: ${JSON.stringify(SCRIPT)}, retry: {base: 0}`]);
    await orchestrate(['run'], { cwd });
    expect((await within(['steps', 'all', '--ticks'], { cwd })).ticks).toHaveLength(2);
    expect((await orchestrate(PRUNE, { cwd })).stdout).not.toContain('children');
    const { stdout } = await orchestrate([...PRUNE, '--failed-older-than', '0'], { cwd });
    expect(stdout).toMatch(/^✓ all {2}shipped \d{4}-\d\d-\d\d: 0 attempts, 2 children, \d+ files, \d+ kB$/m);
    const tasks = join(cwd, '.forge/orchestrator/tasks');
    expect(readdirSync(tasks)).toEqual(['all']);
    const versions = readdirSync(join(tasks, 'all')).filter((name) => name.startsWith('v0'));
    expect(versions).toHaveLength(1);
    const shown = await orchestrate(['show', 'all'], { cwd });
    expect(shown.stdout).toMatch(/^ {2}files +2 children, done in/m);
    expect(shown.stdout).toMatch(/^ {2}forge\.join\.files +1 of 2 children shipped, done in/m);
    expect(shown.stdout).toMatch(/^ {2}ping +ran 2 times, completed/m);
    expect((await within(['steps', 'all', '--ticks'], { cwd })).ticks).toEqual([]);
    expect((await within(['status'], { cwd })).tasks).toMatchObject([{ task_id: 'all', state: 'shipped' }]);
    expect((await orchestrate(['run'], { cwd })).stdout).toContain('1 shipped');
    expect(readdirSync(tasks)).toEqual(['all']);
    const gone = await orchestrate(['claim', 'all/files/a', '--json'], { cwd });
    expect(gone.json().error.code).toBe('TASK_NOT_FOUND');
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
    expect((await dataOf(cwd, 'status')).tasks).toEqual(before.json().data.tasks);
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
    const { attempts } = await dataOf(cwd, 'show', 'test');
    expect(attempts.map(({ pruned_at }: { pruned_at: string | null }) => pruned_at === null)).toEqual([false, true]);
    expect(existsSync(join(cwd, '.forge/orchestrator/.gc.lock'))).toBe(false);
  });
});
