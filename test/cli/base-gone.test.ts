/** A worker, or a person, has deleted the branch that the work is for before the result was verified. */

import { expect, test } from 'vitest';
import { jsonLines, linesIn } from '../support/cli.ts';
import { finishing, WORK } from '../support/finishing.ts';

const remove = 'git -C "$FORGE_DIR" checkout --quiet --detach; git branch --quiet -D main';
const build = `id: build, title: B, run: '${WORK}; echo x >> "$FORGE_DIR/.forge/ledger"; ${remove}'`;

test.each([
  ['', 'the branch main, which the task was started for, is gone'],
  ['ship: {policy: merge, base: main}', 'ship.base: there is no branch main'],
])('a result waits for its base to be verified, and its work is not done again: %s', async (settings, why) => {
  const { repo, at, forge, data, state } = finishing([build], settings);
  const main = repo.git('rev-parse', 'main');
  const { code, stderr } = await forge('run');
  expect(code).toBe(4);
  expect(stderr).toContain(`warning: the result of task build is not verified: ${why}`);
  expect(await state('build')).toMatchObject({ state: 'awaiting_respawn', attempt_count: 1, failure_count: 0 });
  expect(await data('show', 'build')).toMatchObject({ lease: null, held: { message: expect.stringContaining(why) } });
  repo.git('branch', 'main', main);
  expect((await forge('run')).code).toBe(0);
  expect(linesIn(at, '.forge/ledger')).toHaveLength(1);
});

test('the other tasks of a run go on', async () => {
  const { forge } = finishing([build, "id: other, title: O, run: 'true'"], 'agents: {max_parallel: 1}');
  const { code, stdout } = await forge('run', '--json');
  const ends = jsonLines(stdout).filter(({ type }) => type === 'task_finished');
  expect([code, ends]).toMatchObject([4, [{ task_id: 'other', state: 'shipped' }]]);
});
