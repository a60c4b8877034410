/** What people do: cancel, retry, add events, open runs, and edit the files. */

import fs from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { cancel } from '../../src/commands/cancel.ts';
import { claim } from '../../src/commands/claim.ts';
import { event } from '../../src/commands/event.ts';
import { heartbeat } from '../../src/commands/heartbeat.ts';
import { retry } from '../../src/commands/retry.ts';
import { runEnd } from '../../src/commands/run-end.ts';
import { runList } from '../../src/commands/run-list.ts';
import { runStart } from '../../src/commands/run-start.ts';
import { code, GRACE_MS, keysOf, planOf, STRANGER, World } from '../support/commands/world.ts';
import { refused } from '../support/refused.ts';

let world: World;
beforeEach(() => {
  world = new World(planOf('build', 'test, depends_on: [build]', 'docs, priority: P0'));
});

describe('cancel and retry', () => {
  test('cancel ends a task, and retry reopens it', async () => {
    const { attempt } = await world.start('build');
    expect(await cancel.run(world.context, { task: 'build', reason: 'not now' })).toEqual({
      task_id: 'build',
      state: 'cancelled',
      children: 0,
    });
    expect(await code(() => heartbeat.run(world.context, { task: 'build', attempt }))).toBe('LEASE_STOLEN');
    expect(await code(() => claim.run(world.context, { task: 'build' }))).toBe('NOT_READY');
    expect(await cancel.run(world.context, { task: 'build' })).toEqual({
      task_id: 'build',
      state: 'cancelled',
      children: 0,
    });
    expect(await retry.run(world.context, { task: 'build' })).toMatchObject({ task_id: 'build', state: 'unclaimed' });
    expect((await claim.run(world.context, { task: 'build' })).generation).toBe(2);
  });

  test('cancel ends a planned task without state', async () => {
    expect(await retry.run(world.context, { task: 'build' })).toMatchObject({ task_id: 'build', state: 'unclaimed' });
    expect(await cancel.run(world.context, { task: 'build' })).toEqual({
      task_id: 'build',
      state: 'cancelled',
      children: 0,
    });
  });

  test('retry ends a backoff', async () => {
    await world.fail('build', (await world.start('build')).attempt);
    expect(await code(() => claim.run(world.context, { task: 'build' }))).toBe('NOT_READY');
    expect(await retry.run(world.context, { task: 'build' })).toMatchObject({
      task_id: 'build',
      state: 'awaiting_respawn',
    });
    expect((await world.start('build')).attempt).toBeTruthy();
  });

  test('cancel and retry of an unknown task are refused', async () => {
    expect(await code(() => cancel.run(world.context, { task: 'gone' }))).toBe('TASK_NOT_FOUND');
    expect(await code(() => retry.run(world.context, { task: '../gone' }))).toBe('INVALID_ID');
  });

  test('cancel frees a task that is no longer in the plan', async () => {
    await world.start('build');
    world.write('plans/phases.yaml', planOf('other'));
    expect((await cancel.run(world.context, { task: 'build' })).state).toBe('cancelled');
  });

  test('cancel of a terminal task and retry of one in flight are refused', async () => {
    const { attempt } = await world.start('build');
    expect(await refused(() => retry.run(world.context, { task: 'build' }))).toMatchObject({
      code: 'ILLEGAL_TRANSITION',
      message: expect.stringContaining('task build is dispatched: only one that has failed'),
      hint: expect.stringContaining('cancel <task>'),
    });
    await world.finish('build', attempt);
    expect(await refused(() => cancel.run(world.context, { task: 'build' }))).toMatchObject({
      code: 'ILLEGAL_TRANSITION',
      message: 'task build is shipped already: there is nothing to cancel',
    });
    expect(await refused(() => retry.run(world.context, { task: 'build' }))).toMatchObject({
      code: 'ILLEGAL_TRANSITION',
      hint: 'Do it again from the start with `forge orchestrate rerun build`.',
    });
  });
});

describe('event', () => {
  const events = async (task: string, attempt: string) =>
    (await world.session()).eventLog.read({ log: 'events', taskId: task, attemptId: attempt });

  test("event adds a line to the attempt's log", async () => {
    const { attempt } = await world.start('build');
    const answer = await event.run(world.context, {
      task: 'build',
      attempt,
      type: 'tests.passed',
      data: '{"passed": 12}',
    });
    expect(answer).toEqual({ task_id: 'build', attempt_id: attempt, type: 'tests.passed', ts: world.at(0) });
    world.wait(5);
    await event.run(world.context, { task: 'build', attempt, type: 'note' });
    expect(await events('build', attempt)).toEqual([
      { ts: world.at(0), type: 'tests.passed', data: { passed: 12 } },
      { ts: world.at(5), type: 'note', data: null },
    ]);
  });

  test.each<[what: string, options: object, expected: string]>([
    ['a type that is none', { type: '1 2' }, 'INVALID_ARGS'],
    ['a type without end', { type: 'x'.repeat(65) }, 'INVALID_ARGS'],
    ['data that is not JSON', { data: '{' }, 'INVALID_ARGS'],
    ['data without end', { data: `"${'x'.repeat(16_384)}"` }, 'INVALID_ARGS'],
    ['an unknown attempt', { attempt: STRANGER }, 'STALE_ATTEMPT'],
  ])('event with %s is refused and leaves nothing', async (_what, options, expected) => {
    const { attempt } = await world.start('build');
    const before = world.footprint();
    expect(await code(() => event.run(world.context, { task: 'build', attempt, type: 'note', ...options }))).toBe(
      expected,
    );
    expect(world.footprint()).toEqual(before);
  });
});

describe('runs', () => {
  test('runs are started, listed and ended', async () => {
    const started = await runStart.run(world.context, { name: 'the \u001b[1mfirst\n' });
    expect(started).toEqual({ run_id: expect.any(String), name: 'the first', started_at: world.at(0) });
    expect(keysOf(started)).toEqual(['run_id', 'name', 'started_at']);
    const row = { run_id: started.run_id, name: 'the first', host: 'mill', started_at: world.at(0) };
    expect(await runList.run(world.context, {})).toEqual({ runs: [{ ...row, ended_at: null, standing: 'open' }] });
    world.wait(5);
    const ended = await runEnd.run(world.context, { run: started.run_id });
    expect(ended).toEqual({ ...started, ended_at: world.at(5) });
    world.wait(5);
    expect(await runEnd.run(world.context, { run: started.run_id })).toEqual(ended);
    expect(await runList.run(world.context, {})).toEqual({
      runs: [{ ...row, ended_at: world.at(5), standing: 'ended' }],
    });
  });

  test('an unknown run cannot be ended', async () => {
    expect(await code(() => runEnd.run(world.context, { run: STRANGER }))).toBe('RUN_NOT_FOUND');
    expect(await code(() => runEnd.run(world.context, { run: 'last' }))).toBe('INVALID_ID');
  });

  test('dead runs are distinguished from open ones', async () => {
    const { store, newOp } = await world.session();
    const owner = { host: 'mill', boot_id: 'boot-a', pid_ns: '', pid: 7, started_at: 'ticks:1' };
    const manifest = {
      version: 1,
      run_id: STRANGER,
      started_at: world.at(0),
      name: null,
      host: 'mill',
      owner,
    } as const;
    await store.createRun(manifest, newOp());
    expect((await runList.run(world.context, {})).runs[0]?.standing).toBe('open');
    world.liveness = 'dead';
    expect((await runList.run(world.context, {})).runs[0]?.standing).toBe('dead');
  });
});

describe('edits by a person', () => {
  const view = (name: string) => `.forge/orchestrator/tasks/build/${name}`;

  test('a person frees a task by editing its lease', async () => {
    await claim.run(world.context, { task: 'build' });
    const lease = world.json(view('lease.json'));
    world.write(view('lease.json'), JSON.stringify({ ...lease, expires_at: world.at(-GRACE_MS) }));
    const { generation } = await claim.run(world.context, { task: 'build' });
    expect(generation).toBe(2);
  });

  test('deleting the lease file does not free a task', async () => {
    await claim.run(world.context, { task: 'build' });
    fs.rmSync(world.path(view('lease.json')));
    expect(await code(() => claim.run(world.context, { task: 'build' }))).toBe('LEASE_EXISTS');
  });

  test('an unreadable edit blocks every change until it is fixed', async () => {
    const { attempt } = await world.start('build');
    const state = world.json(view('state.json'));
    world.write(view('state.json'), JSON.stringify({ ...state, state: 'sleeping' }));
    for (const act of [
      () => heartbeat.run(world.context, { task: 'build', attempt }),
      () => world.fail('build', attempt),
      () => cancel.run(world.context, { task: 'build' }),
    ])
      expect(await code(act)).toBe('SCHEMA_INVALID');
    world.write(view('state.json'), JSON.stringify(state));
    expect((await heartbeat.run(world.context, { task: 'build', attempt })).generation).toBe(1);
  });

  test('a tree written by hand is adopted by the first claim', async () => {
    world.write(view('state.json'), '{"version":1,"task_id":"build","state":"unclaimed","team":"mill"}');
    world.write(view('claim-history.jsonl'), '{"event":"released","generation":6}\n');
    expect(await claim.run(world.context, { task: 'build' })).toMatchObject({ task_id: 'build', generation: 7 });
    expect(world.json(view('state.json'))).toMatchObject({ state: 'claimed', team: 'mill' });
  });

  test('a tree written by hand is adopted although its ids differ', async () => {
    world.write(view('state.json'), '{"version":1,"task_id":"other","state":"unclaimed"}');
    expect(await claim.run(world.context, { task: 'build' })).toMatchObject({ task_id: 'build' });
    expect(world.json(view('lease.json'))['task_id']).toBe('build');
  });
});
