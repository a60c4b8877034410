/** `agents.setup`: what prepares worktrees, and checkouts in which merges are verified. */

import fs from 'node:fs';
import { describe, expect, test } from 'vitest';
import { groupMembers } from '../../src/process/processes.ts';
import { orchestrate, project } from '../support/cli.ts';
import { finishing, WORK } from '../support/finishing.ts';
import { killGroup, until } from '../support/processes.ts';

const COMMIT = 'git add -A; git -c user.name=w -c user.email=w@x commit -qm work';
const NOW = 'base: 0';

/** Settings in which setup is `sh` with that script of the main checkout. */
const prepared = (script: string, more = '', agents = '') =>
  finishingWith(script, `agents: {setup: ['sh "$FORGE_DIR/setup.sh"']${agents}}\n${more}`);

const finishingWith =
  (script: string, settings: string) =>
  (tasks: readonly string[], files = {}) =>
    finishing(tasks, settings, { 'setup.sh': `${script}\n`, '.gitignore': 'node_modules\n', ...files });

const NOTE = 'echo "$FORGE_PHASE $FORGE_TASK_ID $FORGE_SLOT $PWD" >> "$FORGE_DIR/.forge/setups"; mkdir node_modules';
const phases = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => line.split(' ')[0]);

describe('a worktree is prepared before its worker starts', () => {
  test('once, and again only when a lock file has changed; a checkout of a merge each time', async () => {
    const { forge, read, state, at, repo } = prepared(
      `${NOTE} -p`,
      `retry: {${NOW}}\nverify: {commands: [test -d node_modules]}\nship: {policy: merge}`,
    )(
      [
        `id: a, title: A, run: 'test -d node_modules && case $FORGE_ATTEMPT_NUMBER in 1) exit 1;; 2) mkdir app; echo 2 > app/uv.lock; ${COMMIT}; exit 1;; 3) ${WORK};; esac'`,
      ],
      { 'package-lock.json': '{}\n' },
    );
    const { code, stdout } = await forge('run', '--json');
    expect(code, stdout).toBe(0);
    expect(await state('a')).toMatchObject({ state: 'shipped', attempt_count: 3 });
    const lines = read('setups').trim().split('\n');
    expect(lines.slice(0, 2)).toEqual(Array(2).fill(`implement a 1 ${at}/.forge/worktrees/a`));
    expect(lines[2]).toMatch(/^ship a 1 /);
    expect(lines).toHaveLength(3);
    const setups = stdout.split('\n').filter((line) => line.includes('"task_setup"'));
    expect(JSON.parse(setups[0] ?? '')).toMatchObject({ task_id: 'a', command: 'sh "$FORGE_DIR/setup.sh"' });
    expect(repo.git('ls-tree', '--name-only', 'main')).toContain('a.txt');
  });

  test('a worktree is prepared again when the settings name other commands', async () => {
    const { forge, read, repo } = prepared(
      `${NOTE} -p`,
      'retry: {max_attempts: 1}',
    )(["id: a, title: A, run: 'exit 1'"]);
    const settings = repo.path('.forge/settings.yaml');
    for (const expected of [1, 1, 2]) {
      if (expected === 2)
        fs.writeFileSync(settings, fs.readFileSync(settings, 'utf8').replace('setup.sh', './setup.sh'));
      await forge('retry', 'a');
      await forge('run');
      expect(phases(read('setups'))).toHaveLength(expected);
    }
  });

  test('what the preparation of a worktree leaves there is not the work of the worker', async () => {
    const { forge, state } = prepared(
      'echo made > made.txt; echo changed >> tracked.txt',
      'verify: {commands: ["true"]}',
    )(["id: a, title: A, run: 'echo a > a; git add a; git -c user.name=w -c user.email=w@x commit -qm a'"], {
      'tracked.txt': 'one\n',
    });
    expect(await forge('run')).toMatchObject({ code: 0 });
    expect(await state('a')).toMatchObject({ state: 'shipped' });
  });

  test('what the preparation of a worktree changes in the setup of git is not a change of the worker', async () => {
    const { forge, repo } = prepared(
      'git config core.hooksPath .husky/_',
      'verify: {commands: ["true"]}\nship: {policy: merge}',
      ', max_parallel: 2',
    )([`id: a, title: A, run: '${WORK}'`, `id: b, title: B, run: '${WORK}'`]);
    expect(await forge('run')).toMatchObject({ code: 0 });
    expect(repo.git('ls-tree', '--name-only', 'main')).toMatch(/a\.txt\nb\.txt/);
  });
});

describe('where what a worker has written runs as setup', () => {
  test('a change of the setup of git fails the task', async () => {
    const { forge, state } = prepared(
      'test ! -e prepare.sh || sh prepare.sh',
      `retry: {${NOW}}\nverify: {commands: ["true"]}`,
    )([
      `id: a, title: A, run: 'echo "git config filter.x.clean cat" > prepare.sh; echo > go.sum; ${COMMIT}; test $FORGE_ATTEMPT_NUMBER -gt 1'`,
    ]);
    expect(await forge('run')).toMatchObject({ code: 1 });
    const { attempt_count, last_error } = await state('a');
    expect({ attempt_count, last_error }).toMatchObject({
      attempt_count: 2,
      last_error: { class: 'fatal.git', message: expect.stringContaining('config filter.x.clean') },
    });
  });

  test('a change while the worker of another task is at work is taken for its own', async () => {
    const changed = '"$FORGE_DIR/.forge/changed"';
    const { forge, state } = prepared(
      `test $FORGE_TASK_ID = a || until [ -e ${changed} ]; do sleep 0.02; done`,
      `retry: {${NOW}}\nverify: {commands: ["true"]}`,
      ', max_parallel: 2',
    )([
      `id: a, title: A, run: '${WORK}; git config filter.x.clean cat; : > ${changed}'`,
      `id: b, title: B, run: '${WORK}'`,
    ]);
    const { code, stderr } = await forge('run');
    expect(code).toBe(1);
    expect(stderr).toMatch(/task b is not started: git's own files are not as they were before/);
    expect(await state('a')).toMatchObject({ state: 'failed', last_error: { class: 'fatal.git' } });
    expect(await state('b')).toMatchObject({ state: 'unclaimed', attempt_count: 0 });
  });

  test('a merge whose files it changes is not made', async () => {
    const { forge, state, repo } = prepared(
      'test $FORGE_PHASE != ship || echo more >> tracked.txt',
      'retry: {max_attempts: 1}\nverify: {commands: ["true"]}\nship: {policy: merge}',
    )([`id: a, title: A, run: '${WORK}'`], { 'tracked.txt': 'one\n' });
    const before = repo.git('rev-parse', 'main');
    expect(await forge('run')).toMatchObject({ code: 1 });
    expect((await state('a'))['last_error']).toMatchObject({
      class: 'setup',
      message: expect.stringMatching(/^merged with main, agents\.setup has changed tracked\.txt/),
    });
    expect(repo.git('rev-parse', 'main')).toBe(before);
  });
});

describe('a setup that fails', () => {
  test('a setup that fails fails the attempt with class setup before its worker starts, by a budget of its own', async () => {
    const { forge, state, data, at, read } = prepared(
      `echo trying >> "$FORGE_DIR/.forge/setups"; echo "error: no network" >&2; test -e "$FORGE_DIR/.forge/up" || exit 7`,
      `retry: [{retry_on: [setup], max_attempts: 2, ${NOW}}, {max_attempts: 1}]`,
    )([`id: a, title: A, run: '${WORK}'`]);
    const { code, stdout } = await forge('run');
    expect(code, stdout).toBe(1);
    expect(stdout).toMatch(/setup: sh "\$FORGE_DIR\/setup\.sh" exited with code 7: error: no network/);
    expect(stdout).toMatch(/log: .*setup\.log/);
    expect(read('setups')).toBe('trying\ntrying\n');
    const failed = await state('a');
    expect(failed).toMatchObject({
      state: 'failed',
      failure_reason: 'retries_exhausted',
      retry_counts: { setup: 2 },
      last_error: { class: 'setup', exit_code: 7 },
    });
    expect(fs.existsSync(`${at}/.forge/worktrees/a/a.txt`)).toBe(false);
    expect((await forge('logs', 'a')).stdout).toBe('==> setup <==\nerror: no network\n');
    expect(await data('logs', 'a')).toMatchObject({ setup: 'error: no network\n', stdout: '', stderr: '' });
    fs.writeFileSync(`${at}/.forge/up`, '');
    await forge('retry', 'a');
    expect(await forge('run')).toMatchObject({ code: 0 });
    expect(await state('a')).toMatchObject({ state: 'shipped' });
  });

  test('a setup that fails may have changed the setup of git before, and is tried again', async () => {
    const { forge, state } = prepared(
      'git config core.hooksPath .husky/_; test -e "$FORGE_DIR/.forge/up" || { : > "$FORGE_DIR/.forge/up"; exit 7; }',
      `retry: {${NOW}}\nverify: {commands: ["true"]}`,
    )([`id: a, title: A, run: '${WORK}'`]);
    const { code, stderr } = await forge('run');
    expect(code, stderr).toBe(0);
    expect(await state('a')).toMatchObject({ state: 'shipped', attempt_count: 2 });
  });

  test('a setup that fails sends back a merge, with class setup', async () => {
    const { forge, state, repo } = prepared(
      'test $FORGE_PHASE != ship || { echo "locks differ" >&2; exit 3; }',
      'retry: {max_attempts: 1}\nverify: {commands: ["true"]}\nship: {policy: merge}',
    )([`id: a, title: A, run: '${WORK}'`]);
    const before = repo.git('rev-parse', 'main');
    const { code, stdout } = await forge('run');
    expect(code).toBe(1);
    expect(stdout).toMatch(/│ locks differ\n.*log: .*setup\.log/);
    expect((await state('a'))['last_error']).toMatchObject({
      class: 'setup',
      message: 'merged with main, sh "$FORGE_DIR/setup.sh" exited with code 3: locks differ',
    });
    expect(repo.git('rev-parse', 'main')).toBe(before);
  });

  test('a setup that fails says which limit it has reached', async () => {
    const { forge, state } = prepared(
      'exec sleep 100',
      'retry: {max_attempts: 1}',
      ', setup_timeout_ms: 200ms',
    )([`id: a, title: A, run: '${WORK}'`]);
    const { code, stdout } = await forge('run', '--json');
    expect(code).toBe(1);
    const finished = stdout.split('\n').find((line) => line.includes('"task_finished"'));
    expect(JSON.parse(finished ?? '').duration_ms).toBeGreaterThanOrEqual(200);
    expect((await state('a'))['last_error']).toMatchObject({
      class: 'setup',
      message: 'sh "$FORGE_DIR/setup.sh" took longer than its timeout of 200ms (.forge/settings.yaml:2)',
    });
  });

  test('a setup that fails ends exec with 1, and dispatch with an error that leaves the claim', async () => {
    const { forge, state, data, at } = prepared('test -e "$FORGE_DIR/.forge/up" || { echo down >&2; exit 7; }')([
      'id: a, title: A',
      'id: b, title: B',
    ]);
    expect(await forge('exec', 'a', '--', 'touch', `${at}/.forge/worked`)).toMatchObject({ code: 1 });
    expect((await state('a'))['last_error']).toMatchObject({ class: 'setup' });
    expect(fs.existsSync(`${at}/.forge/worked`)).toBe(false);
    const { claim_id, run_id } = await data('claim', 'b');
    const dispatch = ['dispatch', 'b', '--claim', claim_id, '--run', run_id];
    const refused = await forge(...dispatch, '--json');
    expect(refused.code).toBe(1);
    const { error } = refused.json();
    expect(error).toMatchObject({ code: 'SETUP_FAILED', message: expect.stringContaining('exited with code 7: down') });
    const log = /See (\S+)\. /.exec(error.hint)?.[1] ?? '';
    expect(fs.readFileSync(log, 'utf8')).toBe('down\n');
    fs.writeFileSync(`${at}/.forge/up`, '');
    expect(await data(...dispatch)).toMatchObject({ attempt_number: 1, worktree_path: `${at}/.forge/worktrees/b` });
  });
});

describe('a setup that is stopped', () => {
  const HANGS = 'echo installing; echo $FORGE_COMMAND_PID > "$FORGE_DIR/.forge/pid"; exec cat "$FORGE_DIR/.forge/pipe"';
  const hanging = () =>
    prepared(`test ! -e "$FORGE_DIR/.forge/hang" || { mkfifo "$FORGE_DIR/.forge/pipe"; ${HANGS}; }`);

  /** A run, or what is named, whose setup goes on until it is stopped. */
  async function started(...args: string[]) {
    const play = hanging()([`id: a, title: A, run: '${WORK}'`]);
    fs.writeFileSync(`${play.at}/.forge/hang`, '');
    const run = play.start(...(args.length === 0 ? ['run'] : args));
    const pid = Number(await until('setup', () => fs.existsSync(`${play.at}/.forge/pid`) && play.read('pid').trim()));
    return { ...play, run, pid };
  }
  const isGone = (group: number) => groupMembers(group).length === 0;

  test.each([[['run']], [['exec', 'a', '--', 'true']]])('by Ctrl-C at %j leaves the task as it was', async (args) => {
    const { run, pid, state } = await started(...args);
    run.process.kill('SIGINT');
    expect(await run.ended).toMatchObject({ code: 130 });
    expect(isGone(pid)).toBe(true);
    expect(await state('a')).toMatchObject({ state: 'unclaimed', attempt_count: 0 });
  });

  test('a setup that is stopped by a cancel of its task ends, and its run goes on', async () => {
    const { run, pid, forge, state } = await started();
    expect(await forge('cancel', 'a')).toMatchObject({ code: 0 });
    expect((await run.ended).code).toBe(0);
    expect(isGone(pid)).toBe(true);
    expect(await state('a')).toMatchObject({ state: 'cancelled', attempt_count: 0 });
  });

  test('a setup that is stopped by a cancel may have changed the setup of git, and other tasks go on', async () => {
    const { start, data, state, at } = prepared(
      'git config core.hooksPath .husky/_; test $FORGE_TASK_ID != a || { : > "$FORGE_DIR/.forge/hangs"; exec sleep 1000; }',
      'verify: {commands: ["true"]}',
      ', max_parallel: 1',
    )([`id: a, title: A, run: '${WORK}'`, `id: b, title: B, run: '${WORK}'`]);
    const run = start('run');
    await until('setup', () => fs.existsSync(`${at}/.forge/hangs`));
    await data('cancel', 'a');
    expect(await run.ended).toMatchObject({ code: 0 });
    expect(await state('b')).toMatchObject({ state: 'shipped' });
  });

  test('a setup that is stopped is shown by logs while it is at work, and ended by a cancel when its run was killed', async () => {
    const { run, pid, data } = await started();
    try {
      expect(await data('logs', 'a')).toMatchObject({ setup: 'installing\n', stdout: '' });
      run.process.kill('SIGKILL');
      await run.ended;
      expect(await data('cancel', 'a')).toMatchObject({ state: 'cancelled' });
      expect(isGone(pid)).toBe(true);
    } finally {
      killGroup(pid);
    }
  });

  test('a setup that is stopped is ended by the next run when its own was killed', async () => {
    const { run, pid, forge, at } = await started();
    try {
      run.process.kill('SIGKILL');
      await run.ended;
      expect(isGone(pid)).toBe(false);
      fs.rmSync(`${at}/.forge/hang`);
      expect(await forge('run')).toMatchObject({ code: 0 });
      expect(isGone(pid)).toBe(true);
    } finally {
      killGroup(pid);
    }
  });
});

test('a run without worktrees says that it prepares nothing', async () => {
  const at = project(['id: a, title: A, run: "true"'], { '.forge/settings.yaml': 'agents: {setup: npm ci}\n' });
  const { warnings } = (await orchestrate(['run', '--dry-run', '--json'], { cwd: at })).json().data;
  expect(warnings).toMatchObject([{ message: expect.stringMatching(/^agents\.setup is not run: /) }]);
});
