/** `show`, `logs`, `run list` and the bare command. */

import fs from 'node:fs';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { claim } from '../../src/commands/claim.ts';
import { complete } from '../../src/commands/complete.ts';
import { home } from '../../src/commands/home.ts';
import { type LogEvent, logs } from '../../src/commands/logs.ts';
import { runList } from '../../src/commands/run-list.ts';
import { show } from '../../src/commands/show.ts';
import { warningOf } from '../../src/domain/warnings.ts';
import { openStores } from '../../src/store/open.ts';
import { dirOf } from '../support/commands/divergences.ts';
import { code, keysOf, MINUTE_MS, planOf, STRANGER, TWO_PHASES, World } from '../support/commands/world.ts';

let world: World;
beforeEach(() => {
  world = new World(TWO_PHASES);
});

describe('show', () => {
  test('show prints everything about a task', async () => {
    const first = await world.start('build');
    await complete.run(world.context, { task: 'build', attempt: first.attempt, failed: true, error_class: 'exit.1' });
    world.wait(1000);
    const second = await world.start('build');
    const data = await show.run(world.context, { task: 'build' });
    expect(keysOf(data)).toEqual([
      'task_id',
      'task',
      'command',
      'state',
      'lease',
      'verifying',
      'ready',
      'reasons',
      'held',
      'resume',
      'done_by_hand',
      'rerun',
      'unchanged',
      'branch',
      'worktree_path',
      'summary',
      'steps',
      'attempts',
      'history',
      'warnings',
    ]);
    expect(data).toMatchObject({
      task_id: 'build',
      task: { id: 'build', title: 'Do build', run: 'make' },
      command: { command: 'make', from: 'run' },
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

  test('show says how each attempt ended and how long it took, also of more failures than the record keeps', async () => {
    for (let number = 1; number <= 7; number++) {
      const { attempt } = await world.start('build');
      world.wait(number * 1000);
      await world.fail('build', attempt, `exit.${number}`, `try ${number}`);
      world.wait(MINUTE_MS);
    }
    const { attempts } = await show.run(world.context, { task: 'build' });
    expect(attempts.map(({ outcome, error, duration_ms }) => [outcome, error?.class, duration_ms])).toEqual(
      [1, 2, 3, 4, 5, 6, 7].map((number) => ['failed', `exit.${number}`, number * 1000]),
    );
    expect(attempts.at(0)?.error?.message).toBe('');
    expect(attempts.at(-1)?.error?.message).toContain('try 7');
  });

  test('show looks again at a task that changes while it looks', async () => {
    const { attempt } = await world.start('build');
    const stores = openStores((await world.session()).paths);
    vi.spyOn(stores.eventLog, 'read').mockImplementationOnce(async (...log) => {
      await world.finish('build', attempt);
      return stores.eventLog.read(...log);
    });
    const { state, lease, attempts } = await show.run({ ...world.context, stores }, { task: 'build' });
    expect([state?.state, lease, attempts[0]?.outcome]).toEqual(['shipped', null, 'passed']);
  });

  test('show lists only attempts that happened', async () => {
    const attempts = world.path(dirOf('build'), 'attempts');
    const listed = async () => (await show.run(world.context, { task: 'build' })).attempts.map((row) => row.attempt_id);
    /** As a `dispatch` leaves it that was killed before its commit. */
    const leave = (id: string, like: string, change: object) => {
      const manifest = world.json(dirOf('build'), 'attempts', like, 'manifest.json');
      world.write(
        `${dirOf('build')}/attempts/${id}/manifest.json`,
        JSON.stringify({ ...manifest, ...change, attempt_id: id }),
      );
    };
    const earlier = '00000000-0000-7000-8000-000000000001';
    const later = 'ffffffff-0000-7000-8000-000000000001';
    const first = await world.start('build');
    leave(earlier, first.attempt, {});
    leave(later, first.attempt, { attempt_number: 2, generation: 2 });
    expect(await listed()).toEqual([first.attempt]);
    await world.fail('build', first.attempt);
    world.wait(1000);
    const second = await world.start('build');
    expect(fs.readdirSync(attempts)).toHaveLength(4);
    expect(await listed()).toEqual([first.attempt, second.attempt]);
  });

  test('show works for a planned task without state', async () => {
    expect(await show.run(world.context, { task: 'test' })).toMatchObject({
      state: null,
      lease: null,
      ready: false,
      reasons: [{ code: 'DEPENDENCY_PENDING' }],
      attempts: [],
      history: [],
    });
  });

  test('show works for a task that is no longer in the plan', async () => {
    await world.start('build');
    world.write('plans/phases.yaml', planOf('other'));
    const data = await show.run(world.context, { task: 'build' });
    expect(data).toMatchObject({ task: null, ready: false, state: { state: 'dispatched' } });
    expect(data.warnings).toEqual([
      warningOf('the task is not in the plan; it is kept and cannot be claimed', 'build'),
    ]);
  });

  test('show works for a task whose record cannot be read', async () => {
    world.write(`${dirOf('build')}/state.json`, 'x');
    const data = await show.run(world.context, { task: 'build' });
    expect(data).toMatchObject({ state: null, reasons: [{ code: 'TASK_UNREADABLE' }] });
    expect(data.warnings).toMatchObject([
      { task_id: 'build', severity: 'error', message: expect.stringContaining('state.json is not JSON') },
    ]);
  });

  test('show of an unknown task is refused', async () => {
    expect(await code(() => show.run(world.context, { task: 'gone' }))).toBe('TASK_NOT_FOUND');
    expect(await code(() => show.run(world.context, { task: 'a/b' }))).toBe('INVALID_ID');
  });
});

describe('run list', () => {
  test('run list is empty before the first run', async () => {
    expect(await runList.run(world.context, {})).toEqual({ runs: [] });
  });
});

describe('logs', () => {
  async function written(): Promise<{ attempt: string; emitted: LogEvent[]; emit: (event: LogEvent) => void }> {
    const { attempt } = await world.start('build');
    world.write(`${dirOf('build')}/attempts/${attempt}/logs/stdout.log`, 'out '.repeat(20_000));
    world.write(`${dirOf('build')}/attempts/${attempt}/logs/stderr.log`, 'err');
    const emitted: LogEvent[] = [];
    return { attempt, emitted, emit: (event) => void emitted.push(event) };
  }
  const textOf = (events: LogEvent[], stream: string) =>
    events.flatMap((event) => (event.type === 'text' && event.stream === stream ? [event.text] : [])).join('');

  test('logs prints both streams of the current attempt in pieces', async () => {
    const { attempt, emitted, emit } = await written();
    const data = await logs.run({ ...world.context, emit }, { task: 'build' });
    const opened = {
      task_id: 'build',
      attempt_id: attempt,
      files: {
        stdout: world.path(dirOf('build'), 'attempts', attempt, 'logs/stdout.log'),
        stderr: world.path(dirOf('build'), 'attempts', attempt, 'logs/stderr.log'),
        setup: world.path(dirOf('build'), 'attempts', attempt, 'logs/setup.log'),
      },
      pruned_at: null,
    };
    expect(data).toEqual({ ...opened, stdout: '', stderr: '', setup: '', truncated: false });
    expect(emitted[0]).toEqual({ type: 'opened', ...opened });
    expect(textOf(emitted, 'stdout')).toBe('out '.repeat(20_000));
    expect(textOf(emitted, 'stderr')).toBe('err');
    expect(emitted.length).toBeGreaterThan(2);
  });

  test('logs --tail prints the last lines of each stream and says what is missing', async () => {
    const { attempt } = await world.start('build');
    world.write(`${dirOf('build')}/attempts/${attempt}/logs/stdout.log`, 'one\ntwo\nthree\n');
    world.write(`${dirOf('build')}/attempts/${attempt}/logs/stderr.log`, 'err');
    const at = (tail: number) => logs.run(world.context, { task: 'build', tail });
    expect(await at(2)).toMatchObject({ stdout: 'two\nthree\n', stderr: 'err', truncated: true });
    expect(await at(3)).toMatchObject({ stdout: 'one\ntwo\nthree\n', stderr: 'err', truncated: false });
    expect(await at(0)).toMatchObject({ stdout: '', stderr: '', truncated: true });
  });

  test.each([0, 1, 30])('logs says that a log was cut, also where the mark is parted (%i)', async (more) => {
    const { attempt } = await world.start('build');
    const text = `${'x'.repeat(65_536 - more - 1)}\n[forge: 1200 bytes cut here]\nend\n`;
    world.write(`${dirOf('build')}/attempts/${attempt}/logs/stdout.log`, text);
    expect(await logs.run(world.context, { task: 'build' })).toMatchObject({ stdout: text, truncated: true });
  });

  test('logs --tail --follow begins with the last lines and continues until the attempt is over', async () => {
    const { attempt } = await world.start('build');
    const file = `${dirOf('build')}/attempts/${attempt}/logs/stdout.log`;
    world.write(file, 'one\ntwo\n');
    const emitted: LogEvent[] = [];
    let done: Promise<unknown> | null = null;
    const emit = (event: LogEvent) => {
      emitted.push(event);
      if (event.type !== 'text' || done !== null) return;
      fs.appendFileSync(world.path(file), 'three\n');
      done = complete.run(world.context, { task: 'build', attempt, failed: true, error_class: 'exit.1' });
    };
    await logs.run({ ...world.context, emit }, { task: 'build', tail: 1, follow: true });
    await done;
    expect(textOf(emitted, 'stdout')).toBe('two\nthree\n');
  });

  test('logs prints one stream, and that of a named attempt', async () => {
    const { attempt, emitted, emit } = await written();
    await logs.run({ ...world.context, emit }, { task: 'build', attempt: attempt.toUpperCase(), stream: 'stderr' });
    expect(emitted.slice(1)).toEqual([{ type: 'text', stream: 'stderr', text: 'err' }]);
  });

  test('logs --follow continues until the attempt is over and loses nothing', async () => {
    const { attempt, emitted } = await written();
    const more = world.path(dirOf('build'), 'attempts', attempt, 'logs/stderr.log');
    let over = false;
    let done: Promise<unknown> = Promise.reject(new Error('nothing was read'));
    done.catch(() => {});
    const emit = (event: LogEvent) => {
      emitted.push(event);
      // The worker writes its last word and completes once its first one was seen.
      if (over || event.type !== 'text' || event.stream !== 'stderr') return;
      over = true;
      fs.appendFileSync(more, ' and the end');
      done = complete.run(world.context, { task: 'build', attempt, failed: true, error_class: 'exit.1' });
    };
    await logs.run({ ...world.context, emit }, { task: 'build', follow: true });
    await done;
    expect(textOf(emitted, 'stderr')).toBe('err and the end');
  });

  test.each([true, false])('logs ends where its reader stops, with --follow: %s', async (follow) => {
    const { emitted } = await written();
    const stop = new AbortController();
    const emit = (event: LogEvent) => {
      emitted.push(event);
      if (event.type === 'text') stop.abort();
    };
    await logs.run({ ...world.context, emit, signal: stop.signal }, { task: 'build', follow });
    expect(emitted.map(({ type }) => type)).toEqual(['opened', 'text']);
  });

  test('logs of an unknown task or attempt are refused or empty', async () => {
    expect(await code(() => logs.run(world.context, { task: 'build' }))).toBe('STATE_NOT_FOUND');
    await claim.run(world.context, { task: 'build' });
    expect(await code(() => logs.run(world.context, { task: 'build' }))).toBe('STATE_NOT_FOUND');
    expect(await code(() => logs.run(world.context, { task: 'build', attempt: STRANGER }))).toBe('STATE_NOT_FOUND');
    expect(await code(() => logs.run(world.context, { task: 'build', attempt: '..' }))).toBe('INVALID_ID');
  });

  test('logs of an agent without output are empty', async () => {
    await world.start('build');
    const types: string[] = [];
    await logs.run({ ...world.context, emit: ({ type }) => void types.push(type) }, { task: 'build' });
    expect(types).toEqual(['opened']);
  });
});

describe('bare command', () => {
  const next = async () => (await home.run(world.context, {})).next.command;

  test('the bare command explains how to start in a folder without a project', async () => {
    const empty = new World();
    expect(await home.run(empty.context, {})).toEqual({
      project: null,
      plan: null,
      counts: {},
      ready: 0,
      in_flight: 0,
      waiting: 0,
      human: 0,
      held: [],
      next: { command: 'forge orchestrate init', why: 'there is no plan here yet' },
    });
    const planless = new World(null, '');
    expect(await home.run(planless.context, {})).toMatchObject({
      project: planless.project,
      next: { command: 'forge orchestrate init' },
    });
  });

  test('the bare command shows the state of a project', async () => {
    expect(await home.run(world.context, {})).toMatchObject({
      project: 'mill',
      plan: 'plans/phases.yaml',
      counts: { unclaimed: 4 },
      ready: 1,
      in_flight: 0,
      waiting: 2,
      human: 1,
    });
    await world.start('build');
    expect(await home.run(world.context, {})).toMatchObject({
      ready: 0,
      in_flight: 1,
      counts: { unclaimed: 3, dispatched: 1 },
    });
  });

  test('the bare command shows the exact next command, most useful first', async () => {
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
