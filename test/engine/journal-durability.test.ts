/** What is told of a journal holds after a power cut: where a killed process may have left it before that, the folder is synced first. */

import { beforeEach, expect, test, vi } from 'vitest';
import { release } from '../../src/commands/release.ts';
import { openJournal } from '../../src/engine/steps/task-journal.ts';
import { StepWorker } from '../../src/engine/steps/worker.ts';
import { attemptJournal } from '../../src/engine/steps/worker-journal.ts';
import { planOf, World } from '../support/commands/world.ts';

let world: World;
beforeEach(() => {
  world = new World(planOf('build'));
});

/** A process of an attempt: its steps, and how often it has synced what was there before. */
async function processOf(attemptId: string) {
  const session = await world.session();
  const settle = vi.spyOn(session.store, 'settle');
  const ref = { taskId: 'build', attemptId };
  const worker = new StepWorker(() => attemptJournal(session, ref, async () => null));
  return { worker, open: () => openJournal(session, ref), syncs: () => settle.mock.calls.length };
}

test('a step that another process of the attempt has recorded is synced before it is passed, one of an earlier attempt is not', async () => {
  const { claim, attempt } = await world.start('build');
  const first = await processOf(attempt);
  expect(await first.worker.step('one', () => 1)).toBe(1);
  expect(first.syncs()).toBe(0);
  const second = await processOf(attempt);
  expect(await second.worker.step('one', () => 2)).toBe(1);
  expect(second.syncs()).toBe(1);
  await release.run(world.context, { task: 'build', claim });
  const later = await processOf((await world.start('build')).attempt);
  expect(await later.worker.step('one', () => 3)).toBe(1);
  expect(later.syncs()).toBe(0);
});

test('a journal without steps is synced when it is opened, since the keys of its steps are made of it', async () => {
  const { attempt } = await world.start('build');
  await (await processOf(attempt)).open();
  const second = await processOf(attempt);
  await second.open();
  expect(second.syncs()).toBe(1);
  await second.worker.step('one', () => 1);
  const third = await processOf(attempt);
  await third.open();
  expect(third.syncs()).toBe(0);
});
