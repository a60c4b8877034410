/** The verbs that only look: their shapes, and that they leave everything as it is. */

import fs from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { claim } from '../../src/verbs/claim.ts';
import { complete } from '../../src/verbs/complete.ts';
import { doctor } from '../../src/verbs/doctor.ts';
import { heartbeat } from '../../src/verbs/heartbeat.ts';
import { home } from '../../src/verbs/home.ts';
import { type LogChunk, logs } from '../../src/verbs/logs.ts';
import { type PhaseRow, phases, type ReadyData, why } from '../../src/verbs/phases.ts';
import { dryRun } from '../../src/verbs/run.ts';
import { runList, runStart } from '../../src/verbs/runs.ts';
import { show } from '../../src/verbs/show.ts';
import { status } from '../../src/verbs/status.ts';
import { code, GRACE_MS, keysOf, phasesOf, planOf, refused, STRANGER, TTL_MS, World } from './helpers/world.ts';

let world: World;
beforeEach(() => {
  world = new World(
    phasesOf(
      { id: 'phase-1', tasks: ['build, run: make', 'test, depends_on: [build]', 'sign, owner_type: human'] },
      { id: 'phase-2', more: 'blocked_by: phase-1', tasks: ['ship, run: make ship, priority: P0'] },
    ),
  );
});

const dir = (task: string) => `.forge/orchestrator/tasks/${task}`;

const ready = async (options = {}) => (await phases(world.call, { ready: true, ...options })) as ReadyData;
const rows = async (options = {}) => ((await phases(world.call, options)) as { phases: PhaseRow[] }).phases;

describe('status', () => {
  test('of a plan that nothing has happened to', async () => {
    const data = await status(world.call, {});
    expect(keysOf(data)).toEqual(['project', 'counts', 'tasks', 'runs', 'open_questions', 'warnings']);
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
      phase_id: 'phase-1',
      title: 'Do build',
      state: 'unclaimed',
      planned: 'active',
      human: false,
      attempt_count: 0,
      generation: 0,
      run_id: null,
      lease_expires_at: null,
      next_eligible_at: null,
      failure_reason: null,
      last_error: null,
    });
    expect(world.has('.forge')).toBe(false);
  });

  test('of a task at work, and of one that waits out a backoff', async () => {
    const { run } = await world.start('build');
    await world.put('ship', {
      state: 'awaiting_respawn',
      next_eligible_at: world.at(5000),
      last_error: { class: 'exit.1', message: 'no' },
      attempt_count: 3,
    });
    const data = await status(world.call, {});
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
  ] as const)('a failed task that says %s reads %s', async (failure_reason, shown) => {
    await world.put('build', { state: 'failed', ...(failure_reason === undefined ? {} : { failure_reason }) });
    expect((await status(world.call, {})).tasks[0]).toMatchObject({ state: 'failed', failure_reason: shown });
  });

  test('counts the questions that are open', async () => {
    await world.put('build', { state: 'blocked_on_question' });
    expect((await status(world.call, {})).open_questions).toBe(1);
  });

  test('of one run shows what it holds and what it touched last', async () => {
    const { run } = await world.start('build');
    await claim(world.call, { task: 'test' }).catch(() => {});
    await world.put('ship', { state: 'cancelled' });
    const data = await status(world.call, { run });
    expect(data.tasks.map((row) => row.task_id)).toEqual(['build']);
    expect(data.counts).toEqual({ dispatched: 1 });
    expect(data.runs.map((row) => row.run_id)).toEqual([run]);
    expect(await code(() => status(world.call, { run: STRANGER }))).toBe('RUN_NOT_FOUND');
    expect(await code(() => status(world.call, { run: 'mine' }))).toBe('INVALID_ID');
  });

  test('shows a task that has left the plan, with a warning', async () => {
    await world.start('build');
    world.write('plans/phases.yaml', planOf('other'));
    const data = await status(world.call, {});
    expect(data.tasks.at(-1)).toMatchObject({
      task_id: 'build',
      phase_id: null,
      title: null,
      planned: null,
      state: 'dispatched',
    });
    expect(data.warnings).toEqual([
      'task build has a state but is not in plans/phases.yaml; it is kept and can not be claimed',
    ]);
    expect(await code(() => claim(world.call, { task: 'build' }))).toBe('TASK_NOT_FOUND');
  });

  test('works without any plan', async () => {
    await world.start('build');
    fs.rmSync(world.path('plans'), { recursive: true });
    const data = await status(world.call, {});
    expect(data.project).toBe(world.project.slice(world.project.lastIndexOf('/') + 1));
    expect(data.tasks).toMatchObject([{ task_id: 'build', state: 'dispatched' }]);
    expect(data.warnings).toEqual([]);
  });

  test('shows a task whose record can not be read, and why, and all the others', async () => {
    await world.start('build');
    world.write(`${dir('test')}/state.json`, '{"version":1');
    world.write(`${dir('ship')}/state.json`, '{"version":2,"task_id":"ship","state":"x"}');
    const data = await status(world.call, {});
    expect(data.tasks.map((row) => row.state)).toEqual(['dispatched', 'unreadable', 'unclaimed', 'unreadable']);
    expect(data.counts).toEqual({ dispatched: 1, unreadable: 2, unclaimed: 1 });
    expect(data.warnings).toEqual([
      expect.stringMatching(/^task test: state\.json is not JSON/),
      expect.stringMatching(/^task ship: state\.json: version 2 was written by a newer forge/),
    ]);
  });

  test('names an edit by hand', async () => {
    await world.start('build');
    const state = world.json(dir('build'), 'state.json');
    world.write(`${dir('build')}/state.json`, JSON.stringify({ ...state, failure_count: 2 }));
    expect((await status(world.call, {})).warnings).toEqual([
      'task build: state.json was edited by hand; the next change takes it over',
    ]);
  });

  test('says what plan and settings ask for in vain', async () => {
    world = new World(planOf('build, verify: [make check], write_globs: [src/**]'), 'workspace: worktree\n');
    const { warnings } = await status(world.call, {});
    expect(warnings.filter((warning) => warning.startsWith('not supported yet: ')).length).toBeGreaterThan(0);
  });
});

describe('phases', () => {
  test('lists the phases, with what is over', async () => {
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
    expect((await rows({ blockedBy: 'phase-1' })).map((row) => row.phase_id)).toEqual(['phase-2']);
    await world.put('test', { state: 'shipped' });
    world.write(
      'plans/phases.yaml',
      fs.readFileSync(world.path('plans/phases.yaml'), 'utf8').replace('human', 'human, status: done'),
    );
    expect((await rows()).map((row) => row.finished)).toEqual([true, false]);
  });

  test('--ready says what can start, what waits for what, and what is left to a person', async () => {
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

  test('--ready in the order in which tasks are given out, and no more than asked for', async () => {
    world = new World(planOf('late, priority: P2', 'one', 'urgent, priority: P0', 'two'));
    expect((await ready()).ready.map((row) => row.task_id)).toEqual(['urgent', 'one', 'two', 'late']);
    expect((await ready({ limit: 2 })).ready.map((row) => row.task_id)).toEqual(['urgent', 'one']);
    expect((await ready({ limit: 0 })).ready).toEqual([]);
  });

  test('--ready --blocked-by shows only what waits for that', async () => {
    expect((await ready({ blockedBy: 'build' })).waiting.map((row) => row.task_id)).toEqual(['test']);
    expect((await ready({ blockedBy: 'phase-1' })).waiting.map((row) => row.task_id)).toEqual(['ship']);
    expect(await ready({ blockedBy: 'ship' })).toMatchObject({ ready: [], waiting: [], human: [] });
    const error = await refused(() => ready({ blockedBy: 'biuld' }));
    expect(error).toMatchObject({ code: 'INVALID_ARGS', hint: 'Did you mean build?' });
  });

  test('--ready --phase review and ship show what waits there', async () => {
    await world.put('build', { state: 'ready_for_review' });
    await world.put('test', { state: 'reviewed' });
    await world.put('ship', { state: 'merge_pending' });
    expect((await ready({ phase: 'review' })).ready.map((row) => row.task_id)).toEqual(['build']);
    expect((await ready({ phase: 'ship' })).ready.map((row) => row.task_id)).toEqual(['test', 'ship']);
    expect((await ready({ phase: 'implement' })).ready).toEqual([]);
  });

  test('a task whose record can not be read waits, and is named', async () => {
    world.write(`${dir('build')}/state.json`, '{');
    const data = await ready();
    expect(data.ready).toEqual([]);
    expect(data.waiting[0]).toMatchObject({ task_id: 'build', code: 'TASK_UNREADABLE' });
    expect(data.warnings).toEqual([expect.stringMatching(/^task build: state\.json is not JSON/)]);
  });

  test('a plan that is wrong is refused with every place', async () => {
    world.write('plans/phases.yaml', planOf('build, depnds_on: [x]'));
    const error = await refused(() => phases(world.call, {}));
    expect(error.code).toBe('PHASES_PARSE_ERROR');
    expect(error.problems[0]?.place).toMatchObject({ file: 'plans/phases.yaml', line: 6 });
    expect(error.details['problems']).toEqual(error.problems);
  });
});

describe('why', () => {
  test('a ready task has no reason', async () => {
    expect(await why(world.call, { task: 'build' })).toEqual({ task_id: 'build', ready: true, reasons: [] });
  });

  test('one that waits has all of them', async () => {
    await world.put('ship', { state: 'awaiting_respawn', next_eligible_at: world.at(1) });
    expect(await why(world.call, { task: 'ship' })).toEqual({
      task_id: 'ship',
      ready: false,
      reasons: [
        { code: 'BACKOFF', message: `it is tried again at ${world.at(1)}` },
        { code: 'PHASE_BLOCKED', message: 'phase phase-2 waits for phase phase-1' },
      ],
    });
  });

  test('says the same as phases --ready and as claim, whatever the time', async () => {
    await world.start('build');
    for (const ms of [0, TTL_MS, GRACE_MS]) {
      world.wait(ms);
      const list = await ready();
      for (const task of ['build', 'test', 'ship']) {
        const said = await why(world.call, { task });
        expect(said.ready).toBe(list.ready.some((row) => row.task_id === task));
        expect(said.reasons[0]?.code).toBe(list.waiting.find((row) => row.task_id === task)?.code);
      }
    }
    expect((await why(world.call, { task: 'build' })).ready).toBe(true);
    expect((await claim(world.call, { task: 'build' })).generation).toBe(2);
  });

  test('of a task that there is not is refused', async () => {
    expect(await code(() => why(world.call, { task: 'gone' }))).toBe('TASK_NOT_FOUND');
    expect(await code(() => why(world.call, { task: '' }))).toBe('INVALID_ID');
  });
});

describe('show', () => {
  test('everything about a task', async () => {
    const first = await world.start('build');
    await complete(world.call, { task: 'build', attempt: first.attempt, failed: true, errorClass: 'exit.1' });
    world.wait(1000);
    const second = await world.start('build');
    const data = await show(world.call, { task: 'build' });
    expect(keysOf(data)).toEqual([
      'task_id',
      'task',
      'state',
      'lease',
      'ready',
      'reasons',
      'attempts',
      'history',
      'warnings',
    ]);
    expect(data).toMatchObject({
      task_id: 'build',
      task: { id: 'build', title: 'Do build', run: 'make' },
      state: { state: 'dispatched', attempt_count: 2, failure_count: 1 },
      lease: { claim_id: second.claim, generation: 2 },
      ready: false,
      reasons: [{ code: 'TASK_IN_FLIGHT' }],
      warnings: [],
    });
    expect(
      data.attempts.map(({ attempt_id, attempt_number, current }) => [attempt_id, attempt_number, current]),
    ).toEqual([
      [first.attempt, 1, false],
      [second.attempt, 2, true],
    ]);
    expect(fs.existsSync(data.attempts[0]?.path ?? '')).toBe(true);
    expect(data.history.map(({ event, generation }) => [event, generation])).toEqual([
      ['acquired', 1],
      ['released', 1],
      ['acquired', 2],
    ]);
  });

  test('of a planned task that nothing has happened to', async () => {
    expect(await show(world.call, { task: 'test' })).toMatchObject({
      state: null,
      lease: null,
      ready: false,
      reasons: [{ code: 'DEPENDENCY_PENDING' }],
      attempts: [],
      history: [],
    });
  });

  test('of a task that has left the plan', async () => {
    await world.start('build');
    world.write('plans/phases.yaml', planOf('other'));
    const data = await show(world.call, { task: 'build' });
    expect(data).toMatchObject({ task: null, ready: false, state: { state: 'dispatched' } });
    expect(data.warnings).toEqual(['the task is not in the plan; it is kept and can not be claimed']);
  });

  test('of a task whose record can not be read', async () => {
    world.write(`${dir('build')}/state.json`, 'x');
    const data = await show(world.call, { task: 'build' });
    expect(data).toMatchObject({ state: null, reasons: [{ code: 'TASK_UNREADABLE' }] });
    expect(data.warnings[0]).toContain('state.json is not JSON');
  });

  test('of a task that there is not is refused', async () => {
    expect(await code(() => show(world.call, { task: 'gone' }))).toBe('TASK_NOT_FOUND');
    expect(await code(() => show(world.call, { task: 'a/b' }))).toBe('INVALID_ID');
  });
});

describe('run list', () => {
  test('is empty before there is a run', async () => {
    expect(await runList(world.call)).toEqual({ runs: [] });
  });
});

describe('logs', () => {
  async function written(): Promise<{ attempt: string; emitted: LogChunk[]; emit: (chunk: LogChunk) => void }> {
    const { attempt } = await world.start('build');
    world.write(`${dir('build')}/attempts/${attempt}/logs/stdout.log`, 'out '.repeat(20_000));
    world.write(`${dir('build')}/attempts/${attempt}/logs/stderr.log`, 'err');
    const emitted: LogChunk[] = [];
    return { attempt, emitted, emit: (chunk) => emitted.push(chunk) };
  }
  const textOf = (chunks: LogChunk[], stream: string) =>
    chunks.flatMap((chunk) => (chunk.stream === stream ? [chunk.text] : [])).join('');

  test('hand out both streams of the current attempt, in pieces', async () => {
    const { attempt, emitted, emit } = await written();
    const data = await logs(world.call, { task: 'build' }, emit);
    expect(data).toEqual({
      task_id: 'build',
      attempt_id: attempt,
      files: {
        stdout: world.path(dir('build'), 'attempts', attempt, 'logs/stdout.log'),
        stderr: world.path(dir('build'), 'attempts', attempt, 'logs/stderr.log'),
      },
    });
    expect(textOf(emitted, 'stdout')).toBe('out '.repeat(20_000));
    expect(textOf(emitted, 'stderr')).toBe('err');
    expect(emitted.length).toBeGreaterThan(2);
  });

  test('of one stream, and of an attempt that is named', async () => {
    const { attempt, emitted, emit } = await written();
    await logs(world.call, { task: 'build', attempt: attempt.toUpperCase(), stream: 'stderr' }, emit);
    expect(emitted).toEqual([{ stream: 'stderr', text: 'err' }]);
  });

  test('followed go on until the attempt is over, and lose nothing of its end', async () => {
    const { attempt, emitted } = await written();
    const more = world.path(dir('build'), 'attempts', attempt, 'logs/stderr.log');
    let over = false;
    let done: Promise<unknown> = Promise.reject(new Error('nothing was read'));
    done.catch(() => {});
    const emit = (chunk: LogChunk) => {
      emitted.push(chunk);
      // The worker writes its last word and completes once its first one was seen.
      if (over || chunk.stream !== 'stderr') return;
      over = true;
      fs.appendFileSync(more, ' and the end');
      done = complete(world.call, { task: 'build', attempt, failed: true, errorClass: 'exit.1' });
    };
    await logs(world.call, { task: 'build', follow: true }, emit);
    await done;
    expect(textOf(emitted, 'stderr')).toBe('err and the end');
  });

  test('followed end when the one who follows has enough', async () => {
    const { emit, emitted } = await written();
    await logs(world.call, { task: 'build', follow: true }, emit, { aborted: true });
    expect(textOf(emitted, 'stderr')).toBe('err');
  });

  test('that there are not are refused or empty', async () => {
    expect(await code(() => logs(world.call, { task: 'build' }, () => {}))).toBe('STATE_NOT_FOUND');
    await claim(world.call, { task: 'build' });
    expect(await code(() => logs(world.call, { task: 'build' }, () => {}))).toBe('STATE_NOT_FOUND');
    expect(await code(() => logs(world.call, { task: 'build', attempt: STRANGER }, () => {}))).toBe('STATE_NOT_FOUND');
    expect(await code(() => logs(world.call, { task: 'build', attempt: '..' }, () => {}))).toBe('INVALID_ID');
  });

  test('of an agent that wrote none are empty', async () => {
    await world.start('build');
    const emitted: LogChunk[] = [];
    await logs(world.call, { task: 'build' }, (chunk) => emitted.push(chunk));
    expect(emitted).toEqual([]);
  });
});

describe('without a verb', () => {
  const next = async () => (await home(world.call)).next.command;

  test('a folder without a project is shown the way in', async () => {
    const empty = new World();
    expect(await home(empty.call)).toEqual({
      project: null,
      plan: null,
      counts: {},
      ready: 0,
      in_flight: 0,
      waiting: 0,
      human: 0,
      next: { command: 'forge orchestrate init', why: 'there is no plan here yet' },
    });
    const planless = new World(null, '');
    expect(await home(planless.call)).toMatchObject({
      project: planless.project,
      next: { command: 'forge orchestrate init' },
    });
  });

  test('a project shows where it stands', async () => {
    expect(await home(world.call)).toMatchObject({
      project: 'mill',
      plan: 'plans/phases.yaml',
      counts: { unclaimed: 4 },
      ready: 1,
      in_flight: 0,
      waiting: 2,
      human: 1,
    });
    await world.start('build');
    expect(await home(world.call)).toMatchObject({ ready: 0, in_flight: 1, counts: { unclaimed: 3, dispatched: 1 } });
  });

  test('and the exact next command, most useful first', async () => {
    expect(await next()).toBe('forge orchestrate run');
    await world.put('build', { state: 'failed' });
    expect(await next()).toBe('forge orchestrate logs build');
    await world.put('build', { state: 'shipped' });
    expect(await next()).toBe('forge orchestrate claim --next');
    await world.put('test', { state: 'shipped' });
    expect(await next()).toBe('forge orchestrate show sign');
    world = new World(planOf('build, status: paused, run: make'));
    expect(await next()).toBe('forge orchestrate why build');
    world = new World(planOf('build, status: done'));
    expect(await next()).toBe('forge orchestrate status');
  });
});

describe('run --dry-run', () => {
  test('shows what run would start now, by the same decision', async () => {
    const data = await dryRun(world.call, {});
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
    expect(await dryRun(world.call, { maxParallel: 7 })).toMatchObject({
      would_start: [],
      for_agents: [{ task_id: 'test' }],
      max_parallel: 7,
    });
  });

  test('--task takes what it depends on along, and nothing else', async () => {
    world = new World(planOf('a, run: x', 'b, run: x, depends_on: [a]', 'c, run: x', 'd, run: x, status: paused'));
    const data = await dryRun(world.call, { tasks: ['b'] });
    expect(data.would_start.map((row) => row.task_id)).toEqual(['a']);
    expect(data.waiting.map((row) => row.task_id)).toEqual(['b']);
    expect(await code(() => dryRun(world.call, { tasks: ['bb'] }))).toBe('TASK_NOT_FOUND');
  });
});

describe('doctor', () => {
  const checks = async () => new Map((await doctor(world.call)).checks.map((check) => [check.name, check]));
  const NAMES = [
    'settings',
    'plan',
    'support',
    'writable',
    'symlinks',
    'permissions',
    'file system',
    'processes',
    'tasks',
  ];

  test('says what it looked at, and that all is well', async () => {
    await world.start('build');
    const { checks: list } = await doctor(world.call);
    expect(list.map((check) => check.name)).toEqual(NAMES);
    for (const check of list) {
      expect(keysOf(check)).toEqual(['name', 'status', 'message', 'fix']);
      // Where the tests run may be a file system that nothing can be promised on.
      if (check.name !== 'file system') expect(check, check.name).toMatchObject({ status: 'ok', fix: null });
    }
  });

  test.each<[what: string, spoil: () => unknown, name: string, status: string, message: RegExp]>([
    [
      'settings that are wrong',
      () => world.write('.forge/settings.yaml', 'agent: {}\n'),
      'settings',
      'fail',
      /settings\.yaml:1/,
    ],
    ['a plan that is wrong', () => world.write('plans/phases.yaml', planOf('a/b')), 'plan', 'fail', /phases\.yaml:6/],
    ['no plan', () => fs.rmSync(world.path('plans'), { recursive: true }), 'plan', 'warn', /no plan/],
    [
      'what is not supported',
      () => world.write('.forge/settings.yaml', 'tracker: {type: file}\n'),
      'support',
      'warn',
      /tracker/,
    ],
    ['a symlinked task', () => fs.symlinkSync('/', world.path(dir('linked'))), 'symlinks', 'fail', /linked/],
    [
      'an open folder',
      () => fs.chmodSync(world.path('.forge/orchestrator/tasks'), 0o777),
      'permissions',
      'warn',
      /tasks/,
    ],
    ['a damaged record', () => world.write(`${dir('test')}/state.json`, '{'), 'tasks', 'fail', /test: state\.json/],
    ['an edit by hand', () => world.write(`${dir('build')}/state.json`, '{}'), 'tasks', 'warn', /build: state\.json/],
  ])('finds %s', async (_what, spoil, name, expected, message) => {
    await world.start('build');
    spoil();
    const check = (await checks()).get(name);
    expect(check).toMatchObject({ status: expected, message: expect.stringMatching(message) });
    expect(check?.fix).toBeTruthy();
  });

  test('says when a dead owner can not be noticed at once', async () => {
    const { ctx } = world.call;
    const blind = { ...ctx, machine: () => ({ ...ctx.machine(), boot_id: '' }) };
    const { checks: list } = await doctor({ ...world.call, ctx: blind });
    expect(list.find((check) => check.name === 'processes')).toMatchObject({ status: 'warn' });
  });

  test('outside of any project is refused', async () => {
    expect(await code(() => doctor(new World().call))).toBe('PHASES_NOT_FOUND');
  });
});

describe('a verb that only looks', () => {
  const looks: [name: string, look: () => unknown][] = [
    ['status', () => status(world.call, {})],
    ['phases', () => phases(world.call, {})],
    ['phases --ready', () => ready()],
    ['why', () => why(world.call, { task: 'build' })],
    ['show', () => show(world.call, { task: 'build' })],
    ['logs', () => logs(world.call, { task: 'build' }, () => {})],
    ['run list', () => runList(world.call)],
    ['run --dry-run', () => dryRun(world.call, {})],
    ['doctor', () => doctor(world.call)],
    ['home', () => home(world.call)],
  ];

  test.each(looks.filter(([name]) => name !== 'logs'))(
    '%s makes nothing in a project that has only a plan',
    async (_name, look) => {
      const before = world.footprint();
      await look();
      expect(world.footprint()).toEqual(before);
    },
  );

  /** A tree with something of everything that a writer would be tempted to put right. */
  async function busyTree(): Promise<void> {
    const { attempt } = await world.start('build');
    await heartbeat(world.call, { task: 'build', attempt });
    await runStart(world.call, { name: 'idle' });
    world.write(`${dir('test')}/state.json`, '{"version":1,"task_id":"test","state":"failed"}');
    world.write(`${dir('ship')}/state.json`, '{"version":1');
    world.write(`${dir('left')}/state.json`, '{"version":1,"task_id":"left","state":"running"}');
    await world.put('sign', { state: 'shipped' });
    fs.rmSync(world.path(dir('sign'), 'state.json'));
    const lease = world.json(dir('build'), 'lease.json');
    world.write(`${dir('build')}/lease.json`, JSON.stringify({ ...lease, note: 'edited' }));
    world.write(`${dir('build')}/state.json`, JSON.stringify({ state_version: 1 }));
    world.write(`${dir('build')}/.tmp-left-behind`, '');
    world.wait(TTL_MS + GRACE_MS);
  }

  test.each(looks)('%s changes nothing in a tree where much is left to do', async (_name, look) => {
    await busyTree();
    const before = world.footprint();
    await look();
    await look();
    expect(world.footprint()).toEqual(before);
  });

  test('that footprint does tell a write', async () => {
    await busyTree();
    const before = world.footprint();
    fs.writeFileSync(world.path(dir('build'), '.tmp-left-behind'), '');
    expect(world.footprint()).not.toEqual(before);
  });
});
