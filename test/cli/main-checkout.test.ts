/** What workers in worktrees do to the main checkout is noticed and named. */

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { FORGE } from '../support/cli.ts';
import { type Finishing, finishing, WORK } from '../support/finishing.ts';
import { GIT_ENV } from '../support/repository.ts';

const SETTINGS = 'ship: {policy: merge}\nretry: {max_attempts: 1}';

/** A run whose workers do this, besides work of their own. */
async function run(tasks: Record<string, string>, settings = SETTINGS, before: (play: Finishing) => void = () => {}) {
  const plan = Object.entries(tasks).map(([id, command]) => `id: ${id}, title: T, run: '${command}'`);
  const play = finishing(plan, settings);
  before(play);
  const { code, stderr, stdout } = await play.forge('run');
  return { play, code, warning: stderr.replaceAll(/\s+/g, ' '), stdout };
}

const MEANWHILE = 'the main checkout has changed while the worker of build was at work: ';

test.each([
  ['a new file', 'echo x > "$FORGE_DIR/stray.txt"', 'not committed there, and not so before: stray.txt'],
  ['another branch', 'git -C "$FORGE_DIR" checkout -q -b side', 'it is on branch side now, and was on branch main'],
  [
    'a commit',
    'git -C "$FORGE_DIR" -c user.name=w -c user.email=w@x commit -q --allow-empty -m direct',
    'commits there that are no merge of a task: ',
  ],
])('a worker that leaves the main checkout with %s is named in a warning', async (_what, command, words) => {
  const { code, warning } = await run({ build: `${command}; ${WORK}` });
  expect(warning).toContain(`${MEANWHILE}${words}`);
  expect(code).toBe(0);
});

test('a file that was changed before counts only where it is changed again', async () => {
  const dirty = (play: Finishing) => play.repo.write('notes.txt', 'mine\n');
  expect((await run({ build: WORK }, SETTINGS, dirty)).warning).toBe('');
  const again = await run({ build: `echo more >> "$FORGE_DIR/notes.txt"; ${WORK}` }, SETTINGS, dirty);
  expect(again.warning).toContain(
    `${MEANWHILE}not committed there, and not so before: notes.txt (not for the first time)`,
  );
});

test('a file that every worker changes is named once', async () => {
  const appends = `echo more >> "$FORGE_DIR/notes.txt"; ${WORK}`;
  const { code, warning } = await run({ a: appends, b: appends, c: appends }, `${SETTINGS}\nagents: {max_parallel: 1}`);
  expect([code, warning.match(/notes\.txt/g)]).toEqual([0, ['notes.txt']]);
});

test('a file there that the run itself prints to is no change by a worker', async () => {
  const play = finishing(['id: a, title: A, run: "true", changes: required', 'id: b, title: B, run: "true"'], SETTINGS);
  const log = path.join(play.at, 'run.log');
  const fd = fs.openSync(log, 'a');
  const env = { ...process.env, ...GIT_ENV };
  spawnSync(process.execPath, [FORGE, 'run'], { cwd: play.at, env, stdio: ['ignore', fd, fd] });
  fs.closeSync(fd);
  expect(fs.readFileSync(log, 'utf8')).not.toContain('the main checkout');
  expect(await play.state('a')).toMatchObject({ last_error: { class: 'verify.unchanged' } });
});

test('merges of tasks, the state tree, the plan and the file of the tracker are no strange changes', async () => {
  const tracker = 'tracker: {type: file}';
  const issues = (play: Finishing) =>
    play.repo.commit({ 'plans/tracker.yaml': 'issues:\n  - {id: I-1, task_id: build, state: open}\n' });
  const edit = 'echo "# by hand" >> "$FORGE_DIR/plans/phases.yaml"';
  const { code, warning } = await run({ build: WORK, next: `${edit}; ${WORK}` }, `${SETTINGS}\n${tracker}`, issues);
  expect([code, warning]).toEqual([0, '']);
});

test('copies that are about to replace the plan or the file of the tracker are no strange changes', async () => {
  const id = '0195f7a1-0000-7000-8000-000000000001';
  const copies = ['plans/.tracker.yaml', '.phases.yaml'].map((name) => `"$FORGE_DIR/${name}.forge-${id}.tmp"`);
  const { code, warning } = await run({ build: `touch ${copies.join(' ')}; ${WORK}` });
  expect([code, warning]).toEqual([0, '']);
});

test('a worker that has changed only the main checkout fails, and the error says what to do where another program did it', async () => {
  const { play, code, warning } = await run({ build: 'echo x > "$FORGE_DIR/stray.txt"' });
  expect(code).toBe(1);
  expect(warning).toContain('stray.txt');
  expect(await play.state('build')).toMatchObject({
    state: 'failed',
    last_error: {
      class: 'verify.elsewhere',
      message: expect.stringMatching(/stray\.txt; where another program writes that, let git ignore it/),
    },
  });
});

test('a worker that changes only the main checkout fails in each attempt, also over the file that it changed in the one before', async () => {
  const { play, code } = await run(
    { build: 'echo more >> "$FORGE_DIR/notes.txt"' },
    `${SETTINGS.replace('max_attempts: 1', 'max_attempts: 2, base: 0')}`,
  );
  expect([code, await play.state('build')]).toMatchObject([
    1,
    { state: 'failed', attempt_count: 2, last_error: { class: 'verify.elsewhere' } },
  ]);
});

test('of several workers all that were at work are named', async () => {
  // Each waits for the other to be at work.
  const meet = (own: string, other: string) =>
    `touch "$FORGE_DIR/.forge/${own}"; until test -e "$FORGE_DIR/.forge/${other}"; do sleep 0.05; done`;
  const tasks = {
    build: `${meet('a', 'b')}; echo x > "$FORGE_DIR/stray.txt"; ${WORK}`,
    next: `${meet('b', 'a')}; until test -e "$FORGE_DIR/stray.txt"; do sleep 0.05; done; ${WORK}`,
  };
  const { warning } = await run(tasks, `${SETTINGS}\nagents: {max_parallel: 2}`);
  expect(warning).toContain(
    'while the workers of build, next were at work: not committed there, and not so before: stray.txt',
  );
});
