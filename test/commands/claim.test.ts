import { beforeEach, describe, expect, test } from 'vitest';
import { claim } from '../../src/commands/claim.ts';
import { event } from '../../src/commands/event.ts';
import { heartbeat } from '../../src/commands/heartbeat.ts';
import { release } from '../../src/commands/release.ts';
import { runList } from '../../src/commands/run-list.ts';
import { runStart } from '../../src/commands/run-start.ts';
import { show } from '../../src/commands/show.ts';
import { identifyOwner } from '../../src/process/processes.ts';
import { code, GRACE_MS, MINUTE_MS, planOf, STRANGER, TTL_MS, World } from '../support/commands/world.ts';
import { refused } from '../support/refused.ts';

let world: World;
beforeEach(() => {
  world = new World(planOf('build', 'test, depends_on: [build]', 'docs, priority: P0'));
});

describe('claim', () => {
  test('claim --next takes the most urgent task, then the next, until nothing is ready', async () => {
    expect((await claim.run(world.context, { next: true })).task_id).toBe('docs');
    expect((await claim.run(world.context, { next: true })).task_id).toBe('build');
    const error = await refused(() => claim.run(world.context, { next: true }));
    expect(error).toMatchObject({ code: 'NOT_READY', exitCode: 4, message: 'no task is ready; 3 wait' });
  });

  test('claim opens a run or uses the named one', async () => {
    const { run_id } = await runStart.run(world.context, { name: 'mine' });
    expect((await claim.run(world.context, { task: 'build', run: run_id })).run_id).toBe(run_id);
    const own = await claim.run(world.context, { task: 'docs' });
    expect(own.run_id).not.toBe(run_id);
    expect((await runList.run(world.context, {})).runs.map((run) => [run.run_id, run.name])).toEqual(
      [
        [run_id, 'mine'],
        [own.run_id, null],
      ].sort(),
    );
  });

  test('claim under an unknown run is refused', async () => {
    expect(await code(() => claim.run(world.context, { task: 'build', run: STRANGER }))).toBe('RUN_NOT_FOUND');
    expect(await (await world.session()).store.list()).toEqual([]);
  });

  test('a refused claim leaves no run', async () => {
    await claim.run(world.context, { task: 'build' });
    const before = (await runList.run(world.context, {})).runs.length;
    expect(await code(() => claim.run(world.context, { task: 'build' }))).toBe('LEASE_EXISTS');
    expect(await code(() => claim.run(world.context, { task: 'test' }))).toBe('NOT_READY');
    expect((await runList.run(world.context, {})).runs).toHaveLength(before);
  });

  test.each([
    ['a task that there is not, with the one that was meant', 'biuld', 'TASK_NOT_FOUND', 'Did you mean build?'],
    ['what cannot be a task', '../build', 'INVALID_ID', 'A task id starts with'],
  ])('claim of %s is refused', async (_what, task, expected, hint) => {
    const error = await refused(() => claim.run(world.context, { task }));
    expect(error.code).toBe(expected);
    expect(error.hint).toContain(hint);
  });

  test('claim without a task or --next is refused', async () => {
    expect(await code(() => claim.run(world.context, {}))).toBe('INVALID_ARGS');
  });

  test('claim repeated with its id gets the same lease, also with --next', async () => {
    const claimId = '0195ed82-cc8e-76c6-b8fa-36b8c95209dd';
    const first = await claim.run(world.context, { task: 'build', claim_id: claimId });
    expect(first.claim_id).toBe(claimId);
    world.wait(MINUTE_MS);
    expect(await claim.run(world.context, { task: 'build', claim_id: claimId.toUpperCase() })).toEqual(first);
    expect(await claim.run(world.context, { next: true, claim_id: claimId })).toEqual(first);
    expect((await runList.run(world.context, {})).runs).toHaveLength(1);
  });

  test('two claims at once under one id are one, and leave one run', async () => {
    const claim_id = '0195ed82-cc8e-76c6-b8fa-36b8c95209dd';
    const once = () => claim.run(world.context, { task: 'build', claim_id });
    const [first, second] = await Promise.all([once(), once()]);
    expect(second).toEqual(first);
    expect((await runList.run(world.context, {})).runs.map((run) => run.run_id)).toEqual([first.run_id]);
  });

  test('claim with a released id is refused', async () => {
    const { claim_id } = await claim.run(world.context, { task: 'build' });
    await release.run(world.context, { task: 'build', claim: claim_id });
    expect(await code(() => claim.run(world.context, { task: 'build', claim_id: claim_id }))).toBe('LEASE_STOLEN');
  });

  test('claim of a leased task is refused until expiry and grace are over', async () => {
    const { attempt, claim: first } = await world.start('build');
    world.wait(TTL_MS - 1);
    expect(await code(() => claim.run(world.context, { task: 'build' }))).toBe('LEASE_EXISTS');
    world.wait(1);
    expect(await code(() => claim.run(world.context, { task: 'build' }))).toBe('LEASE_NOT_EXPIRED');
    world.wait(GRACE_MS - 1);
    expect(await code(() => claim.run(world.context, { task: 'build' }))).toBe('LEASE_NOT_EXPIRED');
    world.wait(1);
    const stolen = await claim.run(world.context, { task: 'build' });
    expect(stolen.generation).toBe(2);
    expect((await show.run(world.context, { task: 'build' })).history).toMatchObject([
      { event: 'acquired', generation: 1, claim_id: first },
      { event: 'stolen', generation: 2, from_generation: 1, claim_id: stolen.claim_id },
    ]);
    expect(await code(() => heartbeat.run(world.context, { task: 'build', attempt }))).toBe('LEASE_STOLEN');
    expect(await code(() => world.fail('build', attempt))).toBe('LEASE_STOLEN');
    expect(await code(() => event.run(world.context, { task: 'build', attempt, type: 'note' }))).toBe('LEASE_STOLEN');
  });

  test('claim of a task whose owner is dead succeeds at once', async () => {
    const first = await claim.run(world.context, { task: 'build', owner_pid: process.pid });
    expect(world.json('.forge/orchestrator/tasks/build/lease.json')['owner']).toEqual(identifyOwner(process.pid));
    expect(await code(() => claim.run(world.context, { task: 'build' }))).toBe('LEASE_EXISTS');
    world.liveness = 'dead';
    const second = await claim.run(world.context, { task: 'build' });
    expect(second.generation).toBe(first.generation + 1);
    expect((await world.record('build')).lease).not.toHaveProperty('owner');
  });

  test('claim with an unknown --owner-pid is refused', async () => {
    const error = await refused(() => claim.run(world.context, { task: 'build', owner_pid: 2 ** 22 + 1 }));
    expect(error.code).toBe('INVALID_ARGS');
    expect(error.message).toContain('there is no such process');
  });

  test('a task whose every owner dies fails at the limit', async () => {
    world = new World(planOf('build'), 'agents: {retry_attempts: 3}\n');
    for (let generation = 1; generation <= 3; generation++) {
      expect((await claim.run(world.context, { task: 'build' })).generation).toBe(generation);
      world.wait(TTL_MS + GRACE_MS);
    }
    expect(await code(() => claim.run(world.context, { task: 'build' }))).toBe('NOT_READY');
    // The run that the last claim was to be made under has gone with it.
    expect((await runList.run(world.context, {})).runs).toHaveLength(3);
    expect((await world.record('build')).state).toMatchObject({
      state: 'failed',
      failure_reason: 'retries_exhausted',
      last_error: { class: 'worker.lost' },
    });
  });

  test('claim without a plan is refused', async () => {
    world = new World(null, '');
    expect(await code(() => claim.run(world.context, { task: 'build' }))).toBe('PHASES_NOT_FOUND');
  });
});

test.each([
  ['shipped', 'claim --next'],
  ['failed', 'retry <task>'],
  ['cancelled', 'retry <task>'],
] as const)('a claim of a %s task says what to do instead', async (state, hint) => {
  await world.put('build', { state });
  expect(await refused(() => claim.run(world.context, { task: 'build' }))).toMatchObject({
    code: 'NOT_READY',
    hint: expect.stringContaining(`forge orchestrate ${hint}`),
  });
});

test('an invalid run id is refused with the name of its flag', async () => {
  const error = await refused(() => claim.run(world.context, { task: 'build', run: '--' }));
  expect(error).toMatchObject({ code: 'INVALID_ID', message: '"--" is not a UUID (--run)' });
});
