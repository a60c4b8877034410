import { expect, test } from 'vitest';
import { hook } from '../../src/commands/hook.ts';
import { MINUTE_MS, planOf, TTL_MS, World } from '../support/commands/world.ts';

test('a hook after a tool renews the lease when half of it is over, and writes nothing before', async () => {
  const world = new World(planOf('a'));
  const { attempt } = await world.start('a');
  const event = '{"hook_event_name": "PostToolUse"}';
  const beat = () => hook.run(world.context, { agent: 'claude', event, task: 'a', attempt });
  world.wait(TTL_MS / 2 - MINUTE_MS);
  const before = world.footprint();
  expect(await beat()).toEqual({ event: 'PostToolUse', answer: null });
  expect(world.footprint()).toEqual(before);
  world.wait(2 * MINUTE_MS);
  expect(await beat()).toEqual({ event: 'PostToolUse', answer: null });
  expect((await world.record('a')).lease?.expires_at).toBe(world.at(world.clock + TTL_MS));
});
