/** Attempt folders with any name: read when a record names them, else reported. */

import fs from 'node:fs';
import { beforeEach, expect, test } from 'vitest';
import { doctor } from '../../src/commands/doctor.ts';
import { gc } from '../../src/commands/gc.ts';
import { phases } from '../../src/commands/phases.ts';
import { questions } from '../../src/commands/questions.ts';
import { show } from '../../src/commands/show.ts';
import { status } from '../../src/commands/status.ts';
import { dirOf, freshId, handQuestion, handState, handVerdict } from '../support/commands/divergences.ts';
import { planOf, World } from '../support/commands/world.ts';

let world: World;
beforeEach(() => {
  world = new World(planOf('build'));
});

const manifest = (attempt_id: string) =>
  world.write(
    `${dirOf('build')}/attempts/${attempt_id}/manifest.json`,
    JSON.stringify({
      version: 1,
      attempt_id,
      task_id: 'build',
      run_id: freshId(),
      claim_id: freshId(),
      generation: 1,
      phase: 'implement',
      worktree_path: null,
      dispatched_at: world.at(0),
    }),
  );
const shownAttempts = async () => (await show.run(world.context, { task: 'build' })).attempts;
const tasksCheck = async () => (await doctor.run(world.context, {})).checks.find(({ name }) => name === 'tasks');

test('the attempt that state.json names is read whatever it is called', async () => {
  handState(world, 'build', 'blocked_on_question', { current_attempt_id: 'first try', attempt_count: 1 });
  expect(await shownAttempts()).toEqual([]);
  handState(world, 'build', 'blocked_on_question', { current_attempt_id: 'first-try', attempt_count: 1 });
  manifest('first-try');
  handQuestion(world, 'build', 'first-try', { expires_at: '2999-01-01T00:00:00.000Z' });
  expect(await shownAttempts()).toMatchObject([{ attempt_id: 'first-try', current: true }]);
  expect((await questions.run(world.context, {})).questions).toMatchObject([{ attempt_id: 'first-try' }]);
  expect((await status.run(world.context, {})).warnings).toEqual([]);
  expect(await tasksCheck()).toMatchObject({ status: 'ok' });
});

test('the verdict of an attempt that state.json names is verified by gc, also from a saved plan', async () => {
  handState(world, 'build', 'abandoned', { current_attempt_id: 'first-try', attempt_count: 1 });
  manifest('first-try');
  handVerdict(world, 'build', 'first-try');
  const out = world.path('plan.json');
  const { planned, reported } = await gc.run(world.context, { out });
  expect({ planned, reported }).toMatchObject({ planned: [{ row: 8, action: 'reverify_verdict' }], reported: [] });
  expect((await gc.run(world.context, { plan: out })).applied).toMatchObject([{ row: 8, task_id: 'build' }]);
  expect(world.has(dirOf('build'), 'attempts', 'first-try', 'verdict.verified.json')).toBe(true);
});

test('a folder among the attempts that no record names is reported as unreadable, and left alone', async () => {
  const { attempt } = await world.start('build');
  manifest('old-copy');
  const message = 'attempts/old-copy is named by no UUID and by no record, so nothing in it is read';
  expect((await shownAttempts()).map(({ attempt_id }) => attempt_id)).toEqual([attempt]);
  expect((await gc.run(world.context, { dry_run: true })).reported).toMatchObject([
    { row: 8, task_id: 'build', severity: 'error', reason: message, payload: { kind: 'unreadable' } },
  ]);
  const warning = {
    task_id: 'build',
    row: 8,
    action: 'report_orphan',
    severity: 'error',
    message: `task build: ${message}`,
    suggestion: null,
  };
  expect((await status.run(world.context, {})).warnings).toEqual([warning]);
  expect((await show.run(world.context, { task: 'build' })).warnings).toMatchObject([{ severity: 'error', message }]);
  expect((await phases.run(world.context, { ready: true })).warnings).toEqual([warning]);
  expect(await tasksCheck()).toMatchObject({ status: 'fail', message: `build: ${message}` });
  expect(fs.readdirSync(world.path(dirOf('build'), 'attempts')).sort()).toEqual([attempt, 'old-copy'].sort());
});
