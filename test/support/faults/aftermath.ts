/** What must hold after a command was cut short or refused at any point. */

import fs from 'node:fs';
import { expect } from 'vitest';
import { claim } from '../../../src/commands/claim.ts';
import { doctor } from '../../../src/commands/doctor.ts';
import { phases } from '../../../src/commands/phases.ts';
import { dryRun } from '../../../src/commands/run.ts';
import { show } from '../../../src/commands/show.ts';
import { status } from '../../../src/commands/status.ts';
import { why } from '../../../src/commands/why.ts';
import { openQuestion } from '../../../src/domain/question/questions.ts';
import { auditTask, expectViewsOf, type TaskFiles } from './audit.ts';
import { type Answer, asked, callOn, doneBy } from './forge.ts';
import { copyProject, dropProject, LOGS, listing } from './project.ts';
import { finish, MINE, OTHER, repeat, type Scenario, TASK } from './scenarios.ts';

export interface Cut {
  scenario: Scenario;
  /** The tree as the command left it. It is worked on, and removed when all is well. */
  dir: string;
  args: readonly string[];
  /** The task before the command. */
  before: TaskFiles;
  /** What the command still answered; null when nothing. */
  answer: Answer | null;
}

/**
 * Everything at once: the look, a stranger's turn, the caller's repeat, and the rest of the task's life. Returns how many
 * changes the command had made.
 */
export async function expectUsable(cut: Cut): Promise<number> {
  const now = auditTask(cut.dir, TASK);
  const { changes = 1, also } = cut.scenario;
  const committed = now.newest - cut.before.newest;
  expect(committed).toBeLessThanOrEqual(changes);
  if (doneBy(cut.answer) !== null) expect(committed, 'what was reported as done is there').toBe(changes);
  const ready = await readersWork(cut.dir, now);
  const copy = copyProject(cut.dir);
  expect(await strangerFirst({ ...cut, dir: copy }, now), 'what was said to be ready can be had').toBe(ready);
  dropProject(copy);
  if (also !== undefined) {
    const another = copyProject(cut.dir);
    await also(another, cut.args, cut.before);
    dropProject(another);
  }
  await callerRepeats(cut);
  dropProject(cut.dir);
  return committed;
}

/** Reading works, sees what is committed, and writes nothing. Returns whether the task is said to be ready. */
async function readersWork(dir: string, { record }: TaskFiles): Promise<boolean> {
  const call = callOn(dir);
  const files = listing(dir, LOGS);
  const seen = await status.run(call, {});
  const row = seen.tasks.find((task) => task.task_id === TASK);
  if (record !== null) {
    expect(row).toMatchObject({ state: record.state.state, generation: record.memo.generation });
    expect((await show.run(call, { task: TASK })).lease?.claim_id ?? null).toBe(record.lease?.claim_id ?? null);
  }
  const { ready } = await why.run(call, { task: TASK });
  expect(await phases.run(call, { ready: true })).toMatchObject({ ready: ready ? [{ task_id: TASK }] : [] });
  expect((await dryRun(call, {})).for_agents.map((row) => row.task_id)).toEqual(ready ? [TASK] : []);
  expect(listing(dir, LOGS)).toEqual(files);
  return ready;
}

/**
 * Another owner claims before the caller repeats: it gets the task, or is refused and changes nothing. Returns
 * whether it got the task.
 */
async function strangerFirst({ dir, args, scenario }: Cut, before: TaskFiles): Promise<boolean> {
  const theirs = await asked(claim.run(callOn(dir), { task: TASK, claim_id: OTHER }));
  const now = auditTask(dir, TASK);
  if (theirs.ok) {
    // A question that is settled is a change of its own: the task moves on before it is claimed.
    const parked = before.record !== null && openQuestion(before.record) !== null;
    expect(now.newest).toBe(before.newest + (parked ? 1 : 0) + (scenario.claims ?? 1));
    expect(theirs.data.generation).toBeGreaterThan(before.record?.memo.generation ?? 0);
    expect(now.record?.lease?.claim_id).toBe(OTHER);
  } else {
    expect(['LEASE_EXISTS', 'NOT_READY']).toContain(theirs.code);
    expect(now.newest).toBe(before.newest);
  }
  const mine = await asked(repeat(dir, args));
  if (!theirs.ok) return false;
  if (!mine.ok)
    expect(['LEASE_EXISTS', 'LEASE_STOLEN', 'STALE_ATTEMPT', 'NOT_READY', 'ILLEGAL_TRANSITION']).toContain(mine.code);
  const after = auditTask(dir, TASK);
  expect(after.newest, 'a late caller changes nothing').toBe(now.newest);
  expect(after.record?.lease?.claim_id).toBe(OTHER);
  return true;
}

/** The caller repeats its request and gets its answer, and the task can be completed. */
async function callerRepeats({ dir, args, scenario, before }: Cut): Promise<void> {
  const { changes = 1 } = scenario;
  const answer = await repeat(dir, args);
  expect(answer).toMatchObject(scenario.says);
  const now = auditTask(dir, TASK);
  if (scenario.repeatable) expect(now.newest, 'one request, its changes once').toBe(before.newest + changes);
  if (now.record === null) throw new Error('the repeated request has left no record');
  expectViewsOf(dir, TASK, now.record);
  if (now.record.state.state !== 'shipped') {
    expect(await finish(dir, now.record.lease === null ? null : MINE)).toBe('shipped');
  }
  expect(fs.readFileSync(`${dir}/.forge/.gitignore`, 'utf8')).toContain('orchestrator/');
  const end = auditTask(dir, TASK);
  if (end.record !== null) expectViewsOf(dir, TASK, end.record);
  const { checks } = await doctor.run(callOn(dir), {});
  expect(checks.find(({ name }) => name === 'tasks')).toMatchObject({ status: 'ok' });
}
