/** Commands work over any backend of the store: here over the one in memory. */

import { expect, test } from 'vitest';
import { claim } from '../../src/commands/claim.ts';
import { complete } from '../../src/commands/complete.ts';
import { dispatch } from '../../src/commands/dispatch.ts';
import { gc } from '../../src/commands/gc.ts';
import { runPlan } from '../../src/commands/run.ts';
import { status } from '../../src/commands/status.ts';
import type { RunEvent } from '../../src/domain/run/events.ts';
import { planOf, World } from '../support/commands/world.ts';
import { memoryStores } from '../support/store/memory.ts';

function overMemory(plan: string) {
  const world = new World(plan);
  return { world, call: { ...world.context, stores: memoryStores(world.project) } };
}

test('a task is claimed, dispatched, completed and shown, and leaves no tree behind', async () => {
  const { world, call } = overMemory(planOf('build'));
  const { claim_id, run_id } = await claim.run(call, { task: 'build' });
  const { attempt_id } = await dispatch.run(call, { task: 'build', claim: claim_id, run: run_id, phase: 'implement' });
  const done = await complete.run(call, { task: 'build', attempt: attempt_id, verdict_file: world.verdict() });
  expect((await status.run(call, {})).tasks).toMatchObject([{ task_id: 'build', state: done.state, attempt_count: 1 }]);
  expect(world.has('.forge/orchestrator/tasks/build/state.json')).toBe(false);
});

test('gc abandons a task whose lease is stale', async () => {
  const { world, call } = overMemory(planOf('build'));
  await claim.run(call, { task: 'build' });
  world.wait(24 * 60 * 60_000);
  expect((await gc.run(call, {})).applied).toMatchObject([{ row: 2, task_id: 'build', action: 'mark_abandoned' }]);
  expect((await status.run(call, {})).tasks).toMatchObject([{ state: 'abandoned' }]);
});

test('a run works through a plan', async () => {
  const { call } = overMemory(planOf('build, run: "true"', 'ship, run: "true", depends_on: [build]'));
  const events: RunEvent[] = [];
  const { exit_code } = await runPlan({ ...call, emit: (event) => void events.push(event) }, {});
  expect(exit_code).toBe(0);
  expect(events.filter(({ type }) => type === 'task_finished')).toHaveLength(2);
});
