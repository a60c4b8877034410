/** Commands work over any backend of the store: here over the one in memory. */

import { describe, expect, test } from 'vitest';
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

describe('where another process is first at a task that was seen to be ready', () => {
  const plan = planOf('a, run: "true"', 'b, run: "true"', 'c, run: "true"', 'd, run: "true", priority: P2');

  /** `random`: where a claimer goes on. `look`: the last look at the tasks before it takes one. */
  function outrun(random: number, look: 'snapshot' | 'read', ofTask?: string) {
    const { world, call } = overMemory(plan);
    const { store } = call.stores;
    const seen = store[look].bind(store) as (...args: unknown[]) => Promise<never>;
    store[look] = async (...args: unknown[]) => {
      const answer = await seen(...args);
      if (args[0] !== ofTask) return answer;
      store[look] = seen;
      const { claim_id, run_id } = await claim.run(call, { task: 'a' });
      if (look === 'snapshot') return answer;
      const at = { task: 'a', claim: claim_id, run: run_id, phase: 'implement' } as const;
      const { attempt_id } = await dispatch.run(call, at);
      await complete.run(call, { task: 'a', attempt: attempt_id, verdict_file: world.verdict() });
      return answer;
    };
    return { ...call, ctx: { ...call.ctx, random: () => random } };
  }

  test.each([
    [0, 'b'],
    [0.99, 'c'],
  ])('claim --next goes on at random (%d) among those that are as urgent', async (random, taken) => {
    expect((await claim.run(outrun(random, 'snapshot'), { next: true })).task_id).toBe(taken);
  });

  test.each([
    [0, ['b', 'c', 'd']],
    [0.99, ['c', 'b', 'd']],
  ])('a run goes on at random (%d) among those that are as urgent', async (random, order) => {
    const started: string[] = [];
    const emit = (event: RunEvent) => {
      if (event.type === 'task_started') started.push(event.task_id);
    };
    await runPlan({ ...outrun(random, 'read', 'd'), emit }, { max_parallel: 1 });
    expect(started).toEqual(order);
  });
});
