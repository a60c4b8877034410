/** `ensure-worktree` by the real command: from any folder, concurrently, and after a kill. */

import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { folder, orchestrate, project, startCli } from '../support/cli.ts';
import { varied } from '../support/faults/knobs.ts';
import { killGroup, until } from '../support/processes.ts';
import { GIT_ENV, Repository } from '../support/repository.ts';

const { PATH: _, ...env } = GIT_ENV;

/** A repository with a project at its top, or in a folder of it. */
function repository(prefix = '', settings = 'workspace: worktree\n'): { repo: Repository; at: string } {
  const at = project(['id: build, title: B, run: "true"', 'id: test, title: T, run: "true"'], {
    '.forge/settings.yaml': settings,
  });
  const root = prefix === '' ? at : folder();
  if (prefix !== '') {
    fs.mkdirSync(path.dirname(path.join(root, prefix)), { recursive: true });
    fs.cpSync(at, path.join(root, prefix), { recursive: true });
  }
  const repo = new Repository(root);
  repo.git('add', '--all');
  repo.git('commit', '--quiet', '--message', 'first');
  return { repo, at: path.join(root, prefix) };
}

const ensure = (cwd: string, task = 'build', more: string[] = []) =>
  orchestrate(['ensure-worktree', task, ...more], { cwd, env });

test('ensure-worktree prints where to work, for people and scripts', async () => {
  const { at } = repository();
  const worktree_path = path.join(at, '.forge/worktrees/build');
  expect((await ensure(at)).stdout).toBe(`build has a new worktree, branch forge/build, in ${worktree_path}\n`);
  expect((await ensure(at, 'build', ['--json'])).json()).toEqual({
    ok: true,
    data: { task_id: 'build', worktree_path, branch: 'forge/build', created: false },
  });
  expect((await ensure(at)).stdout).toBe(`build has its worktree, branch forge/build, in ${worktree_path}\n`);
});

test('two concurrent ensure-worktree make one worktree', async () => {
  const { at, repo } = repository();
  const both = await Promise.all([1, 2].map(() => ensure(at, 'build', ['--json'])));
  expect(both.map((each) => each.json().data.created).sort()).toEqual([false, true]);
  expect(repo.git('worktree', 'list').split('\n')).toHaveLength(2);
});

describe('from inside a worktree every verb finds the tree of the main checkout', () => {
  test.each([
    ['below the project', ''],
    ['of a project in a folder of the repository', 'apps/one'],
  ])('from inside a worktree the tree of the main checkout is found: %s', async (_what, prefix) => {
    const { at } = repository(prefix);
    const { worktree_path } = (await ensure(at, 'build', ['--json'])).json().data;
    expect(worktree_path).toBe(path.join(at, '.forge/worktrees/build', prefix));
    expect((await ensure(worktree_path, 'build', ['--json'])).json().data).toMatchObject({
      worktree_path,
      created: false,
    });
    const other = (await ensure(worktree_path, 'test', ['--json'])).json().data;
    expect(other.worktree_path).toBe(path.join(at, '.forge/worktrees/test', prefix));
    const claimed = await orchestrate(['claim', 'build', '--json'], { cwd: worktree_path, env });
    expect(claimed.json().ok).toBe(true);
    expect(fs.existsSync(path.join(at, '.forge/orchestrator/tasks/build'))).toBe(true);
    expect(fs.existsSync(path.join(worktree_path, '.forge/orchestrator'))).toBe(false);
  });

  test('the tree is found from a worktree outside of the project', async () => {
    const outside = folder();
    const { at } = repository('', `agents: {worktree_root: ${outside}}\n`);
    const { worktree_path } = (await ensure(at, 'build', ['--json'])).json().data;
    expect(worktree_path).toBe(path.join(outside, 'build'));
    expect((await ensure(worktree_path, 'build', ['--json'])).json().data.created).toBe(false);
    const { project: name, tasks } = (await orchestrate(['status', '--json'], { cwd: worktree_path, env })).json().data;
    expect([name, tasks.length]).toEqual(['test', 2]);
  });
});

test('a worktree begun by a killed forge is finished by the next, although its git goes on', async () => {
  const { at, repo } = repository();
  repo.commit({ '.gitattributes': '*.slow filter=slow\n', 'a.slow': 'slow\n' });
  const [reached, fifo] = [repo.path('.git/reached'), repo.path('.git/fifo')];
  repo.git('config', 'filter.slow.smudge', `echo $$ >${reached}; cat ${fifo}`);
  repo.git('-c', 'alias.fifo=!mkfifo .git/fifo', 'fifo');
  const first = startCli(['orchestrate', 'ensure-worktree', 'build'], { cwd: at, env });
  await until('the checkout has begun', () => fs.existsSync(reached) && fs.readFileSync(reached, 'utf8') !== '');
  first.process.kill('SIGKILL');
  await first.ended;
  repo.git('config', 'filter.slow.smudge', 'cat');
  try {
    const again = (await ensure(at, 'build', ['--json'])).json();
    // On macOS what goes on can't be told from a stranger, and git refuses to make a second.
    if (process.platform === 'linux') {
      expect(again.data.created).toBe(true);
      expect(fs.readFileSync(path.join(again.data.worktree_path, 'a.slow'), 'utf8')).toBe('slow\n');
    }
  } finally {
    const left = Number(fs.readFileSync(reached, 'utf8'));
    killGroupOf(left);
  }
});

/** Ends the group of a process, if there is still one. */
function killGroupOf(pid: number): void {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    killGroup(Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]));
  } catch {
    // It has ended.
  }
}

test.each([
  [['nothing'], 2, 'there is no task nothing'],
  [[], 2, 'task'],
])('a worktree that cannot be made is reported: %j', async (args, code, words) => {
  const result = await orchestrate(['ensure-worktree', ...args], { cwd: repository().at, env });
  expect(result).toMatchObject({ code, stdout: '' });
  expect(result.stderr).toContain(words);
});

test('worktrees in a project without a repository are refused with a hint', async () => {
  const cwd = project(['id: build, title: B, run: "true"']);
  const result = await ensure(cwd);
  expect(result).toMatchObject({ code: 2, stdout: '' });
  expect(result.stderr.replaceAll(/\s+/g, ' ')).toContain('is in no git repository');
  expect(result.stderr).toContain('git init');
});

test('run, ensure-worktree and doctor say that a path with a line break can have no worktrees', async () => {
  const { at } = repository('line\nbreak');
  const refusal = { code: 'SETTINGS_INVALID', message: expect.stringContaining('has a line break in its path') };
  for (const args of [['run'], ['ensure-worktree', 'build']]) {
    const { error } = (await orchestrate([...args, '--json'], { cwd: at, env })).json();
    expect(error).toMatchObject(refusal);
  }
  const { checks } = (await orchestrate(['doctor', '--json'], { cwd: at, env })).json().data;
  expect(checks).toContainEqual(
    expect.objectContaining({ name: 'workspaces', status: 'fail', message: refusal.message }),
  );
});

test.runIf(process.platform === 'linux')(
  'a worker killed during a commit does not block the next attempt',
  async () => {
    const { at, repo } = repository('', 'workspace: worktree\nretry: {max_attempts: 2, base: 0}\n');
    const run = '{ id: build, title: B, run: "date > work; git add work; git commit --all --message work" }';
    repo.write('plans/phases.yaml', `project: test\nphases:\n  - { id: one, name: One, tasks: [${run}] }\n`);
    repo.git('config', 'user.name', 'Ann');
    repo.git('config', 'user.email', 'ann@example.org');
    // The index is locked by then. All of the worker's group is killed: the shell, git and this hook.
    repo.write('.git/hooks/pre-commit', '#!/bin/sh\ntest -e .once && exit\ntouch .once\nkill -9 0\n');
    fs.chmodSync(repo.path('.git/hooks/pre-commit'), 0o755);
    repo.write('.git/info/exclude', '.once\n');
    const { code, stdout, stderr } = await orchestrate(['run'], { cwd: at, env });
    expect(code, `${stdout}${stderr}`).toBe(0);
    expect(`${stdout}${stderr}`).toContain('index.lock, which a git that was killed has left');
    expect(repo.git('log', '-1', '--format=%s', 'forge/build')).toBe('work');
  },
);

describe('what a worker does to its worktree', () => {
  /** Runs a plan of these tasks, each tried once, in worktrees. What became of `broken`. */
  async function run(...tasks: string[]) {
    const at = project(
      tasks.map((task) => `title: T, retry: {max_attempts: 1}, ${task}`),
      { '.forge/settings.yaml': 'workspace: worktree\n' },
    );
    const repo = new Repository(at);
    repo.git('add', '--all');
    repo.git('commit', '--quiet', '--message', 'first');
    const commits = {
      GIT_AUTHOR_NAME: 'A',
      GIT_AUTHOR_EMAIL: 'a@b',
      GIT_COMMITTER_NAME: 'A',
      GIT_COMMITTER_EMAIL: 'a@b',
    };
    const { code, stderr } = await orchestrate(['run'], { cwd: at, env: { ...env, ...commits } });
    const shown = await orchestrate(['status', '--json'], { cwd: at, env });
    const states = shown.json().data.tasks.map(({ state }: { state: string }) => state);
    return { code, stderr, states, error: shown.json().data.tasks[0].last_error };
  }

  test.each(
    varied([
      ['another branch', 'git checkout --quiet -b other'],
      ['no branch', 'git checkout --quiet --detach'],
    ]),
  )('work that is committed to %s does not count', async (_what, checkout) => {
    const { code, states, error } = await run(
      `id: broken, run: '${checkout}; echo w >w.txt; git add .; git commit --quiet -m w'`,
      'id: after, depends_on: [broken], run: test -f w.txt',
    );
    expect([code, ...states]).toEqual([1, 'failed', 'unclaimed']);
    expect(error).toMatchObject({ class: 'verify.branch', message: expect.stringContaining('forge/broken') });
  });

  test('a verification command that changes committed files fails', async () => {
    const work = 'echo bad >code.txt; git add .; git commit --quiet -m w';
    const verify = "['echo good >code.txt', 'grep -q good code.txt']";
    const { states, error } = await run(`id: broken, run: '${work}', verify: ${verify}`);
    expect(states).toEqual(['failed']);
    expect(error).toMatchObject({ class: 'verify.uncommitted', message: expect.stringContaining('changed code.txt') });
  });

  test("untracked files of a verification command are not the worker's work", async () => {
    const { states } = await run("id: fine, run: 'true', verify: ['echo report >report.txt']");
    expect(states).toEqual(['shipped']);
  });

  test("a file that matches worktree_copy is the worker's work when there was none to copy", async () => {
    const { states, error } = await run("id: broken, run: 'echo rule >AGENTS.md'");
    expect(states).toEqual(['failed']);
    expect(error).toMatchObject({ class: 'verify.uncommitted', message: expect.stringContaining('AGENTS.md') });
  });

  test.each(
    varied([
      ['an index that git cannot read', 'echo x >"$(git rev-parse --git-dir)/index"', 'index'],
      ['no .git', 'rm .git', 'no worktree'],
      ['nothing committed', 'git checkout --quiet --orphan other', 'no worktree with a commit'],
    ]),
  )('a broken worktree fails only its own task: %s', async (_what, command, words) => {
    const { code, stderr, states, error } = await run(`id: broken, run: '${command}'`, 'id: fine, run: "true"');
    expect({ code, states }).toEqual({ code: 1, states: ['failed', 'shipped'] });
    expect(stderr).toBe('warning: task fine: nothing was changed: its branch has no change of its own to main\n');
    expect(error).toMatchObject({ class: 'verify.workspace', message: expect.stringContaining(words) });
  });
});

test('run names a branch that is in the way, and the way out, at once', async () => {
  const { at, repo } = repository();
  repo.git('branch', 'forge/build/old');
  const { code, stderr } = await orchestrate(['run'], { cwd: at, env });
  expect(code).toBe(4);
  expect(stderr.match(/warning: there is no place to work on task build: .*forge\/build\/old/g)).toHaveLength(1);
  expect(stderr).toContain('git branch -m forge/build/old forge-build-old-old');
});

test('a task without a worktree waits for a person, uncharged, and the others go on', async () => {
  const { at } = repository();
  fs.mkdirSync(path.join(at, '.forge/worktrees/build'), { recursive: true });
  fs.writeFileSync(path.join(at, '.forge/worktrees/build/mine.txt'), 'mine');
  const { code, stdout, stderr } = await orchestrate(['run'], { cwd: at, env });
  expect(code).toBe(4);
  expect(stderr).toContain('warning: there is no place to work on task build: ');
  expect(stdout).toMatch(/Left\n {2}build {2,}there is no place to work on task build/);
  const { tasks } = (await orchestrate(['status', '--json'], { cwd: at, env })).json().data;
  expect(tasks).toMatchObject([
    { task_id: 'build', state: 'unclaimed', attempt_count: 0, last_error: null },
    { task_id: 'test', state: 'shipped' },
  ]);
});

test('a file in the place of the folder of worktrees is named, and that it has to be moved away', async () => {
  const { at } = repository();
  fs.writeFileSync(path.join(at, '.forge/worktrees'), 'mine');
  const { code, stderr } = await ensure(at);
  expect([code, stderr.replaceAll(/\s+/g, ' ')]).toEqual([
    1,
    expect.stringMatching(/worktrees.* hint: .*move it away/),
  ]);
});

test('why a run has given a task up is told by why, show, status and the bare command until the task moves on', async () => {
  const { at } = repository();
  const place = path.join(at, '.forge/worktrees/build');
  fs.mkdirSync(place, { recursive: true });
  fs.writeFileSync(path.join(place, 'mine.txt'), 'mine');
  await orchestrate(['run', '--task', 'build'], { cwd: at, env });
  const said = async (...args: string[]) => (await orchestrate(args, { cwd: at, env })).stdout.replaceAll(/\s+/g, ' ');
  for (const verb of [['why', 'build'], ['show', 'build'], []])
    expect(await said(...verb)).toContain(`there is no place to work on task build: ${place} is not a worktree`);
  expect(await said('why', 'build')).toContain('Move it away.');
  expect(await said('status')).toContain('given up');
  fs.rmSync(place, { recursive: true });
  await orchestrate(['run', '--task', 'build'], { cwd: at, env });
  const { tasks } = (await orchestrate(['status', '--json'], { cwd: at, env })).json().data;
  expect(tasks[0]).toMatchObject({ state: 'shipped', held: null });
});

test('a worktree is verified where it was made, even after the settings changed', async () => {
  const { at } = repository();
  const claimed = (await orchestrate(['claim', 'build', '--json'], { cwd: at, env })).json().data;
  const args = ['dispatch', 'build', '--claim', claimed.claim_id, '--run', claimed.run_id, '--json'];
  const { attempt_id } = (await orchestrate(args, { cwd: at, env })).json().data;
  fs.writeFileSync(path.join(at, '.forge/settings.yaml'), 'workspace: worktree\nagents: {worktree_root: elsewhere}\n');
  fs.writeFileSync(path.join(at, 'verdict.json'), '{"verdict":"ready_for_review"}');
  const done = ['complete', 'build', '--attempt', attempt_id, '--verdict-file', 'verdict.json', '--json'];
  expect((await orchestrate(done, { cwd: at, env })).json()).toMatchObject({ ok: true, data: { state: 'shipped' } });
});
