/** What a worker writes into the files of git that all worktrees share holds its work for a person. */

import fs from 'node:fs';
import { describe, expect, test } from 'vitest';
import { orchestrate } from '../support/cli.ts';
import { varied } from '../support/faults/knobs.ts';
import { finishing, WORK } from '../support/finishing.ts';
import { GIT_ENV } from '../support/repository.ts';

/** `$C` is the folder that all worktrees share. */
const INTO = 'C=$(git rev-parse --path-format=absolute --git-common-dir)';
const SETTINGS = 'verify: {commands: ["true"]}\nship: {policy: merge}';
/** Held work is not tried again, so that a run ends. */
const REVIEWED = `retry: {max_attempts: 1}\nreview: {command: ./review.sh}\n${SETTINGS}`;

/** A filter that any look at the main checkout starts, since one of its files looks changed. */
const TRAP = `${INTO}; mkdir -p $C/info; echo "trap.txt filter=x" > $C/info/attributes; git config filter.x.clean "touch $FORGE_DIR/.forge/trapped; cat"; touch -d 2001-01-01 $FORGE_DIR/trap.txt`;

const BLOCKED = `echo '{"verdict":"blocked","summary":"no key"}' > $FORGE_VERDICT_FILE`;

const task = (run: string, id = 'build') =>
  `id: ${id}, title: Build, run: '${run.replaceAll("'", "''")}', retry: {max_attempts: 3}`;

describe('a worker that writes into .git', () => {
  test.each([
    ['a filter', 'git config filter.x.clean cat', 'config filter.x.clean'],
    [
      'a hook',
      `${INTO}; mkdir -p $C/hooks; echo > $C/hooks/post-checkout; chmod +x $C/hooks/post-checkout`,
      'hooks (now post-checkout)',
    ],
  ])('has its work neither verified nor merged when it leaves %s', async (_, change, named) => {
    const { repo, state, forge } = finishing([task(`${WORK}; ${change}`)], SETTINGS);
    const before = repo.git('rev-parse', 'main');
    expect((await forge('run')).code).toBe(1);
    const { state: now, attempt_count, last_error } = await state('build');
    expect({ now, attempt_count }).toEqual({ now: 'failed', attempt_count: 1 });
    expect(last_error).toMatchObject({ class: 'fatal.git', message: expect.stringContaining(named) });
    expect(repo.git('rev-parse', 'main')).toBe(before);
  });

  test('a worker that writes into .git shows in what it changed to a command that verifies it', async () => {
    const { state, forge } = finishing(
      [task(WORK)],
      'verify: {commands: ["git config filter.x.clean cat"]}\nship: {policy: merge}',
    );
    await forge('run');
    expect((await state('build'))['last_error']).toMatchObject({ class: 'fatal.git' });
  });

  test('a worker that writes into .git has nothing that it leaves there started by forge when its worker has ended', async () => {
    const { at, repo, state, forge } = finishing([task(`${WORK}; ${TRAP}`)], SETTINGS, { 'trap.txt': 'one\n' });
    const trapped = `${at}/.forge/trapped`;
    expect((await forge('run')).code).toBe(1);
    expect((await state('build'))['last_error']).toMatchObject({ class: 'fatal.git' });
    expect(fs.existsSync(trapped)).toBe(false);
    // It would have worked.
    repo.git('status', '--short');
    expect(fs.existsSync(trapped)).toBe(true);
  });

  test('a worker that writes into .git has no hook that it leaves started for the worktree of another task', async () => {
    const hook = `${INTO}; mkdir -p $C/hooks; printf '#!/bin/sh\\ntouch %s/.forge/hooked\\n' "$FORGE_DIR" > $C/hooks/post-checkout; chmod +x $C/hooks/post-checkout`;
    const { at, state, forge, data } = finishing([task(`${WORK}; ${hook}`), task(WORK, 'next')], SETTINGS);
    await forge('run', '--max-parallel', '1');
    expect((await state('build'))['last_error']).toMatchObject({ class: 'fatal.git' });
    expect((await state('next')).state).toBe('unclaimed');
    expect(fs.readFileSync(`${at}/.git/hooks/post-checkout`, 'utf8')).toContain('/.forge/hooked');
    expect(fs.existsSync(`${at}/.forge/hooked`)).toBe(false);
    expect(fs.existsSync(`${at}/.forge/worktrees/next`)).toBe(false);
    const { claim_id, run_id } = await data('claim', 'next');
    const dispatched = ['dispatch', 'next', '--claim', claim_id, '--run', run_id];
    for (const args of [dispatched, ['ensure-worktree', 'next'], ['release', 'next', '--claim', claim_id]]) {
      const { code, stderr } = await forge(...args);
      expect({ code, said: stderr.includes('hooks') }).toEqual(
        args[0] === 'release' ? { code: 0, said: false } : { code: 4, said: true },
      );
    }
    expect(await forge('exec', 'next', '--', 'true')).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('hooks'),
    });
    expect((await state('next')).state).toBe('unclaimed');
    expect(fs.existsSync(`${at}/.forge/hooked`)).toBe(false);
  });

  test.each([
    ['fails', 'git config filter.x.clean cat; echo broken >&2; exit 7', 'broken'],
    ['says that it is blocked', `git config filter.x.clean cat; ${BLOCKED}`, 'no key'],
  ])('is not tried again, and named, when it %s', async (_, run, own) => {
    const { state, forge } = finishing([task(run)], SETTINGS);
    expect((await forge('run')).code).toBe(1);
    const { state: now, attempt_count, last_error } = await state('build');
    expect({ now, attempt_count }).toEqual({ now: 'failed', attempt_count: 1 });
    expect(last_error).toMatchObject({ class: 'fatal.git', message: expect.stringContaining('config filter.x.clean') });
    expect((last_error as { message: string }).message).toContain(own);
  });

  test.each(['KILL', 'INT'])(
    'keeps the next run from starting anything until that is undone or accepted when its own run has ended by SIG%s',
    async (signal) => {
      const stop = `if [ $FORGE_ATTEMPT_NUMBER = 1 ]; then git config filter.x.clean cat; kill -${signal} $(ps -o ppid= -p $PPID); sleep 60; fi`;
      const { repo, at, state, forge } = finishing([task(`${stop}; ${WORK}`), task(WORK, 'next')], SETTINGS);
      await forge('run', '--max-parallel', '1');
      const held = await forge('run');
      expect(held.code).toBe(4);
      expect(held.stdout).toContain('config filter.x.clean');
      expect((await state('next')).state).toBe('unclaimed');
      const [, id = ''] = /FORGE_ACCEPT_GIT_SETUP=([0-9a-f]+)/.exec(held.stdout) ?? [];
      repo.git('config', 'filter.x.smudge', 'cat');
      const accepted = () => orchestrate(['run'], { cwd: at, env: { ...GIT_ENV, FORGE_ACCEPT_GIT_SETUP: id } });
      expect((await accepted()).code).toBe(4);
      repo.git('config', '--unset', 'filter.x.smudge');
      expect((await accepted()).code).toBe(0);
      expect((await state('next')).state).toBe('shipped');
    },
  );

  test('a worker that writes into .git keeps a run from starting other tasks until what it left is undone', async () => {
    const { repo, state, forge } = finishing(
      [task(`${WORK}; git config filter.x.clean cat`), task(WORK, 'next')],
      SETTINGS,
    );
    const first = await forge('run', '--max-parallel', '1');
    expect(first.code).toBe(1);
    expect(first.stdout + first.stderr).toContain('task next is not started: git');
    expect((await state('next')).state).toBe('unclaimed');
    // Another run finds the same, as long as the task that failed over it is not seen to.
    expect((await forge('run')).stdout).toContain('config filter');
    expect((await state('next')).state).toBe('unclaimed');
    repo.git('config', '--remove-section', 'filter.x');
    await forge('run');
    expect((await state('next')).state).toBe('shipped');
  });

  test('a worker that writes into .git is taken for the user by a run that starts after a person has retried its task', async () => {
    const { state, forge } = finishing([task(`${WORK}; git config filter.x.clean cat`)], SETTINGS);
    await forge('run');
    await forge('retry', 'build');
    expect((await forge('run')).code).toBe(0);
    expect((await state('build')).state).toBe('shipped');
  });
});

test.each([
  ['worktree', 'git add sub'],
  [
    'main checkout',
    'env -u GIT_DIR git -C $FORGE_DIR update-index --add --cacheinfo 160000,$(git -C sub rev-parse HEAD),sub; cp -r sub $FORGE_DIR; rm -rf sub',
  ],
])('a repository that a worker makes in the %s has none of its programs started by forge', async (_, add) => {
  const trap =
    'git -C sub config filter.x.clean "test -n \\"\\$FORGE_TASK_ID\\" || touch $FORGE_DIR/.forge/trapped; cat"; echo "f filter=x" > sub/.git/info/attributes';
  const make =
    'git init -q sub; echo > sub/f; git -C sub add f; git -C sub -c user.name=w -c user.email=w@x commit -qm f; mkdir -p sub/.git/info';
  const { repo, at, state, forge } = finishing(
    [task(`${make}; ${trap}; ${add}; ${WORK}; touch -cd 2001-01-01 $FORGE_DIR/sub/f sub/f || true`)],
    SETTINGS,
  );
  await forge('run');
  expect((await state('build')).state).toBe('shipped');
  expect(fs.existsSync(`${at}/.forge/trapped`)).toBe(false);
  // It would have worked.
  repo.in(add === 'git add sub' ? `${at}/.forge/worktrees/build` : at, 'status', '--short');
  expect(fs.existsSync(`${at}/.forge/trapped`)).toBe(true);
});

test('a filter that the project had before its workers keeps working', async () => {
  const { repo, state, forge } = finishing([task(WORK)], SETTINGS, { '.gitattributes': '*.txt filter=upper\n' });
  repo.git('config', 'filter.upper.clean', 'tr a-z A-Z');
  repo.git('config', 'filter.upper.smudge', 'tr A-Z a-z');
  expect((await forge('run')).code).toBe(0);
  expect((await state('build')).state).toBe('shipped');
  expect(repo.git('cat-file', 'blob', 'main:build.txt')).toBe('DONE');
});

describe('work that was verified', () => {
  /** Verified, waiting for a review that the reviewer has not made, and then touched by what was left running. */
  const reviewed = async () => {
    const made = finishing([task(WORK).replace('max_attempts: 3', 'max_attempts: 1')], REVIEWED);
    made.answers('no review yet');
    await made.forge('run');
    made.answers({ verdict: 'pass', findings: [] });
    return made;
  };

  test.each(varied(['run', 'review build']))('is held for a person by %s when .git has changed since', async (verb) => {
    const { repo, forge, state } = await reviewed();
    const before = await state('build');
    repo.git('config', 'filter.x.clean', 'cat');
    const held = await forge(...verb.split(' '));
    expect(held.code).not.toBe(0);
    expect(held.stdout + held.stderr).toContain('config filter');
    expect((await state('build')).state).toBe(before.state);
    repo.git('config', '--remove-section', 'filter.x');
    expect((await forge('run')).code).toBe(0);
    expect((await state('build')).state).toBe('shipped');
  });

  test('work that was verified goes on when a person takes the change of .git for their own', async () => {
    const { repo, at, forge, state } = await reviewed();
    repo.git('config', 'filter.x.clean', 'cat');
    const { stdout, stderr } = await forge('run');
    const [, id = ''] = /FORGE_ACCEPT_GIT_SETUP=([0-9a-f]+)/.exec(stdout + stderr) ?? [];
    const accepted = () => orchestrate(['run'], { cwd: at, env: { ...GIT_ENV, FORGE_ACCEPT_GIT_SETUP: id } });
    repo.git('config', 'filter.x.smudge', 'cat');
    expect((await accepted()).code).not.toBe(0);
    repo.git('config', '--unset', 'filter.x.smudge');
    expect((await accepted()).code).toBe(0);
    expect((await state('build')).state).toBe('shipped');
  });

  test('work that was verified is not shown to a reviewer while its worktree has other bytes', async () => {
    const { repo, at, forge, state } = await reviewed();
    const before = await state('build');
    const file = `${at}/.forge/worktrees/build/build.txt`;
    fs.writeFileSync(file, 'other');
    repo.in(`${at}/.forge/worktrees/build`, 'update-index', '--assume-unchanged', 'build.txt');
    expect((await forge('run')).stdout).toContain('build.txt is not as it was verified');
    expect((await state('build')).state).toBe(before.state);
  });
});

test('a file that a worker has changed and hidden in a sparse checkout is not committed', async () => {
  const hide = 'git update-index --assume-unchanged build.txt; echo other > build.txt';
  const { repo, state, forge } = finishing(
    [task(`${WORK}; ${hide}`).replace('max_attempts: 3', 'max_attempts: 1')],
    SETTINGS,
  );
  repo.git('sparse-checkout', 'set', 'plans', '.forge');
  await forge('run');
  expect((await state('build'))['last_error']).toMatchObject({ class: 'verify.uncommitted' });
});

test.each(varied(['--assume-unchanged', '--skip-worktree']))(
  'a file that a worker has changed and hidden by %s is not committed, and says so',
  async (flag) => {
    const { state, forge } = finishing(
      [
        task(`${WORK}; git update-index ${flag} build.txt; echo other > build.txt`).replace(
          'max_attempts: 3',
          'max_attempts: 1',
        ),
      ],
      SETTINGS,
    );
    expect((await forge('run')).code).toBe(1);
    expect((await state('build'))['last_error']).toMatchObject({
      class: 'verify.uncommitted',
      message: expect.stringContaining('build.txt'),
    });
  },
);

describe('a commit graph that a worker has forged', () => {
  /** Says of commit A, named by its tree, that its parent is that of commit B. */
  const FORGE_PARENT = `const fs = require('fs');
const [file, a, b] = process.argv.slice(2);
const graph = fs.readFileSync(file);
const parent = (tree) => graph.indexOf(Buffer.from(tree, 'hex')) + 20;
graph.copy(graph, parent(a), parent(b), parent(b) + 4);
fs.rmSync(file);
fs.writeFileSync(file, graph);
`;
  const COMMIT = 'git -c user.name=w -c user.email=w@x commit -q';
  /** Three commits, of which the graph hides the first. Of the last git reads what it says itself. */
  const hides = (first: string, second: string) =>
    `${INTO}; ${first}; ${COMMIT} -m first; ${second}; ${COMMIT} -m second; touch build.txt; git add build.txt; ${COMMIT} -m third; git commit-graph write --reachable; ` +
    `${process.execPath} $FORGE_DIR/graph.cjs $C/objects/info/commit-graph $(git rev-parse HEAD~^{tree} HEAD~~^{tree}); ` +
    'test $(git rev-list --count main..HEAD) = 2';
  const FILES = { 'graph.cjs': FORGE_PARENT };

  test('hides no file that forge copied from verification', async () => {
    const run = hides('git add -f .env', 'git rm -q --cached .env; touch a.txt; git add a.txt');
    const { at, state, forge } = finishing([task(run).replace('max_attempts: 3', 'max_attempts: 1')], SETTINGS, FILES);
    fs.writeFileSync(`${at}/.env`, 'KEY=1');
    expect((await forge('run')).code).toBe(1);
    expect((await state('build'))['last_error']).toMatchObject({ class: 'verify.copied-file' });
  });

  test('hides no commit from checks and reviewers', async () => {
    const run = hides('echo 1 > a.txt; git add a.txt', 'echo 2 > a.txt; git add a.txt');
    const log = (name: string) =>
      `test $FORGE_PHASE = ship || git log --format=%s main..HEAD > "$FORGE_DIR/.forge/${name}"`;
    const { read, forge } = finishing(
      [task(run)],
      `verify: {commands: ['${log('checked')}']}\nreview: {command: '${log('reviewed')}; cat "$FORGE_DIR/.forge/answer.json" > "$FORGE_REVIEW_FILE"'}\nship: {policy: merge}`,
      FILES,
    );
    expect((await forge('run')).code).toBe(0);
    expect([read('checked'), read('reviewed')]).toEqual(['third\nsecond\nfirst\n', 'third\nsecond\nfirst\n']);
  });
});
