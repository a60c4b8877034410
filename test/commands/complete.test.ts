import fs from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { claim } from '../../src/commands/claim.ts';
import { complete } from '../../src/commands/complete.ts';
import { code, planOf, TTL_MS, World } from '../support/commands/world.ts';
import { refused } from '../support/refused.ts';

let world: World;
beforeEach(() => {
  world = new World(planOf('build', 'test, depends_on: [build]', 'docs, priority: P0'));
});

describe('complete', () => {
  test('complete repeated with the same outcome returns the first answer', async () => {
    const { attempt } = await world.start('build');
    const first = await world.fail('build', attempt, 'network.timeout', 'no answer');
    expect(first).toMatchObject({ state: 'awaiting_respawn', next_eligible_at: world.at(1000) });
    world.wait(TTL_MS);
    expect(await world.fail('build', attempt, 'network.timeout', 'no answer')).toEqual(first);
    expect((await world.record('build')).state.failure_count).toBe(1);
  });

  test('a repeated complete writes what a killed first one did not', async () => {
    const { attempt } = await world.start('build');
    const file = world.path('.forge/orchestrator/tasks/build/state.json');
    const before = fs.readFileSync(file, 'utf8');
    await world.finish('build', attempt);
    fs.writeFileSync(file, before);
    await world.finish('build', attempt);
    expect(world.json('.forge/orchestrator/tasks/build/state.json')).toMatchObject({ state: 'shipped' });
  });

  test.each([
    ['1h', 3_600_000],
    ['90', 90_000],
    ['2100-01-01T00:00:00Z', 7 * 86_400_000],
  ])(
    'complete --retry-after %s says when the next attempt may begin, also when it is repeated',
    async (time, waitMs) => {
      const { attempt } = await world.start('build');
      const input = { task: 'build', attempt, failed: true, error_class: 'rate_limit', retry_after: time };
      const first = await complete.run(world.context, input);
      expect(first).toMatchObject({ state: 'awaiting_respawn', next_eligible_at: world.at(waitMs) });
      world.wait(1000);
      expect(await complete.run(world.context, input)).toEqual(first);
    },
  );

  test('complete --retry-after is refused for what is not a time, and for an attempt that has not failed', async () => {
    const { attempt } = await world.start('build');
    const failed = { task: 'build', attempt, failed: true, error_class: 'rate_limit', retry_after: 'soon' };
    const error = await refused(() => complete.run(world.context, failed));
    expect(error).toMatchObject({
      code: 'INVALID_ARGS',
      message: expect.stringContaining('--retry-after "soon" is none of'),
    });
    expect(await code(() => complete.run(world.context, { task: 'build', attempt, retry_after: '1h' }))).toBe(
      'INVALID_ARGS',
    );
  });

  test('complete with another outcome is refused, and the first one counts', async () => {
    const { attempt } = await world.start('build');
    await world.finish('build', attempt);
    expect(await code(() => world.fail('build', attempt))).toBe('STALE_ATTEMPT');
    expect(await code(() => world.finish('build', attempt, { verdict: 'blocked', summary: 'no' }))).toBe(
      'STALE_ATTEMPT',
    );
    expect((await world.record('build')).state.state).toBe('shipped');
  });

  test('complete is refused for another verdict than one that was cut short before its commit', async () => {
    const { attempt } = await world.start('build');
    const { store } = await world.session();
    const value = { version: 1, verdict: 'blocked', summary: 'first' };
    await store.createDocuments('build', [{ kind: 'verdict', attemptId: attempt, value }], 'x');
    expect(await code(() => world.finish('build', attempt))).toBe('STALE_ATTEMPT');
    expect((await world.finish('build', attempt, { verdict: 'blocked', summary: 'first' })).state).toBe(
      'awaiting_respawn',
    );
  });

  test('complete with a failure follows the retry policy of the task', async () => {
    world = new World(planOf('build, retry: {max_attempts: 2, base: 5s}'));
    const first = await world.fail('build', (await world.start('build')).attempt);
    expect(first).toMatchObject({ state: 'awaiting_respawn', next_eligible_at: world.at(5000) });
    expect(await code(() => claim.run(world.context, { task: 'build' }))).toBe('NOT_READY');
    world.wait(5000);
    const second = await world.fail('build', (await world.start('build')).attempt);
    expect(second).toMatchObject({ state: 'failed', next_eligible_at: null, failure_reason: 'retries_exhausted' });
  });

  test('complete follows the settings with a warning when the plan cannot be read', async () => {
    world = new World(planOf('build, retry: {max_attempts: 1}'), 'retry: {max_attempts: 5, base: 7s}\n');
    const { attempt } = await world.start('build');
    world.write('plans/phases.yaml', 'project: [');
    expect(await world.fail('build', attempt)).toMatchObject({
      state: 'awaiting_respawn',
      next_eligible_at: world.at(7000),
    });
    expect(world.warnings).toEqual([expect.stringContaining('the settings decide alone')]);
  });

  test("complete keeps the worker's message of a failure", async () => {
    const { attempt } = await world.start('build');
    const options = { task: 'build', attempt, failed: true, error_class: 'exit.2' };
    await complete.run(world.context, { ...options, message: 'two\nlines \u001b[31mred', exit_code: 2 });
    expect((await world.record('build')).state.last_error).toEqual({
      class: 'exit.2',
      message: 'two lines red',
      exit_code: 2,
    });
  });

  test('complete of a verdict with the longest summary leaves a readable record', async () => {
    const { attempt } = await world.start('build');
    const answer = await world.finish('build', attempt, { verdict: 'blocked', summary: '"\\\u0001'.repeat(6000) });
    expect(answer.state).toBe('awaiting_respawn');
    expect((await world.record('build')).state).toMatchObject({ state: 'awaiting_respawn', failure_count: 1 });
  });

  test.each<[what: string, options: object, expected: string]>([
    ['no outcome', {}, 'INVALID_ARGS'],
    ['a failure without a class', { failed: true }, 'INVALID_ARGS'],
    ['a class that is none', { failed: true, error_class: 'Network Timeout' }, 'INVALID_ARGS'],
    ['a verdict that is not there', { verdict_file: '/nowhere/verdict.json' }, 'INVALID_ARGS'],
    ['a verdict and a failure', { verdict_file: 'verdict.json', failed: true, error_class: 'a' }, 'INVALID_ARGS'],
  ])('complete with %s is refused, and the attempt goes on', async (_what, options, expected) => {
    const { attempt } = await world.start('build');
    expect(await code(() => complete.run(world.context, { task: 'build', attempt, ...options }))).toBe(expected);
    expect((await world.record('build')).state.state).toBe('dispatched');
  });

  test.each([{ error_class: 'tests.flaky' }, { message: 'no' }, { exit_code: 1 }])(
    'complete with a verdict and %j is refused, since it may be a failure without its flag',
    async (slip) => {
      const { attempt } = await world.start('build');
      const verdict_file = world.verdict('{"verdict":"ready_for_review"}');
      expect(await code(() => complete.run(world.context, { task: 'build', attempt, verdict_file, ...slip }))).toBe(
        'INVALID_ARGS',
      );
      expect((await world.record('build')).state.state).toBe('dispatched');
    },
  );

  test.each([
    ['no JSON', 'ready', 'it is not JSON'],
    ['a list', '[]', 'expected an object'],
    ['no such verdict', '{"verdict":"perhaps"}', 'verdict: '],
    ['of a later version', '{"version":2,"verdict":"blocked"}', 'newer forge'],
  ])('complete with a verdict that is %s is refused and names the file', async (_what, body, why) => {
    const { attempt } = await world.start('build');
    const file = world.verdict(body);
    const error = await refused(() => complete.run(world.context, { task: 'build', attempt, verdict_file: file }));
    expect(error.code).toBe('SCHEMA_INVALID');
    expect(error.message).toContain(file);
    expect(error.message).toContain(why);
    expect((await world.record('build')).state.state).toBe('dispatched');
  });

  test('complete takes a verdict that lists its changes', async () => {
    const { attempt } = await world.start('build');
    const verdict_file = world.verdict('{"verdict":"ready_for_review","changes":["src/a.ts"]}');
    const { state } = await complete.run(world.context, { task: 'build', attempt, verdict_file });
    expect(state).toBe('shipped');
  });

  test('complete of a task that is no longer in the plan succeeds', async () => {
    const { attempt } = await world.start('build');
    world.write('plans/phases.yaml', planOf('other'));
    expect((await world.finish('build', attempt)).state).toBe('shipped');
  });
});
