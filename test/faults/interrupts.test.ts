/** Ctrl-C at a run or an exec, and a cancel from another terminal. */

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { groupMembers } from '../../src/process/processes.ts';
import { environment, FORGE, folder, project, startCli } from '../support/cli.ts';
import { auditTask } from '../support/faults/audit.ts';
import { LiveForge } from '../support/faults/forge.ts';
import { Play, type PlayTask } from '../support/faults/play.ts';
import { ofTest } from '../support/faults/plays.ts';
import { finishing } from '../support/finishing.ts';
import { until } from '../support/processes.ts';
import { GIT_ENV } from '../support/repository.ts';

/** Longer than a test may take, so a test that waits for it fails. */
const FOREVER_MS = 600_000;

const newPlay = (tasks: readonly PlayTask[], killGraceMs = FOREVER_MS) =>
  ofTest(new Play(tasks, { kill_grace_ms: killGraceMs }));

/** The workers, once as many as that work. */
function working(play: Play, count: number) {
  return until(`${count} workers work`, () => (play.started().length === count ? play.started() : null));
}

/** Nothing is charged, the task has no lease and can be claimed at once, and no process is left. */
function expectGivenBack(play: Play, taskId: string): void {
  const { record } = auditTask(play.dir, taskId);
  expect(record?.state).toMatchObject({ state: 'awaiting_respawn', failure_count: 0, attempt_count: 1 });
  expect(record?.state.next_eligible_at ?? null).toBeNull();
  expect(record?.state.last_error ?? null).toBeNull();
  expect(record?.lease).toBeNull();
  expect(play.leftovers() ?? []).toEqual([]);
}

describe('Ctrl-C at a run', () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    '%s at a run stops its workers and gives their tasks back uncharged',
    async (signal) => {
      const play = newPlay([
        { id: 'a', kind: 'polite', gate: 'never' },
        { id: 'b', kind: 'polite', gate: 'never' },
        { id: 'c', after: ['a'] },
      ]);
      const run = play.forge('run', '--max-parallel', '2');
      const workers = await working(play, 2);
      run.signal(signal);
      expect(await run.ended, run.stderr).toEqual({ code: 130, signal: null });
      for (const { task, attempt } of workers) {
        expect(play.has(`termed-${attempt}`), 'the worker got SIGTERM').toBe(true);
        expectGivenBack(play, task);
      }
      expect(auditTask(play.dir, 'c').record).toBeNull();
      expect(run.events.at(-1)).toMatchObject({ type: 'run_finished', exit_code: 130 });
    },
  );

  test('a second one ends a run that waits for a git that only looks', async () => {
    const bin = folder({
      git: '#!/bin/sh\ncase " $* " in *" status "*) [ ! -e "$HANG" ] || { touch "$HANG.on"; exec sleep 600; };; esac\nPATH=$OWN exec git "$@"\n',
    });
    fs.chmodSync(path.join(bin, 'git'), 0o755);
    const hang = path.join(bin, 'hang');
    const { at, state } = finishing([`id: a, title: A, run: "touch ${hang}"`], '');
    const own = process.env['PATH'] ?? '';
    const env = { ...GIT_ENV, PATH: `${bin}:${own}`, OWN: own, HANG: hang };
    const run = startCli(['orchestrate', 'run'], { cwd: at, env });
    await until('git hangs', () => fs.existsSync(`${hang}.on`));
    for (const signal of ['SIGINT', 'SIGTERM'] as const) run.process.kill(signal);
    expect((await run.ended).code).toBe(130);
    expect((await state('a')).state).toBe('awaiting_respawn');
  });

  test('an interrupted run kills a worker that ignores SIGTERM after the grace', async () => {
    const play = newPlay([{ id: 'a', kind: 'deaf', gate: 'never' }], 300);
    const run = play.forge('run');
    const [worker] = await working(play, 1);
    run.signal('SIGINT');
    expect(await run.ended).toEqual({ code: 130, signal: null });
    expect(play.has(`termed-${worker?.attempt}`)).toBe(true);
    expectGivenBack(play, 'a');
  });

  test.each([
    ['nohup', ['nohup']],
    ['a shell that ignores it', ['sh', '-c', 'trap "" HUP; "$@"; exit $?', 'sh']],
  ])('a run under %s goes on when its terminal is closed', async (_, under) => {
    const cwd = project([`id: a, title: A, run: "touch begun; until test -e go; do sleep 0.02; done"`]);
    const child = spawn('bash', ['-c', '"$@"', 'bash', ...under, process.execPath, FORGE, 'orchestrate', 'run'], {
      cwd,
      env: environment({}),
      stdio: ['ignore', 'pipe', 'ignore'],
      detached: true,
    });
    const ended = new Promise((resolve) => child.once('close', resolve));
    await until('the worker runs', () => fs.existsSync(path.join(cwd, 'begun')));
    // As the kernel does when the terminal goes: to every process of the group.
    process.kill(-(child.pid ?? 0), 'SIGHUP');
    fs.writeFileSync(path.join(cwd, 'go'), '');
    expect(await ended).toBe(0);
  });

  test('a second interrupt of a run does not wait for the grace', async () => {
    const play = newPlay([{ id: 'a', kind: 'deaf', gate: 'never' }]);
    const run = play.forge('run');
    const [worker] = await working(play, 1);
    run.signal('SIGINT');
    await until('the worker got SIGTERM', () => play.has(`termed-${worker?.attempt}`));
    expect(groupMembers(worker?.pid ?? 0), 'the worker goes on').not.toEqual([]);
    run.signal('SIGINT');
    expect(await run.ended).toEqual({ code: 130, signal: null });
    expectGivenBack(play, 'a');
  });

  test('an interrupted run stops background children with their worker', async () => {
    const play = newPlay([{ id: 'a', kind: 'parent', gate: 'never' }], 300);
    const run = play.forge('run');
    const [worker] = await working(play, 1);
    run.signal('SIGINT');
    expect(await run.ended).toEqual({ code: 130, signal: null });
    expect(groupMembers(worker?.pid ?? 0)).toEqual([]);
    expectGivenBack(play, 'a');
  });

  test('the next run continues the tasks that an interrupted run gave back', async () => {
    const play = newPlay([{ id: 'a', gate: 'work' }]);
    const first = play.forge('run');
    await working(play, 1);
    first.signal('SIGINT');
    expect((await first.ended).code).toBe(130);
    play.open('work');
    expect(await play.forge('run').ended).toEqual({ code: 0, signal: null });
    play.expectAllDone();
    expect(auditTask(play.dir, 'a').record?.state).toMatchObject({ attempt_count: 2, failure_count: 0 });
  });
});

describe('Ctrl-C at an exec', () => {
  test('an interrupted exec gives the task back and exits with 130', async () => {
    const play = newPlay([{ id: 'a' }]);
    const exec = play.forge('exec', 'a', '--', 'sh', '-c', ': > "$FAULT_PLAY/begun"; exec sleep 600');
    await until('the command runs', () => play.has('begun'));
    exec.signal('SIGINT');
    expect((await exec.ended).code, exec.stderr).toBe(130);
    expectGivenBack(play, 'a');
  });
});

describe('cancel from another terminal', () => {
  test.each(['plain', 'stubborn', 'parent'] as const)(
    'cancel from another terminal stops a %s worker, and the run goes on with the rest',
    async (kind) => {
      const play = newPlay([{ id: 'a', kind, gate: 'never' }, { id: 'b' }], 300);
      const run = play.forge('run', '--max-parallel', '1');
      const [worker] = await working(play, 1);
      const cancel = new LiveForge(play.dir, ['cancel', 'a', '--reason', 'not needed']);
      expect((await cancel.ended).code).toBe(0);
      const ended = await run.event('the end of the worker', ({ type }) => type === 'task_interrupted');
      expect(ended).toMatchObject({ task_id: 'a', attempt_id: worker?.attempt, state: 'cancelled' });
      expect(groupMembers(worker?.pid ?? 0)).toEqual([]);
      expect(await run.ended, run.stderr).toEqual({ code: 0, signal: null });
      expect(auditTask(play.dir, 'a').record).toMatchObject({
        state: { state: 'cancelled', failure_count: 0 },
        lease: null,
      });
      expect(auditTask(play.dir, 'b').record?.state.state).toBe('shipped');
      expect(play.violations()).toBe('');
      expect(play.leftovers() ?? []).toEqual([]);
    },
  );
});

describe('tree of a working run', () => {
  const AGENTS = { kill_grace_ms: 300, self_lease_ttl_ms: 2000, self_heartbeat_ms: 200 };

  function newPlay(gate: string): { play: Play; tree: string; aside: string } {
    const play = ofTest(new Play([{ id: 'a', kind: 'parent', gate }], AGENTS));
    return { play, tree: `${play.dir}/.forge/orchestrator`, aside: `${play.dir}/.forge/aside` };
  }

  test('a run whose tree cannot be reached stops its worker, and the next run goes on', async () => {
    const { play, tree, aside } = newPlay('work');
    const run = play.forge('run');
    const [worker] = await working(play, 1);
    fs.renameSync(tree, aside);
    fs.symlinkSync('nowhere', tree);
    expect(await run.ended).toEqual({ code: 1, signal: null });
    expect(run.events.at(-1)).toMatchObject({ ok: false, error: { code: 'IO_ERROR' } });
    expect(groupMembers(worker?.pid ?? 0)).toEqual([]);
    expect(play.leftovers() ?? []).toEqual([]);
    fs.rmSync(tree);
    fs.renameSync(aside, tree);
    play.open('work');
    expect(await play.forge('run').ended).toEqual({ code: 0, signal: null });
    play.expectAllDone();
  });

  test('a run whose tree is gone stops its worker and ends, and a new one begins anew', async () => {
    const { play, tree, aside } = newPlay('work');
    const run = play.forge('run');
    const [first] = await working(play, 1);
    fs.renameSync(tree, aside);
    expect(await run.ended).toEqual({ code: 1, signal: null });
    expect(JSON.stringify(run.events)).toContain(
      'the state of task a was removed while this run was using it; at work: a',
    );
    expect(groupMembers(first?.pid ?? 0)).toEqual([]);
    const next = play.forge('run');
    await working(play, 2);
    play.open('work');
    expect(await next.ended).toEqual({ code: 0, signal: null });
    expect(play.violations()).toBe('');
    expect(play.leftovers() ?? []).toEqual([]);
  });
});
