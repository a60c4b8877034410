/** A run or exec that is stopped (SIGSTOP) for longer than its lease, and continues after another has taken over. */

import fs from 'node:fs';
import { describe, expect, type TestContext, test } from 'vitest';
import { claim } from '../../src/commands/claim.ts';
import { dispatch } from '../../src/commands/dispatch.ts';
import { show } from '../../src/commands/show.ts';
import { groupMembers } from '../../src/process/processes.ts';
import { auditTask, taskDir } from '../support/faults/audit.ts';
import { callOn, type LiveForge } from '../support/faults/forge.ts';
import { Play, type PlayTask } from '../support/faults/play.ts';
import { ofTest } from '../support/faults/plays.ts';
import { until } from '../support/processes.ts';

const TASK = 'a';
/** A lease is lost after five seconds without a heartbeat: soon, but not because a machine is busy. */
const AGENTS = {
  lease_ttl_ms: 4000,
  heartbeat_interval_ms: 400,
  self_lease_ttl_ms: 4000,
  self_heartbeat_ms: 400,
  steal_grace_ms: 1000,
  kill_grace_ms: 500,
};

function newPlay(
  { onTestFinished }: TestContext,
  task: Omit<PlayTask, 'id'>,
  agents: Partial<typeof AGENTS> = {},
): Play {
  return ofTest(new Play([{ id: TASK, gate: 'work', ...task }], { ...AGENTS, ...agents }), onTestFinished);
}

/** The worker of the `count`th attempt, once it works. */
function nthStart(play: Play, count: number) {
  return until(`worker ${count} works`, () => play.started()[count - 1]);
}

/** Fails unless the second attempt shipped the task, once, and the first one left no trace in its record. */
async function expectSecondCounts(play: Play): Promise<void> {
  play.expectAllDone();
  const { record } = auditTask(play.dir, TASK);
  const [first, second] = play.started();
  expect(play.started()).toHaveLength(2);
  expect(record?.state).toMatchObject({ attempt_count: 2, current_attempt_id: second?.attempt, failure_count: 0 });
  expect(record?.memo.completion?.attempt_id).toBe(second?.attempt);
  expect(play.has(`finished-${first?.attempt}`)).toBe(false);
  const { history } = await show.run(callOn(play.dir), { task: TASK });
  expect(history.map(({ event }) => event)).toEqual(['acquired', 'stolen', 'released']);
  expect(play.leftovers() ?? []).toEqual([]);
}

/** A run that stops in the middle of its work, and another one that has taken the work over. */
async function takenOver(play: Play, paused: LiveForge): Promise<LiveForge> {
  const first = await nthStart(play, 1);
  paused.signal('SIGSTOP');
  const other = play.forge('run');
  const second = await nthStart(play, 2);
  expect(second.attempt).not.toBe(first.attempt);
  expect(second.generation).toBe(first.generation + 1);
  expect(groupMembers(first.pid), 'the first worker and its children were stopped before the next began').toEqual([]);
  return other;
}

// These tests mostly wait for leases to run out, so they do it together.
describe.concurrent.each(['plain', 'stubborn', 'parent'] as const)('a %s worker', (kind) => {
  test('a paused run that continues while another works loses the task', async (context) => {
    const play = newPlay(context, { kind });
    const paused = play.forge('run');
    const other = await takenOver(play, paused);
    paused.signal('SIGCONT');
    const lost = await paused.event('the loss', ({ type }) => type === 'task_interrupted');
    expect(lost).toMatchObject({ task_id: TASK, attempt_id: play.started()[0]?.attempt });
    play.open('work');
    expect(await other.ended).toEqual({ code: 0, signal: null });
    // It has waited for the other one's work, and nothing is left to do.
    expect(await paused.ended).toEqual({ code: 0, signal: null });
    expect(paused.events.filter(({ type }) => type === 'task_finished')).toEqual([]);
    await expectSecondCounts(play);
  });
});

test.concurrent('a paused run that continues after another has done the task loses it', async (context) => {
  const play = newPlay(context, {});
  const paused = play.forge('run');
  const other = await takenOver(play, paused);
  play.open('work');
  expect(await other.ended).toEqual({ code: 0, signal: null });
  const done = auditTask(play.dir, TASK);
  paused.signal('SIGCONT');
  expect(await paused.ended).toEqual({ code: 0, signal: null });
  expect(auditTask(play.dir, TASK), 'it has changed nothing any more').toEqual(done);
  await expectSecondCounts(play);
});

test.concurrent('a paused exec whose task was taken over exits with 3', async (context) => {
  const play = newPlay(context, {});
  const { run = '' } = (await show.run(callOn(play.dir), { task: TASK })).task ?? {};
  const paused = play.forge('exec', TASK, '--', 'sh', '-c', run ?? '');
  const other = await takenOver(play, paused);
  paused.signal('SIGCONT');
  expect((await paused.ended).code, paused.stderr).toBe(3);
  play.open('work');
  expect(await other.ended).toEqual({ code: 0, signal: null });
  await expectSecondCounts(play);
});

test.concurrent('a run that is paused with its worker is taken over, and the worker stopped', async (context) => {
  const play = newPlay(context, {});
  const paused = play.forge('run');
  const first = await nthStart(play, 1);
  process.kill(-first.pid, 'SIGSTOP');
  const other = await takenOver(play, paused);
  play.open('work');
  expect(await other.ended).toEqual({ code: 0, signal: null });
  paused.signal('SIGCONT');
  expect(await paused.ended).toEqual({ code: 0, signal: null });
  await expectSecondCounts(play);
});

test.concurrent('a run that was paused for less than its lease keeps its work', async (context) => {
  const play = newPlay(context, {}, { self_lease_ttl_ms: 120_000 });
  const paused = play.forge('run');
  const first = await nthStart(play, 1);
  const beats = auditTask(play.dir, TASK).newest;
  paused.signal('SIGSTOP');
  const other = play.forge('run');
  await other.event('the other waits', ({ type }) => type === 'waiting');
  paused.signal('SIGCONT');
  await until('the lease is renewed', () => auditTask(play.dir, TASK).newest > beats);
  play.open('work');
  expect(await paused.ended).toEqual({ code: 0, signal: null });
  expect(await other.ended).toEqual({ code: 0, signal: null });
  expect(play.started()).toHaveLength(1);
  expect(auditTask(play.dir, TASK).record?.memo.completion?.attempt_id).toBe(first.attempt);
  play.expectAllDone();
});

/** A run whose worker is done, and whose result is being checked. */
async function runThatChecks(context: TestContext): Promise<{ play: Play; paused: LiveForge }> {
  const play = newPlay(context, { gate: '', checkGate: 'check' });
  return { play, paused: play.forge('run') };
}

/** A `complete` of an agent, whose result is being checked. */
async function completeThatChecks(context: TestContext): Promise<{ play: Play; paused: LiveForge }> {
  const play = newPlay(context, { byHand: true, checkGate: 'check' });
  const call = callOn(play.dir);
  const { claim_id, run_id } = await claim.run(call, { task: TASK });
  const { attempt_id } = await dispatch.run(call, { task: TASK, claim: claim_id, run: run_id, phase: 'implement' });
  fs.writeFileSync(`${play.dir}/verdict.json`, '{"verdict":"ready_for_review"}');
  const file = `${play.dir}/verdict.json`;
  return { play, paused: play.forge('complete', TASK, '--attempt', attempt_id, '--verdict-file', file) };
}

/** Stops it in the middle of its check, until another run checks the same result. */
async function checkTakenOver(play: Play, paused: LiveForge): Promise<LiveForge> {
  const [first = 0] = await until('the result is checked', () => (play.checks().length === 1 ? play.checks() : null));
  paused.signal('SIGSTOP');
  const other = play.forge('run');
  await until('it is checked by the other', () => play.checks().length === 2);
  expect(groupMembers(first), 'the first check was stopped before the next began').toEqual([]);
  return other;
}

/** Fails unless the one attempt was credited once, by the check of the second claim. */
async function expectCreditedOnce(play: Play): Promise<void> {
  const { record } = auditTask(play.dir, TASK);
  expect(record?.state).toMatchObject({ state: 'shipped', attempt_count: 1, failure_count: 0 });
  expect(record?.memo.generation).toBe(2);
  const attempt = record?.state.current_attempt_id ?? '';
  expect(record?.memo.completion?.attempt_id).toBe(attempt);
  const twin = fs.readFileSync(`${taskDir(play.dir, TASK)}/attempts/${attempt}/verdict.verified.json`, 'utf8');
  expect(JSON.parse(twin)).toMatchObject({
    verdict: 'ready_for_review',
    failure: null,
    commands: [{ exit_code: 0 }],
  });
  expect(play.checks()).toHaveLength(2);
  const { history } = await show.run(callOn(play.dir), { task: TASK });
  expect(history.map(({ event }) => event)).toEqual(['acquired', 'stolen', 'released']);
  expect(play.violations()).toBe('');
  expect(play.leftovers() ?? []).toEqual([]);
}

describe.concurrent.each([
  { name: 'run', start: runThatChecks, code: 0 },
  { name: 'complete', start: completeThatChecks, code: 3 },
])('a $name that is paused while it checks a result', ({ start, code }) => {
  test('a process paused during verification loses when it continues while another verifies', async (context) => {
    const { play, paused } = await start(context);
    const other = await checkTakenOver(play, paused);
    const before = auditTask(play.dir, TASK).record?.lease?.claim_id;
    paused.signal('SIGCONT');
    if (code === 0) await paused.event('the loss', ({ type }) => type === 'task_interrupted');
    else expect(await paused.ended).toEqual({ code, signal: null });
    expect(auditTask(play.dir, TASK).record?.lease?.claim_id, 'the other still has it').toBe(before);
    play.open('check');
    expect(await other.ended).toEqual({ code: 0, signal: null });
    expect(await paused.ended).toEqual({ code, signal: null });
    await expectCreditedOnce(play);
  });

  test('a process paused during verification loses when it continues after another has verified', async (context) => {
    const { play, paused } = await start(context);
    const other = await checkTakenOver(play, paused);
    play.open('check');
    expect(await other.ended).toEqual({ code: 0, signal: null });
    const done = auditTask(play.dir, TASK);
    paused.signal('SIGCONT');
    expect(await paused.ended).toEqual({ code, signal: null });
    expect(auditTask(play.dir, TASK), 'it has changed nothing any more').toEqual(done);
    await expectCreditedOnce(play);
  });
});
