/** The verbs that an agent calls: claim, dispatch, heartbeat, release. */

import fs from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { claim } from '../../src/commands/claim.ts';
import { dispatch } from '../../src/commands/dispatch.ts';
import { heartbeat } from '../../src/commands/heartbeat.ts';
import { release } from '../../src/commands/release.ts';
import { show } from '../../src/commands/show.ts';
import { cancelTask } from '../../src/domain/task/operations.ts';
import type { TaskRecord } from '../../src/domain/task/records.ts';
import { ForgeError } from '../../src/lib/errors.ts';
import { isUuid } from '../../src/lib/ids.ts';
import { code, keysOf, MINUTE_MS, phasesOf, planOf, STRANGER, T0, TTL_MS, World } from '../support/commands/world.ts';
import { refused } from '../support/refused.ts';

const ATTEMPTS = '.forge/orchestrator/tasks/build/attempts';

let world: World;
beforeEach(() => {
  world = new World(planOf('build', 'test, depends_on: [build]', 'docs, priority: P0'));
});

describe('from claim to complete', () => {
  test('the verbs from claim to complete answer with all fields and agree with the tree', async () => {
    const claimed = await claim.run(world.context, { task: 'build' });
    expect(keysOf(claimed)).toEqual(['task_id', 'claim_id', 'generation', 'run_id', 'expires_at']);
    expect(claimed).toMatchObject({ task_id: 'build', generation: 1, expires_at: world.at(TTL_MS) });
    expect([claimed.claim_id, claimed.run_id].every(isUuid)).toBe(true);

    const { claim_id, run_id } = claimed;
    const started = await dispatch.run(world.context, {
      task: 'build',
      claim: claim_id,
      run: run_id,
      phase: 'implement',
    });
    expect(keysOf(started)).toEqual(['task_id', 'attempt_id', 'attempt_number', 'phase', 'worktree_path']);
    expect(started).toMatchObject({ task_id: 'build', attempt_number: 1, phase: 'implement', worktree_path: null });

    world.wait(MINUTE_MS);
    const { attempt_id } = started;
    const beaten = await heartbeat.run(world.context, { task: 'build', attempt: attempt_id });
    expect(keysOf(beaten)).toEqual(['task_id', 'attempt_id', 'generation', 'expires_at']);
    expect(beaten).toEqual({ task_id: 'build', attempt_id, generation: 1, expires_at: world.at(MINUTE_MS + TTL_MS) });
    expect(world.json('.forge/orchestrator/tasks/build/state.json')).toMatchObject({ state: 'running' });

    const done = await world.finish('build', attempt_id, { verdict: 'ready_for_review', summary: 'built', extra: [1] });
    expect(keysOf(done)).toEqual(['task_id', 'attempt_id', 'state', 'next_eligible_at', 'failure_reason']);
    expect(done).toEqual({
      task_id: 'build',
      attempt_id,
      state: 'shipped',
      next_eligible_at: null,
      failure_reason: null,
    });

    const dir = '.forge/orchestrator/tasks/build';
    expect(world.has(dir, 'lease.json')).toBe(false);
    expect(world.json(dir, 'state.json')).toMatchObject({ state: 'shipped', attempt_count: 1 });
    expect(world.json(dir, 'attempts', attempt_id, 'manifest.json')).toEqual({
      version: 1,
      attempt_id,
      task_id: 'build',
      run_id,
      claim_id,
      generation: 1,
      phase: 'implement',
      machine: { host: 'mill', boot_id: 'boot-a', pid_ns: 'pid:[1]' },
      worktree_path: null,
      dispatched_at: world.at(0),
      attempt_number: 1,
    });
    expect(world.json(dir, 'attempts', attempt_id, 'verdict.json')).toEqual({
      version: 1,
      verdict: 'ready_for_review',
      summary: 'built',
      extra: [1],
    });
    expect((await show.run(world.context, { task: 'build' })).history.map((line) => line['event'])).toEqual([
      'acquired',
      'released',
    ]);
    expect(world.warnings).toEqual([]);
  });

  test('each move is a line of the log', async () => {
    const { attempt } = await world.start('build');
    await world.finish('build', attempt);
    const log = fs.readFileSync(world.path('.forge/logs/orchestrate.jsonl'), 'utf8');
    const moves = [...log.matchAll(/"type":"transition".*?"move":"(\w+)"/g)].map((match) => match[1]);
    expect(moves).toEqual(['claim', 'dispatch', 'start', 'verify', 'pass_review', 'ship']);
  });

  test('settings decide how far a verified task goes', async () => {
    for (const [settings, state] of [
      ['review: {command: "true"}', 'ready_for_review'],
      ['ship: {policy: merge}', 'reviewed'],
    ] as const) {
      world = new World(planOf('build'), `${settings}\n`);
      const { attempt } = await world.start('build');
      expect((await world.finish('build', attempt)).state).toBe(state);
    }
  });

  test('the next task is ready only after a completion', async () => {
    expect(await code(() => claim.run(world.context, { task: 'test' }))).toBe('NOT_READY');
    await world.finish('build', (await world.start('build')).attempt);
    expect((await claim.run(world.context, { task: 'test' })).generation).toBe(1);
  });
});

describe('dispatch', () => {
  test("a repeated dispatch returns the claim's one attempt unchanged", async () => {
    const { claim_id, run_id } = await claim.run(world.context, { task: 'build' });
    const first = await dispatch.run(world.context, { task: 'build', claim: claim_id, run: run_id, phase: 'review' });
    const again = await dispatch.run(world.context, {
      task: 'build',
      claim: claim_id,
      run: run_id,
      phase: 'implement',
    });
    expect(again).toEqual(first);
    expect(again.phase).toBe('review');
    expect(fs.readdirSync(world.path(ATTEMPTS))).toEqual([first.attempt_id]);
  });

  test('two concurrent dispatches open one attempt', async () => {
    const { claim_id, run_id } = await claim.run(world.context, { task: 'build' });
    const options = { task: 'build', claim: claim_id, run: run_id, phase: 'implement' } as const;
    const [first, second] = await Promise.all([
      dispatch.run(world.context, options),
      dispatch.run(world.context, options),
    ]);
    expect(second).toEqual(first);
    expect(fs.readdirSync(world.path(ATTEMPTS))).toEqual([first.attempt_id]);
  });

  test('a dispatch refused for a cancelled task leaves no attempt', async () => {
    // The clock is looked at between the steps of a dispatch: one after the other, each is where the cancellation comes.
    for (let step = 1, refusals = 0; ; step++) {
      world = new World(planOf('build'));
      const { claim_id, run_id } = await claim.run(world.context, { task: 'build' });
      const { store, newOp } = await world.session();
      const { version } = await store.read('build', { thorough: true });
      const cancelled = cancelTask(await world.record('build'), { reason: null, nowMs: T0 }).record;
      const change = { expected: version, op: newOp(), record: cancelled as TaskRecord };
      const { now } = world.context.ctx;
      let looks = 0;
      const late = () => {
        if (++looks === step) void store.commit('build', change);
        return now();
      };
      const call = { ...world.context, ctx: { ...world.context.ctx, now: late } };
      const options = { task: 'build', claim: claim_id, run: run_id, phase: 'implement' } as const;
      const answer = await dispatch.run(call, options).catch((error: unknown) => error);
      if (looks < step) {
        expect(refusals).toBeGreaterThan(1);
        return;
      }
      const { attempts } = await show.run(world.context, { task: 'build' });
      const left = world.has(ATTEMPTS) ? fs.readdirSync(world.path(ATTEMPTS)) : [];
      expect(left).toEqual(attempts.map(({ attempt_id }) => attempt_id));
      if (answer instanceof ForgeError) {
        refusals++;
        expect({ code: answer.code, left }).toEqual({ code: 'LEASE_STOLEN', left: [] });
      } else expect(left).toHaveLength(1);
    }
  });

  test("dispatch under another run is refused and names the claim's run", async () => {
    const { claim_id, run_id } = await claim.run(world.context, { task: 'build' });
    const options = { task: 'build', claim: claim_id, run: STRANGER, phase: 'implement' } as const;
    expect((await refused(() => dispatch.run(world.context, options))).hint).toContain(`--run ${run_id}`);
  });

  test("dispatch without the task's claim is refused", async () => {
    const options = { claim: STRANGER, run: STRANGER, phase: 'implement' } as const;
    expect(await code(() => dispatch.run(world.context, { task: 'build', ...options }))).toBe('STATE_NOT_FOUND');
    expect(await code(() => dispatch.run(world.context, { task: 'gone', ...options }))).toBe('TASK_NOT_FOUND');
    const { claim_id } = await claim.run(world.context, { task: 'build' });
    expect(await code(() => dispatch.run(world.context, { task: 'build', ...options }))).toBe('LEASE_STOLEN');
    expect(await code(() => dispatch.run(world.context, { task: 'build', ...options, claim: claim_id }))).toBe(
      'LEASE_IDENTITY_MISMATCH',
    );
    expect(await code(() => dispatch.run(world.context, { task: 'build', ...options, claim: 'mine' }))).toBe(
      'INVALID_ID',
    );
    expect(world.has(ATTEMPTS)).toBe(false);
  });
});

describe('heartbeat', () => {
  test('heartbeat renews an expired lease that was not taken', async () => {
    const { attempt } = await world.start('build');
    world.wait(10 * TTL_MS);
    const { expires_at } = await heartbeat.run(world.context, { task: 'build', attempt });
    expect(expires_at).toBe(world.at(11 * TTL_MS));
    expect(await code(() => claim.run(world.context, { task: 'build' }))).toBe('LEASE_EXISTS');
  });

  test.each([
    ['a stranger', STRANGER, 'STALE_ATTEMPT'],
    ['no id', 'attempt-1', 'INVALID_ID'],
  ])('heartbeat by %s is refused', async (_who, attempt, expected) => {
    await world.start('build');
    const before = world.footprint();
    expect(await code(() => heartbeat.run(world.context, { task: 'build', attempt }))).toBe(expected);
    expect(world.footprint()).toEqual(before);
  });

  test('heartbeat of a task without state is refused', async () => {
    expect(await code(() => heartbeat.run(world.context, { task: 'build', attempt: STRANGER }))).toBe(
      'STATE_NOT_FOUND',
    );
    expect(await code(() => heartbeat.run(world.context, { task: 'gone', attempt: STRANGER }))).toBe('TASK_NOT_FOUND');
  });
});

describe('release', () => {
  test('release gives a task back uncharged, and a repeat gets the same answer', async () => {
    const { claim: first } = await world.start('build');
    expect(await release.run(world.context, { task: 'build', claim: first })).toEqual({
      task_id: 'build',
      state: 'awaiting_respawn',
    });
    const second = await claim.run(world.context, { task: 'build' });
    expect(await release.run(world.context, { task: 'build', claim: first })).toEqual({
      task_id: 'build',
      state: 'awaiting_respawn',
    });
    expect(await release.run(world.context, { task: 'build', claim: second.claim_id })).toEqual({
      task_id: 'build',
      state: 'unclaimed',
    });
    expect((await world.record('build')).state).toMatchObject({ failure_count: 0, attempt_count: 1 });
  });

  test('release with another claim is refused and changes nothing', async () => {
    await world.start('build');
    const before = world.footprint();
    expect(await code(() => release.run(world.context, { task: 'build', claim: STRANGER }))).toBe('LEASE_STOLEN');
    expect(world.footprint()).toEqual(before);
  });
});

test('the second phase opens when the first is finished', async () => {
  world = new World(
    phasesOf({ id: 'phase-1', tasks: ['a'] }, { id: 'phase-2', more: 'blocked_by: phase-1', tasks: ['b'] }),
  );
  expect(await code(() => claim.run(world.context, { task: 'b' }))).toBe('NOT_READY');
  await world.finish('a', (await world.start('a')).attempt);
  expect((await claim.run(world.context, { task: 'b' })).task_id).toBe('b');
});

test('of many concurrent claims each task gets one owner', async () => {
  world = new World(planOf(...Array.from({ length: 6 }, (_, i) => `t${i}`)));
  const claims = await Promise.allSettled(Array.from({ length: 10 }, () => claim.run(world.context, { next: true })));
  const won = claims.flatMap((result) => (result.status === 'fulfilled' ? [result.value.task_id] : []));
  expect(won.sort()).toEqual(['t0', 't1', 't2', 't3', 't4', 't5']);
  const lost = claims.flatMap((result) => (result.status === 'rejected' ? [result.reason.code] : []));
  expect(lost).toHaveLength(4);
  for (const code of lost) expect(['NOT_READY', 'LEASE_EXISTS']).toContain(code);
});

test('only the clock of the context is used', async () => {
  const { attempt } = await world.start('build');
  const { state, lease } = await world.record('build');
  expect([state.updated_at, lease?.acquired_at]).toEqual([new Date(T0).toISOString(), new Date(T0).toISOString()]);
  expect((await show.run(world.context, { task: 'build' })).attempts).toMatchObject([
    { attempt_id: attempt, dispatched_at: world.at(0) },
  ]);
});
