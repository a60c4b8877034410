import fs from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { claim } from '../../src/commands/claim.ts';
import { type PhaseRow, phases, type ReadyData } from '../../src/commands/phases.ts';
import { dryRun } from '../../src/commands/run.ts';
import { why } from '../../src/commands/why.ts';
import { dirOf } from '../support/commands/divergences.ts';
import { code, GRACE_MS, keysOf, planOf, TTL_MS, TWO_PHASES, World } from '../support/commands/world.ts';
import { refused } from '../support/refused.ts';

let world: World;
beforeEach(() => {
  world = new World(TWO_PHASES);
});

const ready = async (options = {}) => (await phases.run(world.context, { ready: true, ...options })) as ReadyData;
const rows = async (options = {}) => ((await phases.run(world.context, options)) as { phases: PhaseRow[] }).phases;

describe('phases', () => {
  test('phases lists the phases with their progress', async () => {
    await world.put('build', { state: 'shipped' });
    const [first, second] = await rows();
    expect(first).toEqual({
      phase_id: 'phase-1',
      name: 'Phase 1',
      status: 'active',
      blocked_by: null,
      finished: false,
      tasks: 3,
      shipped: 1,
    });
    expect(second).toMatchObject({ phase_id: 'phase-2', blocked_by: 'phase-1', finished: false });
    expect((await rows({ blocked_by: 'phase-1' })).map((row) => row.phase_id)).toEqual(['phase-2']);
    await world.put('test', { state: 'shipped' });
    world.write(
      'plans/phases.yaml',
      fs.readFileSync(world.path('plans/phases.yaml'), 'utf8').replace('human', 'human, status: done'),
    );
    expect((await rows()).map((row) => row.finished)).toEqual([true, false]);
  });

  test('phases --ready lists ready, waiting and human tasks', async () => {
    const data = await ready();
    expect(keysOf(data)).toEqual(['ready', 'waiting', 'human', 'warnings']);
    expect(data).toEqual({
      ready: [{ task_id: 'build', phase_id: 'phase-1', title: 'Do build', priority: 'P1' }],
      waiting: [
        { task_id: 'test', code: 'DEPENDENCY_PENDING', reason: 'it depends on build, which is unclaimed' },
        { task_id: 'ship', code: 'PHASE_BLOCKED', reason: 'phase phase-2 waits for phase phase-1' },
      ],
      human: [{ task_id: 'sign', title: 'Do sign' }],
      warnings: [],
    });
  });

  test('phases --ready --limit lists tasks in the order in which they are given out', async () => {
    world = new World(planOf('late, priority: P2', 'one', 'urgent, priority: P0', 'two'));
    expect((await ready()).ready.map((row) => row.task_id)).toEqual(['urgent', 'one', 'two', 'late']);
    expect((await ready({ limit: 2 })).ready.map((row) => row.task_id)).toEqual(['urgent', 'one']);
    expect((await ready({ limit: 0 })).ready).toEqual([]);
  });

  test('phases --ready --blocked-by lists only what waits for that task or phase', async () => {
    expect((await ready({ blocked_by: 'build' })).waiting.map((row) => row.task_id)).toEqual(['test']);
    expect((await ready({ blocked_by: 'phase-1' })).waiting.map((row) => row.task_id)).toEqual(['ship']);
    expect(await ready({ blocked_by: 'ship' })).toMatchObject({ ready: [], waiting: [], human: [] });
    const error = await refused(() => ready({ blocked_by: 'biuld' }));
    expect(error).toMatchObject({ code: 'INVALID_ARGS', hint: 'Did you mean build?' });
  });

  test('phases --ready --phase lists the tasks that wait for review or ship', async () => {
    await world.put('build', { state: 'ready_for_review' });
    await world.put('test', { state: 'reviewed' });
    await world.put('ship', { state: 'merge_pending' });
    expect((await ready({ phase: 'review' })).ready.map((row) => row.task_id)).toEqual(['build']);
    // Dependencies are merged first.
    const ship = await ready({ phase: 'ship' });
    expect(ship.ready).toEqual([]);
    expect(ship.waiting.map((row) => row.task_id)).toEqual(['test', 'ship']);
    expect(ship.waiting[0]?.reason).toBe('it waits to be merged; it depends on build, which is ready_for_review');
    await world.put('build', { state: 'shipped' });
    expect((await ready({ phase: 'ship' })).ready.map((row) => row.task_id)).toEqual(['test']);
    expect((await ready({ phase: 'ship' })).waiting.map((row) => row.code)).toEqual(['TASK_WAITS_FOR_MERGE']);
    expect((await ready({ phase: 'implement' })).ready).toEqual([]);
  });

  test('phases --ready reports a task whose record cannot be read', async () => {
    world.write(`${dirOf('build')}/state.json`, '{');
    const data = await ready();
    expect(data.ready).toEqual([]);
    expect(data.waiting[0]).toMatchObject({ task_id: 'build', code: 'TASK_UNREADABLE' });
    expect(data.warnings).toMatchObject([
      {
        task_id: 'build',
        row: null,
        severity: 'error',
        message: expect.stringMatching(/^task build: state\.json is not JSON/),
      },
    ]);
  });

  test('phases refuses an invalid plan with every place', async () => {
    world.write('plans/phases.yaml', planOf('build, depnds_on: [x]'));
    const error = await refused(() => phases.run(world.context, {}));
    expect(error.code).toBe('PHASES_PARSE_ERROR');
    expect(error.problems[0]?.place).toMatchObject({ file: 'plans/phases.yaml', line: 6 });
    expect(error.details['problems']).toEqual(error.problems);
  });
});

describe('why', () => {
  test('why gives no reason for a ready task', async () => {
    expect(await why.run(world.context, { task: 'build' })).toEqual({
      task_id: 'build',
      ready: true,
      reasons: [],
      held: null,
      notes: [],
    });
  });

  test('why gives all reasons of a waiting task', async () => {
    await world.put('ship', { state: 'awaiting_respawn', next_eligible_at: world.at(1) });
    expect(await why.run(world.context, { task: 'ship' })).toEqual({
      task_id: 'ship',
      ready: false,
      reasons: [
        { code: 'BACKOFF', message: `it is tried again at ${world.at(1)}` },
        { code: 'PHASE_BLOCKED', message: 'phase phase-2 waits for phase phase-1' },
      ],
      held: null,
      notes: [],
    });
  });

  test('why agrees with phases --ready and claim at any time', async () => {
    await world.start('build');
    for (const ms of [0, TTL_MS, GRACE_MS]) {
      world.wait(ms);
      const list = await ready();
      for (const task of ['build', 'test', 'ship']) {
        const said = await why.run(world.context, { task });
        expect(said.ready).toBe(list.ready.some((row) => row.task_id === task));
        expect(said.reasons[0]?.code).toBe(list.waiting.find((row) => row.task_id === task)?.code);
      }
    }
    expect((await why.run(world.context, { task: 'build' })).ready).toBe(true);
    expect((await claim.run(world.context, { task: 'build' })).generation).toBe(2);
  });

  test('why and a refused claim name what has failed at the beginning of a chain', async () => {
    const chain = ['b, depends_on: [a]', 'c, depends_on: [b]', 'd, depends_on: [c]'];
    world = new World(planOf('a', ...chain, 'e, depends_on: [f]', 'f, status: done, depends_on: [a]'));
    await world.put('a', { state: 'failed', failure_reason: 'fatal' });
    const expected = { code: 'DEPENDENCY_FAILED', message: "it depends on c, which can't start: a is failed" };
    expect((await why.run(world.context, { task: 'd' })).reasons).toEqual([expected]);
    expect((await refused(() => claim.run(world.context, { task: 'd' }))).message).toContain(expected.message);
    expect((await why.run(world.context, { task: 'e' })).ready).toBe(true);
  });

  test('why of an unknown task is refused', async () => {
    expect(await code(() => why.run(world.context, { task: 'gone' }))).toBe('TASK_NOT_FOUND');
    expect(await code(() => why.run(world.context, { task: '' }))).toBe('INVALID_ID');
  });
});

describe('run --dry-run', () => {
  test('run --dry-run shows what run would start, by the same decision', async () => {
    const data = await dryRun(world.context, {});
    expect(data).toMatchObject({
      would_start: [{ task_id: 'build', phase_id: 'phase-1', title: 'Do build', command: 'make' }],
      for_agents: [],
      human: [{ task_id: 'sign', title: 'Do sign' }],
      warnings: [],
    });
    expect(data.waiting.map((row) => [row.task_id, row.code])).toEqual([
      ['test', 'DEPENDENCY_PENDING'],
      ['ship', 'PHASE_BLOCKED'],
    ]);
    expect(data.max_parallel).toBeGreaterThan(0);
    await world.put('build', { state: 'shipped' });
    expect(await dryRun(world.context, { max_parallel: 7 })).toMatchObject({
      would_start: [],
      for_agents: [{ task_id: 'test' }],
      max_parallel: 7,
    });
  });

  test('run --dry-run --task includes only the task and its dependencies', async () => {
    world = new World(planOf('a, run: x', 'b, run: x, depends_on: [a]', 'c, run: x', 'd, run: x, status: paused'));
    const data = await dryRun(world.context, { task: ['b'] });
    expect(data.would_start.map((row) => row.task_id)).toEqual(['a']);
    expect(data.waiting.map((row) => row.task_id)).toEqual(['b']);
    expect(await code(() => dryRun(world.context, { task: ['bb'] }))).toBe('TASK_NOT_FOUND');
  });
});
