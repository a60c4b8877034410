/** An agent that shells out: claim, dispatch, heartbeat, event, complete, release. */

import fs from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { isUuid } from '../../src/core/ids.ts';
import { identifyOwner } from '../../src/host/processes.ts';
import { cancel, retry } from '../../src/verbs/cancel.ts';
import { claim } from '../../src/verbs/claim.ts';
import { complete } from '../../src/verbs/complete.ts';
import { dispatch } from '../../src/verbs/dispatch.ts';
import { event } from '../../src/verbs/event.ts';
import { heartbeat } from '../../src/verbs/heartbeat.ts';
import { release } from '../../src/verbs/release.ts';
import { runEnd, runList, runStart } from '../../src/verbs/runs.ts';
import { show } from '../../src/verbs/show.ts';
import {
  code,
  GRACE_MS,
  keysOf,
  MINUTE_MS,
  phasesOf,
  planOf,
  refused,
  STRANGER,
  T0,
  TTL_MS,
  World,
} from './helpers/world.ts';

let world: World;
beforeEach(() => {
  world = new World(planOf('build', 'test, depends_on: [build]', 'docs, priority: P0'));
});

const verdict = (body: object | string = { verdict: 'ready_for_review', summary: 'done' }) =>
  world.write('verdict.json', typeof body === 'string' ? body : JSON.stringify(body));

const finish = (task: string, attempt: string, body?: object) =>
  complete(world.call, { task, attempt, verdictFile: verdict(body) });

const fail = (task: string, attempt: string, errorClass = 'exit.1', message?: string) =>
  complete(world.call, { task, attempt, failed: true, errorClass, message });

describe('from claim to complete', () => {
  test('every answer has the fields that others read, in a tree that says the same', async () => {
    const claimed = await claim(world.call, { task: 'build' });
    expect(keysOf(claimed)).toEqual(['task_id', 'claim_id', 'generation', 'run_id', 'expires_at']);
    expect(claimed).toMatchObject({ task_id: 'build', generation: 1, expires_at: world.at(TTL_MS) });
    expect([claimed.claim_id, claimed.run_id].every(isUuid)).toBe(true);

    const { claim_id, run_id } = claimed;
    const started = await dispatch(world.call, { task: 'build', claim: claim_id, run: run_id, phase: 'implement' });
    expect(keysOf(started)).toEqual(['task_id', 'attempt_id', 'attempt_number', 'phase', 'worktree_path']);
    expect(started).toMatchObject({ task_id: 'build', attempt_number: 1, phase: 'implement', worktree_path: null });

    world.wait(MINUTE_MS);
    const { attempt_id } = started;
    const beaten = await heartbeat(world.call, { task: 'build', attempt: attempt_id });
    expect(keysOf(beaten)).toEqual(['task_id', 'attempt_id', 'generation', 'expires_at']);
    expect(beaten).toEqual({ task_id: 'build', attempt_id, generation: 1, expires_at: world.at(MINUTE_MS + TTL_MS) });
    expect(world.json('.forge/orchestrator/tasks/build/state.json')).toMatchObject({ state: 'running' });

    const done = await finish('build', attempt_id, { verdict: 'ready_for_review', summary: 'built', extra: [1] });
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
    expect((await show(world.call, { task: 'build' })).history.map((line) => line['event'])).toEqual([
      'acquired',
      'released',
    ]);
    expect(world.warnings).toEqual([]);
  });

  test('each move is a line of the log', async () => {
    const { attempt } = await world.start('build');
    await finish('build', attempt);
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
      expect((await finish('build', attempt)).state).toBe(state);
    }
  });

  test('what comes next is ready only then', async () => {
    expect(await code(() => claim(world.call, { task: 'test' }))).toBe('NOT_READY');
    await finish('build', (await world.start('build')).attempt);
    expect((await claim(world.call, { task: 'test' })).generation).toBe(1);
  });
});

describe('claim', () => {
  test('--next takes the most urgent, then the next, until nothing is ready', async () => {
    expect((await claim(world.call, { next: true })).task_id).toBe('docs');
    expect((await claim(world.call, { next: true })).task_id).toBe('build');
    const error = await refused(() => claim(world.call, { next: true }));
    expect(error).toMatchObject({ code: 'NOT_READY', exitCode: 4, message: 'no task is ready; 3 wait' });
  });

  test('opens a run, or works under the one that is named', async () => {
    const { run_id } = await runStart(world.call, { name: 'mine' });
    expect((await claim(world.call, { task: 'build', run: run_id })).run_id).toBe(run_id);
    const own = await claim(world.call, { task: 'docs' });
    expect(own.run_id).not.toBe(run_id);
    expect((await runList(world.call)).runs.map((run) => [run.run_id, run.name])).toEqual(
      [
        [run_id, 'mine'],
        [own.run_id, null],
      ].sort(),
    );
  });

  test('under a run that there is not is refused', async () => {
    expect(await code(() => claim(world.call, { task: 'build', run: STRANGER }))).toBe('RUN_NOT_FOUND');
    expect(await world.session().store.list()).toEqual([]);
  });

  test('that is refused leaves no run behind', async () => {
    await claim(world.call, { task: 'build' });
    const before = (await runList(world.call)).runs.length;
    expect(await code(() => claim(world.call, { task: 'build' }))).toBe('LEASE_EXISTS');
    expect(await code(() => claim(world.call, { task: 'test' }))).toBe('NOT_READY');
    expect((await runList(world.call)).runs).toHaveLength(before);
  });

  test.each([
    ['a task that there is not, with the one that was meant', 'biuld', 'TASK_NOT_FOUND', 'Did you mean build?'],
    ['what can not be a task', '../build', 'INVALID_ID', 'A task id starts with'],
  ])('of %s is refused', async (_what, task, expected, hint) => {
    const error = await refused(() => claim(world.call, { task }));
    expect(error.code).toBe(expected);
    expect(error.hint).toContain(hint);
  });

  test('of nothing in particular is refused', async () => {
    expect(await code(() => claim(world.call, {}))).toBe('INVALID_ARGS');
  });

  test('by the same id gets the same lease again, also with --next', async () => {
    const claimId = '0195ed82-cc8e-76c6-b8fa-36b8c95209dd';
    const first = await claim(world.call, { task: 'build', claimId });
    expect(first.claim_id).toBe(claimId);
    world.wait(MINUTE_MS);
    expect(await claim(world.call, { task: 'build', claimId: claimId.toUpperCase() })).toEqual(first);
    expect(await claim(world.call, { next: true, claimId })).toEqual(first);
    expect((await runList(world.call)).runs).toHaveLength(1);
  });

  test('by an id that was released is refused', async () => {
    const { claim_id } = await claim(world.call, { task: 'build' });
    await release(world.call, { task: 'build', claim: claim_id });
    expect(await code(() => claim(world.call, { task: 'build', claimId: claim_id }))).toBe('LEASE_STOLEN');
  });

  test('of what somebody holds: not before its time and grace are over', async () => {
    const { attempt, claim: first } = await world.start('build');
    world.wait(TTL_MS - 1);
    expect(await code(() => claim(world.call, { task: 'build' }))).toBe('LEASE_EXISTS');
    world.wait(1);
    expect(await code(() => claim(world.call, { task: 'build' }))).toBe('LEASE_NOT_EXPIRED');
    world.wait(GRACE_MS - 1);
    expect(await code(() => claim(world.call, { task: 'build' }))).toBe('LEASE_NOT_EXPIRED');
    world.wait(1);
    const stolen = await claim(world.call, { task: 'build' });
    expect(stolen.generation).toBe(2);
    expect((await show(world.call, { task: 'build' })).history).toMatchObject([
      { event: 'acquired', generation: 1, claim_id: first },
      { event: 'stolen', generation: 2, from_generation: 1, claim_id: stolen.claim_id },
    ]);
    expect(await code(() => heartbeat(world.call, { task: 'build', attempt }))).toBe('LEASE_STOLEN');
    expect(await code(() => fail('build', attempt))).toBe('LEASE_STOLEN');
    expect(await code(() => event(world.call, { task: 'build', attempt, type: 'note' }))).toBe('LEASE_STOLEN');
  });

  test('of what a dead process holds, at once', async () => {
    const first = await claim(world.call, { task: 'build', ownerPid: process.pid });
    expect(world.json('.forge/orchestrator/tasks/build/lease.json')['owner']).toEqual(identifyOwner(process.pid));
    expect(await code(() => claim(world.call, { task: 'build' }))).toBe('LEASE_EXISTS');
    world.liveness = 'dead';
    const second = await claim(world.call, { task: 'build' });
    expect(second.generation).toBe(first.generation + 1);
    expect((await world.record('build')).lease).not.toHaveProperty('owner');
  });

  test('for a process that there is not is refused', async () => {
    const error = await refused(() => claim(world.call, { task: 'build', ownerPid: 2 ** 22 + 1 }));
    expect(error.code).toBe('INVALID_ARGS');
    expect(error.message).toContain('there is no such process');
  });

  test('of a task that nobody survives fails it in the end', async () => {
    world = new World(planOf('build'), 'agents: {retry_attempts: 3}\n');
    for (let generation = 1; generation <= 3; generation++) {
      expect((await claim(world.call, { task: 'build' })).generation).toBe(generation);
      world.wait(TTL_MS + GRACE_MS);
    }
    expect(await code(() => claim(world.call, { task: 'build' }))).toBe('NOT_READY');
    expect((await world.record('build')).state).toMatchObject({
      state: 'failed',
      failure_reason: 'retries_exhausted',
      last_error: { class: 'worker.lost' },
    });
  });

  test('without a plan is refused', async () => {
    world = new World(null, '');
    expect(await code(() => claim(world.call, { task: 'build' }))).toBe('PHASES_NOT_FOUND');
  });
});

describe('dispatch', () => {
  test('repeated returns the one attempt of the claim, as it was opened', async () => {
    const { claim_id, run_id } = await claim(world.call, { task: 'build' });
    const first = await dispatch(world.call, { task: 'build', claim: claim_id, run: run_id, phase: 'review' });
    const again = await dispatch(world.call, { task: 'build', claim: claim_id, run: run_id, phase: 'implement' });
    expect(again).toEqual(first);
    expect(again.phase).toBe('review');
    expect(fs.readdirSync(world.path('.forge/orchestrator/tasks/build/attempts'))).toEqual([first.attempt_id]);
  });

  test('is refused to who does not hold the task', async () => {
    const options = { claim: STRANGER, run: STRANGER, phase: 'implement' } as const;
    expect(await code(() => dispatch(world.call, { task: 'build', ...options }))).toBe('STATE_NOT_FOUND');
    expect(await code(() => dispatch(world.call, { task: 'gone', ...options }))).toBe('TASK_NOT_FOUND');
    const { claim_id } = await claim(world.call, { task: 'build' });
    expect(await code(() => dispatch(world.call, { task: 'build', ...options }))).toBe('LEASE_STOLEN');
    expect(await code(() => dispatch(world.call, { task: 'build', ...options, claim: claim_id }))).toBe(
      'LEASE_IDENTITY_MISMATCH',
    );
    expect(await code(() => dispatch(world.call, { task: 'build', ...options, claim: 'mine' }))).toBe('INVALID_ID');
    expect(world.has('.forge/orchestrator/tasks/build/attempts')).toBe(false);
  });
});

describe('heartbeat', () => {
  test('renews after expiry while nobody has taken the task', async () => {
    const { attempt } = await world.start('build');
    world.wait(10 * TTL_MS);
    const { expires_at } = await heartbeat(world.call, { task: 'build', attempt });
    expect(expires_at).toBe(world.at(11 * TTL_MS));
    expect(await code(() => claim(world.call, { task: 'build' }))).toBe('LEASE_EXISTS');
  });

  test.each([
    ['a stranger', STRANGER, 'STALE_ATTEMPT'],
    ['no id', 'attempt-1', 'INVALID_ID'],
  ])('by %s is refused', async (_who, attempt, expected) => {
    await world.start('build');
    const before = world.footprint();
    expect(await code(() => heartbeat(world.call, { task: 'build', attempt }))).toBe(expected);
    expect(world.footprint()).toEqual(before);
  });

  test('of a task that nothing has happened to is refused', async () => {
    expect(await code(() => heartbeat(world.call, { task: 'build', attempt: STRANGER }))).toBe('STATE_NOT_FOUND');
    expect(await code(() => heartbeat(world.call, { task: 'gone', attempt: STRANGER }))).toBe('TASK_NOT_FOUND');
  });
});

describe('complete', () => {
  test('repeated with the same outcome returns the first answer', async () => {
    const { attempt } = await world.start('build');
    const first = await fail('build', attempt, 'network.timeout', 'no answer');
    expect(first).toMatchObject({ state: 'awaiting_respawn', next_eligible_at: world.at(1000) });
    world.wait(TTL_MS);
    expect(await fail('build', attempt, 'network.timeout', 'no answer')).toEqual(first);
    expect((await world.record('build')).state.failure_count).toBe(1);
  });

  test('with another outcome is refused, and the first one stands', async () => {
    const { attempt } = await world.start('build');
    await finish('build', attempt);
    expect(await code(() => fail('build', attempt))).toBe('STALE_ATTEMPT');
    expect(await code(() => finish('build', attempt, { verdict: 'blocked', summary: 'no' }))).toBe('STALE_ATTEMPT');
    expect((await world.record('build')).state.state).toBe('shipped');
  });

  test('hands in another verdict than one that was cut short before its commit: refused', async () => {
    const { attempt } = await world.start('build');
    const { store } = world.session();
    await store.createOnce('build', attempt, 'verdict.json', { version: 1, verdict: 'blocked', summary: 'first' }, 'x');
    expect(await code(() => finish('build', attempt))).toBe('STALE_ATTEMPT');
    expect((await finish('build', attempt, { verdict: 'blocked', summary: 'first' })).state).toBe('awaiting_respawn');
  });

  test('of a failure goes by the policy of the task', async () => {
    world = new World(planOf('build, retry: {max_attempts: 2, base: 5s}'));
    const first = await fail('build', (await world.start('build')).attempt);
    expect(first).toMatchObject({ state: 'awaiting_respawn', next_eligible_at: world.at(5000) });
    expect(await code(() => claim(world.call, { task: 'build' }))).toBe('NOT_READY');
    world.wait(5000);
    const second = await fail('build', (await world.start('build')).attempt);
    expect(second).toMatchObject({ state: 'failed', next_eligible_at: null, failure_reason: 'retries_exhausted' });
  });

  test('goes by the settings when the plan can not be read just now, and says so', async () => {
    world = new World(planOf('build, retry: {max_attempts: 1}'), 'retry: {max_attempts: 5, base: 7s}\n');
    const { attempt } = await world.start('build');
    world.write('plans/phases.yaml', 'project: [');
    expect(await fail('build', attempt)).toMatchObject({ state: 'awaiting_respawn', next_eligible_at: world.at(7000) });
    expect(world.warnings).toEqual([expect.stringContaining('the retry policy of the settings decides')]);
  });

  test('keeps what the worker says of a failure', async () => {
    const { attempt } = await world.start('build');
    const options = { task: 'build', attempt, failed: true, errorClass: 'exit.2' };
    await complete(world.call, { ...options, message: 'two\nlines \u001b[31mred', exitCode: 2 });
    expect((await world.record('build')).state.last_error).toEqual({
      class: 'exit.2',
      message: 'two lines red',
      exit_code: 2,
    });
  });

  test('of a verdict whose summary is as long as a verdict may be leaves a record that can be read', async () => {
    const { attempt } = await world.start('build');
    const answer = await finish('build', attempt, { verdict: 'blocked', summary: '"\\\u0001'.repeat(6000) });
    expect(answer.state).toBe('awaiting_respawn');
    expect((await world.record('build')).state).toMatchObject({ state: 'awaiting_respawn', failure_count: 1 });
  });

  test.each<[what: string, options: object, expected: string]>([
    ['no outcome', {}, 'INVALID_ARGS'],
    ['a failure without a class', { failed: true }, 'INVALID_ARGS'],
    ['a class that is none', { failed: true, errorClass: 'Network Timeout' }, 'INVALID_ARGS'],
    ['a verdict that is not there', { verdictFile: '/nowhere/verdict.json' }, 'INVALID_ARGS'],
  ])('with %s is refused, and the attempt goes on', async (_what, options, expected) => {
    const { attempt } = await world.start('build');
    expect(await code(() => complete(world.call, { task: 'build', attempt, ...options }))).toBe(expected);
    expect((await world.record('build')).state.state).toBe('dispatched');
  });

  test.each([
    ['no JSON', 'ready', 'it is not JSON'],
    ['a list', '[]', 'expected an object'],
    ['no such verdict', '{"verdict":"perhaps"}', 'verdict: '],
    ['of a later version', '{"version":2,"verdict":"blocked"}', 'newer forge'],
  ])('with a verdict that is %s is refused, naming the file', async (_what, body, why) => {
    const { attempt } = await world.start('build');
    const file = verdict(body);
    const error = await refused(() => complete(world.call, { task: 'build', attempt, verdictFile: file }));
    expect(error.code).toBe('SCHEMA_INVALID');
    expect(error.message).toContain(file);
    expect(error.message).toContain(why);
    expect((await world.record('build')).state.state).toBe('dispatched');
  });

  test('of a task that has left the plan is still taken', async () => {
    const { attempt } = await world.start('build');
    world.write('plans/phases.yaml', planOf('other'));
    expect((await finish('build', attempt)).state).toBe('shipped');
  });
});

describe('release', () => {
  test('gives a task back uncharged; a repeat gets the same answer', async () => {
    const { claim: first } = await world.start('build');
    expect(await release(world.call, { task: 'build', claim: first })).toEqual({
      task_id: 'build',
      state: 'awaiting_respawn',
    });
    const second = await claim(world.call, { task: 'build' });
    expect(await release(world.call, { task: 'build', claim: first })).toEqual({
      task_id: 'build',
      state: 'awaiting_respawn',
    });
    expect(await release(world.call, { task: 'build', claim: second.claim_id })).toEqual({
      task_id: 'build',
      state: 'unclaimed',
    });
    expect((await world.record('build')).state).toMatchObject({ failure_count: 0, attempt_count: 1 });
  });

  test('by a stranger is refused and changes nothing', async () => {
    await world.start('build');
    const before = world.footprint();
    expect(await code(() => release(world.call, { task: 'build', claim: STRANGER }))).toBe('LEASE_STOLEN');
    expect(world.footprint()).toEqual(before);
  });
});

describe('cancel and retry', () => {
  test('end a task for good, and bring it back', async () => {
    const { attempt } = await world.start('build');
    expect(await cancel(world.call, { task: 'build', reason: 'not now' })).toEqual({
      task_id: 'build',
      state: 'cancelled',
    });
    expect(await code(() => heartbeat(world.call, { task: 'build', attempt }))).toBe('LEASE_STOLEN');
    expect(await code(() => claim(world.call, { task: 'build' }))).toBe('NOT_READY');
    expect(await cancel(world.call, { task: 'build' })).toEqual({ task_id: 'build', state: 'cancelled' });
    expect(await retry(world.call, { task: 'build' })).toEqual({ task_id: 'build', state: 'unclaimed' });
    expect((await claim(world.call, { task: 'build' })).generation).toBe(2);
  });

  test('of a planned task that nothing has happened to', async () => {
    expect(await retry(world.call, { task: 'build' })).toEqual({ task_id: 'build', state: 'unclaimed' });
    expect(await cancel(world.call, { task: 'build' })).toEqual({ task_id: 'build', state: 'cancelled' });
  });

  test('retry ends a backoff', async () => {
    await fail('build', (await world.start('build')).attempt);
    expect(await code(() => claim(world.call, { task: 'build' }))).toBe('NOT_READY');
    expect(await retry(world.call, { task: 'build' })).toEqual({ task_id: 'build', state: 'awaiting_respawn' });
    expect((await world.start('build')).attempt).toBeTruthy();
  });

  test('of a task that is neither planned nor known is refused', async () => {
    expect(await code(() => cancel(world.call, { task: 'gone' }))).toBe('TASK_NOT_FOUND');
    expect(await code(() => retry(world.call, { task: '../gone' }))).toBe('INVALID_ID');
  });

  test('of a task that has left the plan works: that is how it is freed', async () => {
    await world.start('build');
    world.write('plans/phases.yaml', planOf('other'));
    expect((await cancel(world.call, { task: 'build' })).state).toBe('cancelled');
  });

  test('of a task that is over or at work is refused', async () => {
    const { attempt } = await world.start('build');
    expect(await code(() => retry(world.call, { task: 'build' }))).toBe('ILLEGAL_TRANSITION');
    await finish('build', attempt);
    expect(await code(() => cancel(world.call, { task: 'build' }))).toBe('ILLEGAL_TRANSITION');
  });
});

describe('event', () => {
  const events = async (task: string, attempt: string) =>
    world.session().store.readLog({ log: 'events', taskId: task, attemptId: attempt });

  test('is a line in the log of the attempt', async () => {
    const { attempt } = await world.start('build');
    const answer = await event(world.call, { task: 'build', attempt, type: 'tests.passed', data: '{"passed": 12}' });
    expect(answer).toEqual({ task_id: 'build', attempt_id: attempt, type: 'tests.passed', ts: world.at(0) });
    world.wait(5);
    await event(world.call, { task: 'build', attempt, type: 'note' });
    expect(await events('build', attempt)).toEqual([
      { ts: world.at(0), type: 'tests.passed', data: { passed: 12 } },
      { ts: world.at(5), type: 'note', data: null },
    ]);
  });

  test.each<[what: string, options: object, expected: string]>([
    ['a type that is none', { type: '1 2' }, 'INVALID_ARGS'],
    ['a type without end', { type: 'x'.repeat(65) }, 'INVALID_ARGS'],
    ['data that is no JSON', { data: '{' }, 'INVALID_ARGS'],
    ['data without end', { data: `"${'x'.repeat(16_384)}"` }, 'INVALID_ARGS'],
    ['an attempt of somebody else', { attempt: STRANGER }, 'STALE_ATTEMPT'],
  ])('with %s is refused and leaves nothing', async (_what, options, expected) => {
    const { attempt } = await world.start('build');
    const before = world.footprint();
    expect(await code(() => event(world.call, { task: 'build', attempt, type: 'note', ...options }))).toBe(expected);
    expect(world.footprint()).toEqual(before);
  });
});

describe('runs', () => {
  test('are started, listed and ended', async () => {
    const started = await runStart(world.call, { name: 'the \u001b[1mfirst\n' });
    expect(started).toEqual({ run_id: expect.any(String), name: 'the first', started_at: world.at(0) });
    expect(keysOf(started)).toEqual(['run_id', 'name', 'started_at']);
    const row = { run_id: started.run_id, name: 'the first', host: 'mill', started_at: world.at(0) };
    expect(await runList(world.call)).toEqual({ runs: [{ ...row, ended_at: null, standing: 'open' }] });
    world.wait(5);
    const ended = await runEnd(world.call, { run: started.run_id });
    expect(ended).toEqual({ ...started, ended_at: world.at(5) });
    world.wait(5);
    expect(await runEnd(world.call, { run: started.run_id })).toEqual(ended);
    expect(await runList(world.call)).toEqual({ runs: [{ ...row, ended_at: world.at(5), standing: 'ended' }] });
  });

  test('that there are not can not be ended', async () => {
    expect(await code(() => runEnd(world.call, { run: STRANGER }))).toBe('RUN_NOT_FOUND');
    expect(await code(() => runEnd(world.call, { run: 'last' }))).toBe('INVALID_ID');
  });

  test('whose process is dead are told from those that are open', async () => {
    const { store, newOp } = world.session();
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
    expect((await runList(world.call)).runs[0]?.standing).toBe('open');
    world.liveness = 'dead';
    expect((await runList(world.call)).runs[0]?.standing).toBe('dead');
  });
});

describe('a person at the same files', () => {
  const view = (name: string) => `.forge/orchestrator/tasks/build/${name}`;

  test('frees a task by editing its lease', async () => {
    await claim(world.call, { task: 'build' });
    const lease = world.json(view('lease.json'));
    world.write(view('lease.json'), JSON.stringify({ ...lease, expires_at: world.at(-GRACE_MS) }));
    const { generation } = await claim(world.call, { task: 'build' });
    expect(generation).toBe(2);
  });

  test('frees nothing by deleting the lease', async () => {
    await claim(world.call, { task: 'build' });
    fs.rmSync(world.path(view('lease.json')));
    expect(await code(() => claim(world.call, { task: 'build' }))).toBe('LEASE_EXISTS');
  });

  test('writes what nobody can read: every change is refused until it is mended', async () => {
    const { attempt } = await world.start('build');
    const state = world.json(view('state.json'));
    world.write(view('state.json'), JSON.stringify({ ...state, state: 'sleeping' }));
    for (const act of [
      () => heartbeat(world.call, { task: 'build', attempt }),
      () => fail('build', attempt),
      () => cancel(world.call, { task: 'build' }),
    ])
      expect(await code(act)).toBe('SCHEMA_INVALID');
    world.write(view('state.json'), JSON.stringify(state));
    expect((await heartbeat(world.call, { task: 'build', attempt })).generation).toBe(1);
  });

  test('hands over a tree that was written by hand: it is adopted by the first claim', async () => {
    world.write(view('state.json'), '{"version":1,"task_id":"build","state":"unclaimed","team":"mill"}');
    world.write(view('claim-history.jsonl'), '{"event":"released","generation":6}\n');
    expect(await claim(world.call, { task: 'build' })).toMatchObject({ task_id: 'build', generation: 7 });
    expect(world.json(view('state.json'))).toMatchObject({ state: 'claimed', team: 'mill' });
  });

  test('hands over a tree whose ids do not agree', async () => {
    world.write(view('state.json'), '{"version":1,"task_id":"other","state":"unclaimed"}');
    expect(await claim(world.call, { task: 'build' })).toMatchObject({ task_id: 'build' });
    expect(world.json(view('lease.json'))['task_id']).toBe('build');
  });
});

test('two phases: the second opens when the first is over', async () => {
  world = new World(
    phasesOf({ id: 'phase-1', tasks: ['a'] }, { id: 'phase-2', more: 'blocked_by: phase-1', tasks: ['b'] }),
  );
  expect(await code(() => claim(world.call, { task: 'b' }))).toBe('NOT_READY');
  await finish('a', (await world.start('a')).attempt);
  expect((await claim(world.call, { task: 'b' })).task_id).toBe('b');
});

test('claims of many at once: each task has one owner', async () => {
  world = new World(planOf(...Array.from({ length: 6 }, (_, i) => `t${i}`)));
  const claims = await Promise.allSettled(Array.from({ length: 10 }, () => claim(world.call, { next: true })));
  const won = claims.flatMap((result) => (result.status === 'fulfilled' ? [result.value.task_id] : []));
  expect(won.sort()).toEqual(['t0', 't1', 't2', 't3', 't4', 't5']);
  const lost = claims.flatMap((result) => (result.status === 'rejected' ? [result.reason.code] : []));
  expect(lost).toHaveLength(4);
  for (const code of lost) expect(['NOT_READY', 'LEASE_EXISTS']).toContain(code);
});

test('the clock of the context is the only one that is asked', async () => {
  const { attempt } = await world.start('build');
  const { state, lease } = await world.record('build');
  expect([state.updated_at, lease?.acquired_at]).toEqual([new Date(T0).toISOString(), new Date(T0).toISOString()]);
  expect((await show(world.call, { task: 'build' })).attempts).toMatchObject([
    { attempt_id: attempt, dispatched_at: world.at(0) },
  ]);
});
