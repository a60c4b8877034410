/** The verbs that start work, with short real processes, and `init`. */

import fs from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { dispatch } from '../../src/commands/dispatch.ts';
import { doctor } from '../../src/commands/doctor.ts';
import { exec } from '../../src/commands/exec.ts';
import { init } from '../../src/commands/init.ts';
import type { VerbInput } from '../../src/commands/registry.ts';
import { dryRun, runPlan } from '../../src/commands/run.ts';
import { runList } from '../../src/commands/run-list.ts';
import type { CommandContext } from '../../src/commands/shared/session.ts';
import { status } from '../../src/commands/status.ts';
import type { RunEvent } from '../../src/domain/run/events.ts';
import { spawnGated } from '../../src/process/gated-worker.ts';
import type { Interrupts } from '../../src/process/interrupts.ts';
import { groupMembers } from '../../src/process/processes.ts';
import { systemContext } from '../../src/process/system-context.ts';
import { code, keysOf, planOf, STRANGER, World } from '../support/commands/world.ts';
import { killGroup } from '../support/processes.ts';

/** Interruptions that a test makes. */
class Button implements Interrupts {
  level = 0;
  readonly #listeners = new Set<() => void>();

  listen(callback: () => void): () => void {
    this.#listeners.add(callback);
    if (this.level > 0) callback();
    return () => this.#listeners.delete(callback);
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  stop(): void {}

  press(): void {
    this.level++;
    for (const listener of this.#listeners) listener();
  }
}

/** The call with the real clocks and processes, for what lives by them. */
function real(world: World): CommandContext {
  return { ...world.context, ctx: { ...systemContext(), cwd: world.project } };
}

async function runAll(
  world: World,
  options: VerbInput<'run'> = {},
  react: (event: RunEvent, button: Button) => void = () => {},
) {
  const button = new Button();
  const events: RunEvent[] = [];
  const emit = (event: RunEvent) => {
    events.push(event);
    react(event, button);
  };
  const finished = await runPlan({ ...real(world), interrupts: () => button, emit }, { max_parallel: 2, ...options });
  expect(button.listeners).toBe(0);
  return { finished, events, types: events.map((event) => event.type) };
}

const states = async (world: World) =>
  Object.fromEntries((await status.run(world.context, {})).tasks.map((row) => [row.task_id, row.state]));

describe('run', () => {
  test('run works through a plan in order and ends with 0', async () => {
    const world = new World(
      planOf(
        'c, run: "echo c >> order", depends_on: [a, b]',
        'a, run: "echo a >> order"',
        'b, run: "echo b >> order", depends_on: [a]',
      ),
    );
    const { finished, events } = await runAll(world);
    expect(finished).toMatchObject({ exit_code: 0, counts: { shipped: 3 }, interrupted: false });
    expect(fs.readFileSync(world.path('order'), 'utf8')).toBe('a\nb\nc\n');
    expect(events[0]).toMatchObject({ type: 'run_started', tasks: 3, max_parallel: 2 });
    expect(events.at(-1)).toEqual(finished);
    const ends = events.flatMap((event) => (event.type === 'task_finished' ? [event] : []));
    expect(ends.map(({ task_id, state, attempts }) => [task_id, state, attempts])).toEqual([
      ['a', 'shipped', 1],
      ['b', 'shipped', 1],
      ['c', 'shipped', 1],
    ]);
    expect(await states(world)).toEqual({ a: 'shipped', b: 'shipped', c: 'shipped' });
    expect((await runList.run(world.context, {})).runs).toMatchObject([{ run_id: finished.run_id, standing: 'ended' }]);
  });

  test("run retries by the policy and shows the worker's output", async () => {
    const command = 'echo attempt $FORGE_ATTEMPT_NUMBER; test -e again || { touch again; exit 3; }';
    const world = new World(planOf(`a, run: "${command}", retry: {max_attempts: 2, base: 1}`));
    const { finished, events } = await runAll(world);
    expect(finished.exit_code).toBe(0);
    expect(events.find((event) => event.type === 'task_retry')).toMatchObject({
      task_id: 'a',
      attempts: 1,
      error: { class: 'exit.3' },
      tail: { stdout: 'attempt 1\n' },
    });
    expect(events.find((event) => event.type === 'task_finished')).toMatchObject({ attempts: 2, state: 'shipped' });
  });

  test('run goes on with tasks that do not depend on a failed one, and ends with 1', async () => {
    const world = new World(
      planOf('a, run: "exit 1", retry: {max_attempts: 1}', 'b, run: "true", depends_on: [a]', 'c, run: "true"'),
    );
    const { finished, events } = await runAll(world, { max_parallel: 1 });
    expect(finished).toMatchObject({ exit_code: 1, counts: { failed: 1, unclaimed: 1, shipped: 1 } });
    expect(events.find((event) => event.type === 'task_blocked')).toMatchObject({
      task_id: 'b',
      reasons: [{ code: 'DEPENDENCY_FAILED', on: 'a' }],
    });
  });

  test('names that every object has, such as constructor, are as good as others for tasks and resources', async () => {
    const uses = 'run: "echo + >> told; sleep 0.2; echo - >> told", uses: [constructor]';
    const world = new World(
      planOf(
        `a, ${uses}`,
        `b, ${uses}`,
        'constructor, run: "exit 1", retry: {max_attempts: 1}',
        'after, run: "true", depends_on: [constructor]',
        'alarm, run: "true", depends_on: [{task: constructor, when: failure}]',
      ),
      'limits: {constructor: 1, toString: 2}\n',
    );
    const { events } = await runAll(world, { max_parallel: 5 });
    expect(fs.readFileSync(world.path('told'), 'utf8')).toBe('+\n-\n+\n-\n');
    expect(await states(world)).toMatchObject({ a: 'shipped', b: 'shipped', alarm: 'shipped', after: 'unclaimed' });
    expect(events.find((event) => event.type === 'task_blocked')).toMatchObject({
      task_id: 'after',
      reasons: [{ code: 'DEPENDENCY_FAILED', message: 'it depends on constructor, which is failed' }],
    });
  });

  test('run --on-failure stop starts nothing after a failure', async () => {
    const world = new World(planOf('a, run: "exit 1", retry: {max_attempts: 1}', 'c, run: "true"'));
    const { finished, events } = await runAll(world, { max_parallel: 1, on_failure: 'stop' });
    expect(finished).toMatchObject({ exit_code: 1, counts: { failed: 1, unclaimed: 1 } });
    expect(events.find((event) => event.type === 'task_blocked')).toMatchObject({
      task_id: 'c',
      reasons: [{ code: 'NOT_STARTED' }],
    });
  });

  test('run --on-failure stop-all gives back what is at work, and still does finalizers', async () => {
    const world = new World(
      planOf(
        'slow, run: "exec sleep 600"',
        'bad, run: "exit 1", retry: {max_attempts: 1}',
        'never, run: "true", depends_on: [slow]',
        'clean, run: "true", depends_on: [{task: never, when: always}, {task: slow, when: always}]',
        'alarm, run: "true", depends_on: [{task: bad, when: failure}]',
      ),
    );
    const { finished } = await runAll(world, { on_failure: 'stop-all' });
    expect(finished).toMatchObject({ exit_code: 1, interrupted: false });
    expect(await states(world)).toEqual({
      slow: 'awaiting_respawn',
      bad: 'failed',
      never: 'unclaimed',
      clean: 'shipped',
      alarm: 'shipped',
    });
    expect((await world.record('slow')).state).toMatchObject({ failure_count: 0 });
  });

  test('run ends with 0 when only tasks have failed after which others go on, and counts what is skipped', async () => {
    const world = new World(
      planOf(
        'lint, run: "exit 1", retry: {max_attempts: 1}, continue_on_error: true',
        'next, run: "true", depends_on: [lint]',
        'alarm, run: "true", depends_on: [{task: next, when: failure}]',
      ),
    );
    const { finished, types } = await runAll(world, { on_failure: 'stop' });
    expect(finished).toMatchObject({
      exit_code: 0,
      counts: { failed: 1, shipped: 1, skipped: 1 },
      failed: [{ task_id: 'lint', goes_on: true }],
    });
    expect(types).not.toContain('task_blocked');
    const rows = (await status.run(world.context, {})).tasks;
    expect(rows.map(({ skipped }) => skipped)).toEqual([
      null,
      null,
      'it runs only when next fails, and next has not failed',
    ]);
  });

  test('run ends with 4 when the rest is for an agent or a person', async () => {
    const world = new World(planOf('a, run: "true"', 'b', 'c, owner_type: human'));
    const { finished, events } = await runAll(world);
    expect(finished).toMatchObject({ exit_code: 4, counts: { shipped: 1, unclaimed: 2 } });
    const blocked = events.flatMap((event) => (event.type === 'task_blocked' ? [event] : []));
    expect(blocked.map((event) => [event.task_id, event.reasons[0]?.code])).toEqual([
      ['b', 'NO_COMMAND'],
      ['c', 'TASK_HUMAN'],
    ]);
  });

  test('run --task does only that task and its dependencies', async () => {
    const world = new World(planOf('a, run: "true"', 'b, run: "true", depends_on: [a]', 'c, run: "exit 1"'));
    const { finished } = await runAll(world, { task: ['b'] });
    expect(finished).toMatchObject({ exit_code: 0, counts: { shipped: 2 } });
    expect(await states(world)).toEqual({ a: 'shipped', b: 'shipped', c: 'unclaimed' });
    expect(await code(() => runAll(world, { task: ['gone'] }))).toBe('TASK_NOT_FOUND');
  });

  test('an interrupted run gives its tasks back uncharged and ends with 130', async () => {
    const world = new World(planOf('a, run: "exec sleep 600"'));
    const { finished, events } = await runAll(world, {}, (event, button) => {
      if (event.type === 'task_started') button.press();
    });
    expect(finished).toMatchObject({ exit_code: 130, interrupted: true, counts: { awaiting_respawn: 1 } });
    expect(events.find((event) => event.type === 'task_interrupted')).toMatchObject({ state: 'awaiting_respawn' });
    expect((await world.record('a')).state).toMatchObject({ failure_count: 0, attempt_count: 1 });
    expect((await world.record('a')).worker).toBeNull();
  });

  test('run takes the verdict that a worker leaves', async () => {
    const body = '{\\"verdict\\":\\"blocked\\",\\"summary\\":\\"no key\\"}';
    const command = `printf '%s' '${body}' > $FORGE_VERDICT_FILE`;
    const world = new World(planOf(`a, run: "${command}", retry: {max_attempts: 1}`));
    const { finished } = await runAll(world);
    expect(finished.exit_code).toBe(1);
    const { state } = await world.record('a');
    expect(state.last_error).toEqual({ class: 'verdict.blocked', message: 'no key' });
    expect(
      world.json('.forge/orchestrator/tasks/a/attempts', state.current_attempt_id ?? '', 'verdict.json'),
    ).toMatchObject({
      verdict: 'blocked',
    });
  });

  test('run starts what run --dry-run said', async () => {
    const world = new World(
      planOf('late, run: "true", priority: P2', 'soon, run: "true"', 'after, run: "true", depends_on: [late]'),
    );
    const said = (await dryRun(world.context, {})).would_start.map((row) => row.task_id);
    const { events } = await runAll(world, { max_parallel: 1 });
    const started = events.flatMap((event) => (event.type === 'task_started' ? [event.task_id] : []));
    expect(started.slice(0, said.length)).toEqual(said);
  });

  test('run --dry-run keeps resources for tasks that the run would start, and for no others', async () => {
    const plan = planOf(
      'first, uses: [gpu]',
      'large, uses: [{gpu: 2}], run: "true"',
      'small, uses: [gpu], run: "true"',
    );
    const world = new World(plan, 'limits: {gpu: 2}\n');
    await world.start('first');
    const looked = async (options: VerbInput<'run'>) => {
      const { would_start, waiting } = await dryRun(world.context, options);
      return [would_start.map((row) => row.task_id), waiting.map((row) => row.task_id)];
    };
    expect(await looked({})).toEqual([[], ['first', 'large', 'small']]);
    expect(await looked({ task: ['small'] })).toEqual([['small'], []]);
    expect((await runAll(world, { task: ['small'] })).finished.counts).toEqual({ shipped: 1 });
  });

  test('run with a missing or invalid plan opens no run', async () => {
    const world = new World(null, '');
    expect(await code(() => runAll(world))).toBe('PHASES_NOT_FOUND');
    world.write('plans/phases.yaml', 'project: [');
    expect(await code(() => runAll(world))).toBe('PHASES_PARSE_ERROR');
    expect((await runList.run(world.context, {})).runs).toEqual([]);
  });

  test('run names the place of a task that uses more than the limit, also of one with a matrix', async () => {
    const one =
      '      - { id: a, title: A, run: "true" }\n      - id: b\n        title: B\n        run: "true"\n        uses: [{gpu: 3}]\n';
    const many = '      - { id: c, title: C, run: "true", matrix: {n: [1]}, uses: [{gpu: 4}] }\n';
    const plan = `project: p\nphases:\n  - id: one\n    name: One\n    tasks:\n${one}${many}`;
    const world = new World(plan, 'limits: {gpu: 2}\n');
    const file = 'plans/phases.yaml';
    await expect(runAll(world)).rejects.toMatchObject({
      code: 'PHASES_PARSE_ERROR',
      problems: [
        { message: 'task "b": it uses 3 of gpu, more than the limit of 2', place: { file, line: 10, column: 15 } },
        { place: { file, line: 11, column: 65 } },
      ],
    });
    expect((await runList.run(world.context, {})).runs).toEqual([]);
  });
});

describe('exec', () => {
  const execute = (world: World, options: Partial<VerbInput<'exec'>>) =>
    exec.run(real(world), { command: ['true'], ...options });

  test('exec claims a task, runs the command and completes it', async () => {
    const world = new World(planOf('a'));
    const data = await execute(world, { task: 'a', command: ['sh', '-c', 'test "$FORGE_TASK_ID" = a'] });
    expect(keysOf(data).sort()).toEqual(
      ['task_id', 'attempt_id', 'attempt_number', 'state', 'next_eligible_at', 'exit_code', 'why'].sort(),
    );
    expect(data).toMatchObject({ task_id: 'a', attempt_number: 1, state: 'shipped', exit_code: 0, why: null });
  });

  test.each<[what: string, script: string, exit: number]>([
    ['a code of its own', 'exit 7', 7],
    ['a signal', 'kill -TERM $$', 143],
  ])('exec ends with %s like its command', async (_what, script, exit) => {
    const world = new World(planOf('a'));
    const data = await execute(world, { task: 'a', command: ['sh', '-c', script] });
    expect(data).toMatchObject({ state: 'awaiting_respawn', exit_code: exit });
    expect(data.next_eligible_at).not.toBeNull();
    expect(data.why).toBeTruthy();
  });

  test.each([
    ['whose verification fails', 'a, verify: ["false"]', 'true'],
    [
      'whose verdict says that it is blocked',
      'a',
      `echo '{"verdict": "blocked", "summary": "no key"}' > "$FORGE_VERDICT_FILE"`,
    ],
  ])('exec ends with 1 after a command that succeeds, %s', async (_what, planned, script) => {
    const world = new World(planOf(`${planned}, retry: {max_attempts: 1}`));
    const data = await execute(world, { task: 'a', command: ['sh', '-c', script] });
    expect(data).toMatchObject({ state: 'failed', exit_code: 1, why: expect.any(String) });
  });

  test('an interrupted exec gives the task back and ends with 130', async () => {
    const world = new World(planOf('a'));
    const button = new Button();
    button.press();
    const data = await exec.run({ ...real(world), interrupts: () => button }, { task: 'a', command: ['sleep', '600'] });
    expect(data).toMatchObject({ state: 'awaiting_respawn', exit_code: 130, why: 'interrupted' });
  });

  test('of two exec at once of one task the second is told that the task has an owner', async () => {
    const world = new World(planOf('a'));
    const command = ['sh', '-c', 'while [ -e plans ] && ! [ -e over ]; do sleep 0.01; done'];
    const both = [1, 2].map(() => execute(world, { task: 'a', command }));
    // The one that is refused ends first.
    await expect(Promise.race(both)).rejects.toMatchObject({ code: 'LEASE_EXISTS' });
    world.write('over', '');
    expect((await Promise.allSettled(both)).map((ended) => ended.status).sort()).toEqual(['fulfilled', 'rejected']);
  });

  test('a refused exec leaves no run', async () => {
    const world = new World(planOf('a', 'b, depends_on: [a]'));
    expect(await code(() => execute(world, { task: 'b' }))).toBe('NOT_READY');
    expect(await code(() => execute(world, { task: 'c' }))).toBe('TASK_NOT_FOUND');
    expect(await code(() => execute(world, {}))).toBe('INVALID_ARGS');
    expect(await code(() => execute(world, { task: 'a', command: [] }))).toBe('INVALID_ARGS');
    expect(await code(() => execute(world, { task: 'a', run: STRANGER }))).toBe('RUN_NOT_FOUND');
    expect((await runList.run(world.context, {})).runs).toEqual([]);
    expect((await execute(world, { next: true })).task_id).toBe('a');
    expect((await execute(world, { next: true })).task_id).toBe('b');
    expect(await code(() => execute(world, { next: true }))).toBe('NOT_READY');
  });
});

describe('worker of a lost claim', () => {
  test('a late dispatch of a lost claim does not stop the worker', async () => {
    const world = new World(planOf('a'));
    const call = real(world);
    const { claim } = await world.start('a');
    const worker = spawnGated({
      argv: ['sleep', '600'],
      cwd: world.project,
      env: { PATH: process.env['PATH'], FORGE_CLAIM_ID: claim },
      stdio: { stdin: 'empty', stdout: 'inherit', stderr: 'inherit' },
    });
    const { identity } = worker;
    if (identity === null) throw new Error('the worker did not start');
    onTestFinished(() => killGroup(identity.pgid));
    worker.open();
    const { store, newOp } = await world.session();
    const { version, record } = await store.read('a', { thorough: true });
    if (record === null) throw new Error('no record');
    const named = {
      ...call.ctx.machine(),
      ...identity,
      claim_id: claim,
      attempt_id: record.state.current_attempt_id ?? '',
    };
    const after = {
      ...record,
      lease: null,
      worker: named,
      state: { ...record.state, state: 'awaiting_respawn' as const },
    };
    await store.commit('a', { expected: version, op: newOp(), record: after });

    expect(await code(() => dispatch.run(call, { task: 'a', claim, run: STRANGER, phase: 'implement' }))).toBe(
      'LEASE_STOLEN',
    );
    expect(groupMembers(identity.pgid)).not.toEqual([]);
    expect((await world.record('a')).worker).toEqual(named);
  });
});

describe('init', () => {
  test('init writes a plan that runs as it is, and changes nothing the second time', async () => {
    const world = new World();
    const first = await init.run(world.context, {});
    expect(first.project).toBe(world.project);
    expect(first.kept).toEqual([]);
    for (const file of first.created) expect(world.has(file), file).toBe(true);
    expect(first.created).toEqual(expect.arrayContaining(['plans/phases.yaml', '.forge/settings.yaml']));
    const before = world.footprint();
    expect(await init.run(world.context, {})).toEqual({
      project: world.project,
      created: [],
      updated: [],
      kept: first.created,
    });
    expect(world.footprint()).toEqual(before);
    const bad = (await doctor.run(world.context, {})).checks.filter((check) => check.status === 'fail');
    expect(bad).toEqual([]);
    const { finished } = await runAll(world);
    expect([0, 4]).toContain(finished.exit_code);
    expect(finished.counts['shipped']).toBeGreaterThan(0);
  });

  test('init keeps files of a person, wherever the plan is', async () => {
    const world = new World();
    const plan = planOf('mine');
    world.write('phases.yaml', plan);
    const { kept, created } = await init.run(world.context, {});
    expect(kept).toEqual(['phases.yaml']);
    expect(created).not.toContain('plans/phases.yaml');
    expect(fs.readFileSync(world.path('phases.yaml'), 'utf8')).toBe(plan);
  });

  test('init works in --dir', async () => {
    const world = new World();
    fs.mkdirSync(world.path('app'));
    const { project } = await init.run({ ...world.context, dir: 'app' }, {});
    expect(project).toBe(world.path('app'));
    expect(world.has('app/plans/phases.yaml')).toBe(true);
    expect(world.has('.forge')).toBe(false);
    expect(await code(() => init.run({ ...world.context, dir: 'gone' }, {}))).toBe('INVALID_ARGS');
  });

  test('init below a project makes a project of its own', async () => {
    const world = new World(planOf('outer'));
    fs.mkdirSync(world.path('inner'));
    const { project } = await init.run(
      { ...world.context, ctx: { ...world.context.ctx, cwd: world.path('inner') } },
      {},
    );
    expect(project).toBe(world.path('inner'));
  });
});
