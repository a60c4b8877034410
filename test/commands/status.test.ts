import fs from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { add } from '../../src/commands/add.ts';
import { claim } from '../../src/commands/claim.ts';
import { gc } from '../../src/commands/gc.ts';
import { question } from '../../src/commands/question.ts';
import type { CommandContext } from '../../src/commands/shared/session.ts';
import { status } from '../../src/commands/status.ts';
import { warningOf } from '../../src/domain/warnings.ts';
import { openStores } from '../../src/store/open.ts';
import { dirOf } from '../support/commands/divergences.ts';
import { code, keysOf, MINUTE_MS, planOf, STRANGER, TTL_MS, TWO_PHASES, World } from '../support/commands/world.ts';

let world: World;
beforeEach(() => {
  world = new World(TWO_PHASES);
});

/** Calls `look` with stores in which `change` happens before call number `at` that reads. False: it makes fewer calls. */
async function whileLooking(at: number, look: (context: CommandContext) => Promise<void>, change: () => Promise<void>) {
  const { paths } = await world.session();
  const stores = openStores(paths);
  let calls = 0;
  for (const name of ['snapshot', 'list', 'parents', 'read'] as const) {
    const call = stores.store[name].bind(stores.store) as (...given: unknown[]) => Promise<unknown>;
    const counted = async (...given: unknown[]) => {
      if (calls++ === at) await change();
      return call(...given);
    };
    Object.assign(stores.store, { [name]: counted });
  }
  await look({ ...world.context, stores });
  return calls > at;
}

describe('a task that is added and claimed while others look', () => {
  test.each<[string, (context: CommandContext) => Promise<unknown[]>]>([
    ['status', async (context) => (await status.run(context, {})).warnings],
    ['gc', async (context) => (await gc.run(context, { dry_run: true })).reported],
  ])('is never one that %s takes to be in no plan', async (_, look) => {
    world = new World(planOf('build'));
    await world.start('build');
    for (let at = 0, isMade = true; isMade; at++) {
      const id = `more-${at}`;
      isMade = await whileLooking(
        at,
        async (context) => expect(await look(context)).toEqual([]),
        async () => {
          await add.run(world.context, { title: 'More', id });
          await claim.run(world.context, { task: id });
        },
      );
    }
  });
});

test.each<[string, (context: CommandContext) => Promise<unknown[]>]>([
  ['status', async (context) => (await status.run(context, {})).warnings],
  ['gc', async (context) => (await gc.run(context, { dry_run: true })).planned],
])('a question that is asked while %s looks is no rest of an earlier attempt', async (_, look) => {
  world = new World(planOf('build'));
  const options_file = world.write('options.yaml', '[{id: keep, label: Keep}, {id: drop, label: Drop}]');
  await world.fail('build', (await world.start('build')).attempt);
  world.wait(MINUTE_MS);
  let isAsked = false;
  const { paths } = await world.session();
  const stores = openStores(paths);
  const snapshot = stores.store.snapshot.bind(stores.store);
  stores.store.snapshot = async () => {
    const seen = await snapshot();
    const { attempt } = await world.start('build');
    const asked = { decision_key: 'old', question: 'Keep it?', options_file };
    await question.run(world.context, { task: 'build', attempt, ...asked });
    isAsked = true;
    return seen;
  };
  expect(await look({ ...world.context, stores })).toEqual([]);
  expect(isAsked).toBe(true);
});

describe('status', () => {
  test('status shows a plan without state', async () => {
    const data = await status.run(world.context, {});
    expect(keysOf(data)).toEqual([
      'project',
      'counts',
      'tasks',
      'runs',
      'spent',
      'open_questions',
      'agents',
      'warnings',
    ]);
    expect(data).toMatchObject({
      project: 'mill',
      counts: { unclaimed: 4 },
      runs: [],
      open_questions: 0,
      warnings: [],
    });
    expect(data.tasks.map((row) => row.task_id)).toEqual(['build', 'test', 'sign', 'ship']);
    expect(data.tasks[0]).toEqual({
      task_id: 'build',
      parent: null,
      phase_id: 'phase-1',
      title: 'Do build',
      state: 'unclaimed',
      planned: 'active',
      human: false,
      skipped: null,
      continue_on_error: false,
      attempt_count: 0,
      generation: 0,
      run_id: null,
      lease_expires_at: null,
      last_output_at: null,
      doing: null,
      next_eligible_at: null,
      wake_at: null,
      waits_for: [],
      failure_reason: null,
      spent: null,
      last_error: null,
      verifying: null,
      held: null,
      unchanged: false,
      branch: null,
      worktree_path: null,
      summary: null,
    });
    expect(world.has('.forge')).toBe(false);
  });

  test('status shows a task in flight and one in backoff', async () => {
    const { run } = await world.start('build');
    await world.put('ship', {
      state: 'awaiting_respawn',
      next_eligible_at: world.at(5000),
      last_error: { class: 'exit.1', message: 'no' },
      attempt_count: 3,
    });
    const data = await status.run(world.context, {});
    expect(data.counts).toEqual({ unclaimed: 2, dispatched: 1, awaiting_respawn: 1 });
    expect(data.tasks[0]).toMatchObject({
      state: 'dispatched',
      attempt_count: 1,
      generation: 1,
      run_id: run,
      lease_expires_at: world.at(TTL_MS),
    });
    expect(data.tasks[3]).toMatchObject({
      state: 'awaiting_respawn',
      attempt_count: 3,
      next_eligible_at: world.at(5000),
      last_error: { class: 'exit.1', message: 'no' },
      failure_reason: null,
    });
    expect(data.runs.map((row) => row.run_id)).toEqual([run]);
    expect(keysOf(data.runs[0])).toEqual(['run_id', 'name', 'host', 'started_at', 'ended_at', 'standing']);
  });

  test.each([
    ['retries_exhausted', 'retries_exhausted'],
    [undefined, 'fatal'],
  ] as const)('status shows a failed task with reason %s as %s', async (failure_reason, shown) => {
    await world.put('build', { state: 'failed', ...(failure_reason === undefined ? {} : { failure_reason }) });
    expect((await status.run(world.context, {})).tasks[0]).toMatchObject({ state: 'failed', failure_reason: shown });
  });

  test('status counts open questions', async () => {
    await world.put('build', { state: 'blocked_on_question' });
    expect((await status.run(world.context, {})).open_questions).toBe(1);
  });

  test('status --run shows what the run works on and changed last', async () => {
    const { run } = await world.start('build');
    await claim.run(world.context, { task: 'test' }).catch(() => {});
    await world.put('ship', { state: 'cancelled' });
    const data = await status.run(world.context, { run });
    expect(data.tasks.map((row) => row.task_id)).toEqual(['build']);
    expect(data.counts).toEqual({ dispatched: 1 });
    expect(data.runs.map((row) => row.run_id)).toEqual([run]);
    expect(await code(() => status.run(world.context, { run: STRANGER }))).toBe('RUN_NOT_FOUND');
    expect(await code(() => status.run(world.context, { run: 'mine' }))).toBe('INVALID_ID');
  });

  test('status shows a task that is no longer in the plan, with a warning', async () => {
    await world.start('build');
    world.write('plans/phases.yaml', planOf('other'));
    const data = await status.run(world.context, {});
    expect(data.tasks.at(-1)).toMatchObject({
      task_id: 'build',
      phase_id: null,
      title: null,
      planned: null,
      state: 'dispatched',
    });
    expect(data.warnings).toEqual([
      warningOf('task build has a state but is not in plans/phases.yaml; it is kept and cannot be claimed', 'build'),
    ]);
    expect(await code(() => claim.run(world.context, { task: 'build' }))).toBe('TASK_NOT_FOUND');
    await world.put('test', { state: 'shipped' });
    const text =
      '2 tasks have a state but are not in plans/phases.yaml; they are kept and cannot be claimed: build, test';
    expect((await status.run(world.context, {})).warnings).toEqual([warningOf(text)]);
  });

  test('status works without a plan', async () => {
    await world.start('build');
    fs.rmSync(world.path('plans'), { recursive: true });
    const data = await status.run(world.context, {});
    expect(data.project).toBe(world.project.slice(world.project.lastIndexOf('/') + 1));
    expect(data.tasks).toMatchObject([{ task_id: 'build', state: 'dispatched' }]);
    expect(data.warnings).toEqual([]);
  });

  test('status shows an unreadable task with the reason, and all others', async () => {
    await world.start('build');
    world.write(`${dirOf('test')}/state.json`, '{"version":1');
    world.write(`${dirOf('ship')}/state.json`, '{"version":2,"task_id":"ship","state":"x"}');
    const data = await status.run(world.context, {});
    expect(data.tasks.map((row) => row.state)).toEqual(['dispatched', 'unreadable', 'unclaimed', 'unreadable']);
    expect(data.counts).toEqual({ dispatched: 1, unreadable: 2, unclaimed: 1 });
    expect(data.warnings).toEqual([
      {
        task_id: 'test',
        row: null,
        action: null,
        severity: 'error',
        message: expect.stringMatching(/^task test: state\.json is not JSON/),
        suggestion: null,
      },
      {
        task_id: 'ship',
        row: null,
        action: null,
        severity: 'error',
        message: expect.stringMatching(/^task ship: state\.json: version 2 was written by a newer forge/),
        suggestion: null,
      },
    ]);
  });

  test('status reports an edit by hand', async () => {
    await world.start('build');
    const state = world.json(dirOf('build'), 'state.json');
    world.write(`${dirOf('build')}/state.json`, JSON.stringify({ ...state, failure_count: 2 }));
    expect((await status.run(world.context, {})).warnings).toEqual([
      warningOf('task build: state.json was edited by hand; the next change takes it over', 'build'),
    ]);
  });

  test('status warns of settings that are not supported', async () => {
    world = new World(planOf('build'), 'tracker: {type: github}\n');
    const { warnings } = await status.run(world.context, {});
    expect(warnings).toEqual([warningOf('not supported yet: tracker.type: github is not kept in step')]);
  });
});
